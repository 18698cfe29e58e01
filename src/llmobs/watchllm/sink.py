"""The HTTP sink with the debug lines that the WatchLLM document speaks of."""

import time
from typing import Final

from llmobs.errors import SinkError
from llmobs.pipeline.sink import Batch
from llmobs.runtime.log import own_logger
from llmobs.sinks import safe_url
from llmobs.sinks.http import HTTPSink

__all__ = ["LoggingHTTPSink"]

logger: Final = own_logger("watchllm")


class LoggingHTTPSink(HTTPSink):
    """
    Speaks WatchLLM's wire, and tells of batches and answers at DEBUG.

    Args:
        base_url: Where the API is.
        api_key: The key.
        timeout: Seconds one request may take.
    """

    def __init__(self, base_url: str, api_key: str, *, timeout: float) -> None:
        super().__init__(base_url, api_key, wire="watchllm", timeout=timeout)
        # What trouble is logged under: the document says to check the way to this URL.
        self.name = safe_url(base_url)

    async def send(self, batch: Batch) -> None:
        """Post the batch; see `HTTPSink.send`."""
        logger.debug("sending %d events to %s/events/batch", len(batch), self.name)
        began = time.perf_counter()
        try:
            await super().send(batch)
        except SinkError as error:
            logger.debug("answer after %.0f ms: %s", _ms_since(began), error)
            raise
        logger.debug("answer after %.0f ms: %d events stored", _ms_since(began), len(batch))


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
