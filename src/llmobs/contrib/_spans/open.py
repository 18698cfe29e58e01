"""Spans that have begun and not ended: which run each belongs to, and inside which event."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter, time_ns
from typing import Any, Final
from weakref import WeakValueDictionary

from llmobs.capture.joining import sightings
from llmobs.capture.operations import PromptCall, SeveralCalls, sighting_around
from llmobs.capture.sighting import Sighting, lock
from llmobs.capture.tracker import Tracker
from llmobs.capture.where import in_task
from llmobs.contrib._spans.kinds import INFERENCE_MODEL, Kind, kind_of
from llmobs.events import Event, PromptCallEvent
from llmobs.recorded import semconv
from llmobs.recorded.ids import new_id
from llmobs.runtime.context import Frame, current_frame
from llmobs.runtime.forks import ForkLock

__all__ = ["MAX_OPEN", "OpenSpan", "OpenSpans", "SpanSighting"]

MAX_OPEN: Final = 10_000
"""Spans held open at most; the oldest beyond are forgotten, as OpenTelemetry forgets spans never ended."""
MAX_INSIDE: Final = 8
"""Calls remembered of a span that may be about one of them."""
MAX_TRACES: Final = 1_000
"""Traces, and spans that links may point to, remembered at most."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class OpenSpan:
    """One span of OpenTelemetry."""

    span: Any
    tracker: Tracker
    parent: OpenSpan | None
    frame: Frame | None
    """The innermost frame where it began."""
    opened_frame: bool
    """Whether that frame was opened inside the parent span, or there is no parent span."""
    is_own: bool
    """Whether the tracker was made for it, and ends with it."""
    linked: str | None
    """Event of a span it links to, if it has no parent."""
    event_id: str
    block: PromptCall | None = None
    table: OpenSpans | None = None
    """Who records it: the first processor that was told of it."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Its attributes when it began."""
    started: float = field(default_factory=perf_counter)
    inside: list[Sighting] = field(default_factory=list)
    """Calls seen inside before it was known that this is about one."""
    is_call: bool = False
    """Whether its end told that it is about a call."""
    _sighting: SpanSighting | None = None

    def enclosing(self, kind: Kind | None) -> str | None:
        """
        Return the event this happened inside.

        Args:
            kind: What this is. A call inside a call is the same one, seen twice; not its parent.
        """
        span: OpenSpan | None = self
        while span is not None:
            if span.opened_frame and span.frame is not None:
                return span.frame.event_id or span.linked
            if span.parent is None:
                return span.linked
            span = span.parent
            outer = kind_of(span.span.attributes)
            if outer is None or (outer is Kind.CALL and kind in (None, Kind.CALL)):
                continue
            if span.tracker is self.tracker:
                return span.event_id
        return None

    @property
    def kind(self) -> Kind | None:
        """What it becomes, as far as its attributes tell by now."""
        return Kind.CALL if self.is_call else kind_of(self.span.attributes)

    def sighting(self, inner: Sighting | None = None, *, nearest: bool = True) -> Sighting | None:
        """
        Return what this sees of the call that it is or that is inside; None if it is about another.

        Args:
            inner: A call inside, as another door sees it.
            nearest: Whether nothing is between: then it may turn out to be a call at its end.
        """
        kind = self.kind
        if kind not in (None, Kind.CALL):
            return None
        around: Sighting | None = None
        if self.block is not None:
            around = self.block.enclose(inner)
        elif self.parent is not None and not self.opened_frame:
            around = self.parent.sighting(inner, nearest=False)
        if kind is None and not (nearest and self.span.kind.name in ("INTERNAL", "CLIENT")):
            return around
        if self._sighting is not None:
            if around is not None and around is not self._sighting:
                sightings.nest(self._sighting, around)
            return self._sighting
        made = SpanSighting(self)
        with lock:
            if self._sighting is not None:
                return self._sighting
            self._sighting = made
        sightings.begin(made, around)
        return made

    def watch(self) -> None:
        """Look out for a call from the start: OpenInference's spans are not always current for theirs."""
        scope = getattr(self.span, "instrumentation_scope", None)
        if str(getattr(scope, "name", "")).startswith("openinference") and self.kind in (
            None,
            Kind.CALL,
        ):
            self._sighting = SpanSighting(self)
            sightings.begin(self._sighting)

    def note(self, inner: Sighting) -> None:
        """Remember a call inside, for when this turns out to be that call."""
        span: OpenSpan | None = self
        while span is not None and (kind := span.kind) in (None, Kind.CALL):
            if kind is None and len(span.inside) < MAX_INSIDE:
                span.inside.append(inner)
            span = span.parent

    def forget(self) -> None:
        """Tell of no call: it is about something else, or never ended."""
        if self._sighting is not None:
            sightings.drop(self._sighting)


