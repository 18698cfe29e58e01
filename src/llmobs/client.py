"""
The client: settings, sinks, and the way events take from trackers to them.

`Recording` is what both colours share, which is nearly everything; `AsyncClient` adds a life in
the caller's event loop. The sync `llmobs.Client` is in `llmobs.sync`.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

import anyio

from llmobs.capture.building import OVERHEAD_BYTES, cut_long
from llmobs.capture.by_run import LogByRun
from llmobs.capture.tracker import Tracker
from llmobs.codec import as_dict, take_event, texts
from llmobs.context import Run
from llmobs.errors import DeliveryError, DeliveryTimeoutError
from llmobs.events import ClientInfo, Event
from llmobs.guard import Troubles
from llmobs.pipeline.buffer import Buffer, Complete, Done, Entry
from llmobs.pipeline.delivery import Courier
from llmobs.pipeline.life import Life, Stopping
from llmobs.pipeline.prepare import Identity, Preparer
from llmobs.pipeline.sampling import is_sampled
from llmobs.pipeline.spiller import Spiller
from llmobs.pipeline.spool import Spool
from llmobs.pipeline.statistics import DropReason, FlushReport, Statistics, combine
from llmobs.pipeline.wakeup import Wakeup, call_soon_threadsafe
from llmobs.pipeline.worker import Worker
from llmobs.sightings import settle_in_time, sightings

if TYPE_CHECKING:
    from llmobs.settings import Settings, SettingsKeywords

__all__ = ["AsyncClient", "Recording"]

_clients: weakref.WeakSet[Recording] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_clients):
        client.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Recording(LogByRun):
    """
    What ``Client`` and ``AsyncClient`` share: they take the same keywords and record the same way.

    Args:
        settings: A `Settings` object to start from; by default the environment.
        keywords: Fields of `Settings`; they win over *settings* and the environment.

    Raises:
        ConfigurationError: A setting is wrong, or a sink cannot be built.
    """

    trouble_loggers: ClassVar[tuple[logging.Logger, ...]] = (logging.getLogger("llmobs"),)
    """Where trouble is logged; dialects add a logger of their own."""

    def __init__(
        self, settings: Settings | None = None, **keywords: Unpack[SettingsKeywords]
    ) -> None:
        from llmobs.settings import Settings

        if settings is None:
            settings = Settings(**keywords)
        elif keywords:
            values = {name: getattr(settings, name) for name in settings.model_fields_set}
            settings = Settings(**{**values, **keywords})
        self.settings = settings
        self._timer: Wakeup | None = None
        self.enabled = settings.enabled
        """False: nothing is recorded; no thread, no task, no file."""
        self._sample_rate = settings.sample_rate
        self._keep_errors = settings.always_keep_errors
        self._large = settings.capture_bytes + OVERHEAD_BYTES
        self._troubles = Troubles(loggers=self.trouble_loggers)
        # Re-entrant, because a finalizer or a signal handler may record while it is held.
        self._lock = threading.RLock()
        self._workers: list[Worker] = self._build() if settings.enabled else []
        self._buffers = [worker.buffer for worker in self._workers]
        _clients.add(self)

    def _build(self) -> list[Worker]:
        from llmobs.sinks import resolve

        settings = self.settings
        self.preparer = preparer = self._make_preparer()
        workers = []
        for sink in resolve(settings.sink, settings):
            buffer = Buffer(
                max_events=settings.max_queue_events,
                max_bytes=settings.max_queue_bytes,
                overflow=settings.overflow,
                block_timeout=settings.timeout,
                batch_events=min(settings.batch_size, sink.max_batch_events or sys.maxsize),
                batch_bytes=min(settings.batch_bytes, sink.max_batch_bytes or sys.maxsize),
            )
            buffer.wake = self._wake
            courier = Courier(sink, timeout=settings.timeout, troubles=self._troubles)
            spiller = None
            if settings.spool_dir is not None:
                spiller = Spiller(
                    buffer,
                    preparer,
                    Spool.of(sink, settings),
                    spill=settings.overflow == "spill",
                    write_ahead=settings.durability == "disk",
                    interval=settings.flush_interval_seconds,
                    troubles=self._troubles,
                )
            worker = Worker(
                buffer,
                courier,
                preparer,
                spiller,
                interval=settings.flush_interval_seconds,
                troubles=self._troubles,
            )
            workers.append(worker)
        return workers

    def _make_preparer(self) -> Preparer:
        from llmobs.pipeline.cost import Pricing
        from llmobs.pipeline.redaction import Redactor, redacting

        settings = self.settings
        redact = settings.redact_pii or settings.capture_content == "redacted"
        redactor = None
        if redact or settings.redactor is not None:
            redactor = Redactor(text=redacting if redact else None, extra=settings.redactor)
        return Preparer(
            Identity(
                client=_client_info(),
                project_id=settings.project_id,
                service_name=settings.service_name,
                environment=settings.environment,
                release=settings.release,
            ),
            redactor=redactor,
            pricer=Pricing(settings.prices),
            keep_content=settings.capture_content != "metadata",
        )

    def _wake(self) -> None:
        """Called by a buffer that has something, while no worker listens."""

    def after_fork(self) -> None:
        """Start anew in a forked child; called by the interpreter's fork hook."""
        # The parent keeps what was queued; this process starts with its own sinks and no worker.
        self._lock = threading.RLock()
        for worker in self._workers:
            worker.after_fork()
        self._forget_loop()

    def _forget_loop(self) -> None:
        self._timer = None
        for worker in self._workers:
            worker.buffer.wake = self._wake
            worker.reset()
        if self._workers:
            self.preparer.reset()

    # Capture.

    def record(
        self,
        event: Event,
        run: Run | None,
        size: int,
        failed: bool,
        complete: Complete | None = None,
        done: Done | None = None,
    ) -> None:
        """
        Take in an event: what trackers call. Never raises.

        Args:
            event: The event; the client owns it from here.
            run: The run it belongs to.
            size: Estimated bytes of memory it holds.
            failed: Whether it reports a failure.
            complete: Fills in the rest of the event later, in the pipeline, off the caller's path.
            done: Called once per sink when the event was delivered or given up.
        """
        if not self.enabled:
            return
        keep = self._sample_rate == 1.0 or self._keeps(event, run, failed)
        if size > self._large:
            complete = partial(cut_long, complete, self.settings.capture_bytes)
        first: Entry | None = None
        for buffer in self._buffers:
            if first is None:
                first = entry = Entry(event, size, run, complete, done, failed)
            else:
                entry = Entry(event, size, run, None, done, failed, first)
            if keep:
                buffer.offer(entry)
            else:
                buffer.refuse(entry, DropReason.SAMPLED)

    def _keeps(self, event: Event, run: Run | None, failed: bool) -> bool:
        if failed and self._keep_errors:
            return True
        if run is None:
            return is_sampled(event.run_id, self._sample_rate)
        if run.sampled is None:
            run.sampled = is_sampled(run.run_id, self._sample_rate)
        return run.sampled

    def expect(self) -> None:
        """Look after what waits in `llmobs.sightings` for the end of a call: it must not wait for ever."""
        (self._wake if self._timer is None else self._timer.set)()

    def refuse(self, event: Event, run: Run | None, reason: DropReason) -> None:
        """Count an event that is not to be delivered; what trackers call."""
        if self.enabled:
            for buffer in self._buffers:
                buffer.refuse(Entry(event, 0, run), reason)

    def run(
        self,
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
    ) -> Tracker:
        """
        Return a run's tracker: use it as a context manager, and it is the current run inside.

        Args:
            run_id: Its id; a new UUIDv7 by default.
            name: What kind of job it is.
            user_id: On whose behalf.
            session_id: Conversation it belongs to.
            tags: Carried by all its events.
            metadata: Recorded with the run.
            release: Version of the application.
            trace_id: W3C trace id, to join a trace; else sinks that need one derive it from the run's id.
            span_id: W3C span id of the caller.
        """
        tracker = Tracker(self, run_id)
        tracker.name = name
        tracker.user_id = user_id
        tracker.session_id = session_id
        tracker.tags = texts(tags)
        tracker.metadata = None if metadata is None else as_dict(metadata)
        tracker.release = release
        tracker.trace_id = trace_id
        tracker.span_id = span_id
        return tracker

    def statistics(self) -> Statistics:
        """Return the counters as they are now; with several sinks their sum, and each one's own."""
        waiting = sightings.waiting(self)
        return combine({worker.sink.name: worker.statistics(waiting) for worker in self._workers})

    # Delivery, in the event loop that the workers run in.

    async def _serve(self, ready: Callable[[], object], stopping: Stopping) -> None:
        """Run the workers until *stopping*, then deliver what is left; cancelling it ends them."""
        async with anyio.create_task_group() as group:
            for worker in self._workers:
                worker.listen()
                group.start_soon(worker.run)
            self._timer = Wakeup()
            group.start_soon(settle_in_time, self, self._timer.wait)
            ready()
            try:
                await stopping.wait()
            except anyio.get_cancelled_exc_class():
                for worker in self._workers:
                    worker.cancel()
                raise
            await self._stop()
            group.cancel_scope.cancel()

    async def _stop(self) -> None:
        sightings.close(self)
        async with anyio.create_task_group() as group:
            for worker in self._workers:
                group.start_soon(worker.stop, self.settings.shutdown_timeout)

    async def _flush(self, timeout: float | None) -> FlushReport:
        before = self.statistics()
        sightings.settle(self)
        async with anyio.create_task_group() as group:
            for worker in self._workers:
                group.start_soon(worker.flush, timeout)
        return FlushReport.between(before, self.statistics())

    async def _send(self, event: Event, timeout: float | None) -> None:
        if not self.enabled:
            return
        outcomes: list[tuple[DropReason | None, str | None]] = []
        settled = anyio.Event()
        schedule = call_soon_threadsafe()

        def done(reason: DropReason | None, words: str | None) -> None:
            outcomes.append((reason, words))
            if len(outcomes) == len(self._workers):
                schedule(settled.set)

        mine, size = take_event(event)
        self.record(mine, None, OVERHEAD_BYTES + size, mine.failed, done=done)
        for worker in self._workers:
            worker.hurry()
        with anyio.move_on_after(timeout):
            await settled.wait()
        if not settled.is_set():
            raise DeliveryTimeoutError(
                f"not delivered within {timeout:g} s; the event stays queued", reason="unavailable"
            )
        for reason, words in outcomes:
            if reason is not None:
                raise DeliveryError(words or f"dropped: {reason}", reason=str(reason))


