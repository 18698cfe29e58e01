"""
The one task of a sink: batch, prepare, deliver, retry, account. Only its owner ends it.

It drains what is due before it sleeps, which makes the buffer's edge-triggered wake-ups safe.
"""

import time
from collections.abc import Sequence
from typing import Final

import anyio

from llmobs.errors import (
    LLMObsError,
    SinkError,
    SinkRejectedError,
    SinkTooLargeError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)
from llmobs.guard import Troubles
from llmobs.pipeline.buffer import Buffer, Entry
from llmobs.pipeline.prepare import Preparer
from llmobs.pipeline.retry import UNAUTHORIZED_PAUSE, backoff
from llmobs.pipeline.sink import Batch, Sink
from llmobs.pipeline.statistics import DropReason, SinkState, Statistics
from llmobs.pipeline.wakeup import Wakeup

__all__ = ["Worker"]

MAX_CRASHES: Final = 3
"""Attempts at a batch that makes the sink fail in ways a sink must not."""


class Worker:
    """
    Moves events from a buffer to a sink.

    Args:
        buffer: Where events wait.
        sink: Where they go.
        preparer: Makes them fit to leave.
        interval: Seconds a first event waits for company.
        timeout: Seconds one delivery attempt may take.
        troubles: Where trouble is logged.
    """

    def __init__(
        self,
        buffer: Buffer,
        sink: Sink,
        preparer: Preparer,
        *,
        interval: float,
        timeout: float,
        troubles: Troubles,
    ) -> None:
        self.buffer = buffer
        self.sink = sink
        self._preparer = preparer
        self._interval = interval
        self._timeout = timeout
        self._troubles = troubles
        self.reset()

    def reset(self) -> None:
        """Forget the event loop this ran in: on construction, after closing, in a forked child."""
        self._wakeup: Wakeup | None = None
        self._scope: anyio.CancelScope | None = None
        self._finished: anyio.Event | None = None
        self._opened = False
        self._stopping = False
        self._hurry_seq = 0
        self._flushes: list[tuple[int, anyio.Event]] = []
        self._state = SinkState.IDLE
        self._error: LLMObsError | None = None
        self._retries = 0

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Work until `stop`; a cancelled host does not cut a delivery short, the deadline does."""
        self._wakeup = Wakeup()
        self._finished = anyio.Event()
        self.buffer.wake = self._wakeup.set
        task_status.started()
        try:
            with anyio.CancelScope(shield=True) as self._scope:
                await self._work()
        finally:
            self._finished.set()

    async def _work(self) -> None:
        assert self._wakeup is not None
        buffer = self.buffer
        while True:
            self._announce_flushes()
            if not buffer.waiting:
                if self._stopping and buffer.close_if_empty():
                    return
                self._state = SinkState.IDLE
                await self._wakeup.wait()
                continue
            if not self._is_due():
                await self._linger()
            while entries := buffer.take():
                self._state = SinkState.DELIVERING
                await self._preparer.prepare(entries)
                await self._deliver(entries)
                if not self._is_due():
                    break

    def _is_due(self) -> bool:
        return self._stopping or self.buffer.is_due() or self.buffer.is_waiting(self._hurry_seq)

    async def _linger(self) -> None:
        assert self._wakeup is not None
        deadline = time.monotonic() + self._interval
        while (left := deadline - time.monotonic()) > 0 and not self._is_due():
            await self._wakeup.wait(left)

    async def _deliver(self, entries: list[Entry]) -> None:
        attempt = crashes = 0
        while entries:
            error = await self._attempt(entries)
            if error is None:
                self._settle(entries)
                return
            self._error = error
            attempt += 1
            if isinstance(error, SinkTooLargeError):
                await self._split(entries, error)
                return
            if isinstance(error, SinkError) and not error.retriable:
                entries = self._remove_refused(entries, error)
                continue
            if isinstance(error, _SinkCrashError):
                crashes += 1
                if crashes >= MAX_CRASHES:
                    self._settle(entries, DropReason.INTERNAL, str(error))
                    return
            self._retries += 1
            await self._pause(attempt, error)

    async def _attempt(self, entries: Sequence[Entry]) -> LLMObsError | None:
        try:
            with anyio.fail_after(self._timeout):
                if not self._opened:
                    await self.sink.open()
                    self._opened = True
                await self.sink.send(Batch([entry.event for entry in entries]))
        except LLMObsError as error:
            return error
        except TimeoutError:
            return SinkUnavailableError(f"no answer within {self._timeout:g} s")
        except Exception as error:  # noqa: BLE001 - a sink may be anybody's code
            return _SinkCrashError(f"{type(error).__name__}: {error}")
        return None

    async def _split(self, entries: list[Entry], error: SinkTooLargeError) -> None:
        if len(entries) == 1:
            self._troubles.log(
                "too_large", "llmobs: %s: an event is too large: %s", self.sink.name, error
            )
            self._settle(entries, DropReason.TOO_LARGE, str(error))
            return
        middle = len(entries) // 2
        await self._deliver(entries[:middle])
        await self._deliver(entries[middle:])

    def _remove_refused(self, entries: list[Entry], error: SinkError) -> list[Entry]:
        named = error.events if isinstance(error, SinkRejectedError) else {}
        refused = [entry for entry in entries if entry.event.event_id in named]
        if not refused:
            refused = entries
        self._troubles.log(
            f"rejected:{error}",
            "llmobs: %s refuses %d events: %s",
            self.sink.name,
            len(refused),
            error,
        )
        for entry in refused:
            words = named.get(entry.event.event_id, str(error))
            self._settle([entry], DropReason.REJECTED, words)
        rest = [entry for entry in entries if entry not in refused]
        if rest and isinstance(error, SinkRejectedError) and error.delivered:
            self._settle(rest)
            return []
        return rest

    async def _pause(self, attempt: int, error: LLMObsError) -> None:
        assert self._wakeup is not None
        # Only somebody's hand mends these: a wrong key, a damaged store, a missing package.
        hopeless = not isinstance(error, _SinkCrashError) and (
            isinstance(error, SinkUnauthorizedError) or not isinstance(error, SinkError)
        )
        if hopeless and self._stopping and self._scope is not None:
            self._scope.cancel()
        self._state = (
            SinkState.UNAUTHORIZED
            if isinstance(error, SinkUnauthorizedError)
            else SinkState.RETRYING
        )
        seconds = (
            UNAUTHORIZED_PAUSE
            if hopeless
            else backoff(attempt, getattr(error, "retry_after", None))
        )
        self._troubles.log(
            f"deliver:{type(error).__name__}",
            "llmobs: %s: delivery failed: %s; %d events wait, next attempt in %.1f s",
            self.sink.name,
            error,
            self.buffer.pending,
            seconds,
        )
        # New events wake us too; only a flush or a stop that came meanwhile cuts the pause short.
        deadline = time.monotonic() + seconds
        stopping, hurry = self._stopping, self._hurry_seq
        while (left := deadline - time.monotonic()) > 0:
            await self._wakeup.wait(left)
            if self._stopping is not stopping or self._hurry_seq != hurry:
                return

    def _settle(
        self, entries: Sequence[Entry], reason: DropReason | None = None, words: str | None = None
    ) -> None:
        self.buffer.settle(entries, reason, words)
        if reason is None:
            self._error = None
        self._announce_flushes()

    def _announce_flushes(self) -> None:
        waiting = []
        for seq, event in self._flushes:
            if self.buffer.is_settled(seq):
                event.set()
            else:
                waiting.append((seq, event))
        self._flushes = waiting

    def hurry(self) -> None:
        """Deliver what waits now without waiting for company."""
        self._hurry_seq = self.buffer.last_seq
        self.buffer.wake()

    async def flush(self, timeout: float | None) -> None:
        """Wait until what was recorded before this call is settled, at most *timeout* seconds."""
        seq = self.buffer.last_seq
        if self._finished is not None and not self.buffer.is_settled(seq):
            done = anyio.Event()
            self._flushes.append((seq, done))
            self.hurry()
            with anyio.move_on_after(timeout):
                await done.wait()

    async def stop(self, timeout: float) -> None:
        """
        Deliver what is left within *timeout* seconds, count the rest as dropped, close the sink.
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
        left = self.buffer.take_all()
        if left:
            reason = DropReason.SHUTDOWN
            if isinstance(self._error, SinkError):
                reason = DropReason(self._error.reason)
            self.buffer.settle(left, reason, "the client was closed")
            self._troubles.log(
                "shutdown",
                "llmobs: %s: %d events were not delivered within %.1f s of closing (%s)",
                self.sink.name,
                len(left),
                timeout,
                self._error or "out of time",
            )
        self._announce_flushes()
        self._state = SinkState.CLOSED
        if self._opened:
            self._opened = False
            with anyio.move_on_after(max(1.0, timeout)):
                await self.sink.aclose()

    def statistics(self) -> Statistics:
        """Return the counters as they are now."""
        counts = self.buffer.counts()
        return Statistics(
            **counts,
            retries=self._retries,
            state=self._state,
            last_error=None if self._error is None else str(self._error),
        )


class _SinkCrashError(LLMObsError):
    """A sink raised something that is not a SinkError."""
