"""The clients of the LLM Sentinel document."""

import threading
import time
from types import TracebackType
from typing import Self

from llmobs.sentinel._async_client import AsyncSentinelClient
from llmobs.sentinel._delivery import Delivery, track_event
from llmobs.sentinel.events import TelemetryEvent

__all__ = ["AsyncSentinelClient", "SentinelClient"]


class SentinelClient(Delivery):
    """
    Sends events to Sentinel over Kafka and waits until they are there; from any thread.

    Threads that send at the same time share batches. Nothing connects before the first event.

    Args:
        brokers: ``host:port`` of some brokers; by default the environment's.
        config: Used as it is; *brokers* and *kwargs* do not count then.
        kwargs: Fields of `SentinelConfig`; they win over the variables ``SENTINEL_*``.

    Raises:
        ConfigurationError: A field or a variable is wrong; names it.
        TypeError: There is no such field.
    """

    def send(self, event: TelemetryEvent, timeout: float | None = None) -> None:
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
        settled = threading.Event()
        receipt = self._offer(event, settled.set)
        settled.wait(min(limit, threading.TIMEOUT_MAX))
        self._judge(receipt, limit)

    def track(
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
        """
        Describe one call of a model, and `send` that.

        Args:
            service: Name of the calling service.
            model: The model asked.
            prompt: What it was asked.
            response: What it answered.
            latency_ms: Milliseconds it took.
            prompt_tokens: Tokens of the prompt.
            completion_tokens: Tokens of the answer.
            cost_usd: US dollars it cost.
            finish_reason: Why the model stopped.
            trace_id: Trace it belongs to.
            span_id: Span it belongs to.
            metadata: Texts by name.
            errors: What went wrong.
            prompt_embedding: Embedding of the prompt.
            response_embedding: Embedding of the answer.
            timeout: Seconds to wait at most; see `send`.

        Raises:
            ValidationError: An argument is not what Sentinel would take; nothing is sent.
            SendError: It was refused for good, or the client is closed.
            TimeoutError: Not confirmed in time; it stays queued and may still arrive.
        """
        event = track_event(
            service, model, prompt, response, latency_ms, prompt_tokens, completion_tokens, cost_usd,
            finish_reason, trace_id, span_id, metadata, errors, prompt_embedding, response_embedding,
        )  # fmt: skip
        self.send(event, timeout)

    def flush(self, timeout: float | None = None) -> None:
        """
        Deliver what other threads are sending, without waiting for full batches.

        Args:
            timeout: Seconds to wait at most; by default ``request_timeout_ms``.

        Raises:
            TimeoutError: Something is still waiting.
        """
        limit = self._limit(timeout)
        deadline = time.monotonic() + limit
        report = self._client.flush(limit)
        if report.pending and time.monotonic() >= deadline:
            raise self._late(f"{report.pending} events were", limit)

    def close(self) -> None:
        """Deliver what waits, for ten seconds at most, and end threads and connections; safe to repeat."""
        self._closed = True
        self._client.close()

    def __enter__(self) -> Self:
        if self._closed:
            from llmobs.sentinel._sink import SentinelSink

            self._connect(SentinelSink(self.config))
            self._closed = False
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
