"""
The one task of a sink: batch, deliver, retry, account. Only its owner ends it.

It drains what is due before it sleeps, and each hand-over to its outbox wakes it.
"""

import logging
import time
from collections.abc import Sequence
from typing import Final

import anyio

from llmobs.errors import LLMObsError, SinkError
from llmobs.events import Event
from llmobs.pipeline.delivery import Delivery, SinkCrashError
from llmobs.pipeline.disk_writer import DiskWriter
from llmobs.pipeline.health import Health
from llmobs.pipeline.outbox import Entry, Outbox
from llmobs.pipeline.statistics import DropReason, SinkState
from llmobs.pipeline.wakeup import Wakeup
from llmobs.runtime.troubles import Troubles, foreign_code

__all__ = ["LAST_WRITE_SECONDS", "Worker"]

MAX_CRASHES: Final = 3
"""Attempts at a batch that makes the sink fail in ways a sink must not; the last event by event."""
EARLY_SECONDS: Final = 1.0
"""A flush cuts a pause short, but not below this: some applications flush after each request."""
REPLAY_SECONDS: Final = 15.0
"""How often a worker, busy or idle, looks for batches that other processes left in the spool."""
AFTER_BUG_SECONDS: Final = 1.0
"""Pause after an internal error, so that a lasting one does not spin."""
FLUSH_SECONDS: Final = 0.2
"""The same while a flush waits for batches that another process is sending."""
SOON_SECONDS: Final = 0.05
"""Shorter pauses are called none."""
LAST_WRITE_SECONDS: Final = 10.0
"""How long writing the rest to the spool may take, after the shutdown deadline."""


