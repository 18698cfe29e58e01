"""The asynchronous client of the LLM Sentinel document."""

from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread

from llmobs.errors import LLMObsError
from llmobs.pipeline.wakeup import call_soon_threadsafe
from llmobs.sentinel._delivery import Delivery, track_event
from llmobs.sentinel.events import TelemetryEvent
from llmobs.sentinel.exceptions import ConnectionError

__all__ = ["AsyncSentinelClient"]


class AsyncSentinelClient(Delivery):
    """
    Sends events to Sentinel over Kafka and awaits until they are there, on asyncio or trio.

    It may be made outside any event loop, and be started, used and closed from different tasks,
    since batching and sending happen in a thread of its own. Tasks that send at the same time
    share batches.

    Args:
        brokers: ``host:port`` of some brokers; by default the environment's.
        config: Used as it is; *brokers* and *kwargs* do not count then.
        kwargs: Fields of `SentinelConfig`; they win over the variables ``SENTINEL_*``.

    Raises:
        ConfigurationError: A field or a variable is wrong; names it.
        TypeError: There is no such field.
    """

    _is_started = False

    async def start(self) -> None:
        """
        Connect; after `close`, anew. Without it, the first event connects.

        Does nothing if that was done. After a failure it may be called again.

        Raises:
            ConnectionError: No broker answers, or it refuses us.
        """
        if self._is_started and not self._closed:
            return
        from llmobs.sentinel._sink import SentinelSink

        sink = SentinelSink(self.config)
        try:
            await sink.connect()
        except LLMObsError as error:
            brokers = ",".join(self.config.brokers)
            raise ConnectionError(f"cannot connect to {brokers}", error) from error
        # From here to the end no other task can run: either this sink is the client's, or nobody's.
        is_used = self._client.statistics().accepted > 0
        if self._closed or not (is_used or self._is_started):
            self._connect(sink)
            self._closed, self._is_started = False, True
        else:
            self._is_started = True
            await sink.aclose()

    async def send(self, event: TelemetryEvent, timeout: float | None = None) -> None:
        """
        Deliver *event* and wait until the cluster has it.

        Args:
            event: It is checked first, then copied: what is done to it later has no effect.
            timeout: Seconds to wait at most, 0 for not at all; by default ``request_timeout_ms``.

        Raises:
            ValidationError: The event is not one that Sentinel would take; nothing is sent.
            SendError: It was refused for good, or the client is closed.
            TimeoutError: Not confirmed in time; it stays queued and may still arrive.
        """
        limit = self._limit(timeout)
        settled = anyio.Event()
        schedule = call_soon_threadsafe()
        receipt = self._offer(event, lambda: schedule(settled.set))
        with anyio.move_on_after(limit):
            await settled.wait()
        self._judge(receipt, limit)

    async def track(
        self,
        service: str,
        model: str,
        prompt: str,
        response: str,
        latency_ms: float,
        prompt_tokens: int,
        completion_tokens: int,
        cost_usd: float,
        finish_reason: str = "stop",
        trace_id: str | None = None,
        span_id: str | None = None,
        metadata: dict[str, str] | None = None,
        errors: list[str] | None = None,
        prompt_embedding: list[float] | None = None,
        response_embedding: list[float] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Describe one call of a model, and `send` that; see `SentinelClient.track`."""
        event = track_event(
            service, model, prompt, response, latency_ms, prompt_tokens, completion_tokens, cost_usd,
            finish_reason, trace_id, span_id, metadata, errors, prompt_embedding, response_embedding,
        )  # fmt: skip
        await self.send(event, timeout)

    async def flush(self) -> None:
        """
        Deliver what other tasks are sending, without waiting for full batches.

        Raises:
            TimeoutError: Something is still waiting after ``request_timeout_ms``.
        """
        limit = self._limit(None)
        started = anyio.current_time()
        await self._client.drain(limit)
        pending = self._client.statistics().pending
        if pending and anyio.current_time() - started >= limit:
            raise self._late(f"{pending} events were", limit)

    async def close(self) -> None:
        """Deliver what waits, for ten seconds at most, and end threads and connections; safe to repeat."""
        self._closed, self._is_started = True, False
        client, sink = self._client, self._sink
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(client.close)
            await sink.aclose()  # it may have been connected and never used

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
