"""
The bounded queue between capture and delivery, and the ledger of what became of every event.

Any thread may offer; one worker takes and settles. Bounds hold in events and in bytes.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from msgspec import Struct

from llmobs.context import Run
from llmobs.events import Event
from llmobs.pipeline.statistics import DropReason
from llmobs.pipeline.wakeup import inside_event_loop

__all__ = ["Buffer", "Complete", "Done", "Entry", "Overflow"]

Overflow = Literal["drop_oldest", "drop_newest", "block", "spill"]

Complete = Callable[[Event], Iterable[None] | None]
"""Fills in the rest of an event; what is long to do is done between the items it returns."""
Done = Callable[[DropReason | None, str | None], None]


class Entry(Struct):
    """An event on its way."""

    event: Event
    size: int
    """Estimated bytes of memory."""
    run: Run | None = None
    """The run whose totals this event adds to."""
    complete: Complete | None = None
    """Fills in what is read later, off the request path (captured provider traffic)."""
    done: Done | None = None
    """Called once, by the worker or the evicting thread: (None, None) when delivered, else reason and words."""
    failed: bool = False
    """Reports a failure: the last to go when the queue is full."""
    first: "Entry | None" = None
    """With several sinks: the first one's entry, which alone says what was done to their event."""
    prepared: bool = False
    """Whether the event is fit to leave: a mark of ours, as the event's fields are the caller's."""
    completed: bool = False
    """Whether `complete` made it another size."""
    seq: int = 0


