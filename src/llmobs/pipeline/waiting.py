"""A line of events with their bytes, in which failures outlive successes. Not locked: its owner is."""

from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

__all__ = ["Line"]


class _Waits(Protocol):
    @property
    def size(self) -> int: ...

    @property
    def failed(self) -> bool: ...


W = TypeVar("W", bound=_Waits)


class Line(Generic[W]):
    """First in, first out, but for what is evicted: the oldest success, or else the oldest failure."""

    def __init__(self) -> None:
        self.newer: deque[W] = deque()
        """What waits, oldest first,"""
        self.older: deque[W] = deque()
        """after what waits here: what came back, and failures that outlived an overflow."""
        self.bytes = 0
        """Estimated memory of what waits."""

    def __len__(self) -> int:
        return len(self.older) + len(self.newer)

    def append(self, entry: W) -> None:
        """Put *entry* at the end."""
        self.newer.append(entry)
        self.bytes += entry.size

    def requeue(self, entries: Sequence[W]) -> None:
        """Put *entries*, which were taken before, back at the head."""
        for entry in reversed(entries):
            self.older.appendleft(entry)
            self.bytes += entry.size

    def head(self) -> W | None:
        """Return the first, without taking it."""
        line = self.older or self.newer
        return line[0] if line else None

    def pop(self) -> W:
        """Take the first."""
        entry = (self.older or self.newer).popleft()
        self.bytes -= entry.size
        return entry

    def pop_batch(self, most: int, most_bytes: int) -> list[W]:
        """Take the first *most*, as far as they have *most_bytes*; one in any case."""
        size = 0
        batch: list[W] = []
        while len(batch) < most and (entry := self.head()) is not None:
            if batch and size + entry.size > most_bytes:
                break
            size += entry.size
            batch.append(self.pop())
        return batch

    def evict_success(self) -> W | None:
        """Take the oldest that reports no failure; None if all do."""
        # Failures found on the way step aside, so that each is looked at once, however long the line.
        while self.newer:
            oldest = self.newer.popleft()
            if not oldest.failed:
                self.bytes -= oldest.size
                return oldest
            self.older.append(oldest)
        return None

    def evict(self) -> W | None:
        """Take the oldest success, else the oldest failure; None if nothing waits."""
        oldest = self.evict_success()
        return oldest if oldest is not None or not self else self.pop()
