"""
What one sink has yet to take: its own queue, and its own ledger of what became of every event.

The intake fills it, one worker empties it. All of a client's outboxes share the intake's lock, so
that an event is in one place at any moment, and every reading of the counters is of one moment.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from msgspec import Struct

from llmobs.events import Event
from llmobs.pipeline.statistics import DropReason
from llmobs.pipeline.waiting import Line

__all__ = ["Done", "Entry", "Outbox", "Outcome", "tell"]

Done = Callable[[DropReason | None, str | None], None]
"""Called once per sink, by any thread: (None, None) when delivered, else reason and words."""

Outcome: TypeAlias = tuple[Done, DropReason | None, str | None]
"""Whom to tell of what, once the lock is free."""


def tell(outcomes: Iterable[Outcome]) -> None:
    """Tell those who asked what became of their events."""
    for done, reason, words in outcomes:
        done(reason, words)


class Entry(Struct):
    """An event, finished by the stages, on its way to one sink."""

    event: Event
    size: int
    """Estimated bytes of memory."""
    done: Done | None = None
    failed: bool = False
    """Reports a failure: the last to go when there is no room."""
    seq: int = 0
    """Its number in this outbox."""


class Outbox:
    """
    Args:
        max_events: Events that may wait, those in the intake included.
        max_bytes: Bytes of events, likewise.
        batch_events: Events per batch, at most,
        batch_bytes: and bytes; a larger event is a batch of its own.
    """

    def __init__(
        self, *, max_events: int, max_bytes: int, batch_events: int, batch_bytes: int
    ) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self.batch_events = batch_events
        self.batch_bytes = batch_bytes
        self.wake: Callable[[], object] = lambda: None
        """Called when the worker should look."""
        self.changed: Callable[[], object] = lambda: None
        """Called under the lock when there is more or less room."""
        self.let_go: Callable[[str], object] = lambda _: None
        """Called with the id of an event that a journal holds, when it is decided and accounted for here."""
        self.reset(threading.RLock())

    def reset(self, lock: threading.RLock) -> None:
        """Start from nothing, under *lock*: on construction, and in a forked child."""
        self._lock = lock
        self.line: Line[Entry] = Line()
        self._in_flight: dict[int, Entry] = {}
        self.last_seq = 0
        """Number of the newest event handed over."""
        self.since = 0.0
        """When the oldest that waits may have been recorded, on the clock ``time.monotonic``."""
        self.delivered = 0
        self.spooled = 0
        self.dropped = dict.fromkeys(DropReason, 0)  # a Counter adds in two steps

    # The intake's side, under the lock.

    def add(self, entry: Entry, since: float) -> None:
        """Put *entry* in line: recorded at *since*, or later."""
        if not self.line:
            self.since = since
        self.last_seq = entry.seq = self.last_seq + 1
        self.line.append(entry)

    def drop(self, entry: Entry, reason: DropReason, outcomes: list[Outcome]) -> None:
        """Count *entry*, which is in no line any more, as dropped."""
        self.dropped[reason] += 1
        if entry.done is not None:
            outcomes.append((entry.done, reason, None))

    # The worker's side.

    @property
    def waiting(self) -> int:
        """Events queued, not counting those being sent."""
        return len(self.line)

    @property
    def pending(self) -> int:
        """Events queued or being sent."""
        with self._lock:
            return len(self.line) + len(self._in_flight)

    @property
    def is_half_full(self) -> bool:
        """Whether half the room is taken, by count or by bytes."""
        return len(self.line) * 2 >= self._max_events or self.line.bytes * 2 >= self._max_bytes

    def is_due(self) -> bool:
        """Whether a full batch waits, by count or by bytes."""
        return len(self.line) >= self.batch_events or self.line.bytes >= self.batch_bytes

    def next_batch(self) -> list[Entry]:
        """Move the oldest events, one batch at most, from the queue into flight."""
        with self._lock:
            batch = self.line.pop_batch(self.batch_events, self.batch_bytes)
            self._in_flight.update((entry.seq, entry) for entry in batch)
            self.since = time.monotonic()  # of what is left: it waits for company of its own
            self.changed()
            return batch

    def take_all(self) -> list[Entry]:
        """Move everything that waits into flight, whatever its size, and return all in flight."""
        with self._lock:
            while self.line:
                entry = self.line.pop()
                self._in_flight[entry.seq] = entry
            self.changed()
            return list(self._in_flight.values())

    def in_flight(self) -> list[Entry]:
        """Return the events taken and not accounted for."""
        with self._lock:
            return list(self._in_flight.values())

    def requeue(self, entries: Sequence[Entry]) -> None:
        """Return events from flight to the head of the queue."""
        with self._lock:
            for entry in entries:
                del self._in_flight[entry.seq]
            self.line.requeue(entries)
            self.changed()

    def acknowledge(
        self, entries: Iterable[Entry], reason: DropReason | None = None, words: str | None = None
    ) -> None:
        """Account for events in flight: delivered, or dropped for *reason* in the sink's *words*."""
        outcomes: list[Outcome] = []
        with self._lock:
            for entry in entries:
                del self._in_flight[entry.seq]
                if reason is None:
                    self.delivered += 1
                else:
                    self.dropped[reason] += 1
                if entry.done is not None:
                    outcomes.append((entry.done, reason, words))
        tell(outcomes)

    def refuse(self, count: int, reason: DropReason) -> None:
        """Account for *count* events that the stages could not finish in time."""
        with self._lock:
            self.dropped[reason] += count

    def acknowledge_on_disk(self, entries: Sequence[Entry]) -> None:
        """Account for events in flight that are in the spool now."""
        outcomes: list[Outcome] = []
        with self._lock:
            for entry in entries:
                del self._in_flight[entry.seq]
                self.spooled += 1
                if entry.done is not None:
                    words = "kept on disk, sent when the sink answers"
                    outcomes.append((entry.done, DropReason.SPOOLED, words))
        tell(outcomes)

    def acknowledge_from_disk(self, count: int, reason: DropReason | None = None) -> None:
        """Account for *count* events that left the spool: delivered, or dropped for *reason*."""
        with self._lock:
            self.spooled -= count
            if reason is None:
                self.delivered += count
            else:
                self.dropped[reason] += count

    def is_waiting(self, seq: int) -> bool:
        """Whether an event numbered up to *seq* is still queued."""
        with self._lock:
            head = self.line.head()
            return head is not None and head.seq <= seq

    def is_done(self, seq: int) -> bool:
        """Whether every event handed over up to number *seq* is accounted for."""
        with self._lock:
            line = self.line
            oldest = (
                min(self._in_flight, default=None),  # two tasks take: not in order
                line.older[0].seq if line.older else None,
                line.newer[0].seq if line.newer else None,
            )
            return all(number is None or number > seq for number in oldest)
