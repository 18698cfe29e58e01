"""
A private asyncio loop in a thread, for libraries that know asyncio only or work in bursts.

Its owner may run on asyncio, uvloop or trio, and never feels what happens here: compressing half a
megabyte takes tens of milliseconds. Ending the loop ends whatever still runs in it, sockets too.
"""

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

import anyio

from llmobs.pipeline.ownloop import OwnLoop
from llmobs.pipeline.wakeup import call_soon_threadsafe

__all__ = ["CurrentLoop", "LoopThread", "Runner"]

T = TypeVar("T")

MAX_END_SECONDS: Final = 1.0
"""How long cancelled tasks may take to end before they are left behind."""


class Runner(Protocol):
    """Somewhere coroutines of an asyncio library can run."""

    async def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run ``function(*args)`` and return its result; cancelling the caller cancels it."""
        ...

    async def aclose(self) -> None:
        """End everything that still runs there."""
        ...


class LoopThread:
    """
    An event loop in a thread; it starts with the object.

    Args:
        name: Thread name, seen in debuggers.

    Raises:
        RuntimeError: No thread can be started: there are too many, or the interpreter is ending.
    """

    def __init__(self, name: str) -> None:
        self._loop = _Loop()
        self._loop.set_exception_handler(_ignore)
        self._ended: list[Callable[[], None]] = []
        # A daemon: whoever forgets to close must not hang the interpreter's exit.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._loop.close()
            raise

    @property
    def ident(self) -> int:
        """The thread's identifier, as in ``threading.get_ident()``."""
        return self._thread.ident or 0

    def _run(self) -> None:
        loop = self._loop
        try:
            loop.run_forever()
            if tasks := asyncio.all_tasks(loop):
                for task in tasks:
                    task.cancel()
                loop.run_until_complete(asyncio.wait(tasks, timeout=MAX_END_SECONDS))
            for transport in list(loop.transports):
                transport.abort()
            loop.run_until_complete(asyncio.sleep(0))  # sockets close one round after `abort`
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
            for tell in self._ended:
                tell()

    async def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """
        Run ``function(*args)`` in the loop and return its result.

        If the caller is cancelled, so is it, and nobody waits for it.
        """
        finished = anyio.Event()
        schedule = call_soon_threadsafe()
        future = asyncio.run_coroutine_threadsafe(function(*args), self._loop)
        future.add_done_callback(lambda _: schedule(finished.set))
        try:
            await finished.wait()
        finally:
            future.cancel()
        return future.result()

    def stop(self) -> None:
        """End the loop soon, with whatever still runs in it."""
        with suppress(RuntimeError):  # closed already
            self._loop.call_soon_threadsafe(self._loop.stop)

    async def aclose(self) -> None:
        """End the loop, its tasks and sockets, and the thread."""
        finished = anyio.Event()
        schedule = call_soon_threadsafe()
        self._ended.append(lambda: schedule(finished.set))
        self.stop()
        with anyio.move_on_after(2 * MAX_END_SECONDS, shield=True):
            while self._thread.is_alive() and not self._loop.is_closed():
                with anyio.move_on_after(0.1):  # it may have ended before we asked to be told
                    await finished.wait()
        if self._loop.is_closed():
            with anyio.move_on_after(MAX_END_SECONDS, shield=True):
                # A few lines of it are left; `join` would hold our loop meanwhile.
                while self._thread.is_alive():  # noqa: ASYNC110
                    await anyio.sleep(0.001)


class CurrentLoop:
    """
    The asyncio loop that runs now, for when there are no more threads.

    From Python 3.12 on none can be started while the interpreter exits; what is queued then is
    delivered in the loop of the sync client.
    """

    async def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run ``function(*args)``."""
        return await function(*args)

    async def aclose(self) -> None:
        """Leave the loop to its owner."""


class _Loop(OwnLoop):
    """Computes in place, needing no further thread; knows its connections."""

    def __init__(self) -> None:
        super().__init__()
        self.transports: weakref.WeakSet[asyncio.WriteTransport] = weakref.WeakSet()

    def run_in_executor(  # type: ignore[override] # typeshed's has a variadic type variable
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed to the caller
            future.set_exception(error)
        return future

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        transport, protocol = await super().create_connection(*args, **kwargs)
        self.transports.add(transport)
        return transport, protocol


def _ignore(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What is left over here was reported to whoever waited for it, or nobody waits any more."""
