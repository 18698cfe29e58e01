"""Spans that lost attributes to OpenTelemetry's limits: what can be kept of them, and what is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmobs.contrib._spans.kinds import INFERENCE_KIND, Kind, kind_of
from llmobs.contrib._spans.span import SpanLike
from llmobs.recorded import semconv

__all__ = ["Whole", "losses", "salvaged_kind"]

_INFERENCE: Final = "llm."
_OF_CALLS: Final = (
    _INFERENCE,
    semconv.PROMPT,
    semconv.COMPLETION,
    semconv.USAGE_INPUT_TOKENS,
    semconv.USAGE_OUTPUT_TOKENS,
    semconv.USAGE_PROMPT_TOKENS,
    semconv.USAGE_COMPLETION_TOKENS,
)


class Whole:
    """
    A span that has ended, with the attributes back that it began with and lost since, and that it is about
    a call of a model, if only that shows.

    Args:
        span: The span.
        given: Its attributes when it began.
    """

    def __init__(self, span: SpanLike, given: Mapping[str, Any]) -> None:
        self.attributes: dict[str, Any] = {**given, **(span.attributes or {})}
        self._span = span
        if kind_of(self.attributes) is None and any(
            n.startswith(_INFERENCE) for n in self.attributes
        ):
            self.attributes[INFERENCE_KIND] = "LLM"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._span, name)


def losses(span: SpanLike) -> tuple[str, ...]:
    """Return warnings: what the limits of the span's provider took from it."""
    found = {
        "attributes": span.dropped_attributes,
        "events": span.dropped_events,
        "links": span.dropped_links,
    }
    if span.dropped_attributes == 0:
        found["attributes of events"] = sum(event.dropped_attributes for event in span.events)
    return tuple(
        f"{number} {what} of the span dropped by OpenTelemetry's limits (SpanLimits of its provider)"
        for what, number in found.items()
        if number
    )


def salvaged_kind(span: SpanLike, given: Mapping[str, Any]) -> Kind | None:
    """Return what a span becomes; also of one that lost the attributes that said so first."""
    kind = kind_of(span.attributes) or (kind_of(given) if span.dropped_attributes else None)
    if kind is not None or not span.dropped_attributes:
        return kind
    # The oldest go first. What is left of a call are its messages and its usage.
    is_call = any(name.startswith(_OF_CALLS) for name in span.attributes or ())
    return Kind.CALL if is_call else None
