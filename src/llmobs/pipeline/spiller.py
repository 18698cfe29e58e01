"""
Moves waiting events to the spool while the sink is down, slow or frozen, or always.

It runs beside the worker, because a sink that hangs holds the worker up.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import anyio

from llmobs.events import Event
from llmobs.guard import Troubles
from llmobs.pipeline.buffer import Buffer, Entry
from llmobs.pipeline.prepare import Preparer
from llmobs.pipeline.spool import Claim, Spool
from llmobs.pipeline.statistics import DropReason
from llmobs.pipeline.thread import BlockingThread
from llmobs.pipeline.wakeup import Wakeup

__all__ = ["Spiller"]

T = TypeVar("T")

WRITE_AHEAD_SECONDS: Final = 0.05
"""With ``durability="disk"``: how long an event may be in memory only (the promise is 0.1 s)."""
RETRY_SECONDS: Final = 1.0
"""Pause after the disk refused a write."""


class Spiller:
    """
    Args:
        buffer: Where events wait.
        preparer: Redacts before anything reaches the disk.
        spool: Where they go.
        spill: Also when the queue is half full (``overflow="spill"``).
        write_ahead: Always, at once (``durability="disk"``).
        troubles: Where trouble is logged.
    """

    def __init__(
        self,
        buffer: Buffer,
        preparer: Preparer,
        spool: Spool,
        *,
        spill: bool,
        write_ahead: bool,
        troubles: Troubles,
    ) -> None:
        self.spool = spool
        self.write_ahead = write_ahead
        self._buffer = buffer
        self._preparer = preparer
        self._spill = spill
        self._troubles = troubles
        self._thread: BlockingThread | None = None
        self._wakeup: Wakeup | None = None
        self._own: set[str] = set()
        self._sink_is_down = False

    async def run(self, wrote: Callable[[], object]) -> None:
        """Work until cancelled; call *wrote* after each batch that went to disk."""
        self._wakeup = Wakeup()
        self._buffer.high_water = self._wakeup.set
        while True:
            if not (self._should_spill() and self._buffer.waiting):
                await self._wakeup.wait()
                if self.write_ahead:
                    await anyio.sleep(WRITE_AHEAD_SECONDS)  # for company
            elif await self.keep(self._buffer.take()):
                wrote()
            else:
                await anyio.sleep(RETRY_SECONDS)

    @property
    def has_own(self) -> bool:
        """Whether batches that this process wrote are still on disk."""
        return bool(self._own)

    def _should_spill(self) -> bool:
        return self.write_ahead or self._sink_is_down or (self._spill and self._buffer.is_half_full)

    def set_down(self, down: bool) -> None:
        """Say whether the sink is down; while it is, whatever waits goes to disk."""
        self._sink_is_down = down
        self.nudge()

    def nudge(self) -> None:
        """Look again: events came, or the sink went down."""
        if self._wakeup is not None:
            self._wakeup.set()

    async def keep(self, entries: Sequence[Entry]) -> bool:
        """Write events in flight to disk; on failure they go back to the queue."""
        await self._preparer.prepare(entries)
        try:
            events = [entry.event for entry in entries]
            name, gone = await self._call(self.spool.write, events)
        except OSError as error:
            self._buffer.put_back(entries)
            self._troubles.log(
                "spool",
                "llmobs: cannot write to the spool %s: %s; events wait in memory",
                self.spool.directory,
                error.strerror or error,
            )
            return False
        self._buffer.settle_on_disk(entries)
        self._own.add(name)
        for file in gone:
            if file.path.name in self._own:
                self._own.discard(file.path.name)
                self._buffer.settle_from_disk(file.events, DropReason.SPOOL_FULL)
        if gone:
            self._troubles.log(
                "spool_full",
                "llmobs: the spool %s is full; %d of its oldest events were dropped",
                self.spool.directory,
                sum(file.events for file in gone),
            )
        return True

    async def claim(self) -> tuple[Claim, list[Event]] | None:
        """Take the oldest batch on disk, with its events; None if there is none to send."""
        try:
            claim = await self._call(self.spool.claim)
            return None if claim is None else (claim, await self._call(claim.read))
        except OSError as error:
            self._troubles.log(
                "spool_read",
                "llmobs: cannot read the spool %s: %s",
                self.spool.directory,
                error.strerror or error,
            )
            return None

    async def finish(self, claim: Claim) -> bool:
        """Remove a batch whose events are settled; tell whether this process wrote it."""
        await self._call(claim.finish)
        ours = claim.path.name in self._own
        self._own.discard(claim.path.name)
        return ours

    async def _call(self, function: Callable[..., T], *args: Any) -> T:
        if self._thread is None:
            self._thread = BlockingThread("llmobs-spool")
        return await self._thread.call(function, *args)

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None
        self._wakeup = None
        self._buffer.high_water = None

    def reset(self) -> None:
        """Forget the thread of the parent, in a forked child."""
        self._thread = None
        self._wakeup = None
        self._own = set()
        self._sink_is_down = False
