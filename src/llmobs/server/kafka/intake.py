"""
From Kafka into the store: read, hand to the collector, and only then commit.

The Kafka side has an event loop of its own, in a thread; here, in the collector's loop, is decided
what becomes of what it reads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import Any, Final, Self, TypeVar

import msgspec

from llmobs.errors import (
    ConfigurationError,
    LLMObsError,
    SinkUnauthorizedError,
    SinkUnavailableError,
    StoreError,
)
from llmobs.events import Event
from llmobs.pipeline.health import UNAUTHORIZED_PAUSE, backoff
from llmobs.pipeline.loop_thread import LoopThread
from llmobs.runtime.troubles import Troubles
from llmobs.server.collector import Collector
from llmobs.server.kafka.batches import records_in
from llmobs.server.kafka.reader import Dead, Errors, Fetched, KafkaReader
from llmobs.server.kafka.records import ReadRecords, packed, read_records
from llmobs.server.kafka.source import KafkaSource
from llmobs.server.room import BusyError
from llmobs.sinks._kafkaledger import listen
from llmobs.store.filed import Filed

__all__ = ["KafkaIntake", "KafkaState"]

READ_BYTES: Final = 256 * 1024
"""Of records read and prepared at once: several processes may share in what comes."""
CHUNK_BYTES: Final = 4 * 1024 * 1024
"""Of records stored at once."""
MAX_PAUSE: Final = 5.0
"""Before a store that could not be used is tried again, in seconds."""
STOP_SECONDS: Final = 10.0
"""How long what is in hand may take to be stored when the collector ends."""

T = TypeVar("T")
C = TypeVar("C")


class Part(msgspec.Struct):
    """A record that was read, and the event in it, which is prepared."""

    record: Any
    event: Event | Filed

    @property
    def partition(self) -> tuple[str, int]:
        """Whence it came: the topic, and the number."""
        return self.record.topic, self.record.partition


class KafkaState(StrEnum):
    """How reading fares."""

    CONNECTING = "connecting"
    """No broker has answered yet, or none does any more."""
    READING = "reading"
    """Records are stored as they come."""
    WAITING = "waiting"
    """The store, or the dead-letter topic, takes nothing now; partitions are paused."""
    STOPPED = "stopped"
    """Not begun, or over."""


class _StopError(Exception):
    """The collector ends: what is in hand is left to the next one."""


class KafkaIntake:
    """
    Reads topics of Kafka into the collector, as a member of a consumer group.

    Offsets are committed after their events are on disk; events have the same id each time they are
    read. So nothing is lost and nothing is stored twice, whoever of the group reads it, however often.

    An asynchronous context manager: at its end, what is in hand is stored and committed.

    Args:
        collector: Where events go; it must be open meanwhile.
        source: What to read.
    """

    def __init__(self, collector: Collector, source: KafkaSource) -> None:
        self._collector = collector
        self._source = source
        self._troubles = Troubles()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reader: KafkaReader | None = None
        self._failures = 0
        self.state = KafkaState.STOPPED
        """How it fares."""
        self.stored = 0
        """Records whose events are on disk, each time they were read."""
        self.dead = 0
        """Records written to a dead-letter topic."""

    @property
    def lag(self) -> int:
        """Records known to wait in this collector's partitions."""
        return 0 if self._reader is None else sum(self._reader.lag.values())

    async def run(self) -> None:
        """Read until cancelled; then, what is in hand is still stored and committed."""
        async with self:
            await asyncio.Event().wait()

    async def __aenter__(self) -> Self:
        """Begin to read, in a task; the brokers may be away."""
        self.state = KafkaState.CONNECTING
        self._task = asyncio.create_task(self._run(), name="llmobs-kafka")
        return self

    async def __aexit__(self, *error: object) -> None:
        """Store and commit what is in hand, and leave the group."""
        self._stopping.set()
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=STOP_SECONDS)
            if not done:
                self._task.cancel()
                with suppress(asyncio.CancelledError):
                    await self._task
        self.state = KafkaState.STOPPED

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._membership()
                return
            except _StopError:
                return
            except LLMObsError as error:
                trouble: Exception = error
            except Exception as error:  # noqa: BLE001 - a library's; reading must go on
                trouble = RuntimeError(repr(error))
            self.state = KafkaState.CONNECTING
            self._say(trouble)
            hopeless = isinstance(trouble, (SinkUnauthorizedError, ConfigurationError))
            self._failures += 1
            with suppress(_StopError):
                await self._pause(UNAUTHORIZED_PAUSE if hopeless else backoff(self._failures))

    async def _membership(self) -> None:
        """Read until something ends it."""
        heard = Errors()
        runner = LoopThread("llmobs-kafka-in")
        listen(runner.ident, heard)
        reader = KafkaReader(self._source, heard)
        try:
            await self._until_stopped(runner, reader)
            self._reader = reader
            while not self._stopping.is_set():
                fetched = await runner.call(reader.read)
                if reader.trouble is not None:
                    self._say(reader.trouble)
                self.state = KafkaState.CONNECTING if reader.trouble else KafkaState.READING
                if fetched is not None:
                    self._failures = 0
                    await self._store(runner, reader, fetched)
        finally:
            self._reader = None
            with suppress(Exception):
                await asyncio.shield(_end(runner, reader))

    async def _until_stopped(self, runner: LoopThread, reader: KafkaReader) -> None:
        """Start *reader*; a cluster that is away does not hold up the end."""
        starting = asyncio.ensure_future(runner.call(reader.start))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                raise _StopError
            await starting
        finally:
            starting.cancel()
            stopping.cancel()

    async def _store(self, runner: LoopThread, reader: KafkaReader, fetched: Fetched) -> None:
        read = [self._read(records) for records in _chunks(fetched.records, READ_BYTES)]
        dead = list(fetched.dead)
        parts: list[Part] = []
        for its_parts, its_dead in await asyncio.gather(*read):
            parts += its_parts
            dead += its_dead
        for chunk in _chunks(parts, CHUNK_BYTES):
            dead += await self._store_parts(runner, reader, chunk)
        if dead:
            await self._patiently(partial(runner.call, reader.bury, dead))
            count = sum(records_in(record) for record, _ in dead)
            self.dead += count
            record, why = dead[-1]
            self._troubles.log(
                "dead",
                "llmobs: kafka: %d records went to the dead-letter topic of %s; the last one, "
                "offset %d of partition %d: %s",
                count,
                record.topic,
                record.offset,
                record.partition,
                why,
            )
        await runner.call(reader.commit, fetched.offsets)

    async def _read(self, records: Sequence[Any]) -> tuple[list[Part], list[Dead]]:
        """Return what *records* hold, prepared; and those that hold nothing, with the reason."""
        try:
            read = await self._collector.read(read_records, ReadRecords, packed(records), None)
        except Exception as error:  # noqa: BLE001 - one of them is at fault
            if len(records) == 1:
                return [], [(records[0], f"cannot be read: {error!r}")]
            half = len(records) // 2
            (parts, dead), (more, dead_too) = [
                await self._read(some) for some in (records[:half], records[half:])
            ]
            return parts + more, dead + dead_too
        parts = [
            Part(records[i], event) for i, event in zip(read.indexes, read.events, strict=True)
        ]
        return parts, [(records[index], why) for index, why in read.unread.items()]

    async def _store_parts(
        self, runner: LoopThread, reader: KafkaReader, parts: Sequence[Part]
    ) -> list[Dead]:
        """Store *parts*, however long that takes; return what can never be stored."""
        tried = False

        async def attempt() -> list[Dead]:
            nonlocal tried
            # Whose partition went to another collector meanwhile, that one stores.
            lost = await runner.call(reader.lost) if tried else ()
            tried = True
            return await self._offer([part for part in parts if part.partition not in lost])

        return await self._patiently(attempt)

    async def _offer(self, parts: Sequence[Part]) -> list[Dead]:
        size = sum(map(_size, parts))
        try:
            refused = await self._collector.store(
                [part.event for part in parts], is_prepared=True, size=size
            )
        except (BusyError, StoreError, SinkUnavailableError):
            raise
        except Exception as error:  # noqa: BLE001 - one of them is at fault, and the others are stored
            refused = {part.event.event_id: f"cannot be stored: {error!r}" for part in parts}
            found = []
        else:
            self.stored += len(parts) - len(refused)
            found = [part for part in parts if part.event.event_id in refused]
        if len(found) == len(refused):
            return [(part.record, refused[part.event.event_id]) for part in found]
        if len(parts) == 1:
            return [(parts[0].record, next(iter(refused.values())))]
        half = len(parts) // 2
        return await self._offer(parts[:half]) + await self._offer(parts[half:])

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what *attempt* does, once nothing is in its way."""
        failures = 0
        while True:
            try:
                return await attempt()
            except BusyError as error:  # there is no trouble; there is much to do
                pause = error.retry_after
            except (StoreError, SinkUnavailableError) as error:
                failures += 1
                pause = min(backoff(failures), MAX_PAUSE)
                self._say(error)
            self.state = KafkaState.WAITING
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
            raise _StopError

    def _say(self, trouble: object) -> None:
        self._troubles.log(
            "kafka", "llmobs: kafka: %s; nothing is lost, reading goes on when it is over", trouble
        )


def _size(of: Any) -> int:
    """Return the bytes of a record's value, or of a part's."""
    record = of.record if type(of) is Part else of
    return len(record.value or b"")


def _chunks(of: Sequence[C], most: int) -> Iterator[list[C]]:
    """Cut records or parts to chunks of *most* bytes; one alone may be larger."""
    chunk: list[C] = []
    size = 0
    for one in of:
        if chunk and size + _size(one) > most:
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += _size(one)
    if chunk:
        yield chunk


async def _end(runner: LoopThread, reader: KafkaReader) -> None:
    try:
        await runner.call(reader.stop)
    finally:
        listen(runner.ident, None)
        await runner.aclose()
