"""
Kafka: ``kafka://b1:9092,b2:9092/topic?compression_type=zstd``.

Prompt calls travel as LLM Sentinel's ``TelemetryEvent``, everything else as llmobs' own JSON on a
second topic. The key is the service's name, so that each service's order holds; headers name the
event. aiokafka runs in an event loop of its own, in a thread: the host may be on asyncio, uvloop
or trio, and compression never holds up its requests.
"""

import os
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import anyio

from llmobs.errors import SinkRejectedError, SinkUnavailableError
from llmobs.pipeline.loop_thread import LoopThread
from llmobs.pipeline.sink import Batch
from llmobs.runtime.forks import ForkLock
from llmobs.sinks._kafkaconfig import KafkaConfig
from llmobs.sinks._kafkaledger import Ledger, Overheard, listen

if TYPE_CHECKING:
    from llmobs.sinks._kafkawriter import KafkaWriter

__all__ = ["KafkaConfig", "KafkaSink"]

T = TypeVar("T")

STOP_SECONDS: Final = 1.5
"""How long a producer with nothing under way may take to say goodbye."""

# A child forked in the middle of an import waits for that import for ever.
_importing = ForkLock()
_inherited: list[object] = []
"""What forks left behind: closing it in the child would disturb the parent's connections."""


class _CurrentLoop:
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


class KafkaSink:
    """
    Writes events to a Kafka cluster and waits until it has them.

    With ``acks=all`` (the default) a delivered event is on every in-sync replica, and while this
    process lives it is written once: idempotence covers the brokers' retries, and a batch whose
    answer came too late is not sent again but waited for again. A restart, a replayed spool or a
    broken producer may repeat events; the header ``event_id`` tells.

    A missing or forbidden *topic* is retried, keeping the events. A missing or forbidden
    *events_topic* drops its events, counted as ``rejected``, so that prompt calls go on.

    Args:
        config: Where and how.
        timeout: Seconds one attempt may take; just under the client's, to say more about it.
    """

    max_batch_events: int | None = None
    max_batch_bytes: int | None = None

    def __init__(self, config: KafkaConfig, *, timeout: float = 30.0) -> None:
        self.config = config
        self.name = f"kafka:{config.topic}"
        self._deadline = timeout * 0.95
        self._reset()

    def _reset(self) -> None:
        self._runner: LoopThread | _CurrentLoop | None = None
        self._writer: KafkaWriter | None = None
        self._ledger = Ledger()
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"KafkaSink({self.config!r})"

    @classmethod
    def from_url(cls, url: str, settings: Any) -> Self:
        """
        Build one for ``kafka://host:port,host:port/topic?option=value``.

        Raises:
            ConfigurationError: An option is unknown or wrong; names it.
        """
        return cls(KafkaConfig.from_url(url), timeout=settings.timeout)

    async def open(self) -> None:
        """
        Start a producer and connect it.

        Raises:
            SinkUnavailableError: No broker answers.
            SinkUnauthorizedError: The login, or idempotent writing, is refused.
            ConfigurationError: The brokers' certificate is not trusted, or they are too old.
        """
        await self._close()
        overheard = Overheard()
        runner = _new_runner(overheard)
        try:
            self._writer = await runner.call(self._start, overheard)
            self._runner = runner
        except BaseException:
            await self._end(runner)
            raise

    async def _start(self, overheard: Overheard) -> "KafkaWriter":
        # In the sink's own thread: importing aiokafka takes 0.2 s.
        with _importing:
            import encodings.idna  # noqa: F401 - looking up a host name does

            from llmobs.sinks._kafkawriter import KafkaWriter

        writer = KafkaWriter(self.config, self._deadline, self._ledger, overheard)
        await writer.start()
        return writer

    async def send(self, batch: Batch) -> None:
        """
        Write the batch and wait for the confirmations.

        Raises:
            SinkUnavailableError: Not confirmed in time, or the topic is missing.
            SinkUnauthorizedError: Writing to the topic is refused.
            SinkTooLargeError: An event, or a batch of them, is larger than the topic takes.
            SinkRejectedError: *events_topic* is missing or forbidden; names its events.
        """
        if self._writer is None or self._runner is None:
            await self.open()
        assert self._writer is not None and self._runner is not None
        try:
            await self._runner.call(self._writer.write, batch.events)
        except CancelledError:  # of the private loop's task, not ours: it is ending
            raise SinkUnavailableError("the sink was closed meanwhile") from None
        except SinkRejectedError:
            self._ledger.acknowledge(batch.events)
            raise
        finally:
            if self._writer is not None and self._writer.broken:
                await self._close()
        self._ledger.acknowledge(batch.events)

    async def aclose(self) -> None:
        """Close the connections, end the loop and its thread."""
        await self._close()

    async def _close(self) -> None:
        if self._pid != os.getpid():
            _inherited.append((self._runner, self._writer, self._ledger))
            self._reset()
        runner, self._runner = self._runner, None
        writer, self._writer = self._writer, None
        if runner is not None and writer is not None:
            # Shielded, because half an ending would leak sockets; and it has its own deadline.
            with anyio.move_on_after(2 * STOP_SECONDS, shield=True):
                await runner.call(writer.stop, STOP_SECONDS)
            await self._end(runner)

    async def _end(self, runner: LoopThread | _CurrentLoop) -> None:
        await runner.aclose()
        if isinstance(runner, LoopThread):
            listen(runner.ident, None)
        self._ledger.forget_unanswered()


def _new_runner(overheard: Overheard) -> LoopThread | _CurrentLoop:
    try:
        thread = LoopThread("llmobs-kafka")
    except RuntimeError:
        return _CurrentLoop()
    listen(thread.ident, overheard)
    return thread
