"""
Where every recorded event enters: one bounded queue per client, and the ledger of acceptance.

Any thread may offer; one task takes batches through the stages and hands them over to the outboxes.
What waits here and what waits in an outbox share the same room, so a sink that is away costs memory
once, and loses only its own events.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal

from msgspec import Struct

from llmobs.events import Event
from llmobs.pipeline.outbox import Done, Outbox, Outcome, tell
from llmobs.pipeline.outbox import Entry as OutboxEntry
from llmobs.pipeline.statistics import DropReason
from llmobs.pipeline.waiting import Line
from llmobs.pipeline.wakeup import inside_event_loop
from llmobs.runtime.context import Run

__all__ = ["UNMADE", "Complete", "Entry", "Intake", "Make", "Overflow"]

Overflow = Literal["drop_oldest", "drop_newest", "block", "spill"]

Complete = Callable[[Event], Iterable[None] | None]
"""Fills in the rest of an event; what is long to do is done between the items it returns."""

Make = Callable[[], Event]
"""Makes an event of what was captured, without reading it; does not fail."""

UNMADE: Final = Event(event_id="", run_id="", timestamp=datetime.fromtimestamp(0, UTC))
"""Stands for an event that the first stage makes."""

MAX_REASONS: Final = 50
"""Reasons of users' stages that are counted by name; further ones count as ``stage``."""


class Entry(Struct):
    """An event that was recorded, until the stages have finished it."""

    event: Event
    size: int
    """Estimated bytes of memory."""
    run: Run | None = None
    """The run whose totals this event adds to."""
    complete: Complete | None = None
    """Fills in what is read later, off the request path (captured provider traffic)."""
    done: Done | None = None
    failed: bool = False
    """Reports a failure: the last to go when there is no room."""
    make: Make | None = None
    """Makes the event, which is `UNMADE` until then."""
    seq: int = 0
    """Its number in the intake."""
    stage: int = 0
    """How many stages are done with it."""
    drop: str | None = None
    """Why a stage wants it gone."""
    on_disk: bool = False
    """Each sink's journal holds it; it is told when that need not be."""
    late: bool = False
    """It came while some sink had no room, and is dropped there if that has none still."""


