"""What every way in hands its events to: prepared, and on disk before anybody is answered."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from llmobs.errors import LLMObsError, SinkRejectedError, SinkUnavailableError, StoreError
from llmobs.events import Event
from llmobs.pipeline.thread import BlockingThread
from llmobs.redaction.events import PROCESS_KEY
from llmobs.runtime.troubles import Troubles
from llmobs.server.preparing import Preparation, Read, ReadsBody
from llmobs.server.projects import keep_apart
from llmobs.server.room import Room
from llmobs.server.workers import Workers
from llmobs.settings import Settings
from llmobs.store.engine import WritesStore
from llmobs.store.filed import Filed

__all__ = ["Collector"]

T = TypeVar("T")
R = TypeVar("R", bound=Read)

MAX_EVENTS: Final = 50_000
"""That may be under way at once."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of bodies and records under way at once."""
COMMIT_EVENTS: Final = 4_000
"""Of requests that share a commit, beyond which the next one begins."""
TURN_SECONDS: Final = 0.25
"""How often a body that waits for the thread that prepares asks whether a worker can do it."""
REOPEN_SECONDS: Final = 1.0
"""Between two attempts to open a store that cannot be opened."""


class _Request:
    """Events that came together, until they are settled."""

    __slots__ = ("answer", "error", "events", "links", "project", "refused")

    def __init__(
        self,
        events: list[Event | Filed],
        links: Sequence[Any],
        project: str | None,
        answer: asyncio.Future[Mapping[str, str]],
    ) -> None:
        self.events = events
        self.links = links
        self.project = project
        self.answer = answer
        self.refused: Mapping[str, str] = {}
        self.error: Exception | None = None


class _Step:
    """Something else to do with the store, between two transactions."""

    __slots__ = ("answer", "function")

    def __init__(self, function: Callable[[WritesStore], Any], answer: asyncio.Future[Any]) -> None:
        self.function = function
        self.answer = answer


