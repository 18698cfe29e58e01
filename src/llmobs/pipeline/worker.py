"""
The one task of a sink: batch, prepare, deliver, retry, account. Only its owner ends it.

It drains what is due before it sleeps, which makes the buffer's edge-triggered wake-ups safe.
"""

import logging
import time
from collections.abc import Sequence
from typing import Final

import anyio
import anyio.abc

from llmobs.errors import LLMObsError, SinkError, SinkUnauthorizedError
from llmobs.events import Event
from llmobs.guard import Troubles, internal_errors
from llmobs.pipeline.buffer import Buffer, Entry
from llmobs.pipeline.delivery import Courier, SinkCrashError
from llmobs.pipeline.prepare import Preparer
from llmobs.pipeline.retry import UNAUTHORIZED_PAUSE, backoff
from llmobs.pipeline.spiller import Spiller
from llmobs.pipeline.statistics import DropReason, SinkState, Statistics
from llmobs.pipeline.wakeup import Wakeup

__all__ = ["Worker"]

MAX_CRASHES: Final = 3
"""Attempts at a batch that makes the sink fail in ways a sink must not."""
SPOOL_AFTER: Final = 3
"""Failed attempts after which the sink counts as down and events go to the spool, if there is one."""
REPLAY_SECONDS: Final = 15.0
"""How often an idle worker looks for batches that other processes left in the spool."""
AFTER_BUG_SECONDS: Final = 1.0
"""Pause after an internal error, so that a lasting one does not spin."""
FLUSH_SECONDS: Final = 0.2
"""The same while a flush waits for batches that another process is sending."""
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
        self._retries = 0
        self._replayed = 0
        self.buffer.reset()
        if self._spiller is not None:
            self._spiller.after_fork()
        self.reset()

    def reset(self) -> None:
        """Forget the event loop this ran in: after closing too, so that it can run in another."""
        self._wakeup: Wakeup | None = None
        self._scope: anyio.CancelScope | None = None
        self._finished: anyio.Event | None = None
        self._stopping = False
        self._hurry_seq = 0
        self._hurries = 0
        self._flushes: list[tuple[int, anyio.Event]] = []
        self._error: LLMObsError | None = None
        self._failures = 0
        self._down = False
        self._handled: list[Entry] = []
        self._courier.reset()
        if self._spiller is not None:
            self._spiller.reset()

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Work until `stop`; a cancelled host does not cut a delivery short, the deadline does."""
        self._wakeup = Wakeup()
        self._finished = anyio.Event()
        self.buffer.wake = self._wake
        task_status.started()
        try:
            with anyio.CancelScope(shield=True) as self._scope:
                async with anyio.create_task_group() as group:
                    if self._spiller is not None:
                        group.start_soon(self._spiller.run, self._wakeup.set, self._is_due)
                    while not await self._work_guarded():
                        pass
                    group.cancel_scope.cancel()
        finally:
            self._finished.set()

    async def _work_guarded(self) -> bool:
        # A bug of ours must not reach the host through its task group, nor end delivery for good.
        with internal_errors("deliver events"):
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
            elif buffer.waiting and not self._writes_ahead:
                if not self._is_due():
                    await self._linger()
                await self._deliver_due()
            else:
                await self._replay()
                if self._down or (buffer.waiting and not self._writes_ahead):
                    continue
                self._announce_flushes()
                if self._stopping and buffer.close_if_empty():
                    return
                self._state = SinkState.IDLE
                replay_seconds = FLUSH_SECONDS if self._flushes else REPLAY_SECONDS
                await self._wakeup.wait(None if self._spiller is None else replay_seconds)

    async def _deliver_due(self) -> None:
        """Deliver a batch, and what is due after it: each is prepared while the sink has the one before."""
        self._handled = entries = self.buffer.take()
        await self._preparer.prepare(entries)
        while entries:
            self._state = SinkState.DELIVERING
            following: list[Entry] = []
            async with anyio.create_task_group() as group:
                if self._is_due():
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
            entries, error = await self._courier.deliver(entries, self._settle)
            if error is None:
                return
            self._note_failure(error)
            if isinstance(error, SinkCrashError):
                crashes += 1
                if crashes >= MAX_CRASHES:
                    self._settle(entries, DropReason.INTERNAL, str(error))
                    return
            elif self._spiller and (self._failures >= SPOOL_AFTER or self._is_hopeless()):
                if await self._spiller.keep(entries):
                    self._set_down(True)
                else:
                    await self._pause()  # they are back in the queue
                return
            await self._pause()

    async def _replay(self) -> None:
        """Deliver what is on disk, until it is empty or the sink fails."""
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
                self._note_success()

        if not events:  # all of it is damaged
            return None
        self._state = SinkState.DELIVERING
        left, error = await self._courier.deliver([Entry(event, 0) for event in events], settle)
        if error is not None:
            self._note_failure(error)
        if isinstance(error, SinkCrashError):
            outcomes.append((len(left), DropReason.INTERNAL))
            return None
        return error

    def _set_down(self, down: bool) -> None:
        self._down = down
        if self._spiller is not None:
            self._spiller.set_down(down)

    def _note_success(self) -> None:
        self._error = None
        self._failures = 0

    def _note_failure(self, error: LLMObsError) -> None:
        self._error = error
        self._failures += 1
        self._retries += 1

    def _is_hopeless(self) -> bool:
        # Only somebody's hand mends these: a wrong key, a damaged store, a missing package.
        error = self._error
        return isinstance(error, SinkUnauthorizedError) or (
            error is not None and not isinstance(error, SinkError | SinkCrashError)
        )

    async def _pause(self) -> None:
        """Wait before the next attempt; a flush or a stop that comes meanwhile cuts it short."""
        assert self._wakeup is not None
        error = self._error
        if self._is_hopeless() and self._stopping and self._scope is not None:
            self._scope.cancel()
        self._state = (
            SinkState.UNAUTHORIZED
            if isinstance(error, SinkUnauthorizedError)
            else SinkState.RETRYING
        )
        seconds = (
            UNAUTHORIZED_PAUSE
            if self._is_hopeless()
            else backoff(self._failures, getattr(error, "retry_after", None))
        )
        counts = self.buffer.counts()
        self._troubles.log(
            f"deliver:{self.sink.name}:{type(error).__name__}",
            "llmobs: %s: delivery failed: %s; %d events wait, %d on disk, next attempt in %.1f s",
            self.sink.name,
            error,
            counts["pending"],
            counts["spooled"],
            seconds,
            level=logging.ERROR if self._is_hopeless() else logging.WARNING,
        )
        deadline = time.monotonic() + seconds
        stopping, hurries = self._stopping, self._hurries
        while (left := deadline - time.monotonic()) > 0:
            await self._wakeup.wait(left)
            if self._stopping is not stopping or self._hurries != hurries:
                return

    def _settle(
        self, entries: Sequence[Entry], reason: DropReason | None = None, words: str | None = None
    ) -> None:
        self.buffer.settle(entries, reason, words)
        if reason is None:
            self._note_success()
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
        on_disk = self._spiller is not None and self._spiller.has_own and self._error is None
        return self.buffer.is_settled(seq) and not on_disk

    def hurry(self) -> None:
        """Deliver what waits now without waiting for company."""
        self._hurry_seq = self.buffer.last_seq
        self._hurries += 1
        self.buffer.wake()

    async def flush(self, timeout: float | None) -> None:
        """Wait until what was recorded before this call is settled, at most *timeout* seconds."""
        seq = self.buffer.last_seq
        if self._finished is not None and not self._is_flushed(seq):
            done = anyio.Event()
            self._flushes.append((seq, done))
            self.hurry()
            with anyio.move_on_after(timeout):
                await done.wait()

    async def stop(self, timeout: float) -> None:
        """
        Deliver what is left within *timeout* seconds; keep the rest on disk, or count it as dropped.
        """
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
            if isinstance(self._error, SinkError):
                reason = DropReason(self._error.reason)
            self.buffer.settle(left, reason, "the client was closed")
            self._troubles.log(
                f"shutdown:{self.sink.name}",
                "llmobs: %s: %d events were not delivered within %.1f s of closing (%s)",
                self.sink.name,
                len(left),
                timeout,
                self._error or "out of time",
            )
        self._announce_flushes()
        self._state = SinkState.CLOSED
        await self._courier.close()

    def statistics(self) -> Statistics:
        """Return the counters as they are now."""
        return Statistics(
            **self.buffer.counts(),
            replayed=self._replayed,
            retries=self._retries,
            state=self._state,
            last_error=None if self._error is None else str(self._error),
        )
