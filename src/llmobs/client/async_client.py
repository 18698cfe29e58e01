"""
The client: settings, sinks, and the way events take from trackers to them.

`Recording` is what both colours share, which is nearly everything; `AsyncClient` adds a life in
the caller's event loop. The sync `llmobs.Client` is in `llmobs.client.sync_client`.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack, cast

import anyio

from llmobs.capture.building import OVERHEAD_BYTES, cut_long
from llmobs.capture.by_run import LogByRun
from llmobs.capture.joining import sightings
from llmobs.capture.tracker import Tracker
from llmobs.client.build import build
from llmobs.codec import as_dict, texts, weighed_event
from llmobs.errors import DeliveryError, DeliveryTimeoutError
from llmobs.events import Event
from llmobs.pipeline.intake import UNMADE, Complete, Entry, Make
from llmobs.pipeline.life import Life, Stopping
from llmobs.pipeline.outbox import Done
from llmobs.pipeline.pipeline import Pipeline
from llmobs.pipeline.sampling import is_sampled
from llmobs.pipeline.statistics import DropReason, FlushReport, Statistics, combine
from llmobs.pipeline.wakeup import Wakeup, call_soon_threadsafe
from llmobs.runtime.context import Run
from llmobs.runtime.log import own_logger
from llmobs.runtime.troubles import Troubles, internal_errors
from llmobs.settings import Settings

if TYPE_CHECKING:
    from llmobs.settings import SettingsKeywords

__all__ = ["AsyncClient", "Recording", "collecting"]

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

    trouble_loggers: ClassVar[tuple[logging.Logger, ...]] = (own_logger("llmobs"),)
    """Where trouble is logged; dialects add a logger of their own."""

    def __init__(
        self, settings: Settings | None = None, **keywords: Unpack[SettingsKeywords]
    ) -> None:
        if settings is None:
            settings = Settings(**keywords)
        elif keywords:
            values: dict[str, Any] = {**settings.given, **keywords}
            settings = Settings(**values)
        self.settings = settings
        self._timer: Wakeup | None = None
        self.enabled = settings.enabled
        """False: nothing is recorded; no thread, no task, no file."""
        self._sample_rate = settings.sample_rate
        self.capture_bytes = settings.capture_bytes
        """Bytes that are kept of a body, at most."""
        self._large = settings.capture_bytes + OVERHEAD_BYTES
        self._troubles = Troubles(loggers=self.trouble_loggers)
        # Re-entrant, because a finalizer or a signal handler may record while it is held.
        self._lock = threading.RLock()
        self._pipeline: Pipeline | None = self._build() if settings.enabled else None
        _clients.add(self)
        self.collect(_collector)

    def _build(self) -> Pipeline:
        return build(self.settings, self._troubles, wake=self._wake)

    def collect(self, collector: Callable[[Event], object] | None) -> None:
        """
        Put *collector* in the place of the sinks: it has each event at once, and no thread is started.

        Args:
            collector: Called in the recording thread with finished events; None puts the sinks back.
        """
        self._collector = collector
        self._sample_rate = self.settings.sample_rate if collector is None else 1.0

    def _wake(self) -> None:
        """Called by the intake, when it has something and no stages listen."""

    def after_fork(self) -> None:
        """Start anew in a forked child; called by the interpreter's fork hook."""
        # The parent keeps what was queued; this process starts with its own sinks and no worker.
        self._lock = threading.RLock()
        if self._pipeline is not None:
            self._pipeline.after_fork()
        self._forget_loop()

    def _forget_loop(self) -> None:
        self._timer = None
        if self._pipeline is not None:
            self._pipeline.intake.wake = self._wake
            self._pipeline.reset()

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
        self._offer(Entry(event, size, run, complete, done, failed))

    def record_later(
        self, make: Make, run: Run, size: int, failed: bool, complete: Complete
    ) -> None:
        """
        Take in an event that *make* makes in the pipeline, off the caller's path. Never raises.

        Args:
            make: Makes it.
            run: The run it belongs to.
            size: Estimated bytes of memory of what it is made of.
            failed: Whether it reports a failure.
            complete: Fills in the rest of the event.
        """
        self._offer(Entry(UNMADE, size, run, complete, None, failed, make))

    def _offer(self, entry: Entry) -> None:
        pipeline = self._pipeline
        if pipeline is None:
            return
        if entry.size > self._large:
            entry.complete = partial(cut_long, entry.complete, self.capture_bytes)
        if self._collector is not None:
            self._collect(pipeline, entry)
        elif self._sample_rate == 1.0 or self._keeps(entry.event, entry.run):
            pipeline.intake.offer(entry)
        else:
            pipeline.intake.refuse(entry, DropReason.SAMPLED)

    def _collect(self, pipeline: Pipeline, entry: Entry) -> None:
        collector = self._collector
        if pipeline.stages.pass_now(entry) and collector is not None:
            collector(entry.event)
        if entry.done is not None:
            for _ in pipeline.workers:
                entry.done(None, None)

    def _keeps(self, event: Event, run: Run | None) -> bool:
        if run is None:
            return is_sampled(event.run_id, self._sample_rate)
        if run.sampled is None:
            run.sampled = is_sampled(run.run_id, self._sample_rate)
        return run.sampled

    def expect(self) -> None:
        """Look after what waits in `llmobs.capture.joining` for the end of a call: it must not wait for ever."""
        (self._wake if self._timer is None else self._timer.set)()

    def refuse(self, event: Event, run: Run | None, reason: DropReason) -> None:
        """Count an event that is not to be delivered; what trackers call."""
        if self._pipeline is not None:
            self._pipeline.intake.refuse(Entry(event, 0, run), reason)

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
        parent: Run | str | None = None,
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
            parent: The run that started this one, or its id: a job's that another one started.
        """
        tracker = Tracker(self, run_id)
        tracker.name = name
        tracker.user_id, tracker.session_id = user_id, session_id
        tracker.tags = texts(tags)
        tracker.metadata = None if metadata is None else as_dict(metadata)
        tracker.release = release
        tracker.trace_id, tracker.span_id = trace_id, span_id
        is_run = issubclass(type(parent), Run)
        tracker.parent_run_id = cast(Run, parent).run_id if is_run else cast("str | None", parent)
        return tracker

    def statistics(self) -> Statistics:
        """Return the counters as they are now; with several sinks their sum, and each one's own."""
        if self._pipeline is None:
            return combine({})
        return self._pipeline.statistics(sightings.waiting(self))

    # Delivery, in the event loop that the workers run in.

    async def _serve(self, ready: Callable[[], object], stopping: Stopping) -> None:
        """Run the pipeline until *stopping*, then deliver what is left; cancelling it ends it."""
        pipeline = self._pipeline
        assert pipeline is not None
        async with anyio.create_task_group() as group:
            pipeline.start(group)
            self._timer = Wakeup()
            group.start_soon(self._resolve_in_time, self._timer)
            ready()
            try:
                await stopping.wait()
            except anyio.get_cancelled_exc_class():
                pipeline.cancel()
                raise
            await self._stop()
            group.cancel_scope.cancel()

    async def _resolve_in_time(self, timer: Wakeup) -> None:
        """Resolve calls that wait for too long, beside the workers."""
        while True:
            await timer.wait(sightings.next_deadline(self))
            with internal_errors("resolve calls"):
                sightings.expire(self)

    async def _stop(self) -> None:
        sightings.close(self)
        if self._pipeline is not None:
            await self._pipeline.stop(self.settings.shutdown_timeout)

    async def _flush(self, timeout: float | None) -> FlushReport:
        before = self.statistics()
        sightings.resolve(self)
        if self._pipeline is not None:
            await self._pipeline.flush(timeout)
        return FlushReport.between(before, self.statistics())

    async def _send(self, event: Event, timeout: float | None) -> None:
        pipeline = self._pipeline
        if pipeline is None:
            return
        if self._collector is not None:
            self.record(event, None, 0, event.failed)
            return
        outcomes: list[tuple[DropReason | None, str | None]] = []
        settled = anyio.Event()
        schedule = call_soon_threadsafe()

        def done(reason: DropReason | None, words: str | None) -> None:
            outcomes.append((reason, words))
            if len(outcomes) == len(pipeline.workers):
                schedule(settled.set)

        mine, size = weighed_event(event)
        self.record(mine, None, OVERHEAD_BYTES + size, mine.failed, done=done)
        pipeline.hurry()
        with anyio.move_on_after(timeout):
            await settled.wait()
        if not settled.is_set():
            raise DeliveryTimeoutError(
                f"not delivered within {timeout:g} s; the event stays queued", reason="unavailable"
            )
        for reason, words in outcomes:
            if reason is not None:
                raise DeliveryError(words or f"dropped: {reason}", reason=str(reason))


_collector: Callable[[Event], object] | None = None


@contextmanager
def collecting(collector: Callable[[Event], object]) -> Iterator[None]:
    """Put *collector* in the place of the sinks of every client of this process, also those made meanwhile."""
    global _collector
    before, _collector = _collector, collector
    for client in list(_clients):
        client.collect(collector)
    since = perf_counter()
    try:
        yield
    finally:
        for client in list(_clients):  # none of it is for who comes next
            sightings.resolve(client)
            sightings.close(client, "what is recorded was no longer collected at its end", since)
        _collector = before
        for client in list(_clients):
            client.collect(before)


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
        if self._pipeline is not None:
            self._pipeline.intake.reopen()
            self._life = Life(self._serve, self._forget)
            await self._life.start(self._pipeline.price.warm_up)
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
        pipeline = getattr(self, "_pipeline", None)
        pending = 0 if pipeline is None else pipeline.pending + sightings.waiting(self)
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
