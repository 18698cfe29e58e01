"""
A thread that does blocking work in order, for as long as its owner wants.

`anyio.to_thread` starts threads on demand, which Python refuses while the interpreter exits; and
SQLite connections like to stay in one thread. So blocking sinks keep one thread of their own.
"""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import anyio

from llmobs.pipeline.wakeup import call_soon_threadsafe

__all__ = ["BlockingThread"]

T = TypeVar("T")


class BlockingThread:
    """
    Runs functions one after the other; the thread starts with the object.

    Made while the interpreter exits, when Python starts no more threads, it runs them in place:
    the only event loops left then are those that deliver what is still queued.

    Args:
        name: Thread name, seen in debuggers.
        idle: Called while there is no job; returns the seconds until it wants to be called again.
            Not called in place.
    """

    def __init__(self, name: str, idle: Callable[[], float] | None = None) -> None:
        self._idle = idle
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # A daemon: whoever forgets to close must not hang the interpreter's exit.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            self._thread.start()
            self._running = True
        except RuntimeError:  # "can't create new thread at interpreter shutdown"
            self._running = False

    @property
    def alive(self) -> bool:
        """Whether it works still: not after `stop`, and not in a child forked meanwhile."""
        return not self._running or self._thread.is_alive()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            job()
            del job  # and with it what it was given, which may be large, while nothing comes

    def _next(self) -> Callable[[], None] | None:
        if self._idle is None:
            return self._jobs.get()
        pause = 0.0  # first the jobs that are there
        while True:
            try:
                return self._jobs.get(timeout=pause)
            except Empty:
                pause = self._idle()

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run ``function(*args)`` in the thread; if the caller is cancelled, it still runs to its end."""
        if not self._running:
            return function(*args)
        finished = anyio.Event()
        schedule = call_soon_threadsafe()
        outcome: list[T] = []
        failure: list[BaseException] = []

        def job() -> None:
            try:
                outcome.append(function(*args))
            except BaseException as error:  # noqa: BLE001 - handed to the caller
                failure.append(error)
            schedule(finished.set)

        self._jobs.put(job)
        await finished.wait()
        if failure:
            try:
                raise failure[0]
            finally:
                failure.clear()  # it holds this frame, and so what was handed in
        return outcome[0]

    def then(self, function: Callable[[], None]) -> None:
        """Run *function* in the thread, after the jobs already given to it; waits for nothing."""
        if self._running:
            self._jobs.put(function)
        else:
            function()

    def stop(self) -> None:
        """End the thread after the jobs already given to it."""
        self._jobs.put(None)
