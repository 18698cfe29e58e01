"""Functions of the application's that the pipeline calls: in a thread, and not for longer than a limit."""

import threading
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
        thread = self._started()
        # To its end even if the caller is cancelled: what is half known would be done twice.
        with anyio.move_on_after(LIMIT_SECONDS, shield=True):
            await thread.call(function)
            return True
        self._hangs = True
        thread.then(self._answers)
        return False

    def call_now(self, function: Callable[[], None]) -> bool:
        """Do the same, holding up the caller."""
        if self._hangs:
            return False
        thread = self._started()
        finished = threading.Event()
        failure: list[BaseException] = []

        def job() -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - handed to the caller
                failure.append(error)
            finished.set()

        thread.then(job)
        if finished.wait(LIMIT_SECONDS):
            if failure:
                raise failure[0]
            return True
        self._hangs = True
        thread.then(self._answers)
        return False

    def _started(self) -> BlockingThread:
        if self._thread is None:
            self._thread = BlockingThread("llmobs-stages")
        return self._thread

    def _answers(self) -> None:
        self._hangs = False

    def close(self) -> None:
        """End the thread, once it answers."""
        if self._thread is not None:
            self._thread.stop()
        self.reset()
