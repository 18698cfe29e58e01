"""Events and lists that several tests of `llmobs.sentinel` use."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from llmobs.sentinel import PromptInfo, ResponseInfo, TelemetryEvent

TRACKED: dict[str, Any] = {
    "service": "chat-api",
    "model": "gpt-4",
    "prompt": "What is the capital of France?",
    "response": "Paris, of course: jane@example.com says so.",
    "latency_ms": 150.5,
    "prompt_tokens": 8,
    "completion_tokens": 2,
    "cost_usd": 0.001,
}
"""The required arguments of ``track``."""

OPTIONAL: dict[str, Any] = {
    "finish_reason": "length",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "span_id": "00f067aa0ba902b7",
    "metadata": {"region": "us-east-1", "naïve": "☃"},
    "errors": ["first", "second"],
    "prompt_embedding": [0.1, -2, 3.5e10],
    "response_embedding": [0.25],
}
"""The optional ones, none at its default."""


def make_event(**changes: Any) -> TelemetryEvent:
    """Return an event with a value in every field."""
    fields: dict[str, Any] = {
        "service_name": "chat-api",
        "model": "gpt-4",
        "prompt": PromptInfo("What is the capital of France?", 8, [0.1, -2, 3.5e10]),
        "response": ResponseInfo("Paris. 🗼", 2, "stop", [0.25]),
        "latency_ms": 150.5,
        "cost_usd": 0.001,
        "event_id": UUID("d621713f-6783-5da9-9f02-d812d880e43a"),
        "timestamp": datetime(2024, 1, 1, 0, 0, 0, 123456, UTC),
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
        "metadata": {"region": "us-east-1"},
        "errors": ["first", "second"],
    }
    return TelemetryEvent(**{**fields, **changes})
