"""Which convention a span speaks, and what it says in it."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from llmobs.contrib._spans import genai, inference, langfuse, logfire, vercel
from llmobs.contrib._spans.about import about
from llmobs.contrib._spans.kinds import (
    INFERENCE_KIND,
    LANGFUSE_KIND,
    LOGFIRE_REQUEST,
    VERCEL_OPERATION,
    Kind,
)
from llmobs.contrib._spans.span import SpanLike
from llmobs.contrib._wire.wire import Fields
from llmobs.recorded import semconv

__all__ = ["read"]

Attributes = Mapping[str, Any]


class _Convention(NamedTuple):
    call: Callable[[SpanLike, Attributes], Fields]
    """From the span, and the attributes it began with."""
    tool: Callable[[Attributes], Fields]
    step: Callable[[Attributes], Fields]


def read(span: SpanLike, kind: Kind, given: Attributes) -> Fields:
    """
    Read a span that has ended: fields of the event that it becomes, without those it says nothing of.

    Args:
        span: The span.
        kind: What it becomes.
        given: The attributes it began with.
    """
    attributes: Attributes = span.attributes or {}
    convention = next((found for name, found in _BY_ATTRIBUTE if name in attributes), _GENAI)
    if kind is Kind.CALL:
        fields = convention.call(span, given)
    else:
        fields = convention.tool(attributes) if kind is Kind.TOOL else convention.step(attributes)
    said = {
        name: value
        for name, value in fields.items()
        if value or value == 0  # not None, and nothing empty
    }
    return {**about(attributes), **said}


def _genai(span: SpanLike, given: Attributes) -> Fields:
    scope = span.instrumentation_scope
    name = "" if scope is None else scope.name
    return genai.call(span.attributes or {}, span.events, span.start_time or 0, name)


def _inference(span: SpanLike, given: Attributes) -> Fields:
    return inference.call(span.attributes or {}, span.events, span.start_time or 0, given)


def _langfuse(span: SpanLike, given: Attributes) -> Fields:
    return langfuse.call(span.attributes or {}, span.start_time or 0)


def _logfire(span: SpanLike, given: Attributes) -> Fields:
    return logfire.call(span.attributes or {}, span.start_time or 0, _genai(span, given))


def _vercel(span: SpanLike, given: Attributes) -> Fields:
    return vercel.call(span.attributes or {}, _genai(span, given))


_GENAI: Final = _Convention(_genai, genai.tool, genai.step)
_BY_ATTRIBUTE: Final = (
    (VERCEL_OPERATION, _Convention(_vercel, vercel.tool, vercel.step)),
    (LOGFIRE_REQUEST, _Convention(_logfire, genai.tool, genai.step)),
    (semconv.OPERATION_NAME, _GENAI),
    (INFERENCE_KIND, _Convention(_inference, inference.tool, inference.step)),
    (LANGFUSE_KIND, _Convention(_langfuse, langfuse.tool, langfuse.step)),
)
"""Conventions by an attribute that no other has; those first that add to another one's."""