class Worker:
    """
    Moves events from an outbox to a sink.

    Args:
        outbox: Where events wait.
        delivery: Takes them to the sink.
        disk: Writes to the spool what cannot be delivered now; None keeps it in memory.
        interval: Seconds a first event waits for company.
        troubles: Where trouble is logged.
    """

    def __init__(
        self,
        outbox: Outbox,
        delivery: Delivery,
        disk: DiskWriter | None,
        *,
        interval: float,
        troubles: Troubles,
    ) -> None:
        self.outbox = outbox
        self.sink = delivery.sink
        self.disk = disk
        self._delivery = delivery
        self._interval = interval
        self._troubles = troubles
        self.after_fork()

    def after_fork(self) -> None:
        """Start from nothing: on construction, and in a forked child."""
        self.state = SinkState.IDLE
        self.replayed = 0
        """Events delivered from the spool."""
        self.health = Health()
        if self.disk is not None:
            self.disk.after_fork()
        self.reset()

    def reset(self) -> None:
        """Forget the event loop this ran in: after closing too, so that it can run in another."""
        self._wakeup: Wakeup | None = None
        self._scope: anyio.CancelScope | None = None
        self._cancelled = False
        self.finished: anyio.Event | None = None
        self._stopping = self._no_more = False
        self._hurry_seq = 0
        self._hurries = 0
        self._flushes: list[tuple[int, anyio.Event]] = []
        self.health.succeeded()
        self._down = False
        self._handled: list[Entry] = []
        self._replay_at = 0.0
        self._delivery.reset()
        self.outbox.requeue(self.outbox.in_flight())
        if self.disk is not None:
            self.disk.reset()

    def listen(self) -> None:
        """Before `run`, in its event loop: be woken by what comes from now on."""
        self._stopping = self._no_more = self._cancelled = False
        self._wakeup = Wakeup()
        self.finished = anyio.Event()
        self.outbox.wake = self._wake

    async def run(self) -> None:
        """Work until `stop`; a cancelled host does not cut a delivery short, the deadline does."""
        assert self._wakeup is not None and self.finished is not None
        try:
            with anyio.CancelScope(shield=True) as self._scope:
                if self._cancelled:
                    self._scope.cancel()
                async with anyio.create_task_group() as group:
                    if self.disk is not None:
                        group.start_soon(self.disk.run, self._wakeup.set, self._is_due)
                    while not await self._work_guarded():
                        pass
                    group.cancel_scope.cancel()
        finally:
            self.finished.set()

    def cancel(self) -> None:
        """End at once: the event loop is ending. What was not delivered stays queued."""
        self._cancelled = True  # it may have yet to begin
        if self._scope is not None:
            self._scope.cancel()

    async def _work_guarded(self) -> bool:
        # A bug of ours must not reach the host through its task group, nor end delivery for good.
        with foreign_code("deliver events"):
            await self._work()
            return True
        in_flight = {entry.seq for entry in self.outbox.in_flight()}
        mine = [entry for entry in self._handled if entry.seq in in_flight]
        self.outbox.acknowledge(mine, DropReason.INTERNAL)
        await anyio.sleep(AFTER_BUG_SECONDS)
        return False

    def _wake(self) -> None:
        assert self._wakeup is not None
        self._wakeup.set()
        if self.disk is not None:
            self.disk.nudge()

    @property
    def _writes_ahead(self) -> bool:
        return self.disk is not None and self.disk.writes_ahead

    @property
    def _has_waiting(self) -> bool:
        return bool(self.outbox.waiting) and not self._writes_ahead

    async def _work(self) -> None:
        assert self._wakeup is not None
        while True:
            self._announce_flushes()
            if self._down:
                if self._stopping:
                    return  # what is left goes to disk
                await self._pause()
                await self._replay()
            elif self._has_waiting:
                if not self._is_due():
                    await self._linger()
                await self._deliver_due()
                if not self._down and self._should_replay():
                    await self._replay()
            else:
                is_all_there = self._no_more and not self.outbox.pending
                await self._replay()
                if self._down or self._has_waiting:
                    continue
                self._announce_flushes()
                if is_all_there:
                    return
                if self._no_more and not self.outbox.pending:
                    continue  # some of it may have reached the disk after the look at it
                self.state = SinkState.IDLE
                replay_seconds = FLUSH_SECONDS if self._flushes else REPLAY_SECONDS
                await self._wakeup.wait(None if self.disk is None else replay_seconds)

    async def _deliver_due(self, *, once: bool = False) -> None:
        """
        Deliver a batch, and what is due after it.

        Args:
            once: One batch only: under steady load there is always another.
        """
        while entries := self.outbox.next_batch():
            self.state = SinkState.DELIVERING
            self._handled = entries
            await self._deliver(entries)
            if self._down or once or not self._is_due() or self._should_replay():
                return

    def _is_due(self) -> bool:
        return self._stopping or self.outbox.is_due() or self.outbox.is_waiting(self._hurry_seq)

    async def _linger(self) -> None:
        assert self._wakeup is not None
        deadline = self.outbox.since + self._interval
        while (left := deadline - time.monotonic()) > 0 and not self._is_due():
            await self._wakeup.wait(left)

    async def _deliver(self, entries: list[Entry]) -> None:
        crashes = 0
        while True:
            isolate = crashes + 1 == MAX_CRASHES
            entries, error = await self._delivery.deliver(
                entries, self._acknowledge, isolate=isolate
            )
            if error is None:
                return
            self.health.failed(error)
            if isinstance(error, SinkCrashError):
                crashes += 1
            elif self.disk and self.health.is_down:
                if await self.disk.write(entries):
                    self._set_down(True)
                else:
                    await self._pause()  # they are back in the queue
                return
            await self._pause()

    def _should_replay(self) -> bool:
        if self.disk is None:
            return False
        awaited = bool(self._flushes) and self.disk.has_own
        return awaited or time.monotonic() >= self._replay_at

    async def _replay(self) -> None:
        """Deliver what is on disk, until it is empty or the sink fails; new events do not wait for it."""
        self._replay_at = time.monotonic() + REPLAY_SECONDS
        if self.disk is None:
            return
        await self.disk.reconcile()
        while (locked := await self.disk.lock_oldest()) is not None:
            batch, events = locked
            outcomes: list[tuple[int, DropReason | None]] = []
            try:
                error = await self._deliver_from_disk(events, outcomes)
            except BaseException:
                self.disk.release(batch)
                raise
            if error is not None:
                self.disk.release(batch)
                self._set_down(True)
                return
            await self.disk.finish(batch, outcomes)
            self.replayed += sum(count for count, reason in outcomes if reason is None)
            self._set_down(False)
            self._announce_flushes()
            if self._has_waiting and self._is_due():
                await self._deliver_due(once=True)  # in turns
                if self._down:
                    return
        self._replay_at = time.monotonic() + REPLAY_SECONDS
        # Nothing here to try the sink with: try what waits in memory. It may be the disk that fails.
        self._set_down(False)

    async def _deliver_from_disk(
        self, events: list[Event], outcomes: list[tuple[int, DropReason | None]]
    ) -> LLMObsError | None:
        def acknowledge(
            entries: Sequence[Entry], reason: DropReason | None = None, words: str | None = None
        ) -> None:
            outcomes.append((len(entries), reason))
            if reason is None:
                self.health.succeeded()

        if not events:  # all of it is damaged
            return None
        self.state = SinkState.DELIVERING
        entries = [Entry(event, 0) for event in events]
        _, error = await self._delivery.deliver(entries, acknowledge, isolate=True)
        if error is not None:
            self.health.failed(error)
        return error

    def _set_down(self, down: bool) -> None:
        self._down = down
        if self.disk is not None:
            self.disk.set_down(down)

    async def _pause(self) -> None:
        """Wait before the next attempt; a flush or a stop that comes meanwhile cuts it short."""
        assert self._wakeup is not None
        health = self.health
        if health.is_hopeless and self._stopping and self._scope is not None:
            self._scope.cancel()
        self.state = health.state
        seconds = health.pause()
        pending, spooled = self.outbox.pending, self.outbox.spooled
        self._troubles.log(
            f"deliver:{self.sink.name}:{type(health.error).__name__}",
            "llmobs: %s: delivery failed: %s; %d events wait%s, next attempt %s",
            self.sink.name,
            health.error,
            pending,
            f", {spooled} on disk" if spooled else "",
            f"in {seconds:.1f} s" if seconds >= SOON_SECONDS else "at once",
            level=logging.ERROR if health.is_hopeless else logging.WARNING,
        )
        start = time.monotonic()
        deadline = start + seconds
        stopping, hurries = self._stopping, self._hurries
        while (left := deadline - time.monotonic()) > 0:
            await self._wakeup.wait(left)
            if self._stopping is not stopping:
                return
            if self._hurries != hurries:
                deadline = min(deadline, start + EARLY_SECONDS)

    def _acknowledge(
        self, entries: Sequence[Entry], reason: DropReason | None = None, words: str | None = None
    ) -> None:
        self.outbox.acknowledge(entries, reason, words)
        if reason is None:
            self.health.succeeded()
        self._announce_flushes()

    def _announce_flushes(self) -> None:
        waiting = []
        for seq, event in self._flushes:
            if self._is_flushed(seq):
                event.set()
            else:
                waiting.append((seq, event))
        self._flushes = waiting

    def _is_flushed(self, seq: int) -> bool:
        on_disk = self.disk is not None and self.disk.has_own and self.health.error is None
        return self.outbox.is_done(seq) and not on_disk

    def hurry(self) -> None:
        """Deliver what waits now without waiting for company."""
        self._hurry_seq = self.outbox.last_seq
        self._hurries += 1
        self.outbox.wake()

    async def flush(self) -> None:
        """Wait until what was handed over before this call is delivered or given up."""
        seq = self.outbox.last_seq
        if self.finished is None or self.finished.is_set():
            return  # nobody works
        if not self._is_flushed(seq):
            done = anyio.Event()
            self._flushes.append((seq, done))
            self.hurry()
            await done.wait()

    def hasten(self) -> None:
        """Deliver what comes from now on at once: the end is near."""
        self._stopping = True
        self.outbox.wake()

    def end_of_input(self) -> None:
        """Nothing will be handed over any more: finish, and set `finished`."""
        self._no_more = True
        self.outbox.wake()

    @property
    def reason(self) -> DropReason:
        """Why what is left now is given up."""
        error = self.health.error
        return DropReason(error.reason) if isinstance(error, SinkError) else DropReason.SHUTDOWN

    async def close(self, lost: int, timeout: float) -> None:
        """
        After `finished`: keep on disk what is left, or count it as dropped; close the sink.

        Args:
            lost: Events that the stages could not finish in time.
            timeout: Seconds that there were.
        """
        if self.disk is not None:
            with anyio.move_on_after(LAST_WRITE_SECONDS):
                left = self.outbox.in_flight() or self.outbox.next_batch()
                while left and await self.disk.write(left):
                    left = self.outbox.next_batch()  # batch by batch, as they are sent
        left = self.outbox.take_all()
        if left:
            self.outbox.acknowledge(left, self.reason, "the client was closed")
        if self.disk is not None:
            await self.disk.close()
        if lost + len(left):
            self._troubles.log(
                f"shutdown:{self.sink.name}",
                "llmobs: %s: %d events were not delivered; closing %s (%s)",
                self.sink.name,
                lost + len(left),
                "does not wait for what only a hand can mend"
                if self.health.is_hopeless
                else f"waits {timeout:.1f} s for them",
                self.health.error or "out of time",
            )
        self._announce_flushes()
        self.state = SinkState.CLOSED
        await self._delivery.close()
