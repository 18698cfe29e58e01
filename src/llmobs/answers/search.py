"""Where words stand in prompts, answers, tools and errors."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from llmobs.answers.asked import Asked, cursor_after
from llmobs.answers.errors import AddressError
from llmobs.store.engine import ReadsStore
from llmobs.store.records import Hit, QueryError

__all__ = ["HITS", "Hits", "search"]

HITS: Final = 20
"""In one answer, unless another number is asked for."""


class Hits(msgspec.Struct, frozen=True):
    """Events in which the words stand, the latest first."""

    hits: Sequence[Hit]
    """A page of them."""
    next_cursor: str | None
    """Where to go on; None if these are the last."""
    searched_to: datetime | None
    """UTC; if it took long, up to where it came: go on with `next_cursor`. None: it has not been cut short."""
    indexed: float
    """The share of the store's events that are indexed, and found: 1.0 but for what has just come."""


def search(store: ReadsStore, asked: Asked) -> Hits:
    """
    Return the events in whose texts the words stand, in runs that fit.

    Raises:
        AddressError: No answer said to go on there.
    """
    text = asked.given.get("text", "")
    try:
        found = store.search(text, asked.limit(HITS), before=asked.position(), where=asked.where)
    except QueryError as error:
        raise AddressError("text", str(error)) from None
    return Hits(
        found.hits,
        cursor_after(*found.older) if found.older else None,
        found.searched_to,
        found.waiting.share,
    )
