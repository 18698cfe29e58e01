"""What is remembered of servers and requests: bounded, as nobody says when it is over."""

from __future__ import annotations

from contextlib import suppress
from typing import TypeVar

__all__ = ["Latest"]

K = TypeVar("K")
V = TypeVar("V")


class Latest(dict[K, V]):
    """
    The entries that were put in last, so many at most. Any thread may use it.

    Args:
        size: How many.
    """

    def __init__(self, size: int = 1024) -> None:
        super().__init__()
        self._size = size

    def put(self, key: K, value: V) -> None:
        """Put in an entry, which is the latest now; the oldest beyond the size is forgotten."""
        self.pop(key, None)
        self[key] = value
        if len(self) > self._size:
            with suppress(StopIteration, RuntimeError):  # another thread has changed it just now
                self.pop(next(iter(self)), None)
