"""The list of runs."""

from collections.abc import Sequence
from typing import Final

import msgspec

from llmobs.answers.asked import Asked, cursor_after
from llmobs.answers.search import search
from llmobs.store.engine import ReadsStore
from llmobs.store.records import RunSummary

__all__ = ["COUNTED", "RUNS", "Runs", "runs"]

RUNS: Final = 50
"""In one answer, unless another number is asked for."""
COUNTED: Final = 1_000
"""Runs beyond which they are not counted: a page is not to wait for that."""


class Runs(msgspec.Struct, frozen=True):
    """Runs, the latest first."""

    runs: Sequence[RunSummary]
    """A page of them."""
    total: int | None
    """How many fit, on all pages; `COUNTED` stands for as many or more. None: not counted, for a ``text``."""
    next_cursor: str | None
    """Where to go on; None if these are the last."""


def runs(store: ReadsStore, asked: Asked) -> Runs:
    """Return the runs that fit, the latest first; with a ``text``, those in which it stands, by the latest place."""
    if asked.given.get("text"):
        found_in = search(store, asked)
        having = {hit.run.run_id: hit.run for hit in found_in.hits}
        return Runs(list(having.values()), None, found_in.next_cursor)
    limit = asked.limit(RUNS)
    found = store.runs(limit + 1, before=asked.position(), where=asked.where)
    shown, more = found[:limit], len(found) > limit
    total = len(shown)
    if more or asked.cursor is not None:
        total = store.count_runs(asked.where, up_to=COUNTED)
    return Runs(shown, total, cursor_after(shown[-1].started, shown[-1].run_id) if more else None)
