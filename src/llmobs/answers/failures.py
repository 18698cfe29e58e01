"""What failed, by cause."""

from collections.abc import Sequence
from typing import Final

import msgspec

from llmobs.answers.asked import Asked, cursor_after
from llmobs.store.engine import ReadsStore
from llmobs.store.records import ErrorGroup

__all__ = ["CAUSES", "PERIOD", "Errors", "errors"]

PERIOD: Final = "7d"
"""That is told of unless another is asked for."""
CAUSES: Final = 25
"""In one answer, unless another number is asked for."""


class Errors(msgspec.Struct, frozen=True):
    """What failed, by cause, what failed last first."""

    errors: Sequence[ErrorGroup]
    """A page of the causes."""
    next_cursor: str | None
    """Where to go on; None if these are the last."""


def errors(store: ReadsStore, asked: Asked) -> Errors:
    """
    Return what failed in the runs that fit, by cause.

    ``since`` and ``until`` say when it failed. As many runs as a group counts are found with its
    fingerprint as ``error`` beside what else was asked.
    """
    limit = asked.limit(CAUSES)
    found = store.errors(limit + 1, before=asked.position(), where=asked.where)
    shown, more = found[:limit], len(found) > limit
    return Errors(
        shown, cursor_after(shown[-1].latest, shown[-1].fingerprint or "") if more else None
    )
