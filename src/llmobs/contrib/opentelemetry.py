"""
OpenTelemetry in: spans about models, tools and agents become events; all others are left alone.

With a provider of its own, which no other exporter sees::

    from llmobs.contrib.opentelemetry import tracer_provider

    client = Anthropic(open_telemetry={"tracer_provider": tracer_provider()})

or added to the one an application has::

    trace.get_tracer_provider().add_span_processor(LLMObsSpanProcessor())

Reads the GenAI conventions of today and before v1.37, and those of OpenInference, OpenLLMetry, Langfuse, LangSmith,
Logfire, OpenLIT, Pydantic AI and the Vercel AI SDK. Sends nothing to anybody but llmobs; for the other direction see
the ``otlp`` sink.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import (
    ReadableSpan,
    Span,
    SpanLimits,
    SpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from llmobs.capture.joining import sightings
from llmobs.capture.tracker import Tracker
from llmobs.capture.where import watchers
from llmobs.client.async_client import Recording
from llmobs.client.sync_client import default_client
from llmobs.contrib._duplicate import count_duplicate
from llmobs.contrib._spans.about import about, run_name
from llmobs.contrib._spans.events import Origin, event_of, size_of
from llmobs.contrib._spans.kinds import Kind
from llmobs.contrib._spans.limits import Whole, losses, salvaged_kind
from llmobs.contrib._spans.open import MAX_OPEN, OpenSpan, OpenSpans, SpanSighting
from llmobs.contrib._wire.call import CaptureContent, checked_mode, policy
from llmobs.events import AgentStepEvent, Event, PromptCallEvent, ToolCallEvent
from llmobs.runtime.context import Frame, inside, own_traffic
from llmobs.runtime.time_slices import Steps, finish
from llmobs.runtime.troubles import internal_errors

__all__ = ["LLMObsSpanProcessor", "tracer_provider"]

_NO_LIMITS: Final = SpanLimits(
    max_attributes=SpanLimits.UNSET,
    max_events=SpanLimits.UNSET,
    max_links=SpanLimits.UNSET,
    max_span_attributes=SpanLimits.UNSET,
    max_event_attributes=SpanLimits.UNSET,
    max_link_attributes=SpanLimits.UNSET,
    max_attribute_length=SpanLimits.UNSET,
    max_span_attribute_length=SpanLimits.UNSET,
)
"""What instrumentations write is bounded by what they were given; llmobs has bounds of its own."""


_Find = Callable[[Frame | None], Frame | None]


class LLMObsSpanProcessor(SpanProcessor):
    """
    Records GenAI spans: calls of models, tools, agents.

    A span that begins inside a run of llmobs belongs to it, and so do its children; else each trace is
    a run, its id the trace's. Spans that are in no run and hold nothing of interest leave no trace.
    A call that a transport or a ``prompt_call()`` block records too is one event.

    Args:
        client: Records what happens outside any run; by default the default client.
        max_open: Spans held open at most; the oldest beyond are forgotten.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ValueError: *capture_content* is none of the three.
    """

    def __init__(
        self,
        client: Recording | None = None,
        *,
        max_open: int = MAX_OPEN,
        capture_content: CaptureContent = "full",
    ) -> None:
        self._client = client
        self._policy = policy(checked_mode(capture_content))
        self._spans = OpenSpans(self._new_run, max_open)
        self._attached = (
            _attach(self, watchers, LLMObsSpanProcessor.frame_in_current_span),
            _attach(self, inside, LLMObsSpanProcessor.innermost),
        )

    def _new_run(self, trace_id: str) -> Tracker:
        tracker = Tracker(self._client or default_client(), trace_id)
        tracker.trace_id = trace_id
        return tracker

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note where the span belongs."""
        if own_traffic.get():
            return
        with internal_errors("take in a span"):
            self._spans.begin(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Record the span, if it is about a model, a tool or an agent."""
        with internal_errors("record a span"):
            entry = self._spans.end(span)
            if entry is None:
                return
            kind = salvaged_kind(span, entry.given)
            if not self._spans.is_first(entry):
                if kind is not None:
                    count_duplicate(entry.tracker, _EVENTS[kind])
                return
            if kind is not None and entry.tracker.client.enabled:
                self._record(entry, span, kind)
            else:
                entry.forget()
            if entry.is_own:
                self._finish(entry, span)

    def _record(self, entry: OpenSpan, span: ReadableSpan, kind: Kind) -> None:
        whole: Any = Whole(span, entry.given) if span.dropped_attributes else span
        tracker, context = entry.tracker, entry.span.get_span_context()
        if kind is Kind.STEP:
            tracker.steps += 1
        origin = Origin(
            event_id=entry.event_id,
            run_id=tracker.run_id,
            trace_id=f"{context.trace_id:032x}",
            span_id=f"{context.span_id:016x}",
            parent_id=entry.enclosing(kind),
            step_number=tracker.steps,
            given=entry.given,
        )
        event, failed, complete = event_of(origin, whole, kind)
        if self._policy is not None:
            complete = _then(complete, self._policy)
        size = size_of(whole)
        event.warnings = (*event.warnings, *losses(span))
        if not isinstance(event, PromptCallEvent):
            entry.forget()
            event.parent_id = event.parent_id or ""  # its place is not where it ends
            tracker.record(event, size=size, failed=failed, complete=complete)
            return
        entry.is_call = True
        sighting = entry.sighting()
        assert isinstance(sighting, SpanSighting)
        if entry.inside:
            sightings.adopt(sighting, entry.inside)
        sighting.tell(event, size, failed, complete)

    def _finish(self, entry: OpenSpan, span: ReadableSpan) -> None:
        tracker = entry.tracker
        attributes = span.attributes or {}
        tracker.name = run_name(attributes) or tracker.name
        fields = about(attributes)
        for name in ("user_id", "session_id", "tags", "metadata"):
            if name in fields:
                setattr(tracker, name, fields.pop(name))
        if span.start_time and span.end_time:
            fields["latency_ms"] = (span.end_time - span.start_time) / 1e6
        if span.kind is trace.SpanKind.SERVER:
            tracker.kind = "http"
        if not span.status.is_ok:
            fields["status"] = "error"
        tracker.finish(**fields)

    def frame_in_current_span(self, frame: Frame | None) -> Frame | None:
        """Return the frame of a call that a transport records here; what doors at the wire ask."""
        return self._spans.frame_in_span(trace.get_current_span().get_span_context().span_id, frame)

    def innermost(self, frame: Frame | None) -> Frame | None:
        """Return the span that is current inside *frame* as a frame, else *frame*."""
        with internal_errors("find the current span"):
            span_id = trace.get_current_span().get_span_context().span_id
            return self._spans.innermost(span_id, frame)
        return frame

    def shutdown(self) -> None:
        """Look no longer; the client is its owner's to close."""
        for detach in self._attached:
            detach()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Do nothing: what has ended is with the client; flush that."""
        return True


def _attach(
    processor: LLMObsSpanProcessor,
    where: list[_Find],
    method: Callable[[LLMObsSpanProcessor, Frame | None], Frame | None],
) -> Callable[[], object]:
    """
    Add *method* to *where*, without holding on to *processor*: not everybody shuts down what they added.

    Returns what takes it out again, as the end of *processor* does.
    """
    ref = weakref.ref(processor)

    def find(frame: Frame | None) -> Frame | None:
        processor = ref()
        return frame if processor is None else method(processor, frame)

    where.append(find)
    return weakref.finalize(processor, _discard, where, find)


def _discard(where: list[_Find], find: _Find) -> None:
    if find in where:
        where.remove(find)


def _then(
    complete: Callable[[Event], object], policy: Callable[[Event], Steps[None]]
) -> Callable[[Event], None]:
    def completes(event: Event) -> None:
        complete(event)
        finish(policy(event))

    return completes


_EVENTS: Final[dict[Kind, type[Event]]] = {
    Kind.CALL: PromptCallEvent,
    Kind.TOOL: ToolCallEvent,
    Kind.STEP: AgentStepEvent,
}


def tracer_provider(
    client: Recording | None = None, *, capture_content: CaptureContent = "full"
) -> TracerProvider:
    """
    Return a provider whose spans go to llmobs and nowhere else; the global provider is left alone.

    Give it to instrumentations (``instrument(tracer_provider=...)``) and to clients that trace themselves.
    It has none of OpenTelemetry's limits (128 attributes by default, which eighty messages exceed).

    Args:
        client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ValueError: *capture_content* is none of the three.
    """
    # llmobs samples by run; a sampler from the environment is meant for the application's own traces.
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False, span_limits=_NO_LIMITS)
    provider.add_span_processor(LLMObsSpanProcessor(client, capture_content=capture_content))
    return provider
