"""OpenTelemetry's instrumentation of `openai`, exporting spans, log records and metrics."""

import json
import os

import asking
from opentelemetry import _logs, metrics, trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = asking.collector()
resource = Resource.create({"service.name": "shop", "deployment.environment.name": "staging"})
provider = TracerProvider(resource=resource)
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
_logs.set_logger_provider(logs)
meters = MeterProvider(
    resource=resource, metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())]
)
metrics.set_meter_provider(meters)
OpenAIInstrumentor().instrument()
tracer = trace.get_tracer("shop")
model = asking.client()


def get_weather(city: str) -> str:
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "get_weather",
        "gen_ai.tool.call.arguments": json.dumps({"city": city}),
    }
    with tracer.start_as_current_span("execute_tool get_weather", attributes=attributes) as span:
        span.set_attribute("gen_ai.tool.call.result", f"sunny in {city}")
        return f"sunny in {city}"


asking.ask_all(model)
server = {"http.request.method": "POST", "http.route": "/ask", "http.response.status_code": 200}
agent = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "weather-agent",
    "gen_ai.conversation.id": "s-1",
    "user.id": "u-1",
    "gen_ai.input.messages": json.dumps(
        [{"role": "user", "parts": [{"type": "text", "content": asking.QUESTION}]}]
    ),
}
with (
    tracer.start_as_current_span("POST /ask", kind=trace.SpanKind.SERVER, attributes=server),
    tracer.start_as_current_span("invoke_agent weather-agent", attributes=agent),
):
    told = asking.agent(model, get_weather, asking.QUESTION)
    said = [{"role": "assistant", "parts": [{"type": "text", "content": told}]}]
    trace.get_current_span().set_attribute("gen_ai.output.messages", json.dumps(said))
for each in (provider, logs, meters):
    each.shutdown()