class Collector:
    """
    Takes events, does to each what is done to those recorded in process, and stores them.

    What waits together is written in one transaction, from one thread; whoever handed it in is told
    when it is on disk. It belongs to one event loop of asyncio.

    Args:
        open_store: Opens the store so that what it acknowledges is on disk. Called in a thread, and
            again when the store could not be used.
        settings: Redaction, content and prices are as they say.
        max_events: Events that may be under way at once.
        max_bytes: Bytes of what they came in, likewise.
        workers: How many processes may read and prepare beside this one, while there is work for them.
            Their settings are those of the environment: 0 where *settings* are others.
        when_loaded: Called in a thread once all is loaded that the first event would wait for.

    Raises:
        ConfigurationError: The rules of redaction cannot be used.
    """

    def __init__(
        self,
        open_store: Callable[[], WritesStore],
        settings: Settings,
        *,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
        workers: int = 0,
        when_loaded: Callable[[], None] = lambda: None,
    ) -> None:
        self._open_store = open_store
        self._when_loaded = when_loaded
        self.room = Room(max_events=max_events, max_bytes=max_bytes)
        """What is under way takes it up."""
        self._preparation = Preparation(settings)
        self._workers = Workers(workers if self._preparation.may_be_divided else 0, PROCESS_KEY)
        self._failures_elsewhere = 0
        self._reading = 0
        """Bodies that wait for the thread that prepares, or are in it."""
        self._in_turn = asyncio.Lock()
        self._troubles = Troubles()
        self.stored = 0
        """Events acknowledged since the start."""
        self.refused = 0
        """Events that could not be stored in any form."""
        self.trouble: LLMObsError | None = None
        """Why the store cannot be used now; None if it can."""
        self._writer: WritesStore | None = None
        self._opened_at = -REOPEN_SECONDS
        self._salt = b""
        """Of the store, once something was written to it."""
        self._waiting: SimpleQueue[_Request | _Step | None] = SimpleQueue()
        self._preparing: BlockingThread | None = None
        self._writing: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way: set[asyncio.Task[Mapping[str, str]]] = set()
        self._caring: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start: threads, and the store, whose trouble is kept in `trouble` rather than raised."""
        self._loop = asyncio.get_running_loop()
        self._preparing = BlockingThread("llmobs-prepare")
        self._writing = threading.Thread(target=self._write_all, name="llmobs-write", daemon=True)
        self._writing.start()
        self._preparing.then(self._preparation.warm_up)
        self._preparing.then(self._when_loaded)
        self._caring = asyncio.create_task(self._workers.look_after())

    async def aclose(self) -> None:
        """Store what is under way, and end."""
        while self._under_way:
            await asyncio.wait(self._under_way)
        if self._caring is not None:
            self._caring.cancel()
            self._workers.close()
        if self._writing is not None and self._preparing is not None:
            self._preparing.stop()
            self._waiting.put(None)
            await asyncio.to_thread(self._writing.join)
        self._writing = self._preparing = None
        self._preparation.close()

    async def work(self, function: Callable[..., T], *args: object) -> T:
        """Run what takes the processor for longer than a millisecond (decoding) beside the event loop."""
        assert self._preparing is not None
        return await self._preparing.call(function, *args)

    async def read(self, read: ReadsBody[R], kind: type[R], body: bytes, project: str | None) -> R:
        """
        Read *body* and prepare what it brings: here, or in a worker where that is quicker.

        Args:
            read: Reads it.
            kind: What that returns.
            body: What came.
            project: Whose its events are, whatever they say; None: as they say.

        Raises:
            RefusedError: As *read* does.
        """
        while True:
            # What is to be stored is this process's work, too.
            others = self._reading + len(self._under_way)
            found, failures = await self._workers.read(
                read, kind, body, project, salt=self._salt, others=others
            )
            self._failures_elsewhere += failures
            if found is not None:
                return found
            self._reading += 1
            try:
                if not await self._its_turn():
                    continue
                try:
                    return await self.work(self._read, read, body, project)
                finally:
                    self._in_turn.release()
            finally:
                self._reading -= 1

    async def _its_turn(self) -> bool:
        """Wait for the turn to use the thread that prepares; return False if a worker has time before."""
        turn = asyncio.ensure_future(self._in_turn.acquire())
        try:
            while not (await asyncio.wait({turn}, timeout=TURN_SECONDS))[0]:
                if self._workers.have_time(self._reading - 1 + len(self._under_way)):
                    return False
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._in_turn.release()
            raise
        finally:
            turn.cancel()
        return True

    def _read(self, read: ReadsBody[R], body: bytes, project: str | None) -> R:
        with self._workers.noting():
            return self._preparation.read(read, body, project)

    @property
    def is_busy(self) -> bool:
        """Whether something is being read, prepared or stored."""
        return self.room.bytes > 0 or self.room.events > 0

    @property
    def redaction_failures(self) -> int:
        """Values, or events, left out since a function of the operator's failed or took too long."""
        return self._preparation.failures + self._failures_elsewhere

    async def store(
        self,
        events: Sequence[Event | Filed],
        *,
        project: str | None = None,
        is_prepared: bool = False,
        size: int = 0,
        links: Sequence[Any] = (),
    ) -> Mapping[str, str]:
        """
        Store *events*, and return when they are on disk.

        One whose id is there already counts as stored. Who is cancelled meanwhile leaves them here:
        they are stored all the same.

        Args:
            events: What came; nobody else holds them.
            project: Whose they are, whatever they say; None: as they say.
            is_prepared: Whether they come from `read`, which has done to them what is done.
            size: Bytes they came in, where that is no body of a request (those are counted already).
            links: What is stored with them, in the same transaction.

        Returns:
            The ids of events that cannot be stored in any form, with the reason.

        Raises:
            BusyError: There is no room; nothing was stored.
            StoreError: The store cannot be used until somebody mends it; nothing was stored.
            SinkUnavailableError: Not now: locked, full, read-only; nothing was stored.
        """
        if not events and not links:
            return {}
        self.room.take_up(size, events=len(events))
        task = asyncio.create_task(self._settled(events, project, is_prepared, size, links))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def upkeep(self, step: Callable[[WritesStore], T]) -> T:
        """
        Run *step*, some milliseconds of work on the store, in the thread that writes.

        Raises:
            StoreError: The store cannot be used until somebody mends it.
            SinkUnavailableError: Not now.
        """
        assert self._loop is not None
        answer: asyncio.Future[T] = self._loop.create_future()
        self._waiting.put(_Step(step, answer))
        return await answer

    async def check(self) -> LLMObsError | None:
        """Begin and end a transaction; return why that cannot be done, or None."""
        with suppress(LLMObsError):
            await self._hand_in([], (), None)
        return self.trouble

    async def _settled(
        self,
        events: Sequence[Event | Filed],
        project: str | None,
        is_prepared: bool,
        size: int,
        links: Sequence[Any],
    ) -> Mapping[str, str]:
        try:
            if is_prepared:
                ready = list(events)
            else:
                ready = await self.work(self._preparation.prepare, events, project)
            refused = await self._hand_in(ready, links, project)
        finally:
            self.room.leave(size, events=len(events))
        self.stored += len(events) - len(refused)
        self.refused += len(refused)
        return refused

    async def _hand_in(
        self, events: list[Event | Filed], links: Sequence[Any], project: str | None
    ) -> Mapping[str, str]:
        assert self._loop is not None
        request = _Request(events, links, project, self._loop.create_future())
        self._waiting.put(request)
        return await request.answer

    # In the thread that writes.

    def _write_all(self) -> None:
        self._write([])  # whether the store can be used is known, and said, before the first event
        while (first := self._waiting.get()) is not None:
            goes_on = self._turn(first)
            del first  # what was stored is nobody's any more, while nothing comes
            if not goes_on:
                break
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _turn(self, first: _Request | _Step) -> bool:
        """Do what waits together with *first*, or some of it; return whether more may come."""
        if isinstance(first, _Step):
            self._do(first)
            return True
        requests = [first]
        step = None
        count = len(first.events)
        ended = False
        while count < COMMIT_EVENTS:
            try:
                another = self._waiting.get_nowait()
            except Empty:
                break
            if another is None:
                ended = True
                break
            if isinstance(another, _Step):
                step = another
                break
            requests.append(another)
            count += len(another.events)
        self._write(requests)
        assert self._loop is not None
        self._loop.call_soon_threadsafe(_tell, requests)
        if step is not None:
            self._do(step)
        return not ended

    def _do(self, step: _Step) -> None:
        assert self._loop is not None
        try:
            resolve, outcome = step.answer.set_result, step.function(self._store())
        except Exception as error:  # noqa: BLE001 - told to who asked
            resolve, outcome = step.answer.set_exception, error
        self._loop.call_soon_threadsafe(_resolve, step.answer, resolve, outcome)

    def _write(self, requests: Sequence[_Request]) -> None:
        try:
            store = self._store()
            keep_apart(requests, store.projects_of)
            events = [event for request in requests for event in request.events]
            links = [link for request in requests for link in request.links]
            with_links = {"links": links} if links else {}
            try:
                store.write(events, **with_links)
            finally:
                self._salt = store.salt
        except SinkRejectedError as error:
            for request in requests:
                own = {event.event_id for event in request.events}
                request.refused = {id: why for id, why in error.events.items() if id in own}
        except (StoreError, SinkUnavailableError) as error:
            self._fail(requests, error)
            return
        except Exception as error:  # noqa: BLE001 - told to each who waits
            if len(requests) != 1:  # one of them is at fault: the others are stored
                for request in requests:
                    self._write([request])
            else:
                self._troubles.log("write", "llmobs: cannot store what came: %r", error)
                requests[0].error = error
            return
        if self.trouble is not None:
            self._troubles.log("mended", "llmobs: the store can be used again", level=logging.INFO)
        self.trouble = None

    def _fail(self, requests: Sequence[_Request], error: LLMObsError) -> None:
        self.trouble = error
        self._troubles.log("store", "llmobs: nothing can be stored: %s", error)
        for request in requests:
            request.error = error
        if isinstance(error, StoreError) and self._writer is not None:
            self._writer.close()  # whoever mends it may put another file there
            self._writer = None

    def _store(self) -> WritesStore:
        if self._writer is None:
            since = time.monotonic() - self._opened_at
            if since < REOPEN_SECONDS and self.trouble is not None:
                raise self.trouble
            self._opened_at = time.monotonic()
            self._writer = self._open_store()
        return self._writer


def _resolve(answer: asyncio.Future[Any], resolve: Callable[[Any], None], outcome: Any) -> None:
    if not answer.done():  # who asked may be gone
        resolve(outcome)


def _tell(requests: Sequence[_Request]) -> None:
    for request in requests:
        if request.answer.done():
            continue
        if request.error is not None:
            request.answer.set_exception(request.error)
        else:
            request.answer.set_result(request.refused)
