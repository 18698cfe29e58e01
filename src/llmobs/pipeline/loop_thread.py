"""
A private asyncio loop in a thread: of the sync client, and of libraries that know asyncio only.

Its owner may run on asyncio, uvloop, trio or nothing, and never feels what happens here. Ending the
loop ends whatever still runs in it, sockets too.
"""

import asyncio
import inspect
import socket
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context
from typing import Any, Final, TypeVar

import anyio

from llmobs.pipeline.wakeup import call_soon_threadsafe

__all__ = ["LoopThread", "OwnLoop", "Serve"]

T = TypeVar("T")

MAX_LOOKUPS: Final = 8
"""Look-ups under way at once; further ones wait for an answer, or for their own deadline."""
MAX_END_SECONDS: Final = 1.0
"""How long cancelled tasks may take to end before they are left behind."""

Serve = Callable[[Callable[[], None], asyncio.Event], Coroutine[Any, Any, None]]
"""Does the thread's own work: calls the first when it is ready for others', ends when the second is set."""


class OwnLoop(asyncio.SelectorEventLoop):
    """
    Resolves names in threads of its own, which hold up neither the loop nor the end of the process.

    The threads of the standard loop's executor are joined at the end, however long DNS takes, and
    are gone while the interpreter exits. Where none can be started, names are resolved in place:
    the only loops left then are those that deliver what is still queued.

    Args:
        in_place: Compute in place what would go to an executor, and say nothing of what is left
            over: for a library that has the loop to itself.
    """

    def __init__(self, *, in_place: bool = False) -> None:
        super().__init__()
        self.transports: weakref.WeakSet[asyncio.WriteTransport] = weakref.WeakSet()
        """Its connections."""
        self._in_place = in_place
        self._lookups: dict[Any, asyncio.Future[Any]] = {}
        self._free = asyncio.Semaphore(MAX_LOOKUPS)
        if in_place:  # it was reported to whoever waited for it, or nobody waits any more
            self.set_exception_handler(lambda loop, context: None)

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        """As `socket.getaddrinfo`; several that ask the same wait for one look-up."""
        key = args, tuple(sorted(kwargs.items()))
        lookup = self._lookups.get(key)
        if lookup is None:
            async with self._free:
                lookup = self._lookups.get(key) or self._start(key, *args, **kwargs)
        return await asyncio.shield(lookup)  # who gives up waiting leaves it to the others

    def _start(self, key: Any, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        lookup: asyncio.Future[Any] = self.create_future()
        lookup.add_done_callback(_note)
        self._lookups[key] = lookup

        def tell(complete: Callable[[Any], None], outcome: Any) -> None:
            self._lookups.pop(key, None)
            if not lookup.done():
                complete(outcome)

        def work() -> None:
            try:
                complete, outcome = lookup.set_result, socket.getaddrinfo(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - handed to who asked
                complete, outcome = lookup.set_exception, error  # type: ignore[assignment]
            with suppress(RuntimeError):  # the loop is closed
                self.call_soon_threadsafe(tell, complete, outcome)

        try:
            threading.Thread(target=work, name="llmobs-dns", daemon=True).start()
        except RuntimeError:  # "can't start new thread", "... at interpreter shutdown"
            work()
        return lookup

    def run_in_executor(  # type: ignore[override] # typeshed's has a variadic type variable
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """As usual, or in place."""
        if not self._in_place:
            return super().run_in_executor(executor, func, *args)
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed to the caller
            future.set_exception(error)
        return future

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        """As usual; the connection ends with the loop."""
        transport, protocol = await super().create_connection(*args, **kwargs)
        self.transports.add(transport)
        return transport, protocol

    def end(self) -> None:
        """End what still runs here, and close; the loop stands."""
        try:
            if tasks := asyncio.all_tasks(self):
                for task in tasks:
                    task.cancel()
                self.run_until_complete(asyncio.wait(tasks, timeout=MAX_END_SECONDS))
            for transport in list(self.transports):
                transport.abort()
            self.run_until_complete(asyncio.sleep(0))  # sockets close one round after `abort`
            self.run_until_complete(self.shutdown_asyncgens())
            self.run_until_complete(self.shutdown_default_executor())
        finally:
            self.close()


def _note(lookup: asyncio.Future[Any]) -> None:
    if not lookup.cancelled():
        lookup.exception()  # that nobody waits for it any more is no news


class LoopThread:
    """
    An event loop in a thread; it starts with the object.

    Args:
        name: Thread name, seen in debuggers.
        serve: What it does beside what others ask for. Without, a library has the loop to itself.

    Raises:
        RuntimeError: No thread can be started: there are too many, or the interpreter is ending.
    """

    has_ended = False
    """Whether the thread is over, told to or not."""

    def __init__(self, name: str, serve: Serve | None = None) -> None:
        self._waiting: dict[Future[Any], Coroutine[Any, Any, Any]] = {}
        self._loop = OwnLoop(in_place=serve is None)
        self._stop, self._ready = asyncio.Event(), asyncio.Event()
        self._serve = serve
        self._ended: list[Callable[[], None]] = []
        # A daemon, or the interpreter would wait for it before `atexit` can stop it; and whoever
        # forgets to must not hang the exit. The context is nobody's: its caller's may be trio's.
        self._thread = threading.Thread(
            target=Context().run, args=(self._run,), name=name, daemon=True
        )
        try:
            self._thread.start()
        except BaseException:
            self._loop.close()
            raise

    @property
    def ident(self) -> int:
        """The thread's identifier, as in ``threading.get_ident()``."""
        return self._thread.ident or 0

    @property
    def is_this_thread(self) -> bool:
        """Whether the caller is inside the private loop."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        try:
            try:
                self._loop.run_until_complete(self._main())
            finally:
                self._loop.end()
        finally:
            self.has_ended = True
            for future in list(self._waiting):
                self._refuse(future)
            for tell in self._ended:
                tell()

    async def _main(self) -> None:
        try:
            if self._serve is not None:
                await self._serve(self._ready.set, self._stop)
            else:
                self._ready.set()
                await self._stop.wait()
        finally:
            self._ready.set()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """
        Run *coroutine* in the loop as soon as it is ready; waits for nothing.

        The future is cancelled if the loop has ended, or ends.
        """
        ours = self._when_ready(coroutine)
        try:
            # In a context of its own: the caller's may say that the event loop here is trio's.
            future = Context().run(asyncio.run_coroutine_threadsafe, ours, self._loop)
        except RuntimeError:  # the loop is closed
            ours.close()
            coroutine.close()
            future = Future()
            future.cancel()
            return future
        self._waiting[future] = ours
        future.add_done_callback(lambda _: _discard(coroutine))
        future.add_done_callback(lambda done: self._waiting.pop(done, None))
        if self.has_ended:  # meanwhile
            self._refuse(future)
        return future

    def _refuse(self, future: Future[Any]) -> None:
        if (coroutine := self._waiting.pop(future, None)) is not None:
            with suppress(RuntimeError, ValueError):  # it runs, or waits for a loop that is no more
                coroutine.close()
            future.cancel()

    async def _when_ready(self, coroutine: Coroutine[Any, Any, T]) -> T:
        await self._ready.wait()
        return await coroutine

    async def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """
        Run ``function(*args)`` in the loop and wait for its result, in any other loop.

        If the caller is cancelled, so is it, and nobody waits for it.

        Raises:
            concurrent.futures.CancelledError: The loop has ended, or ends.
        """
        finished = anyio.Event()
        schedule = call_soon_threadsafe()
        future = self.submit(function(*args))
        future.add_done_callback(lambda _: schedule(finished.set))
        try:
            await finished.wait()
        finally:
            future.cancel()
        return future.result()

    def stop(self) -> None:
        """Let the loop end soon, with whatever still runs in it."""
        with suppress(RuntimeError):  # closed already
            self._loop.call_soon_threadsafe(self._stop.set)

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end, at most *timeout* seconds; tell whether it has."""
        if not self.is_this_thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    async def aclose(self) -> None:
        """End the loop, its tasks and sockets, and the thread."""
        finished = anyio.Event()
        schedule = call_soon_threadsafe()
        self._ended.append(lambda: schedule(finished.set))
        self.stop()
        with anyio.move_on_after(2 * MAX_END_SECONDS, shield=True):
            while not self.has_ended:
                with anyio.move_on_after(0.1):  # it may have ended before we asked to be told
                    await finished.wait()
        if self.has_ended:
            with anyio.move_on_after(MAX_END_SECONDS, shield=True):
                # A few lines of it are left; `join` would hold our loop meanwhile.
                while self._thread.is_alive():  # noqa: ASYNC110
                    await anyio.sleep(0.001)


def _discard(coroutine: Coroutine[Any, Any, Any]) -> None:
    if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:  # it never began
        coroutine.close()