class Intake:
    """
    Args:
        outboxes: Where what is finished goes, one per sink.
        max_events: Events that may wait for a sink, here and in its outbox.
        max_bytes: Bytes of events, likewise.
        overflow: What gives way when there is no room.
        block_timeout: Seconds ``overflow="block"`` blocks an offering thread.
    """

    def __init__(
        self,
        outboxes: Sequence[Outbox],
        *,
        max_events: int,
        max_bytes: int,
        overflow: Overflow = "drop_oldest",
        block_timeout: float = 30.0,
    ) -> None:
        self.outboxes = outboxes
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._overflow = overflow
        self._block_timeout = block_timeout
        # Not more than half of what there is room for, so that a full batch comes before the bound.
        self.batch_events = max(1, min(max_events // 2, *(o.batch_events for o in outboxes)))
        self.batch_bytes = max(1, min(max_bytes // 2, *(o.batch_bytes for o in outboxes)))
        self.wake: Callable[[], object] = lambda: None
        """Called from the offering thread when the stages should look: they may have to start first."""
        self.reset()

    def reset(self) -> None:
        """Start from nothing: on construction, and in a forked child (the parent delivers its own)."""
        # Re-entrant, because a finalizer or a signal handler may record an event inside `offer`.
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._line: Line[Entry] = Line()
        self._inside: dict[int, Entry] = {}
        """What the stages have, and what they hold for a decision."""
        self._batch: tuple[int, int] = 0, 0
        """Events and bytes under way through the stages; what is held has a bound of its own."""
        self.last_seq = 0
        """Number of the newest event taken in."""
        self._refused = 0
        self._closed = False
        self.dropped: dict[str, int] = dict.fromkeys(DropReason, 0)
        self.stage_failures = 0
        """Events that went on without what a stage of the application's would have done to them."""
        self.redaction_failures = 0
        """Values that were left out, as what redacts failed or took too long."""
        for outbox in self.outboxes:
            outbox.reset(self._lock)
            outbox.changed = self._changed
        self._reckon()

    # Capture side, any thread.

    def offer(self, entry: Entry) -> None:
        """Take *entry* in, or drop by the overflow rule; counts it either way. Never raises."""
        line = self._line
        with self._lock:  # and not `acquire`, after which Ctrl-C could come before a `try` begins
            # Nothing to see: not the first, there is room, no batch becomes full.
            if self.last_seq < self._quiet_seq and line.bytes + entry.size < self._quiet_bytes:
                # In one step: no interruption may draw the same number.
                self.last_seq = entry.seq = self.last_seq + 1
                line.newer.append(entry)
                line.bytes += entry.size
                return
        self._offer_at_edge(entry)

    def _reckon(self) -> None:
        """
        Work out up to which number and how many bytes `offer` may go on without a look.

        Only the edges wake the stages: they empty what is due before they sleep again.
        """
        line, outboxes = self._line, self.outboxes
        events, size = self._batch
        free = self._max_events - events - max(len(o.line) for o in outboxes) - len(line)
        self._quiet_bytes = 1 + self._max_bytes - size - max(o.line.bytes for o in outboxes)
        if line.bytes < self.batch_bytes:
            self._quiet_bytes = min(self._quiet_bytes, self.batch_bytes)
        if len(line) < self.batch_events:
            free = min(free, self.batch_events - 1 - len(line))
        self._quiet_seq = self.last_seq + free if line and not self._closed else 0

    def _changed(self) -> None:
        self._room.notify_all()
        self._reckon()

    def _offer_at_edge(self, entry: Entry) -> None:
        outcomes: list[Outcome] = []
        wakes = False
        with self._lock:
            if self._admits(entry, outcomes):
                was_due = bool(self._line) and self.is_due()
                was_empty = not self._line
                self.last_seq = entry.seq = self.last_seq + 1
                self._line.append(entry)
                wakes = was_empty or (self.is_due() and not was_due)
            self._reckon()
        if wakes:
            self.wake()
        tell(outcomes)

    def _admits(self, entry: Entry, outcomes: list[Outcome]) -> bool:
        """Whether *entry* may come in, after making room for it."""
        if self._closed:
            return self._refuse(entry, DropReason.CLOSED, outcomes)
        if entry.size > self._max_bytes:
            return self._refuse(entry, DropReason.TOO_LARGE, outcomes)
        if self._fits(entry):
            return True
        blocks = self._overflow == "block" and not inside_event_loop()
        if blocks:
            self._wait_for_room(entry)
            if self._closed:
                return self._refuse(entry, DropReason.CLOSED, outcomes)
            if self._fits(entry):
                return True
        if blocks or (self._overflow == "drop_newest" and not entry.failed):
            if not any(self._fits_into(outbox, entry) for outbox in self.outboxes):
                return self._refuse(entry, DropReason.QUEUE_FULL, outcomes)
            entry.late = True  # the others' loss only
            return True
        for outbox in self.outboxes:
            while not self._fits_into(outbox, entry) and self._evict(outbox, outcomes):
                pass
        return True

    def _wait_for_room(self, entry: Entry) -> None:
        self._lock.release()  # starting the stages takes another lock: see `llmobs.runtime.forks`
        try:
            self.wake()
        finally:
            self._lock.acquire()
        self._room.wait_for(lambda: self._fits(entry) or self._closed, self._block_timeout)

    def _fits(self, entry: Entry) -> bool:
        return all(self._fits_into(outbox, entry) for outbox in self.outboxes)

    def _fits_into(self, outbox: Outbox, entry: Entry) -> bool:
        events, size = self._batch
        return (
            len(self._line) + events + len(outbox.line) < self._max_events
            and self._line.bytes + size + outbox.line.bytes + entry.size <= self._max_bytes
        )

    def _evict(self, outbox: Outbox, outcomes: list[Outcome]) -> bool:
        """Drop the oldest success that waits for *outbox*, else the oldest failure; False: nothing does."""
        if (gone := outbox.line.evict_success()) is not None:
            outbox.drop(gone, DropReason.QUEUE_FULL, outcomes)
            return True
        # What waits here waits for all: a sink that is away does not cost the others their events.
        alone = len(self.outboxes) == 1 or not outbox.line
        if alone and (mine := self._line.evict_success()) is not None:
            self._drop(mine, DropReason.QUEUE_FULL, outcomes)
            return True
        if outbox.line:
            outbox.drop(outbox.line.pop(), DropReason.QUEUE_FULL, outcomes)
            return True
        if self._line:
            self._drop(self._line.pop(), DropReason.QUEUE_FULL, outcomes)
            return True
        return False

    def refuse(self, entry: Entry, reason: DropReason) -> None:
        """Count *entry* as offered and dropped for *reason*."""
        outcomes: list[Outcome] = []
        with self._lock:
            self._refuse(entry, reason, outcomes)
        tell(outcomes)

    def _refuse(self, entry: Entry, reason: DropReason, outcomes: list[Outcome]) -> bool:
        self._refused += 1
        self._drop(entry, reason, outcomes)
        return False

    def _drop(
        self, entry: Entry, reason: str, outcomes: list[Outcome], words: str | None = None
    ) -> None:
        known = reason in self.dropped or len(self.dropped) < len(DropReason) + MAX_REASONS
        counted = reason if known else DropReason.STAGE
        self.dropped[counted] = self.dropped.get(counted, 0) + 1
        known_reason = DropReason(reason) if reason in _REASONS else DropReason.STAGE
        outcomes += [
            (done, known_reason, words or reason)
            for outbox in self.outboxes
            if (done := _done(entry, outbox)) is not None
        ]

    # The stages' side, one task.

    @property
    def waiting(self) -> int:
        """Events queued."""
        return len(self._line)

    @property
    def pending(self) -> int:
        """Events queued, or with the stages."""
        with self._lock:
            return len(self._line) + len(self._inside)

    def is_due(self) -> bool:
        """Whether a full batch waits, by count or by bytes."""
        return len(self._line) >= self.batch_events or self._line.bytes >= self.batch_bytes

    def is_waiting(self, seq: int) -> bool:
        """Whether an event numbered up to *seq* is still queued."""
        with self._lock:
            head = self._line.head()
            return head is not None and head.seq <= seq

    def next_batch(self) -> list[Entry]:
        """Give the oldest events, one batch at most, to the stages."""
        with self._lock:
            batch = self._line.pop_batch(self.batch_events, self.batch_bytes)
            self._inside.update((entry.seq, entry) for entry in batch)
            self._batch = len(batch), sum(entry.size for entry in batch)
            self._changed()
            return batch

    def finish_batch(
        self, finished: Iterable[Entry], unfinished: Sequence[Entry], since: float
    ) -> None:
        """
        Take back a batch from the stages; what they hold is in neither list.

        Args:
            finished: What goes on: to every outbox, or nowhere, as the stages say.
            unfinished: What waits for them again.
            since: When the oldest of it may have been recorded, by ``time.monotonic``.
        """
        outcomes: list[Outcome] = []
        with self._lock:
            for entry in unfinished:
                del self._inside[entry.seq]
            self._line.requeue(unfinished)
            self._batch = 0, 0
            self._hand_over(finished, since, outcomes)
            self._changed()
        self._wake_all()
        tell(outcomes)

    def release(self, entries: Iterable[Entry], since: float) -> None:
        """Hand over what the stages held, or drop it, as they say."""
        outcomes: list[Outcome] = []
        with self._lock:
            self._hand_over(entries, since, outcomes)
            self._changed()
        self._wake_all()
        tell(outcomes)

    def _wake_all(self) -> None:
        for outbox in self.outboxes:
            outbox.wake()

    def _hand_over(self, entries: Iterable[Entry], since: float, outcomes: list[Outcome]) -> None:
        for entry in entries:
            del self._inside[entry.seq]
            if entry.drop is not None:
                self._drop(entry, entry.drop, outcomes)
                continue
            for outbox in self.outboxes:
                # Each has a copy of its own: a sink may get it shortened.
                copy = OutboxEntry(entry.event, entry.size, _done(entry, outbox), entry.failed)
                if not self._has_room(outbox, copy, entry.late, outcomes):
                    outbox.drop(copy, DropReason.QUEUE_FULL, outcomes)
                else:
                    outbox.add(copy, since)

    def _has_room(
        self, outbox: Outbox, entry: OutboxEntry, late: bool, outcomes: list[Outcome]
    ) -> bool:
        gives_way = self._overflow in ("drop_oldest", "spill") or entry.failed
        while (
            len(outbox.line) + len(self._line) >= self._max_events
            or outbox.line.bytes + self._line.bytes + entry.size > self._max_bytes
        ):
            if late:
                return False
            gone = outbox.line.evict() if gives_way and not late else None
            if gone is None:
                break  # over the bound by one batch, or by what was held, at most
            outbox.drop(gone, DropReason.QUEUE_FULL, outcomes)
        return True

    def count_stage_failures(self, count: int) -> None:
        """Count *count* events that went on as they were."""
        with self._lock:
            self.stage_failures += count

    def count_redaction_failures(self, count: int) -> None:
        """Count *count* values that were left out."""
        with self._lock:
            self.redaction_failures += count

    def give_up(self, reasons: Sequence[DropReason]) -> int:
        """Drop all that is here, for each outbox's own reason; return how many events that was."""
        outcomes: list[Outcome] = []
        with self._lock:
            entries = list(self._inside.values())
            self._inside.clear()
            while self._line:
                entries.append(self._line.pop())
            for outbox, reason in zip(self.outboxes, reasons, strict=True):
                outbox.refuse(len(entries), reason)
                outcomes += [
                    (done, reason, "the client was closed")
                    for entry in entries
                    if (done := _done(entry, outbox)) is not None
                ]
            self._changed()
        tell(outcomes)
        return len(entries)

    def requeue_all(self) -> None:
        """Put back what the stages have: their event loop has ended."""
        with self._lock:
            inside = sorted(self._inside.values(), key=lambda entry: entry.seq)
            self._inside.clear()
            self._batch = 0, 0
            self._line.requeue(inside)
            self._changed()

    def close_if_empty(self) -> bool:
        """Close unless events are queued or with the stages; tell whether it closed."""
        with self._lock:
            if self._line or self._inside:
                return False
            self._closed = True
            self._reckon()
            return True

    def close(self) -> None:
        """Count events offered from now on as ``closed``; what waits stays."""
        with self._lock:
            self._closed = True
            self._changed()

    def reopen(self) -> None:
        """Take events in again after `close`."""
        with self._lock:
            self._closed = False
            self._reckon()

    def counts(self, outbox: Outbox) -> dict[str, Any]:
        """Return the ledger of one sink, all figures of the same moment."""
        with self._lock:
            dropped: dict[str, int] = {}
            for counted in (self.dropped, outbox.dropped):
                for reason, count in counted.items():
                    if count:
                        dropped[str(reason)] = dropped.get(str(reason), 0) + count
            return {
                "accepted": self.last_seq + self._refused,
                "delivered": outbox.delivered,
                "dropped": dropped,
                "spooled": outbox.spooled,
                "stage_failures": self.stage_failures,
                "redaction_failures": self.redaction_failures,
                "pending": self.pending + outbox.pending,
                "queue_events": len(self._line) + len(outbox.line),
                "queue_bytes": self._line.bytes + outbox.line.bytes,
            }


_REASONS: Final = frozenset(DropReason)


def _done(entry: Entry, outbox: Outbox) -> Done | None:
    """Return whom to tell what becomes of *entry* at one sink."""
    if entry.on_disk:  # held, so nobody waits for it
        return partial(_let_go, outbox, entry.event.event_id)
    return entry.done


def _let_go(outbox: Outbox, event_id: str, _reason: DropReason | None, _words: str | None) -> None:
    outbox.let_go(event_id)