def _client_info() -> ClientInfo:
    from llmobs import __version__

    return ClientInfo(
        hostname=socket.gethostname(),
        sdk_version=__version__,
        platform=f"python {platform.python_version()} {sys.platform}",
    )


class AsyncClient(Recording):
    """
    A client that delivers in the caller's event loop, on asyncio or trio.

    Use it as an async context manager: it owns its tasks, and leaving it delivers what is queued.
    It may be left in another task than it was entered in (fixtures of tests are), in the same loop.
    Recording works from any thread, before and after entering too.

    Args:
        settings: A `Settings` object to start from; by default the environment.
        keywords: Fields of `Settings`; they win over *settings* and the environment.

    Raises:
        ConfigurationError: A setting is wrong, or a sink cannot be built.
    """

    _life: Life | None = None

    async def __aenter__(self) -> Self:
        if self._life is not None:
            raise RuntimeError("this AsyncClient is in use already; make another one")
        if self._workers:
            for worker in self._workers:
                worker.buffer.reopen()
            self._life = Life(self._serve, self._forget)
            await self._life.start(self.preparer.warm_up)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._life is not None:
            await self._life.stop()

    def _forget(self, life: Life) -> None:
        if self._life is life:  # not in a child forked meanwhile
            self._life = None
            self._forget_loop()

    def after_fork(self) -> None:
        """Start anew in a forked child, in whose event loop it may be entered."""
        self._life = None
        super().after_fork()

    def __del__(self) -> None:
        pending = sum(buffer.pending for buffer in getattr(self, "_buffers", ()))
        pending += sightings.waiting(self)
        if pending:
            warnings.warn(
                f"{pending} events were recorded with an AsyncClient that was never run",
                ResourceWarning,
                source=self,
                stacklevel=1,
            )

    async def aclose(self) -> None:
        """
        Deliver what is queued, within ``shutdown_timeout``, and stop; safe to call twice.

        The block that entered the client ends it; this only lets it deliver earlier, from any task.
        """
        if self._life is not None:
            await self._life.stop()
        else:
            await self._stop()

    async def flush(self, timeout: float | None = None) -> FlushReport:
        """
        Deliver what was recorded before this call, without waiting for full batches.

        Args:
            timeout: Seconds to wait at most; default is the setting ``timeout``.
        """
        return await self._flush(self.settings.timeout if timeout is None else timeout)

    async def send(self, event: Event, timeout: float | None = None) -> None:
        """
        Deliver *event* and wait until every sink confirmed it; concurrent callers share batches.

        Args:
            event: Any event; see `llmobs.events`.
            timeout: Seconds to wait at most; default is the setting ``timeout``.

        Raises:
            DeliveryTimeoutError: Not confirmed in time; the event stays queued.
            DeliveryError: A sink refused it; the message has the sink's words.
        """
        await self._send(event, self.settings.timeout if timeout is None else timeout)

    def _wake(self) -> None:
        self._troubles.log(
            "not-started",
            "llmobs: events are recorded with an AsyncClient that is not running; "
            "they wait until `async with client:` is entered",
        )
