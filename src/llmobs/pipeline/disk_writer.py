"""
Moves waiting events to the spool while the sink is down, slow or frozen, or always.

It runs beside the worker, because a sink that hangs holds the worker up.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import anyio

from llmobs.events import Event
from llmobs.pipeline.journal import Journal
from llmobs.pipeline.locked_batch import LockedBatch
from llmobs.pipeline.outbox import Entry, Outbox
from llmobs.pipeline.spool import DELIVERED, LOST, BatchTooLargeError, Evicted, Spool
from llmobs.pipeline.statistics import DropReason
from llmobs.pipeline.thread import BlockingThread
from llmobs.pipeline.wakeup import Wakeup
from llmobs.runtime.troubles import Troubles, foreign_code

__all__ = ["DiskWriter"]

T = TypeVar("T")

_REASONS = frozenset(DropReason)

WRITE_AHEAD_SECONDS: Final = 0.03
"""With ``durability="disk"``: from one write to the next. The promise is 0.1 s, and preparing and
writing a batch take 10 to 40 ms of it."""
WRITE_AHEAD_EVENTS: Final = 512
"""Then also: events per write, about."""
RETRY_SECONDS: Final = 1.0
"""Pause after the disk refused a write."""
DISK_SECONDS: Final = 10.0
"""After so long without an answer the disk counts as broken; a network disk may hang for ever."""


class DiskWriter:
    """
    Args:
        outbox: Where events wait.
        spool: Where they go.
        spill: Also when the queue is half full (``overflow="spill"``).
        write_ahead: Always, at once (``durability="disk"``).
        interval: Seconds from one write to the next, unless a full batch waits.
        troubles: Where trouble is logged.
    """

    def __init__(
        self,
        outbox: Outbox,
        spool: Spool,
        *,
        spill: bool,
        write_ahead: bool,
        interval: float,
        troubles: Troubles,
    ) -> None:
        self.spool = spool
        self.write_ahead = write_ahead
        self._outbox = outbox
        self._spill = spill
        self._interval = 0.0 if write_ahead else interval
        self._last_write = -math.inf
        self._troubles = troubles
        self._thread: BlockingThread | None = None
        self._wakeup: Wakeup | None = None
        self._sink_is_down = False
        self._is_broken = False
        self._hangs = False
        self._lock: anyio.Lock | None = None
        self._journal = Journal(spool)
        self._held: dict[str, Event] = {}
        self._let_go: deque[str] = deque()
        outbox.let_go = self._is_let_go

    async def run(self, changed: Callable[[], object], is_due: Callable[[], bool]) -> None:
        """
        Work until cancelled.

        Args:
            changed: Called after each attempt to write.
            is_due: Whether what waits may not wait for company.
        """
        self._wakeup = Wakeup()
        while True:
            # A bug of ours must not reach the host through its task group.
            with foreign_code("keep events on disk"):
                await self._run(self._wakeup, changed, is_due)
            await anyio.sleep(RETRY_SECONDS)

    async def _run(
        self, wakeup: Wakeup, changed: Callable[[], object], is_due: Callable[[], bool]
    ) -> None:
        while True:
            if self._journal_is_behind and not await self._update_journal():
                await anyio.sleep(RETRY_SECONDS)
            if not (self._should_spill() and self._outbox.waiting):
                if not self._journal_is_behind:
                    await wakeup.wait()
            # A file for each event would be many, and each is a delivery of its own later.
            elif (left := self._last_write + self._interval - time.monotonic()) > 0 and not (
                is_due() or self._outbox.is_half_full
            ):
                await wakeup.wait(left)
            else:
                self._last_write = time.monotonic()
                written = await self.write(self._next())
                changed()
                if not written:
                    await anyio.sleep(RETRY_SECONDS)

    def _next(self) -> list[Entry]:
        entries = self._outbox.next_batch()
        # Written ahead, all that waits goes at once: the sink's batches may be small, and syncing a
        # file for each takes longer than writing it. What is more than a batch is split when sent.
        while self.write_ahead and self._outbox.waiting and len(entries) < WRITE_AHEAD_EVENTS:
            entries += self._outbox.next_batch()
        return entries

    @property
    def has_own(self) -> bool:
        """Whether batches that this process wrote are still on disk."""
        return bool(self.spool.own)

    @property
    def writes_ahead(self) -> bool:
        """Whether every event goes to disk first: asked for, and the disk takes it."""
        return self.write_ahead and not self._is_broken

    def _should_spill(self) -> bool:
        return self.write_ahead or self._sink_is_down or (self._spill and self._outbox.is_half_full)

    def set_down(self, down: bool) -> None:
        """Say whether the sink is down; while it is, whatever waits goes to disk."""
        self._sink_is_down = down
        self.nudge()

    def nudge(self) -> None:
        """Look again: events came, or the sink went down."""
        if self._wakeup is not None:
            self._wakeup.set()

    def hold(self, events: Sequence[Event]) -> None:
        """Have on disk, too, what waits in memory for a decision; see `Outbox.let_go`."""
        self._held.update((event.event_id, event) for event in events)
        self.nudge()

    def _is_let_go(self, event_id: str) -> None:  # any thread
        self._let_go.append(event_id)
        self.nudge()

    @property
    def _journal_is_behind(self) -> bool:
        return bool(self._held or self._let_go)

    async def _update_journal(self) -> bool:
        held, self._held = self._held, {}
        decided = [self._let_go.popleft() for _ in range(len(self._let_go))]
        for event_id in decided:
            held.pop(event_id, None)
        try:
            await self._call(self._journal.update, list(held.values()), decided)
        except (OSError, RuntimeError) as error:
            self._held = {**held, **self._held}
            self._let_go.extendleft(decided)
            self._say("write to", error, "; events wait in memory")
            return False
        return True

    async def write(self, entries: Sequence[Entry]) -> bool:
        """Write events in flight to disk; what the disk refuses goes back to the queue."""
        async with self._accounts():
            return await self._write(entries)

    def _accounts(self) -> anyio.Lock:
        # What a write let go is gone from the disk before it is accounted for: nobody may look between.
        if self._lock is None:
            self._lock = anyio.Lock()
        return self._lock

    async def _write(self, entries: Sequence[Entry]) -> bool:
        parcels = [entries]
        while parcels:
            parcel = parcels.pop()
            try:
                name, gone = await self._call(self.spool.write, [entry.event for entry in parcel])
            except BatchTooLargeError:
                if middle := len(parcel) // 2:
                    parcels += parcel[middle:], parcel[:middle]
                else:
                    self._outbox.acknowledge(parcel, DropReason.SPOOL_FULL, "larger than the spool")
                    self._say_full(1)
            except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
                self._is_broken = True
                left = [entry for some in (parcel, *reversed(parcels)) for entry in some]
                self._outbox.requeue(left)
                self._say("write to", error, "; events wait in memory")
                return False
            else:
                self._is_broken = False
                # Here and not in the thread: what it writes after we gave up waiting stays in
                # memory for our ledger, and its batch on disk is nobody's.
                self.spool.own.add(name)
                self._outbox.acknowledge_on_disk(parcel)
                self._account_for_evicted(gone)
        return True

    def _account_for_evicted(self, gone: Sequence[Evicted]) -> None:
        for file, was_ours in gone:
            if was_ours:  # others find a receipt
                self.spool.own.discard(file.path.name)
                self._outbox.acknowledge_from_disk(file.events, DropReason.SPOOL_FULL)
        if gone:
            self._say_full(sum(file.events for file, _ in gone))

    async def lock_oldest(self) -> tuple[LockedBatch, list[Event]] | None:
        """Lock the oldest batch on disk, with its events; None if there is none to send."""
        batch = None
        try:
            batch = await self._call(self.spool.lock_oldest)
        except (OSError, RuntimeError) as error:
            self._say("read", error)
        left, self.spool.left_alone = self.spool.left_alone, {}
        for name, why in left.items():
            self._say("read a batch of", f"{name}: {why}; it is left alone")
        return None if batch is None else (batch, batch.read())

    def release(self, batch: LockedBatch) -> None:
        """Leave a batch to whoever asks next, this process included."""
        batch.release()
        self.spool.start_over()

    async def finish(
        self, batch: LockedBatch, outcomes: Sequence[tuple[int, DropReason | None]]
    ) -> None:
        """Remove a batch whose events are accounted for, and account for them: here, or by a receipt."""
        counts = Counter[str]()
        for count, reason in outcomes:
            counts[DELIVERED if reason is None else str(reason)] += count
        if batch.erased:
            counts[str(DropReason.ERASED)] += batch.erased
        if (damaged := batch.count - counts.total()) > 0:
            counts[str(DropReason.INTERNAL)] += damaged
            self._say("read all of", f"{damaged} events of {batch.path.name} are damaged")
        ours = False
        with anyio.CancelScope(shield=True):  # it is delivered: who stops here would send it again
            async with self._accounts():  # a write that just ended has yet to say that it is ours
                ours = batch.path.name in self.spool.own
        try:
            # A name of no true count is none that a process waits to hear of.
            await self._call(batch.remove, counts if batch.is_awaited and not ours else None)
        except (OSError, RuntimeError) as error:
            self._say("remove a delivered batch from", error)
        if ours:
            self.spool.own.discard(batch.path.name)
            self._account(counts)

    async def reconcile(self) -> None:
        """Account for batches of ours that other processes delivered or dropped."""
        if self.has_own:
            async with self._accounts():
                await self._reconcile()

    async def _reconcile(self) -> None:
        try:
            counts = await self._call(self.spool.acknowledged_by_others)
        except (OSError, RuntimeError) as error:
            self._say("read", error)
            return
        if lost := counts.pop(LOST, 0):
            self._say("find all of", f"{lost} events are gone without a trace")
            self._outbox.acknowledge_from_disk(lost, DropReason.INTERNAL)
        self._account(counts)

    def _account(self, counts: Mapping[str, int]) -> None:
        for outcome, count in counts.items():
            reason = None
            if outcome != DELIVERED:  # another version may know reasons that we do not
                reason = DropReason(outcome) if outcome in _REASONS else DropReason.INTERNAL
            self._outbox.acknowledge_from_disk(count, reason)

    def _say(self, doing: str, error: object, then: str = "") -> None:
        self._troubles.log(
            f"spool:{self.spool.sink}:{doing}",
            "llmobs: cannot %s the spool %s: %s%s",
            doing,
            self.spool.directory,
            getattr(error, "strerror", None) or error,
            then,
        )

    def _say_full(self, events: int) -> None:
        self._troubles.log(
            f"spool:{self.spool.sink}:full",
            "llmobs: the spool %s is full; %d of its oldest events were dropped",
            self.spool.directory,
            events,
        )

    async def _call(self, function: Callable[..., T], *args: Any) -> T:
        # To its end even if the caller is cancelled: what is half known would be done twice.
        if self._hangs:
            raise TimeoutError("the disk does not answer")
        if self._thread is None:
            self._thread = BlockingThread("llmobs-spool")
        with anyio.move_on_after(DISK_SECONDS, shield=True):
            return await self._thread.call(function, *args)
        self._hangs = True
        self._thread.then(self._answers)
        raise TimeoutError(f"the disk did not answer within {DISK_SECONDS:g} s")

    def _answers(self) -> None:
        self._hangs = False

    async def close(self) -> None:
        """After `run`, when everything is accounted for: end the thread."""
        if self._journal_is_behind:
            await self._update_journal()
        self._journal.close()
        if self._thread is not None:
            self._thread.stop()
            self._thread = None
        self._wakeup = None

    def reset(self) -> None:
        """Forget the thread and the event loop this ran in."""
        self._thread = None
        self._wakeup = None
        self._lock = None
        self._sink_is_down = self._is_broken = self._hangs = False

    def after_fork(self) -> None:
        """Leave the parent's batches to the parent, in a forked child."""
        self.spool.after_fork()
        self._journal.reset()
        self._held = {}
        self._let_go = deque()