class SpanSighting(Sighting):
    """What a span sees of a call."""

    def __init__(self, span: OpenSpan) -> None:
        super().__init__(
            "span",
            span.tracker,
            event_id=span.event_id,
            is_home=not span.is_own or span.parent is not None,
            started=span.started,
        )
        self.parent_id = span.enclosing(Kind.CALL)
        self._span: OpenSpan | None = span
        self.complete: Callable[[Event], object] | None = None
        self.look()

    def is_certain(self) -> bool:
        """Whether the span says by now that it is about a call."""
        return self._span is None or self._span.kind is Kind.CALL

    def look(self) -> None:
        """Read the model's name, once it is there."""
        attributes = None if self._span is None else self._span.span.attributes
        for name in (semconv.REQUEST_MODEL, INFERENCE_MODEL):
            self.model = self.model or str((attributes or {}).get(name) or "")

    def tell(
        self, event: PromptCallEvent, size: int, failed: bool, complete: Callable[[Event], object]
    ) -> None:
        """Note that the span has ended; *complete* fills *event* later."""
        assert self._span is not None
        self.look()
        attributes = self._span.span.attributes or {}
        self.complete = complete
        self.has_usage = any("usage" in key or "token_count" in key for key in attributes)
        # Only in a task does it happen that a span ends before the stream it is about begins.
        self.answered = self.has_usage or failed or not in_task()
        self.response_id = str(attributes.get(semconv.RESPONSE_ID) or "") or None
        self._span = None
        sightings.end(self, event, size, failed)

    def read(self, event: PromptCallEvent) -> None:
        """Read the attributes; in the pipeline."""
        if self.complete is not None:
            self.complete(event)

    def release(self) -> None:
        """Let go of the span."""
        self.complete = None


class Current:
    """A span as a frame, for what an application records where it is current."""

    is_run = False
    left = False

    def __init__(self, span: OpenSpan) -> None:
        self.run = span.tracker
        self.outer = span.frame
        self._span = span

    @property
    def event_id(self) -> str | None:
        """The event the span becomes, if its attributes say by now that it becomes one."""
        if kind_of(self._span.span.attributes) is None:
            return self._span.enclosing(None)
        return self._span.event_id


class _Inside:
    """A span as a frame, for what a transport records inside it."""

    is_run = False
    left = False

    def __init__(self, span: OpenSpan, frame: Frame | None, event_id: str | None) -> None:
        self.run = span.tracker if frame is None else frame.run
        self.outer = span.frame
        self.event_id = event_id
        self._span = span
        self._frame = frame

    def enclose(self, sighting: Sighting) -> Sighting | None:
        """Return what the span, or the block inside it, sees of the call that begins."""
        self._span.note(sighting)
        if self._frame is not None and self._frame is not self._span.block:
            return sighting_around(self._frame, sighting)
        return self._span.sighting(sighting)


