"""One run, and one event of it."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from llmobs.answers.asked import LIMIT, Asked, Part
from llmobs.answers.errors import NotFoundError, SeveralError
from llmobs.codec import AnyEvent
from llmobs.store.engine import ReadsStore
from llmobs.store.records import (
    AmbiguousRunError,
    Around,
    Evaluation,
    RunFilter,
    RunNotFoundError,
    RunSummary,
)

__all__ = ["EVENTS", "PAGING", "Run", "WholeEvent", "event", "run"]

EVENTS: Final = 100
"""Of a run in one answer, unless another number is asked for."""
PAGING: Final[Mapping[str, Part]] = {
    "cursor": Part("Id of the event after which to go on: next_cursor of the answer before."),
    "limit": LIMIT,
}
"""Where in its events."""
OF_TRACE: Final = 20
"""Other runs of a trace that are named."""


class Run(msgspec.Struct, frozen=True):
    """One run, and a page of its events."""

    run: RunSummary
    """What it adds up to."""
    parent: RunSummary | None
    """The run that started it, if it is there."""
    children: Sequence[RunSummary]
    """Runs that it started, the latest first; the first of them."""
    trace: Sequence[RunSummary]
    """Other runs of its trace, of whichever service, the latest first; the first of them."""
    around: Sequence[Around]
    """What the events told here happened inside, as far as that is not told here, by time."""
    evaluations: Sequence[Evaluation]
    """What checks and ratings said of it, in the order they came."""
    events: Sequence[AnyEvent]
    """By time; its own, of which each attempt has one, are always there."""
    total: int
    """Events in the store, its own included."""
    unreadable: int
    """Events left out here because this llmobs cannot read them."""
    next_cursor: str | None
    """Where its events go on; None if these are the last."""


class WholeEvent(msgspec.Struct, frozen=True):
    """One event with all that it says, and what was said of it."""

    event: AnyEvent
    """As it is stored."""
    evaluations: Sequence[Evaluation]
    """What checks and ratings said of it, in the order they came."""


def run(store: ReadsStore, asked: Asked, run_id: str) -> Run:
    """
    Return one run.

    Args:
        store: Where it is.
        asked: Where in its events to go on, and how many to tell.
        run_id: Its id, what its caller called it, or enough of its id's beginning or end.

    Raises:
        NotFoundError: There is none; `SeveralError`: there are several.
    """
    project = asked.project
    try:
        found = store.run(run_id, limit=asked.limit(EVENTS), after=asked.cursor, project=project)
    except AmbiguousRunError as error:
        raise SeveralError("run", str(error), error.candidates) from None
    except RunNotFoundError:
        raise NotFoundError("run", "No run has an id that begins or ends like this.") from None
    parent = found.summary.parent_run_id
    where = RunFilter(run_id=parent, project_id=project)
    return Run(
        run=found.summary,
        parent=next(iter(store.runs(1, where=where)), None) if parent is not None else None,
        children=found.children,
        trace=_trace(store, found.summary, project),
        around=store.around(found.summary.run_id, found.events, project=project),
        evaluations=found.evaluations,
        events=found.events,
        total=found.total,
        unreadable=found.unreadable,
        next_cursor=found.next,
    )


def _trace(store: ReadsStore, run: RunSummary, project: str | None) -> list[RunSummary]:
    if run.trace_id is None:
        return []
    where = RunFilter(trace_id=run.trace_id, project_id=project)
    return [one for one in store.runs(OF_TRACE + 1, where=where) if one.run_id != run.run_id][
        :OF_TRACE
    ]


def event(store: ReadsStore, asked: Asked, event_id: str) -> WholeEvent:
    """
    Return one event, whole, and what checks and ratings said of it.

    Raises:
        NotFoundError: There is none, or this llmobs cannot read it.
    """
    stored = store.event(event_id, project=asked.project)
    if stored is None:
        raise NotFoundError("event", "No event has this id.")
    if (found := stored.decode()) is None:
        raise NotFoundError("event", "This llmobs cannot read it.")
    said = store.evaluations(RunFilter(run_id=found.run_id, project_id=asked.project))
    return WholeEvent(found, [each for each in said if each.subject == found.event_id])
