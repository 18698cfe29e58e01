"""
The way of an event from the intake to the outboxes: a sequence of stages, in one task.

Each stage does one thing to an event, once, before it can reach a disk or a wire. They work in
slices that also end inside an event, so that the host never waits long: its event loop a quarter of
a millisecond, its threads one.
"""

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import anyio

from llmobs.pipeline.intake import Entry, Intake
from llmobs.pipeline.statistics import DropReason
from llmobs.pipeline.tail import TailSampler
from llmobs.pipeline.wakeup import Wakeup
from llmobs.runtime.time_slices import Steps, TimeSlices, finish
from llmobs.runtime.troubles import foreign_code

__all__ = ["Stage", "Stages", "Steadily"]

AFTER_BUG_SECONDS: Final = 1.0
"""Pause after an internal error, so that a lasting one does not spin."""


class Stage(Protocol):
    """Does one thing to events: may change one, or ask to drop it (`Entry.drop`)."""

    async def run(self, entries: Sequence[Entry], slices: TimeSlices) -> None:
        """
        Do it to each of *entries*, which have passed the stages before, and count up its `Entry.stage`.

        If this is cancelled, it is called again with those that were not counted.
        """

    def run_now(self, entry: Entry) -> None:
        """The same to one, without a pause."""

    def reset(self) -> None:
        """Forget the event loop and the thread this ran in: they have ended, or a child was forked."""


class Steadily(Stage):
    """A stage that works event by event, in steps."""

    @abstractmethod
    def steps(self, entry: Entry) -> Steps[None]:
        """Do it to *entry*, in steps of some 0.1 ms; what foreign code raises stays inside."""

    async def run(self, entries: Sequence[Entry], slices: TimeSlices) -> None:
        """See `Stage`."""
        for entry in entries:
            steps = self.steps(entry)
            try:
                for _ in steps:
                    if time.perf_counter() > slices.end:
                        await slices.rest()
            finally:
                finish(steps)  # what was begun is not begun again
                entry.stage += 1
            if time.perf_counter() > slices.end:
                await slices.rest()

    def run_now(self, entry: Entry) -> None:
        """See `Stage`."""
        finish(self.steps(entry))

    def reset(self) -> None:
        """See `Stage`."""


