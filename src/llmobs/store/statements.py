"""Statements on several values at once."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

__all__ = ["chunks", "places"]

_AT_ONCE: Final = 500
"""Values bound to one statement; SQLite takes some thousands."""


def places(values: Sequence[Any]) -> str:
    """Return SQL for the places of *values*, in brackets."""
    return f"({', '.join('?' * len(values))})"


def chunks(values: Sequence[Any], size: int = _AT_ONCE) -> Iterator[list[Any]]:
    """Yield *values*, as many at a time as one statement takes."""
    for at in range(0, len(values), size):
        yield list(values[at : at + size])
