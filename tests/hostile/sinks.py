"""A sink that writes each event as every sink would, without a network."""

import traceback
from typing import Any

from llmobs.codec import decode, encode
from llmobs.events import PromptCallEvent
from llmobs.pipeline.sink import Batch
from llmobs.sinks._otlp_protobuf import LogRequest, TraceRequest
from llmobs.sinks._otlp_records import is_log
from llmobs.sinks._sentinel import native, telemetry
from llmobs.sinks._watchllm import to_watchllm
from llmobs.sinks.console import describe


class EverySink:
    """Reads back what it writes, and keeps their ids, and what failed."""

    name = "every"
    max_batch_events: int | None = None
    max_batch_bytes: int | None = None

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.failed: set[str] = set()

    async def open(self) -> None:
        """Nothing to open."""

    async def send(self, batch: Batch) -> None:
        """Write and read each event in every form."""
        for event in batch.events:
            try:
                write(event)
            except Exception:
                self.failed.add(f"{type(event).__name__}: {traceback.format_exc(limit=-3)}")
            self.ids.append(event.event_id)

    async def aclose(self) -> None:
        """Nothing to close."""


def write(event: Any) -> None:
    """Write *event* in every form, and read it back from ours."""
    data = encode(event)
    again = decode(data)
    assert (again.event_id, again.run_id) == (event.event_id, event.run_id)
    describe(event).encode()
    encode(to_watchllm(event))
    native(event, data)
    if isinstance(event, PromptCallEvent):
        telemetry(event)
    request = LogRequest() if is_log(event) else TraceRequest()
    request.add(event)
    request.to_bytes()
