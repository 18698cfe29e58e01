"""The fluent way to a `TelemetryEvent`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from llmobs.sentinel import _rules as rules
from llmobs.sentinel.events import PromptInfo, ResponseInfo, TelemetryEvent
from llmobs.sentinel.exceptions import ValidationError

__all__ = ["TelemetryEventBuilder"]

_REQUIRED = ("service_name", "model", "prompt", "response", "latency_ms", "cost_usd")


class TelemetryEventBuilder:
    """
    Collects the fields of a `TelemetryEvent`; every method but `build` returns the builder.

    One builder may build several events: each has metadata and errors of its own and, unless the
    builder was given them, an id and a time of its own.
    """

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._metadata: dict[str, str] = {}
        self._errors: list[str] = []

    def _set(self, name: str, value: Any) -> Self:
        self._fields[name] = value
        return self

    def event_id(self, event_id: UUID) -> Self:
        """Set the event's id."""
        return self._set("event_id", event_id)

    def timestamp(self, timestamp: datetime) -> Self:
        """Set when it was; without an offset it is UTC."""
        return self._set("timestamp", timestamp)

    def service(self, service_name: str) -> Self:
        """Set the service's name."""
        return self._set("service_name", service_name)

    def model(self, model: str) -> Self:
        """Set the model."""
        return self._set("model", model)

    def trace_id(self, trace_id: str) -> Self:
        """Set the trace's id."""
        return self._set("trace_id", trace_id)

    def span_id(self, span_id: str) -> Self:
        """Set the span's id."""
        return self._set("span_id", span_id)

    def prompt(self, text: str, tokens: int, embedding: list[float] | None = None) -> Self:
        """
        Set what the model was asked.

        Raises:
            ValidationError: It is not what the server takes.
        """
        return self.prompt_info(PromptInfo(text, tokens, embedding))

    def prompt_info(self, prompt: PromptInfo) -> Self:
        """Set what the model was asked; the object itself goes into the event."""
        return self._set("prompt", prompt)

    def response(
        self, text: str, tokens: int, finish_reason: str, embedding: list[float] | None = None
    ) -> Self:
        """
        Set what the model answered.

        Raises:
            ValidationError: It is not what the server takes.
        """
        return self.response_info(ResponseInfo(text, tokens, finish_reason, embedding))

    def response_info(self, response: ResponseInfo) -> Self:
        """Set what the model answered; the object itself goes into the event."""
        return self._set("response", response)

    def latency(self, latency_ms: float) -> Self:
        """Set how long it took, in milliseconds."""
        return self._set("latency_ms", latency_ms)

    def cost(self, cost_usd: float) -> Self:
        """Set what it cost, in US dollars."""
        return self._set("cost_usd", cost_usd)

    def metadata(self, metadata: Mapping[str, str]) -> Self:
        """
        Replace the metadata by a copy of *metadata*.

        Raises:
            ValidationError: It is not a dict of strings.
        """
        rules.metadata("metadata", metadata)
        self._metadata = dict(metadata)
        return self

    def add_metadata(self, key: str, value: str) -> Self:
        """Add one entry to the metadata."""
        self._metadata[key] = value
        return self

    def errors(self, errors: Sequence[str]) -> Self:
        """
        Replace the errors by a copy of *errors*.

        Raises:
            ValidationError: It is not a list of strings.
        """
        rules.texts("errors", errors)
        self._errors = list(errors)
        return self

    def add_error(self, error: str) -> Self:
        """Add one error."""
        self._errors.append(error)
        return self

    def build(self) -> TelemetryEvent:
        """
        Return the event.

        Raises:
            ValidationError: Something required was not given, or is not what the server takes.
        """
        for name in _REQUIRED:
            if self._fields.get(name) is None:
                raise ValidationError(f"{name} is required")
        return TelemetryEvent(
            **self._fields, metadata=dict(self._metadata), errors=list(self._errors)
        )
