"""From a span that has ended to an event; what takes time runs in the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from llmobs.codec import weigh
from llmobs.contrib._spans import genai, inference
from llmobs.contrib._spans.kinds import INFERENCE_KIND, Kind
from llmobs.contrib._spans.span import SpanLike
from llmobs.contrib._wire.wire import Fields
from llmobs.events import (
    AgentStepEvent,
    ErrorInfo,
    Event,
    PromptCallEvent,
    Status,
    ToolCallEvent,
)
from llmobs.recorded import semconv
from llmobs.recorded.jsontext import as_text
from llmobs.recorded.media import without_media

__all__ = ["Origin", "event_of", "outcome_of", "size_of"]

_CANCELLED = ("CancelledError", "Cancelled", "GeneratorExit", "KeyboardInterrupt")
_RUNS_OWN = frozenset({"user_id", "session_id"})
"""What the run knows better than a span."""


class Origin(NamedTuple):
    """Where what a span tells of belongs."""

    event_id: str
    run_id: str
    trace_id: str
    """Of the span, as are the next ones."""
    span_id: str
    parent_id: str | None = None
    """The event it happened inside."""
    step_number: int = 0
    """Its place among the steps of the run, should it be one; 0 if nobody counts."""
    given: Mapping[str, Any] = {}
    """The attributes it began with, where somebody saw it begin."""


def event_of(
    origin: Origin, span: SpanLike, kind: Kind
) -> tuple[Event, bool, Callable[[Event], None]]:
    """
    Return the event of a span, whether it failed, and what fills in the rest later.

    Args:
        origin: Where it belongs.
        span: The span, ended.
        kind: What it becomes.
    """
    attributes = span.attributes or {}
    start = span.start_time or 0
    status, error = outcome_of(span)
    common: dict[str, Any] = {
        "event_id": origin.event_id,
        "run_id": origin.run_id,
        "timestamp": datetime.fromtimestamp(start / 1e9, UTC),
        "parent_id": origin.parent_id,
        "trace_id": origin.trace_id,
        "span_id": origin.span_id,
        "latency_ms": max(0, (span.end_time or start) - start) / 1e6,
        "status": status,
        "error": error,
    }
    event: Event
    if kind is Kind.CALL:
        event = PromptCallEvent(
            model=as_text(attributes.get(semconv.REQUEST_MODEL)) or "", **common
        )
    elif kind is Kind.TOOL:
        event = ToolCallEvent(tool_name=_short(span.name), **common)
    else:
        event = AgentStepEvent(
            step_number=origin.step_number, step_name=_short(span.name), **common
        )
    if span.links:
        event.metadata = {
            "links": [
                {
                    "trace_id": f"{link.context.trace_id:032x}",
                    "span_id": f"{link.context.span_id:016x}",
                }
                for link in span.links
            ]
        }

    def complete(event: Event) -> None:
        for name, value in _read(span, kind, origin.given).items():
            if value is None or value in ("", [], {}):
                continue
            if name not in _RUNS_OWN or getattr(event, name) is None:
                setattr(event, name, without_media(value))

    return event, status is not Status.SUCCESS, complete


def size_of(span: SpanLike) -> int:
    """Return the memory, about, of what a span holds."""
    told = (span.attributes, *(event.attributes for event in span.events))
    return sum(weigh(dict(attributes or {})) for attributes in told)


def _read(span: SpanLike, kind: Kind, given: Mapping[str, Any]) -> Fields:
    attributes, events = span.attributes or {}, span.events
    if INFERENCE_KIND in attributes and semconv.OPERATION_NAME not in attributes:
        if kind is Kind.CALL:
            return inference.call(attributes, events, span.start_time or 0, given)
        return inference.tool(attributes) if kind is Kind.TOOL else inference.step(attributes)
    if kind is Kind.CALL:
        scope = span.instrumentation_scope
        return genai.call(attributes, events, "" if scope is None else scope.name)
    return genai.tool(attributes) if kind is Kind.TOOL else genai.step(attributes)


def _short(name: str) -> str:
    """``execute_tool search`` is the tool ``search``."""
    for operation in (semconv.EXECUTE_TOOL, semconv.INVOKE_AGENT, semconv.INVOKE_WORKFLOW):
        name = name.removeprefix(f"{operation} ")
    return name


def outcome_of(span: SpanLike) -> tuple[Status, ErrorInfo | None]:
    """Return how what a span tells of ended."""
    attributes = span.attributes or {}
    raised = next(
        (
            event.attributes or {}
            for event in reversed(span.events)
            if event.name == semconv.EXCEPTION
        ),
        None,
    )
    kind = as_text(attributes.get(semconv.ERROR_TYPE))
    failed = span.status.status_code.name == "ERROR"
    if raised is None and kind is None and not failed:
        return Status.SUCCESS, None
    if not failed and kind is None:
        return Status.SUCCESS, None  # an exception that was handled
    raised = raised or {}
    exception = as_text(raised.get(semconv.EXCEPTION_TYPE))
    words = as_text(raised.get(semconv.EXCEPTION_MESSAGE)) or as_text(span.status.description)
    name = kind or exception or "error"
    info = ErrorInfo(
        message=words or name, type=name, stack=as_text(raised.get(semconv.EXCEPTION_STACKTRACE))
    )
    if (exception or name).rpartition(".")[2] in _CANCELLED:
        return Status.CANCELLED, info
    if "timeout" in name.lower() or "timeout" in (exception or "").lower():
        return Status.TIMEOUT, info
    return Status.ERROR, info
