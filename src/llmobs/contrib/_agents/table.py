"""What a framework has begun and not ended, by its own ids, in a table that stays small."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final, Generic, Protocol, TypeVar

from llmobs.runtime.forks import ForkLock

__all__ = ["MAX_OPEN", "Table"]

MAX_OPEN: Final = 10_000
"""What is held open at most; beyond, the oldest is recorded as it is."""


class _Open(Protocol):
    inside: dict[Hashable, Any]
    """Its parts that have not ended."""

    @property
    def parent(self) -> Any:
        """What it is part of, if of anything of its kind."""
        ...


T = TypeVar("T", bound=_Open)


class Table(Generic[T]):
    """
    The table. Any thread or task may use it.

    Args:
        limit: How many it holds at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = ForkLock()
        self._open: OrderedDict[Hashable, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, key: Hashable) -> T | None:
        """Return what is open under *key*."""
        return self._open.get(key)

    def hold(self, key: Hashable, begun: T) -> tuple[Hashable, T] | None:
        """Hold what has begun until it is popped; return what has to make room for it, popped, and its key."""
        with self._lock:
            self._open[key] = begun
            if begun.parent is not None:
                begun.parent.inside[key] = begun
            return self.pop_oldest() if len(self._open) > self._limit else None

    def pop(self, key: Hashable) -> T | None:
        """Return what is open under *key*, and hold it no longer."""
        with self._lock:
            popped = self._open.pop(key, None)
            if popped is not None and popped.parent is not None:
                popped.parent.inside.pop(key, None)
            return popped

    def pop_oldest(self) -> tuple[Hashable, T] | None:
        """As `pop`, of what has been open longest, with its key."""
        with self._lock:
            key = next(iter(self._open), None)
            popped = self.pop(key)
            return None if popped is None else (key, popped)
