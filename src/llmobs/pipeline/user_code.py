"""Functions of the application's that the pipeline calls: in a thread, and not for longer than a limit."""

from collections.abc import Callable
from typing import Final

import anyio

from llmobs.pipeline.thread import BlockingThread

__all__ = ["LIMIT_SECONDS", "UserCode"]

LIMIT_SECONDS: Final = 2.0
"""How long the functions may take for one batch of events; what is not done then goes without them."""


class UserCode:
    """Calls functions that may take long, or hang: neither the event loop nor the pipeline waits for ever."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the thread: its event loop has ended, or a child was forked."""
        self._thread: BlockingThread | None = None
        self._hangs = False

    async def call(self, function: Callable[[], None]) -> bool:
        """Call *function*; False if it is not done in time, or one called before still is not."""
        if self._hangs:
            return False
        if self._thread is None:
            self._thread = BlockingThread("llmobs-stages")
        # To its end even if the caller is cancelled: what is half known would be done twice.
        with anyio.move_on_after(LIMIT_SECONDS, shield=True):
            await self._thread.call(function)
            return True
        self._hangs = True
        self._thread.then(self._answers)
        return False

    def _answers(self) -> None:
        self._hangs = False

    def close(self) -> None:
        """End the thread, once it answers."""
        if self._thread is not None:
            self._thread.stop()
        self.reset()
