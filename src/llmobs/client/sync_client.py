"""
The sync client: the same pipeline, in a private event loop in a thread of its own.

The thread starts with the first event and ends with ``close()`` or, last resort, at exit. After a
fork the child starts its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError as FutureCancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import anyio.lowlevel

from llmobs.capture.joining import sightings
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.client.process_exit import exit_hook, flush_on_signals
from llmobs.errors import DeliveryError
from llmobs.events import Event
from llmobs.pipeline.delivery import CLOSE_SECONDS
from llmobs.pipeline.intake import Complete, Make
from llmobs.pipeline.loop_thread import LoopThread, OwnLoop
from llmobs.pipeline.outbox import Done
from llmobs.pipeline.pipeline import LAST_STAGES_SECONDS, Pipeline
from llmobs.pipeline.statistics import DropReason, FlushReport
from llmobs.pipeline.worker import LAST_WRITE_SECONDS
from llmobs.runtime.context import Run, current_run
from llmobs.runtime.forks import ForkLock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Client",
    "current_tracker",
    "default_client",
    "flush_on_signals",
    "provide_default_client",
    "run",
]


GRACE_SECONDS: Final = LAST_STAGES_SECONDS + LAST_WRITE_SECONDS + CLOSE_SECONDS + 1.0
"""How much longer than its own deadlines the private loop may take: the rest goes to the spool, sinks close."""


# A child forked while this thread imports would have half a module, and wait for the rest for ever.
_starting = ForkLock()


class Client(Recording):
    """
    A client for scripts, workers and WSGI applications; every method may be called from any thread.

    Use it as a context manager, or call :meth:`close` at the end; what is still queued at a normal
    exit is delivered then.

    Args:
        settings: A `Settings` object to start from; by default the environment.
        keywords: Fields of `Settings`; they win over *settings* and the environment.

    Raises:
        ConfigurationError: A setting is wrong, or a sink cannot be built.
    """

    _thread: LoopThread | None = None
    _closing: LoopThread | None = None
    _closed = False
    _starting = False

    def _build(self) -> Pipeline:
        pipeline = super()._build()
        if self.settings.durability == "disk":
            # It takes a second, for which the first events would wait in memory.
            pipeline.price.warm_up_now()
        return pipeline

    def _wake(self) -> None:
        # The first event starts the thread; until it listens, every event may come here.
        if not self._closed:
            self._ensure_started()

    def _ensure_started(self) -> LoopThread | None:
        failure: RuntimeError | None = None
        with self._lock:
            if self._thread is not None and self._thread.has_ended and not self._starting:
                self._forget_loop()  # something ended it under us: start anew
                self._thread = None
            if self._thread is None and self.enabled and not self._closed and not self._starting:
                self._starting = True  # whoever interrupts this in its thread leaves it to us
                try:
                    exit_hook.add(self)
                    self._thread = LoopThread("llmobs", self._serve_in_thread)
                except RuntimeError as error:  # no threads left, or the interpreter is ending
                    failure = error
                finally:
                    self._starting = False
            thread = self._thread
        if failure is not None:
            self._troubles.log("no-thread", "llmobs: cannot start a thread: %s", failure)
        return thread

    async def _serve_in_thread(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        with _starting:
            anyio.lowlevel.current_token()  # imports the backend
        await self._serve(ready, stop)

    def after_fork(self) -> None:
        """Start anew in a forked child, with a thread of its own."""
        super().after_fork()
        self._thread = self._closing = None
        self._starting = False

    def flush(self, timeout: float | None = None) -> FlushReport:
        """
        Deliver what was recorded before this call, without waiting for full batches.

        Args:
            timeout: Seconds to wait at most; default is the setting ``timeout``.
        """
        before = self.statistics()
        limit = self.settings.timeout if timeout is None else timeout
        if closing := self._closing:
            closing.join(limit)  # it delivers everything
        elif (
            (before.pending or before.spooled)
            and (thread := self._ensure_started())
            and not thread.is_this_thread
        ):
            with suppress(FutureTimeoutError, FutureCancelledError):
                return thread.submit(self._flush(limit)).result(limit + GRACE_SECONDS)
        return FlushReport.between(before, self.statistics())

    async def drain(self, timeout: float) -> None:
        """
        Like :meth:`flush`, for callers in an event loop of their own: holds up neither it nor a thread.

        Args:
            timeout: Seconds to wait at most; with 0 what was recorded leaves soon, and nobody waits.
        """
        if self.statistics().pending and (thread := self._ensure_started()):
            if self._pipeline is not None:
                self._pipeline.hurry()  # whoever gives up waiting may do so before the thread has heard
            if timeout <= 0:
                return
            with anyio.move_on_after(timeout), suppress(FutureCancelledError):
                await thread.call(self._flush, timeout)

    def send(self, event: Event, timeout: float | None = None) -> None:
        """
        Deliver *event* and wait until every sink confirmed it; concurrent callers share batches.

        Args:
            event: Any event; see `llmobs.events`.
            timeout: Seconds to wait at most; default is the setting ``timeout``.

        Raises:
            DeliveryTimeoutError: Not confirmed in time; the event stays queued.
            DeliveryError: A sink refused it; the message has the sink's words.
        """
        if self._collector is not None:
            self.record(event, None, 0, event.failed)
        elif thread := self._ensure_started():
            limit = self.settings.timeout if timeout is None else timeout
            try:
                thread.submit(self._send(event, limit)).result()
            except FutureCancelledError:
                raise DeliveryError(
                    "the client was closed meanwhile", reason=DropReason.CLOSED
                ) from None
        elif self.enabled:
            self.refuse(event, None, DropReason.CLOSED)
            raise DeliveryError(
                "the client is closed, or the interpreter is ending", reason=DropReason.CLOSED
            )

    def close(self) -> None:
        """Deliver what is queued, within ``shutdown_timeout``, and end the thread; safe to call twice."""
        limit = self.settings.shutdown_timeout + GRACE_SECONDS
        sightings.close(self)
        pipeline = self._pipeline
        if pipeline is not None and pipeline.pending:
            self._ensure_started()
        with self._lock:
            self._closed = True
            closing, thread = self._closing, self._thread  # the first is another caller's
            if closing is None:
                self._closing, self._thread = thread, None
        if closing is not None:
            closing.join(limit)
            return
        if thread is None:
            self._deliver_here()
        elif not thread.is_this_thread:
            thread.stop()
            if not thread.join(limit):
                self._troubles.log(
                    "stuck",
                    "llmobs: the client's thread did not end within %.0f s; %d events were not delivered",
                    limit,
                    self.statistics().pending,
                )
        if pipeline is not None:
            pipeline.intake.close()
        self._closing = None
        exit_hook.discard(self)

    def _deliver_here(self) -> None:
        # The first event came while the interpreter was exiting: no thread could be started.
        if self._pipeline is not None and self._pipeline.pending:
            stop = asyncio.Event()
            stop.set()
            with asyncio.Runner(loop_factory=OwnLoop) as runner:
                runner.run(self._serve(lambda: None, stop))

    def __enter__(self) -> Self:
        if self._closed:
            self._closed = False
            if self._pipeline is not None:
                self._pipeline.intake.reopen()
                self._pipeline.intake.wake = self._wake
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Unbuilt(Client):
    """
    Stands in for the default client while this very thread builds it.

    Only what interrupts the thread there sees it: a signal handler, a finalizer. It cannot wait,
    nor build another client, as it finds half-done imports. What it records is recorded afterwards.
    """

    def __init__(self) -> None:
        # No call of `Client`'s: it has no settings and no sinks.
        self.enabled = self._closed = True
        self._pipeline = self._collector = None
        self._lock = threading.RLock()
        self._client: Client | None = None
        self._calls: deque[Callable[[Client], None]] = deque()
        self.builder = threading.get_ident()

    def _later(self, call: Callable[[Client], None]) -> None:
        self._calls.append(call)
        if self._client is not None:
            self.hand_over(self._client)

    def record(
        self,
        event: Event,
        run: Run | None,
        size: int,
        failed: bool,
        complete: Complete | None = None,
        done: Done | None = None,
    ) -> None:
        """Keep it for the client, or give it on."""
        self._later(lambda client: client.record(event, run, size, failed, complete, done))

    def record_later(
        self, make: Make, run: Run, size: int, failed: bool, complete: Complete
    ) -> None:
        """Keep it for the client, or give it on."""
        self._later(lambda client: client.record_later(make, run, size, failed, complete))

    def refuse(self, event: Event, run: Run | None, reason: DropReason) -> None:
        """Keep it for the client, or give it on."""
        self._later(lambda client: client.refuse(event, run, reason))

    def flush(self, timeout: float | None = None) -> FlushReport:
        """Do nothing yet."""
        return FlushReport() if self._client is None else self._client.flush(timeout)

    def hand_over(self, client: Client) -> None:
        """Give what was recorded, and what will be, to *client*."""
        self._client = client
        while self._calls:
            self._calls.popleft()(client)


_default: Client | None = None
_building: _Unbuilt | None = None
_default_lock = ForkLock()


_provider: Callable[[], Client] | None = None


def provide_default_client(provider: Callable[[], Client] | None) -> None:
    """
    Let *provider* say, each time, which client this process has: a door for a framework that has settings.

    Args:
        provider: Returns the client. None: as it was before.
    """
    global _provider
    _provider = provider


def default_client() -> Client:
    """
    Return the client of this process for code outside any run, made from the environment when first needed.

    In a Django project it is the project's.

    Raises:
        ConfigurationError: A variable ``LLMOBS_*`` is wrong.
    """
    global _default, _building
    if _provider is not None:
        return _provider()
    if _default is None:
        with _default_lock:
            if _building is not None and _building.builder == threading.get_ident():
                return _building
            if _default is None:
                _building = stand_in = _Unbuilt()
                try:
                    client = Client()
                    _default = _default or client  # an interruption may have come before us
                finally:
                    _building = None
                stand_in.hand_over(_default)
    return _default


def run(
    run_id: str | None = None,
    *,
    name: str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    tags: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
    release: str | None = None,
    trace_id: str | None = None,
    span_id: str | None = None,
    parent: Run | str | None = None,
) -> Tracker:
    """Return a run of the default client; see `Client.run`."""
    return default_client().run(
        run_id,
        name=name,
        user_id=user_id,
        session_id=session_id,
        tags=tags,
        metadata=metadata,
        release=release,
        trace_id=trace_id,
        span_id=span_id,
        parent=parent,
    )


def current_tracker() -> Tracker:
    """
    Return the tracker of the current run.

    Outside any run, each call returns the tracker of a new run of the default client.
    """
    current = current_run()
    if isinstance(current, Tracker):
        return current
    tracker = Tracker(default_client())
    tracker.standalone = True
    return tracker
