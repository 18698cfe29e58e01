"""The list of runs."""

from collections.abc import Sequence
from typing import Final

import msgspec

from llmobs.answers.asked import Asked, place
from llmobs.store.engine import ReadsStore
from llmobs.store.records import RunSummary

__all__ = ["RUNS", "Runs", "runs"]

RUNS: Final = 50
"""In one answer, unless another number is asked for."""


class Runs(msgspec.Struct, frozen=True):
    """Runs, the latest first."""

    runs: Sequence[RunSummary]
    next_cursor: str | None
    """Where to go on; None if these are the last."""


def runs(store: ReadsStore, asked: Asked) -> Runs:
    """Return the runs that fit, the latest first."""
    limit = asked.limit(RUNS)
    found = store.runs(limit + 1, before=asked.place(), where=asked.where)
    shown, more = found[:limit], len(found) > limit
    return Runs(shown, place(shown[-1].started, shown[-1].run_id) if more else None)
