"""OpenTelemetry's SDK: one span an event, batch processor, OTLP over HTTP."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

HOW = "one span with GenAI attributes an event, BatchSpanProcessor, OTLP/HTTP, force_flush"


class OpenTelemetry:
    """A tracer provider of its own."""

    def __init__(self, exporter: SpanExporter) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._provider = TracerProvider()
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("benchmarks")

    def log(
        self, run_id: str, prompt: str, model: str, response: str, tokens_input: int,
        tokens_output: int, latency_ms: float, *, cost_usd: float, metadata: dict[str, Any],
        tags: list[str],
    ) -> None:  # fmt: skip
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.conversation.id": run_id,
            "gen_ai.request.model": model,
            "gen_ai.input.messages": prompt,
            "gen_ai.output.messages": response,
            "gen_ai.usage.input_tokens": tokens_input,
            "gen_ai.usage.output_tokens": tokens_output,
            "cost_usd": cost_usd,
            "tags": tags,
        }
        for key, value in metadata.items():
            attributes[f"metadata.{key}"] = value
        began = time.time_ns() - int(latency_ms * 1e6)
        self._tracer.start_span(f"chat {model}", attributes=attributes, start_time=began).end()

    def flush(self) -> None:
        self._provider.force_flush()

    def close(self) -> None:
        self._provider.shutdown()


def make(url: str) -> OpenTelemetry:
    """Export to *url*."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OpenTelemetry(OTLPSpanExporter(endpoint=f"{url}/v1/traces"))


def make_null() -> OpenTelemetry:
    """Export nothing: the caller's part alone."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Null(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            pass

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return True

    return OpenTelemetry(Null())
