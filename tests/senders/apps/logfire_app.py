"""Logfire's SDK, exporting by OpenTelemetry's own variables: openai, spans around, a tool."""

import os

import asking

os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = asking.collector()

import logfire

logfire.configure(
    send_to_logfire=False,
    service_name="shop",
    service_version="1.2.3",
    environment="staging",
    console=False,
)
model = asking.client()
logfire.instrument_openai(model, version=2 if "SEMCONV" not in os.environ else 1)


def get_weather(city: str) -> str:
    with logfire.span("get_weather", city=city):
        return f"sunny in {city}"


asking.ask_all(model)
with (
    logfire.set_baggage(**{"user.id": "u-1"}),
    logfire.span(
        "ask the weather", _tags=["beta"], plan="pro", **{"gen_ai.conversation.id": "s-1"}
    ),
):
    asking.agent(model, get_weather, asking.QUESTION)
    logfire.info("told {who}", who="the customer")
logfire.force_flush()
logfire.shutdown()
