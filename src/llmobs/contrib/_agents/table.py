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
        """Hold what has begun until it is taken; return what has to make room for it, taken, and its key."""
        with self._lock:
            self._open[key] = begun
            if begun.parent is not None:
                begun.parent.inside[key] = begun
            return self.take_oldest() if len(self._open) > self._limit else None

    def take(self, key: Hashable) -> T | None:
        """Return what is open under *key*, and hold it no longer."""
        with self._lock:
            taken = self._open.pop(key, None)
            if taken is not None and taken.parent is not None:
                taken.parent.inside.pop(key, None)
            return taken

    def take_oldest(self) -> tuple[Hashable, T] | None:
        """As `take`, of what has been open longest, with its key."""
        with self._lock:
            key = next(iter(self._open), None)
            taken = self.take(key)
            return None if taken is None else (key, taken)
