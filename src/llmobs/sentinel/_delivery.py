"""What both clients do alike: one llmobs client with the Kafka sink, and what became of an event."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Self

from llmobs.capture.building import OVERHEAD_BYTES
from llmobs.client.sync_client import Client
from llmobs.codec import weigh
from llmobs.errors import DeliveryError
from llmobs.pipeline.statistics import DropReason
from llmobs.runtime.log import own_logger
from llmobs.sentinel._mapping import to_prompt_call
from llmobs.sentinel.config import SentinelConfig
from llmobs.sentinel.events import PromptInfo, ResponseInfo, TelemetryEvent
from llmobs.sentinel.exceptions import (
    SendError,
    SentinelError,
    TimeoutError,
    ValidationError,
)
from llmobs.settings import Settings

if TYPE_CHECKING:
    from llmobs.sentinel._sink import SentinelSink

__all__ = ["Delivery", "Receipt", "track_event"]

logger = own_logger("llmobs")

CLOSED: Final = "the client is closed"


class Receipt:
    """
    What became of one event.

    Args:
        notify: Called, from any thread, when it is known.
    """

    def __init__(self, notify: Callable[[], object]) -> None:
        self.is_settled = False
        self.reason: DropReason | None = None
        self.words: str | None = None
        self._notify = notify

    def acknowledge(self, reason: DropReason | None, words: str | None) -> None:
        """Take note: delivered, or dropped for *reason* in the sink's *words*."""
        self.reason, self.words, self.is_settled = reason, words, True
        self._notify()


class Delivery:
    """
    A client for Sentinel, without the line that waits.

    Args:
        brokers: ``host:port`` of some brokers; by default the environment's.
        config: Used as it is; *brokers* and *kwargs* do not count then.
        kwargs: Fields of `SentinelConfig`; they win over the variables ``SENTINEL_*``.

    Raises:
        ConfigurationError: A field or a variable is wrong; names it.
        TypeError: There is no such field.
    """

    def __init__(
        self,
        brokers: list[str] | None = None,
        config: SentinelConfig | None = None,
        **kwargs: Any,
    ) -> None:
        if config is None:
            if brokers is not None:
                kwargs["brokers"] = brokers
            config = SentinelConfig.from_env(**kwargs)
        elif brokers is not None or kwargs:
            logger.warning("llmobs: sentinel: config is given, so brokers and keywords are unused")
        self.config = config
        self._closed = False
        # Imported here: it brings pydantic, which importing `llmobs.sentinel` does without.
        from llmobs.sentinel._sink import SentinelSink

        self._connect(SentinelSink(config))

    @classmethod
    def from_env(cls, **kwargs: Any) -> Self:
        """
        Return a client configured by the variables ``SENTINEL_*``.

        Args:
            kwargs: Fields of `SentinelConfig` that win over the environment.

        Raises:
            ConfigurationError: A field or a variable is wrong; names it.
        """
        return cls(config=SentinelConfig.from_env(**kwargs))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config!r})"

    def _connect(self, sink: SentinelSink) -> None:
        """Make the client for *sink*; neither starts before the first event."""
        config = self.config
        self._sink = sink
        self._client = Client(
            sink=sink,
            sample_rate=1.0,
            redact_pii=_redacts(),
            flush_interval_seconds=max(config.linger_ms, 1) / 1000,
            timeout=config.request_timeout_ms / 1000,
            max_queue_bytes=max(config.buffer_memory, 1024),
            # Whoever cannot be taken in is told so; nobody who waits already has to go.
            overflow="drop_newest",
            # `send` waits for Kafka; an event that is on disk first would not be delivered yet.
            durability="memory",
        )

    def _offer(self, event: TelemetryEvent, notify: Callable[[], object]) -> Receipt:
        """Hand *event* over, and return what will tell its fate."""
        if not isinstance(event, TelemetryEvent):
            raise ValidationError(f"event must be a TelemetryEvent, not {type(event).__name__}")
        call = to_prompt_call(event)
        if self._closed:
            raise SendError(CLOSED)
        receipt = Receipt(notify)
        if not self._client.enabled:
            receipt.acknowledge(None, None)  # LLMOBS_ENABLED=false: nothing leaves this process
            return receipt
        held = (call.prompt, call.response, call.metadata, call.errors,
                call.prompt_embedding, call.response_embedding)  # fmt: skip
        size = OVERHEAD_BYTES + sum(map(weigh, held))
        self._client.record(call, None, size, False, done=receipt.acknowledge)
        return receipt

    def _limit(self, timeout: float | None) -> float:
        """Return *timeout*, or the default, in seconds."""
        if timeout is None:
            return self.config.request_timeout_ms / 1000
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
            raise ValidationError(f"timeout must be a number of seconds >= 0, not {timeout!r}")
        return timeout if math.isfinite(timeout) else 1e9

    def _judge(self, receipt: Receipt, limit: float) -> None:
        """Raise what *receipt* amounts to after waiting for *limit* seconds."""
        if not receipt.is_settled:
            raise self._late("the event was", limit)
        if receipt.reason is not None:
            words = receipt.words or f"dropped: {receipt.reason}"
            cause = self._sink.trouble or DeliveryError(words, reason=str(receipt.reason))
            raise SendError(f"the event was not delivered ({receipt.reason}): {words}", cause)

    def _late(self, what: str, limit: float) -> SentinelError:
        return TimeoutError(
            f"{what} not confirmed within {limit:g} s, and may still arrive", self._sink.trouble
        )


def track_event(
    service: str,
    model: str,
    prompt: str,
    response: str,
    latency_ms: float,
    prompt_tokens: int,
    completion_tokens: int,
    cost_usd: float,
    finish_reason: str,
    trace_id: str | None,
    span_id: str | None,
    metadata: dict[str, str] | None,
    errors: list[str] | None,
    prompt_embedding: list[float] | None,
    response_embedding: list[float] | None,
) -> TelemetryEvent:
    """Return the event that the arguments of ``track`` describe."""
    return TelemetryEvent(
        service_name=service,
        model=model,
        prompt=PromptInfo(prompt, prompt_tokens, prompt_embedding),
        response=ResponseInfo(response, completion_tokens, finish_reason, response_embedding),
        latency_ms=latency_ms,
        cost_usd=cost_usd,
        trace_id=trace_id,
        span_id=span_id,
        metadata={} if metadata is None else metadata,
        errors=[] if errors is None else errors,
    )


def _redacts() -> bool:
    """Off, as in the original (Sentinel's server has its own), unless the environment says so."""
    settings = Settings()
    return settings.redact_pii and "redact_pii" in settings.given
