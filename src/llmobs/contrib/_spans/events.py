"""From a span that has ended to an event; what takes time runs in the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from llmobs.codec import weigh
from llmobs.contrib._spans.kinds import Kind
from llmobs.contrib._spans.outcome import outcome_of
from llmobs.contrib._spans.own import set_own
from llmobs.contrib._spans.reading import read
from llmobs.contrib._spans.span import SpanLike
from llmobs.events import AgentStepEvent, Event, PromptCallEvent, Status, ToolCallEvent
from llmobs.recorded import semconv
from llmobs.recorded.jsontext import as_text
from llmobs.recorded.media import without_media

__all__ = ["Origin", "event_of", "size_of"]

_RUNS_OWN = frozenset({"user_id", "session_id", "environment", "release"})
"""What the run knows better than a span."""


_PLAIN = frozenset({int, float, bool})


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
        for name, value in read(span, kind, origin.given).items():
            if name in _RUNS_OWN and getattr(event, name) is not None:
                continue
            if name == "metadata":
                value = {**value, **(event.metadata or {})}
            elif name in ("tags", "warnings"):
                value = tuple(dict.fromkeys((*getattr(event, name), *value)))
            setattr(event, name, value if type(value) in _PLAIN else without_media(value))
        set_own(event, attributes)

    return event, status is not Status.SUCCESS, complete


def size_of(span: SpanLike) -> int:
    """Return the memory, about, of what a span holds."""
    holders = (span.attributes, *(event.attributes for event in span.events))
    return sum(weigh(dict(attributes or {})) for attributes in holders)


def _short(name: str) -> str:
    """``execute_tool search`` is the tool ``search``."""
    for operation in (semconv.EXECUTE_TOOL, semconv.INVOKE_AGENT, semconv.INVOKE_WORKFLOW):
        name = name.removeprefix(f"{operation} ")
    return name