class OpenSpans:
    """
    The table. Any thread or task may use it.

    Args:
        new_run: Makes the tracker of a trace that no run of llmobs surrounds, from the trace's id.
    """

    def __init__(self, new_run: Callable[[str], Tracker], limit: int = MAX_OPEN) -> None:
        self._new_run = new_run
        self._limit = limit
        self._lock = ForkLock()
        self._open: OrderedDict[int, OpenSpan] = OrderedDict()
        self._traces: OrderedDict[int, Tracker] = OrderedDict()
        self._events: OrderedDict[int, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, span: Any) -> None:
        """Note where *span*, which begins here and now, belongs."""
        context = span.get_span_context()
        parent = None if span.parent is None else self._open.get(span.parent.span_id)
        frame = current_frame()
        linked: str | None = None
        is_own = False
        if frame is not None and isinstance(frame.run, Tracker):
            tracker = frame.run
            opened = parent is None or parent.frame is not frame
        elif parent is not None:
            tracker, frame, opened = parent.tracker, parent.frame, False
        else:
            frame, opened = None, False
            known, linked = self._known(context.trace_id, span)
            is_own = known is None
            tracker = known or self._new_run(f"{context.trace_id:032x}")
            if is_own:
                tracker.name = span.name
        key = (tracker.client, context.trace_id, context.span_id)
        first = _recorded.get(key)
        if first is not None:  # another processor records it
            with self._lock:
                self._open[context.span_id] = first
                _remember(self._traces, context.trace_id, first.tracker, MAX_TRACES)
            return
        entry = OpenSpan(span, tracker, parent, frame, opened, is_own, linked, new_id(), table=self)
        if span.attributes:
            entry.given = dict(span.attributes)
        _recorded[key] = entry
        if type(frame) is PromptCall and opened:
            entry.block = frame
        if span.start_time is not None:  # told of afterwards, perhaps
            entry.started -= max(0.0, (time_ns() - span.start_time) / 1e9)
        with self._lock:
            self._open[context.span_id] = entry
            _remember(self._traces, context.trace_id, tracker, MAX_TRACES)
            forgotten = None
            if len(self._open) > self._limit:
                span_id, forgotten = self._open.popitem(last=False)
                self._release(span_id, forgotten)
        entry.watch()
        if forgotten is not None and forgotten.table is self:
            forgotten.forget()

    def _known(self, trace_id: int, span: Any) -> tuple[Tracker | None, str | None]:
        """Return the run of the trace, or of one that *span* links to, and the linked event."""
        tracker = self._traces.get(trace_id)
        for link in span.links or ():
            event_id = self._events.get(link.context.span_id)
            other = self._traces.get(link.context.trace_id)
            if other is not None and tracker in (None, other):
                return other, event_id
        return tracker, None

    def end(self, span: Any) -> OpenSpan | None:
        """Take *span* out: it has ended."""
        span_id = span.get_span_context().span_id
        with self._lock:
            entry = self._open.pop(span_id, None)
            if entry is not None:
                self._release(span_id, entry)
            if entry is not None and kind_of(span.attributes) is not None:
                _remember(self._events, span_id, entry.event_id, MAX_TRACES)
        return entry

    def _release(self, span_id: int, entry: OpenSpan) -> None:
        if entry.table is self:
            trace_id = entry.span.get_span_context().trace_id
            _recorded.pop((entry.tracker.client, trace_id, span_id), None)

    def is_first(self, entry: OpenSpan) -> bool:
        """Whether this is who records *entry*."""
        return entry.table is self

    def innermost(self, span_id: int, frame: Frame | None) -> Frame | None:
        """Return the span as a frame, if it is current inside *frame*, the innermost one entered."""
        entry = self._open.get(span_id)
        if entry is None or entry.table is not self:
            return frame
        began = entry.frame
        while began is not None and began.left:
            began = began.outer
        return Current(entry) if began is frame else frame

    def frame_in_span(self, span_id: int, frame: Frame | None) -> Frame | None:
        """Return the frame of a call that a transport records inside a span."""
        entry = self._open.get(span_id)
        if entry is None or entry.table is not self:
            return frame
        if frame is not None and (
            frame is not entry.frame or type(frame) in (PromptCall, SeveralCalls)
        ):
            return _Inside(entry, frame, frame.event_id)
        kind = entry.kind
        is_call = kind in (None, Kind.CALL)
        return _Inside(entry, None, entry.enclosing(kind) if is_call else entry.event_id)


_recorded: WeakValueDictionary[tuple[Any, int, int], OpenSpan] = WeakValueDictionary()
"""What any processor records, by the client it goes to and the span's ids: each span once."""


def _remember(known: OrderedDict[int, Any], key: int, value: Any, limit: int) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > limit:
        known.popitem(last=False)
