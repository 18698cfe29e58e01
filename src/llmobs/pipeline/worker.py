"""
The one task of a sink: batch, prepare, deliver, retry, account. Only its owner ends it.

It drains what is due before it sleeps, which makes the buffer's edge-triggered wake-ups safe.
"""

import logging
import time
from collections.abc import Sequence
from typing import Final

import anyio

from llmobs.errors import LLMObsError, SinkError
from llmobs.events import Event
from llmobs.guard import Troubles, foreign_code
from llmobs.pipeline.buffer import Buffer, Entry
from llmobs.pipeline.delivery import Courier, SinkCrashError
from llmobs.pipeline.health import Health
from llmobs.pipeline.prepare import Preparer
from llmobs.pipeline.spiller import Spiller
from llmobs.pipeline.statistics import DropReason, SinkState, Statistics
from llmobs.pipeline.wakeup import Wakeup

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
    Moves events from a buffer to a sink.

    Args:
        buffer: Where events wait.
        courier: Takes them to the sink.
        preparer: Makes them fit to leave.
        spiller: Keeps on disk what cannot be delivered now; None keeps it in memory.
        interval: Seconds a first event waits for company.
        troubles: Where trouble is logged.
    """

    def __init__(
        self,
        buffer: Buffer,
        courier: Courier,
        preparer: Preparer,
        spiller: Spiller | None,
        *,
        interval: float,
        troubles: Troubles,
    ) -> None:
        self.buffer = buffer
        self.sink = courier.sink
        self._courier = courier
        self._preparer = preparer
        self._spiller = spiller
        self._interval = interval
        self._troubles = troubles
        self.after_fork()

    def after_fork(self) -> None:
        """Start from nothing: on construction, and in a forked child."""
        self._state = SinkState.IDLE
        self._replayed = 0
        self._health = Health()
        self.buffer.reset()
        if self._spiller is not None:
            self._spiller.after_fork()
        self.reset()

    def reset(self) -> None:
        """Forget the event loop this ran in: after closing too, so that it can run in another."""
        self._wakeup: Wakeup | None = None
        self._scope: anyio.CancelScope | None = None
        self._cancelled = False
        self._finished: anyio.Event | None = None
        self._stopping = False
        self._stopped: anyio.Event | None = None
        self._hurry_seq = 0
        self._hurries = 0
        self._flushes: list[tuple[int, anyio.Event]] = []
        self._health.succeeded()
        self._down = False
        self._handled: list[Entry] = []
        self._replay_at = 0.0
        self._courier.reset()
        self.buffer.put_back(self.buffer.in_flight())
        if self._spiller is not None:
            self._spiller.reset()

    def listen(self) -> None:
        """Before `run`, in its event loop: be woken by what comes from now on."""
        self._stopping = False
        self._stopped = None
        self._wakeup = Wakeup()
        self._finished = anyio.Event()
        self.buffer.wake = self._wake

    async def run(self) -> None:
        """Work until `stop`; a cancelled host does not cut a delivery short, the deadline does."""
        assert self._wakeup is not None and self._finished is not None
        try:
            with anyio.CancelScope(shield=True) as self._scope:
                if self._cancelled:
                    self._scope.cancel()
                async with anyio.create_task_group() as group:
                    if self._spiller is not None:
                        group.start_soon(self._spiller.run, self._wakeup.set, self._is_due)
                    while not await self._work_guarded():
                        pass
                    group.cancel_scope.cancel()
        finally:
            self._finished.set()

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
        waiting = {entry.seq for entry in self.buffer.in_flight()}
        mine = [entry for entry in self._handled if entry.seq in waiting]
        self.buffer.settle(mine, DropReason.INTERNAL)
        await anyio.sleep(AFTER_BUG_SECONDS)
        return False

    def _wake(self) -> None:
        assert self._wakeup is not None
        self._wakeup.set()
        if self._spiller is not None and (self._down or self._spiller.write_ahead):
            self._spiller.nudge()

    @property
    def _writes_ahead(self) -> bool:
        return self._spiller is not None and self._spiller.writes_ahead

    @property
    def _has_waiting(self) -> bool:
        return bool(self.buffer.waiting) and not self._writes_ahead

    async def _work(self) -> None:
        assert self._wakeup is not None
        buffer = self.buffer
        while True:
            self._announce_flushes()
            if self._down:
                if self._stopping:
                    return
                await self._pause()
                await self._replay()
            elif self._has_waiting:
                if not self._is_due():
                    await self._linger()
                await self._deliver_due()
                if not self._down and self._should_replay():
                    await self._replay()
            else:
                await self._replay()
                if self._down or self._has_waiting:
                    continue
                self._announce_flushes()
                if self._stopping and buffer.close_if_empty():
                    return
                self._state = SinkState.IDLE
                replay_seconds = FLUSH_SECONDS if self._flushes else REPLAY_SECONDS
                await self._wakeup.wait(None if self._spiller is None else replay_seconds)

    async def _deliver_due(self, *, once: bool = False) -> None:
        """
        Deliver a batch, and what is due after it: each is prepared while the sink has the one before.

        Args:
            once: One batch only: under steady load there is always another.
        """
        self._handled = entries = self.buffer.take()
        await self._preparer.prepare(entries)
        while entries:
            self._state = SinkState.DELIVERING
            following: list[Entry] = []
            async with anyio.create_task_group() as group:
                if self._is_due() and not once and not self._should_replay():
                    following = self.buffer.take()
                    self._handled = [*entries, *following]
                    group.start_soon(self._preparer.prepare, following)
                await self._deliver(entries)
            entries = following
            if self._down:
                self.buffer.put_back(entries)
                return

    def _is_due(self) -> bool:
        return self._stopping or self.buffer.is_due() or self.buffer.is_waiting(self._hurry_seq)

    async def _linger(self) -> None:
        assert self._wakeup is not None
        deadline = time.monotonic() + self._interval
        while (left := deadline - time.monotonic()) > 0 and not self._is_due():
            await self._wakeup.wait(left)

    async def _deliver(self, entries: list[Entry]) -> None:
        crashes = 0
        while True:
            isolate = crashes + 1 == MAX_CRASHES
            entries, error = await self._courier.deliver(entries, self._settle, isolate=isolate)
            if error is None:
                return
            self._health.failed(error)
            if isinstance(error, SinkCrashError):
                crashes += 1
            elif self._spiller and self._health.is_down:
                if await self._spiller.keep(entries):
                    self._set_down(True)
                else:
                    await self._pause()  # they are back in the queue
                return
            await self._pause()

    def _should_replay(self) -> bool:
        if self._spiller is None:
            return False
        awaited = bool(self._flushes) and self._spiller.has_own
        return awaited or time.monotonic() >= self._replay_at

    async def _replay(self) -> None:
        """Deliver what is on disk, until it is empty or the sink fails; new events do not wait for it."""
        self._replay_at = time.monotonic() + REPLAY_SECONDS
        if self._spiller is None:
            return
        await self._spiller.reconcile()
        while (claimed := await self._spiller.claim()) is not None:
            claim, events = claimed
            outcomes: list[tuple[int, DropReason | None]] = []
            try:
                error = await self._deliver_from_disk(events, outcomes)
            except BaseException:
                self._spiller.release(claim)
                raise
            if error is not None:
                self._spiller.release(claim)
                self._set_down(True)
                return
            await self._spiller.finish(claim, outcomes)
            self._replayed += sum(count for count, reason in outcomes if reason is None)
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
        def settle(
            entries: Sequence[Entry], reason: DropReason | None = None, words: str | None = None
        ) -> None:
            outcomes.append((len(entries), reason))
            if reason is None:
                self._health.succeeded()

        if not events:  # all of it is damaged
            return None
        self._state = SinkState.DELIVERING
        entries = [Entry(event, 0) for event in events]
        _, error = await self._courier.deliver(entries, settle, isolate=True)
        if error is not None:
            self._health.failed(error)
        return error

    def _set_down(self, down: bool) -> None:
        self._down = down
        if self._spiller is not None:
            self._spiller.set_down(down)

    async def _pause(self) -> None:
        """Wait before the next attempt; a flush or a stop that comes meanwhile cuts it short."""
        assert self._wakeup is not None
        health = self._health
        if health.is_hopeless and self._stopping and self._scope is not None:
            self._scope.cancel()
        self._state = health.state
        seconds = health.pause()
        counts = self.buffer.counts()
        self._troubles.log(
            f"deliver:{self.sink.name}:{type(health.error).__name__}",
            "llmobs: %s: delivery failed: %s; %d events wait%s, next attempt %s",
            self.sink.name,
            health.error,
            counts["pending"],
            f", {counts['spooled']} on disk" if counts["spooled"] else "",
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

    def _settle(
        self, entries: Sequence[Entry], reason: DropReason | None = None, words: str | None = None
    ) -> None:
        self.buffer.settle(entries, reason, words)
        if reason is None:
            self._health.succeeded()
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
        on_disk = self._spiller is not None and self._spiller.has_own and self._health.error is None
        return self.buffer.is_settled(seq) and not on_disk

    def hurry(self) -> None:
        """Deliver what waits now without waiting for company."""
        self._hurry_seq = self.buffer.last_seq
        self._hurries += 1
        self.buffer.wake()

    async def flush(self, timeout: float | None) -> None:
        """Wait until what was recorded before this call is settled, at most *timeout* seconds."""
        seq = self.buffer.last_seq
        if self._finished is None or self._finished.is_set():
            return  # nobody works
        if not self._is_flushed(seq):
            done = anyio.Event()
            self._flushes.append((seq, done))
            self.hurry()
            with anyio.move_on_after(timeout):
                await done.wait()

    async def stop(self, timeout: float) -> None:
        """
        Deliver what is left within *timeout* seconds; keep the rest on disk, or count it as dropped.

        Whoever calls it meanwhile or later waits for the first.
        """
        if self._stopped is not None:
            await self._stopped.wait()
            return
        self._stopped = anyio.Event()
        try:
            await self._stop(timeout)
        finally:
            self._stopped.set()

    async def _stop(self, timeout: float) -> None:
        self._stopping = True
        if self._finished is not None:
            self.buffer.wake()
            with anyio.move_on_after(timeout):
                await self._finished.wait()
            if self._scope is not None:
                self._scope.cancel()
            await self._finished.wait()
        self.buffer.close()
        if self._spiller is not None:
            with anyio.move_on_after(LAST_WRITE_SECONDS):
                left = self.buffer.in_flight() or self.buffer.take()
                while left and await self._spiller.keep(left):
                    left = self.buffer.take()  # batch by batch: they are sent as they were written
            self._spiller.close()
        if left := self.buffer.take_all():
            reason = DropReason.SHUTDOWN
            error = self._health.error
            if isinstance(error, SinkError):
                reason = DropReason(error.reason)
            self.buffer.settle(left, reason, "the client was closed")
            self._troubles.log(
                f"shutdown:{self.sink.name}",
                "llmobs: %s: %d events were not delivered; closing %s (%s)",
                self.sink.name,
                len(left),
                "does not wait for what only a hand can mend"
                if self._health.is_hopeless
                else f"waits {timeout:.1f} s for them",
                error or "out of time",
            )
        self._announce_flushes()
        self._state = SinkState.CLOSED
        await self._courier.close()

    def statistics(self, waiting: int = 0) -> Statistics:
        """Return the counters as they are now; *waiting* events were accepted and are not queued yet."""
        error = self._health.error
        counts = self.buffer.counts()
        counts["accepted"] += waiting
        counts["pending"] += waiting
        return Statistics(
            **counts,
            replayed=self._replayed,
            retries=self._health.retries,
            state=self._state,
            last_error=None if error is None else str(error),
        )