class Stages:
    """
    Takes batches from the intake, through the stages, to the outboxes.

    Args:
        intake: Where events come from, and who hands them over.
        stages: What is done to each, in this order.
        tail: Holds what they have finished until its run is decided; None holds nothing.
        interval: Seconds a first event waits for company.
        at_once: A first event does not wait; further ones do, for that long after it.
        hurried: Called when what was handed over is to leave at once.
    """

    def __init__(
        self,
        intake: Intake,
        stages: Sequence[Stage],
        *,
        tail: TailSampler | None = None,
        interval: float,
        at_once: bool,
        hurried: Callable[[], object],
    ) -> None:
        self.intake = intake
        self.stages = stages
        self._tail = tail
        self._interval = interval
        self._at_once = at_once
        self._hurried = hurried
        self._last_batch = 0.0
        self.after_fork()

    def after_fork(self) -> None:
        """Start from nothing: on construction, and in a forked child."""
        self.intake.reset()
        self.reset()

    def reset(self) -> None:
        """Forget the event loop this ran in: after closing too, so that it can run in another."""
        self._wakeup: Wakeup | None = None
        self._scope: anyio.CancelScope | None = None
        self._cancelled = False
        self.finished: anyio.Event | None = None
        """Set when nothing will be handed over any more."""
        self._stopping = False
        self._hurry_seq = 0
        self._flushes: list[tuple[int, anyio.Event]] = []
        self.intake.requeue_all()
        self._end_threads()

    def _end_threads(self) -> None:
        if self._tail is not None:
            self._tail.reset()
        for stage in self.stages:
            stage.reset()

    def listen(self) -> None:
        """Before `run`, in its event loop: be woken by what comes from now on."""
        self._stopping = self._cancelled = False
        self._wakeup = Wakeup()
        self.finished = anyio.Event()
        self.intake.wake = self._wakeup.set

    async def run(self) -> None:
        """Work until `stop`; a cancelled host does not cut it short, the deadline does."""
        assert self.finished is not None
        try:
            with anyio.CancelScope(shield=True) as self._scope:
                if self._cancelled:
                    self._scope.cancel()
                while not await self._work_guarded():
                    pass
        finally:
            self._keep_undecided()  # finished as it is: it can leave, or go to disk
            self._end_threads()
            self.finished.set()

    def cancel(self) -> None:
        """End at once: the event loop is ending, or time is up. What is not finished stays queued."""
        self._cancelled = True  # it may have yet to begin
        if self._scope is not None:
            self._scope.cancel()

    async def _work_guarded(self) -> bool:
        # A bug of ours must not reach the host through its task group, nor end delivery for good.
        with foreign_code("prepare events"):
            await self._work()
            return True
        await anyio.sleep(AFTER_BUG_SECONDS)
        return False

    async def _work(self) -> None:
        assert self._wakeup is not None
        intake = self.intake
        while True:
            if not intake.waiting:
                await self._decide()
                self._announce_flushes()
                if self._stopping:
                    self._keep_undecided()
                    if intake.close_if_empty():
                        return
                await self._wakeup.wait(self._tail.next_deadline() if self._tail else None)
                continue
            since = time.monotonic()
            await self._linger(since)
            await self._pass_batch(since)
            while intake.waiting and self._is_due():
                await self._pass_batch(since)

    def _is_due(self) -> bool:
        return self._stopping or self.intake.is_due() or self.intake.is_waiting(self._hurry_seq)

    async def _linger(self, since: float) -> None:
        assert self._wakeup is not None
        deadline = (self._last_batch if self._at_once else since) + self._interval
        while (left := deadline - time.monotonic()) > 0 and not self._is_due():
            await self._wakeup.wait(left)

    async def _pass_batch(self, since: float) -> None:
        self._last_batch = time.monotonic()
        hurry = self._hurry_seq
        entries = self.intake.next_batch()
        try:
            await self._pass_through(entries)
        except Exception:  # a bug of ours
            for entry in entries:
                entry.drop = DropReason.INTERNAL
            raise
        finally:
            end = len(self.stages)
            finished = [e for e in entries if e.stage == end or e.drop is not None]
            unfinished = [e for e in entries if e.stage < end and e.drop is None]
            if self._tail is not None:
                finished = self._tail.sift(finished)
            self.intake.finish_batch(finished, unfinished, since)
        await self._decide()
        if self._stopping or any(entry.seq <= hurry for entry in entries):
            self._hurried()
        self._announce_flushes()

    async def _pass_through(self, entries: Sequence[Entry]) -> None:
        slices = TimeSlices()
        for number, stage in enumerate(self.stages):
            due = [e for e in entries if e.stage == number and e.drop is None]
            if due:
                await stage.run(due, slices)

    async def _decide(self) -> None:
        if self._tail is not None and (gone := await self._tail.decide()):
            self.intake.release(gone, time.monotonic())

    def _keep_undecided(self) -> None:
        if self._tail is not None and (gone := self._tail.keep_all()):
            self.intake.release(gone, time.monotonic())

    def pass_now(self, entry: Entry) -> bool:
        """Take one event through the stages without a pause; tell whether it is to be kept."""
        for stage in self.stages:
            if entry.drop is None:
                stage.run_now(entry)
        return entry.drop is None

    def hurry(self) -> None:
        """Hand over what waits now without waiting for company."""
        self._hurry_seq = self.intake.last_seq
        self.intake.wake()

    async def flush(self) -> None:
        """Wait until what was recorded before this call is handed over."""
        if self.finished is None or self.finished.is_set():
            return  # nobody works
        if self.intake.pending:
            done = anyio.Event()
            self._flushes.append((self.intake.last_seq, done))
            self.hurry()
            await done.wait()

    def _announce_flushes(self) -> None:
        waiting = []
        for seq, event in self._flushes:
            if self.intake.is_waiting(seq):
                waiting.append((seq, event))
            else:
                self._keep_undecided()
                event.set()
        self._flushes = waiting

    def stop(self) -> None:
        """Hand over what is left, and end; see `finished`."""
        self._stopping = True
        self.intake.wake()