class Buffer:
    """
    Args:
        max_events: Events that may wait.
        max_bytes: Bytes of events that may wait.
        overflow: What gives way when full.
        block_timeout: Seconds ``overflow="block"`` blocks an offering thread.
        batch_events: The worker is woken when so many wait,
        batch_bytes: or so many bytes.
    """

    def __init__(
        self,
        *,
        max_events: int,
        max_bytes: int,
        overflow: Overflow = "drop_oldest",
        block_timeout: float = 30.0,
        batch_events: int,
        batch_bytes: int,
    ) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._overflow = overflow
        self._block_timeout = block_timeout
        self._batch_events = batch_events
        self._batch_bytes = batch_bytes
        self.wake: Callable[[], object] = lambda: None
        """Called from the offering thread when the worker should look: it may have to start first."""
        self.high_water: Callable[[], object] | None = None
        """Called from the offering thread when the queue becomes half full."""
        self.reset()

    def reset(self) -> None:
        """Start from nothing: on construction, and in a forked child (the parent delivers its own)."""
        # Re-entrant, because a finalizer or a signal handler may record an event inside `offer`.
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._queue: deque[Entry] = deque()
        self._rescued: deque[Entry] = deque()  # failures that outlived the overflow
        self._in_flight: dict[int, Entry] = {}
        self._bytes = 0
        self.last_seq = 0
        """Number of the newest event taken in."""
        self._closed = False
        self.accepted = 0
        self.delivered = 0
        self.spooled = 0
        self.dropped = dict.fromkeys(DropReason, 0)  # a Counter adds in two steps

    # Capture side, any thread.

    def offer(self, entry: Entry) -> None:
        """Take *entry* in, or drop by the overflow rule; counts it either way. Never raises."""
        size = entry.size
        with self._lock:
            queue = self._queue
            refused = (
                self._closed
                or len(queue) + len(self._rescued) >= self._max_events
                or self._bytes + size > self._max_bytes
            ) and not self._make_room(entry)
            self.accepted += 1  # now, as making room may have waited
            if refused:
                return
            # Counted before it is there: whoever interrupts us later finds it, and wakes nobody.
            waiting = len(queue) + 1
            # In one step: no interruption may draw the same number, nor come in between with it.
            self.last_seq = entry.seq = self.last_seq + 1
            queue.append(entry)
            before = self._bytes
            self._bytes = after = before + size
        # Only the edges wake the worker: it empties what is due before it sleeps again.
        if (
            waiting == 1
            or waiting == self._batch_events
            or before < self._batch_bytes <= after
            or entry.done is not None
        ):
            self.wake()
        if self.high_water is not None and (
            waiting == self._max_events // 2 or before < self._max_bytes // 2 <= after
        ):
            self.high_water()

    @property
    def is_half_full(self) -> bool:
        """Whether half the queue's room is taken, by count or by bytes."""
        return self.waiting * 2 >= self._max_events or self._bytes * 2 >= self._max_bytes

    def refuse(self, entry: Entry, reason: DropReason) -> None:
        """Count *entry* as offered and dropped for *reason*."""
        with self._lock:
            self.accepted += 1
            self._drop(entry, reason)

    def _make_room(self, entry: Entry) -> bool:
        if self._closed:
            self._drop(entry, DropReason.CLOSED)
            return False
        if entry.size > self._max_bytes:
            self._drop(entry, DropReason.TOO_LARGE)
            return False
        if self._overflow == "block" and not inside_event_loop():
            self._lock.release()  # starting the worker takes another lock: see `llmobs.forks`
            try:
                self.wake()
            finally:
                self._lock.acquire()
            self._room.wait_for(lambda: self._fits(entry) or self._closed, self._block_timeout)
            if not self._fits(entry) or self._closed:
                self._drop(entry, DropReason.CLOSED if self._closed else DropReason.QUEUE_FULL)
                return False
            return True
        if self._overflow == "drop_newest" and not entry.failed:
            self._drop(entry, DropReason.QUEUE_FULL)
            return False
        while not self._fits(entry):
            self._evict(entry)
        return True

    def _fits(self, entry: Entry) -> bool:
        return (
            len(self._queue) + len(self._rescued) < self._max_events
            and self._bytes + entry.size <= self._max_bytes
        )

    def _evict(self, newcomer: Entry) -> None:
        # Successes go first, oldest first. Failures found on the way step aside into `_rescued`,
        # so that each entry is looked at once, however long the queue.
        for _ in range(len(self._queue)):
            oldest = self._queue.popleft()
            if not oldest.failed:
                self._bytes -= oldest.size
                self._drop(oldest, DropReason.QUEUE_FULL)
                return
            self._rescued.append(oldest)
        oldest = self._rescued.popleft()
        self._bytes -= oldest.size
        self._drop(oldest, DropReason.QUEUE_FULL)

    def _drop(self, entry: Entry, reason: DropReason, words: str | None = None) -> None:
        self.dropped[reason] += 1
        if entry.done is not None:
            entry.done(reason, words)

    # Worker side, one task.

    @property
    def waiting(self) -> int:
        """Events queued, not counting those being sent."""
        return len(self._queue) + len(self._rescued)

    @property
    def waiting_bytes(self) -> int:
        """Estimated memory of the queued events."""
        return self._bytes

    @property
    def pending(self) -> int:
        """Events queued or being sent."""
        with self._lock:
            return len(self._queue) + len(self._rescued) + len(self._in_flight)

    def is_due(self) -> bool:
        """Whether a full batch waits, by count or by bytes."""
        return self.waiting >= self._batch_events or self._bytes >= self._batch_bytes

    def take(self) -> list[Entry]:
        """
        Move the oldest events, one batch at most, from the queue into flight.

        An event larger than a whole batch makes a batch of its own.
        """
        with self._lock:
            size = 0
            batch: list[Entry] = []
            while len(batch) < self._batch_events and (source := self._rescued or self._queue):
                if batch and size + source[0].size > self._batch_bytes:
                    break
                entry = source.popleft()
                size += entry.size
                batch.append(entry)
            self._bytes -= size
            self._in_flight.update((entry.seq, entry) for entry in batch)
            self._room.notify_all()
            return batch

    def settle(
        self, entries: Iterable[Entry], reason: DropReason | None = None, words: str | None = None
    ) -> None:
        """Account for events in flight: delivered, or dropped for *reason* in the sink's *words*."""
        with self._lock:
            for entry in entries:
                del self._in_flight[entry.seq]
                if reason is not None:
                    self._drop(entry, reason, words)
                else:
                    self.delivered += 1
                    if entry.done is not None:
                        entry.done(None, None)

    def is_waiting(self, seq: int) -> bool:
        """Whether an event numbered up to *seq* is still queued."""
        with self._lock:
            source = self._rescued or self._queue
            return bool(source) and source[0].seq <= seq

    def reopen(self) -> None:
        """Take events in again after `close`."""
        with self._lock:
            self._closed = False

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Return events from flight to the head of the queue."""
        with self._lock:
            for entry in reversed(entries):
                del self._in_flight[entry.seq]
                self._rescued.appendleft(entry)
                self._bytes += entry.size

    def settle_on_disk(self, entries: Sequence[Entry]) -> None:
        """Account for events in flight that are in the spool now."""
        with self._lock:
            for entry in entries:
                del self._in_flight[entry.seq]
                self.spooled += 1
                if entry.done is not None:
                    entry.done(DropReason.SPOOLED, "kept on disk, sent when the sink answers")

    def settle_from_disk(self, count: int, reason: DropReason | None = None) -> None:
        """Account for *count* events that left the spool: delivered, or dropped for *reason*."""
        with self._lock:
            self.spooled -= count
            if reason is None:
                self.delivered += count
            else:
                self.dropped[reason] += count

    def close_if_empty(self) -> bool:
        """Close unless events are queued or in flight; tell whether it closed."""
        with self._lock:
            if self.pending:
                return False
            self._closed = True
            return True

    def close(self) -> None:
        """Count events offered from now on as ``closed``; what waits stays."""
        with self._lock:
            self._closed = True
            self._room.notify_all()

    def counts(self) -> dict[str, Any]:
        """Return the ledger, all figures of the same moment."""
        with self._lock:
            return {
                "accepted": self.accepted,
                "delivered": self.delivered,
                "dropped": {str(reason): n for reason, n in self.dropped.items() if n},
                "spooled": self.spooled,
                "pending": self.waiting + len(self._in_flight),
                "queue_events": self.waiting,
                "queue_bytes": self._bytes,
            }

    def in_flight(self) -> list[Entry]:
        """Return the events taken and not settled."""
        with self._lock:
            return list(self._in_flight.values())

    def take_all(self) -> list[Entry]:
        """Move everything that waits into flight, whatever its size, and return all in flight."""
        with self._lock:
            for source in (self._rescued, self._queue):
                self._in_flight.update((entry.seq, entry) for entry in source)
                source.clear()
            self._bytes = 0
            self._room.notify_all()
            return list(self._in_flight.values())

    def is_settled(self, seq: int) -> bool:
        """Whether every event taken in up to number *seq* was settled."""
        with self._lock:
            oldest = (
                min(self._in_flight, default=None),  # two tasks take: not in order
                self._rescued[0].seq if self._rescued else None,
                self._queue[0].seq if self._queue else None,
            )
            return all(number is None or number > seq for number in oldest)
