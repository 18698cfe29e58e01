"""The Kafka sink of both clients: it tells at once what only a person can mend."""

from collections.abc import Callable
from typing import Any

from llmobs.errors import ConfigurationError as LLMObsConfigurationError
from llmobs.errors import LLMObsError, SinkRejectedError, SinkUnauthorizedError
from llmobs.pipeline.sink import Batch
from llmobs.sentinel.config import SentinelConfig, sink_config
from llmobs.sinks.kafka import KafkaSink

__all__ = ["SentinelSink"]


class SentinelSink(KafkaSink):
    """
    The Kafka sink for callers who wait: what only a person can mend is told at once, not retried.

    Args:
        config: Where and how.

    Raises:
        ConfigurationError: A field is wrong, or something is not installed.
    """

    def __init__(self, config: SentinelConfig) -> None:
        self.trouble: LLMObsError | None = None
        """Why the last attempt failed; None if it did not."""
        self._is_connected = False
        # The queue gathers for `linger_ms`; waiting again in the producer would double it.
        ours = sink_config(config, linger_ms=0)
        super().__init__(ours, timeout=config.request_timeout_ms / 1000)

    async def connect(self) -> None:
        """
        Connect before the pipeline has the sink, which then finds it open.

        Raises:
            SinkError, ConfigurationError: Not possible now; see `KafkaSink.open`.
        """
        await super().open()
        self._is_connected = True

    async def open(self) -> None:
        """Connect, unless `connect` just did."""
        if self._is_connected:
            self._is_connected = False
        else:
            await self._attempt(super().open)

    async def send(self, batch: Batch) -> None:
        """Write the batch."""
        await self._attempt(super().send, batch)
        self.trouble = None

    async def _attempt(self, function: Callable[..., Any], *args: Any) -> None:
        try:
            await function(*args)
        except (SinkUnauthorizedError, LLMObsConfigurationError) as error:
            self.trouble = error
            raise SinkRejectedError(str(error)) from error
        except LLMObsError as error:
            self.trouble = error
            raise
