"""Two runs beside each other, or the calls of two models, releases or prompts."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, Final, Literal, get_args

import msgspec
from msgspec.structs import replace

from llmobs.answers.asked import Asked
from llmobs.answers.errors import AddressError
from llmobs.answers.run import Run, run
from llmobs.describe.differences import Change, differences
from llmobs.describe.events import error_line, error_of, kind_of, text_of
from llmobs.events import Event, PromptCallEvent, RunEvent
from llmobs.store.engine import ReadsStore
from llmobs.store.records import CostGroup, EvaluationGroup, RunSummary

__all__ = ["PERIOD", "By", "Comparison", "Figure", "Side", "Step", "Text", "TwoRuns", "compare"]

By = Literal["run", "model", "release", "prompt"]
PERIOD: Final = "24h"
"""That is told of unless another is asked for; of runs it chooses nothing."""
CHOICES: Final = 50
EVALUATIONS: Final = 12
STEPS: Final = 100
"""Events of each run that are compared."""
CHARACTERS: Final = 4_000
"""Of a text that are compared."""
ALL_CHARACTERS: Final = 40_000
"""Of all texts together; those beyond are not compared."""


class Side(msgspec.Struct, frozen=True):
    """A model, a release or a prompt, over the time that is asked about."""

    key: str
    """Its name."""
    calls: CostGroup | None
    """None if there was none."""
    evaluations: Sequence[EvaluationGroup]
    """Of the runs with such calls, by name, the most frequent first."""


class Figure(msgspec.Struct, frozen=True):
    """Something that can be said of both runs."""

    name: str
    """What it says."""
    left: float | str | None
    """Of the left one; None where it is not known."""
    right: float | str | None
    """Of the right one; None where it is not known."""
    unit: str
    """``ms``, ``usd``, ``count``, or empty for words."""

    @property
    def differs(self) -> bool:
        """Whether it is not the same of both."""
        return self.left != self.right


class Text(msgspec.Struct, frozen=True):
    """What went into two events that belong together, or came out."""

    name: str
    """Which of them it is."""
    changes: Sequence[Change]
    """Both in one, in order: what only the left has, what only the right has, and what both have."""
    left_out: int
    """Characters beyond those that were compared."""


class Step(msgspec.Struct, frozen=True):
    """Two events that belong together, or one that the other run does not have."""

    kind: str
    """Of the events: what they are."""
    subject: str
    """What they are about: the model, tool or step."""
    left: str | None
    """Its id in the left run; None if that has no such."""
    right: str | None
    """Its id in the right run; None if that has no such."""
    figures: Sequence[Figure]
    """What can be said of both."""
    texts: Sequence[Text]
    """What was said in both."""

    @property
    def differs(self) -> bool:
        """Whether anything but its duration does."""
        return (
            self.left is None
            or self.right is None
            or any(each.kind != "same" for text in self.texts for each in text.changes)
            or any(each.differs and each.unit != "ms" for each in self.figures)
        )


class TwoRuns(msgspec.Struct, frozen=True):
    """Two runs."""

    left: RunSummary
    """The one."""
    right: RunSummary
    """The other one."""
    figures: Sequence[Figure]
    """What can be said of both."""
    steps: Sequence[Step]
    """In the order of both, as far as these agree."""
    more: bool
    """Whether one of them has events beyond those that are compared."""


class Comparison(msgspec.Struct, frozen=True):
    """What was asked for, and what there is to choose from."""

    by: By
    """What is compared."""
    choices: Sequence[str]
    """Models, releases or prompts, the dearest first."""
    runs: TwoRuns | None
    """The two, where runs are compared and both were named."""
    left: Side | None
    """The one, where other things are compared and it was named."""
    right: Side | None
    """The other one, likewise."""


def compare(store: ReadsStore, asked: Asked) -> Comparison:
    """
    Compare ``left`` with ``right``, which are what ``by`` says: runs by their ids, else names.

    Raises:
        AddressError: They cannot be compared.
        NotFoundError: There is no such run; `SeveralError`: there are several.
    """
    by = _by(asked)
    left, right = asked.given.get("left"), asked.given.get("right")
    if by == "run":
        both = None
        if left and right:
            plain = replace(asked, given={"limit": str(STEPS)})
            both = _runs(run(store, plain, left), run(store, plain, right))
        return Comparison("run", (), both, None, None)
    found = [_side(store, asked, by, key) if key else None for key in (left, right)]
    groups = store.cost(by, asked.where)[:CHOICES]
    return Comparison(by, [each.key for each in groups if each.key], None, *found)


def _by(asked: Asked) -> By:
    given = asked.given.get("by", "run")
    by: By
    for by in get_args(By):
        if by == given:
            return by
    raise AddressError("by", f"one of {', '.join(get_args(By))}, not {given!r}")


def _side(store: ReadsStore, asked: Asked, by: str, key: str) -> Side:
    where = replace(asked.where, **{by: key})
    calls = store.cost("all", where)
    evaluations = store.evaluation_groups(where, limit=EVALUATIONS)
    return Side(key, calls[0] if calls else None, evaluations)


# Two runs.


def _runs(left: Run, right: Run) -> TwoRuns:
    one, other = left.run, right.run
    figures = [
        Figure("status", one.status, other.status, ""),
        Figure("name", one.name, other.name, ""),
        *(
            Figure(name.removesuffix("_id").removesuffix("_name"), *_both(one, other, name), "")
            for name in ("service_name", "release", "environment", "user_id", "session_id")
        ),
        Figure("models", _models(left), _models(right), ""),
        Figure("took", one.duration_ms, other.duration_ms, "ms"),
        Figure("first token", _first_token(left), _first_token(right), "ms"),
        Figure("events", one.events, other.events, "count"),
        Figure("calls", one.calls, other.calls, "count"),
        Figure("failed", one.errors, other.errors, "count"),
        Figure("tokens in", one.tokens_input, other.tokens_input, "count"),
        Figure("tokens out", one.tokens_output, other.tokens_output, "count"),
        Figure("cost", one.cost_usd, other.cost_usd, "usd"),
        *_scores(left, right),
    ]
    steps = list(_steps(_without_run_events(left), _without_run_events(right)))
    more = left.next_cursor is not None or right.next_cursor is not None
    return TwoRuns(one, other, figures, steps, more)


def _both(one: RunSummary, other: RunSummary, name: str) -> tuple[str | None, str | None]:
    return getattr(one, name), getattr(other, name)


def _without_run_events(found: Run) -> list[Event]:
    return [event for event in found.events if not isinstance(event, RunEvent)]


def _calls(found: Run) -> list[PromptCallEvent]:
    return [event for event in found.events if isinstance(event, PromptCallEvent)]


def _models(found: Run) -> str:
    return ", ".join(dict.fromkeys(call.model for call in _calls(found)))


def _first_token(found: Run) -> float | None:
    """Return how long after its beginning a run had its first token; None where none is known."""
    moments = [
        (call.timestamp - found.run.started).total_seconds() * 1000 + call.time_to_first_token_ms
        for call in _calls(found)
        if call.time_to_first_token_ms is not None
    ]
    return min(moments, default=None)


def _scores(left: Run, right: Run) -> Iterator[Figure]:
    both = [
        {each.name: each.label if each.score is None else each.score for each in one.evaluations}
        for one in (left, right)
    ]
    for name in dict.fromkeys((*both[0], *both[1])):
        yield Figure(f"evaluation: {name or 'unnamed'}", both[0].get(name), both[1].get(name), "")


def _steps(left: Sequence[Event], right: Sequence[Event]) -> Iterator[Step]:
    """Yield events that belong together: of one kind, about the same, in one order."""
    keys, other_keys = ([(kind_of(e), str(e.subject or "")) for e in one] for one in (left, right))
    kinds, other_kinds = ([event.event_type.value for event in one] for one in (left, right))
    budget = [ALL_CHARACTERS]
    for how, a, b, c, d in SequenceMatcher(None, keys, other_keys, autojunk=False).get_opcodes():
        if how == "equal":
            for one, other in zip(left[a:b], right[c:d], strict=True):
                yield _step(one, other, budget)
            continue
        # What is about something else (another model) may still belong together.
        for same, e, f, g, h in SequenceMatcher(
            None, kinds[a:b], other_kinds[c:d], autojunk=False
        ).get_opcodes():
            some, others = left[a + e : a + f], right[c + g : c + h]
            if same == "equal":
                for one, other in zip(some, others, strict=True):
                    yield _step(one, other, budget)
            else:
                yield from (_step(each, None, budget) for each in some)
                yield from (_step(None, each, budget) for each in others)


def _step(left: Event | None, right: Event | None, budget: list[int]) -> Step:
    event = left or right
    assert event is not None
    figures = []
    if left is not None and right is not None:
        figures = [each for each in _figures(left, right) if each.differs]
    return Step(
        kind=kind_of(event),
        subject=str(event.subject or ""),
        left=None if left is None else left.event_id,
        right=None if right is None else right.event_id,
        figures=figures,
        texts=list(_texts(left, right, budget)),
    )


_UNITS: Final = {
    "model": "", "model_version": "", "tool_name": "", "finish_reason": "", "status": "",
    "latency_ms": "ms", "time_to_first_token_ms": "ms", "tokens_input": "count",
    "tokens_output": "count", "cost_usd": "usd",
}  # fmt: skip


def _figures(left: Event, right: Event) -> Iterator[Figure]:
    for name, unit in _UNITS.items():
        one, other = getattr(left, name, None), getattr(right, name, None)
        if one is not None or other is not None:
            label = name.removesuffix("_ms").removesuffix("_usd").replace("_", " ")
            yield Figure(label, _plain(one, unit), _plain(other, unit), unit)


def _plain(value: Any, unit: str) -> float | str | None:
    return value if value is None or unit else str(value)


def _texts(left: Event | None, right: Event | None, budget: list[int]) -> Iterator[Text]:
    for name, one, other in (
        ("in", _said(left, "given"), _said(right, "given")),
        ("out", _said(left, "made"), _said(right, "made")),
        ("error", _error(left), _error(right)),
    ):
        if not one and not other:
            continue
        length = max(len(one), len(other))
        limit = CHARACTERS if budget[0] > 0 else 0
        budget[0] -= min(length, limit)
        yield Text(name, differences(one[:limit], other[:limit]), max(0, length - limit))


def _said(event: Event | None, what: str) -> str:
    value = None if event is None else getattr(event, what)
    return "" if value in (None, "", [], {}) else text_of(value)


def _error(event: Event | None) -> str:
    error = None if event is None else error_of(event)
    return "" if error is None else error_line(error)
