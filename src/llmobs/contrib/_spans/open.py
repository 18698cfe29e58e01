"""Spans that have begun and not ended: which run each belongs to, and inside which event."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from llmobs.context import Frame, current_frame
from llmobs.contrib._spans.kinds import Kind, kind_of
from llmobs.forks import ForkLock
from llmobs.ids import new_id
from llmobs.operations import Captured, PromptCall, SeveralCalls
from llmobs.tracker import Tracker

__all__ = ["MAX_OPEN", "OpenSpan", "OpenSpans"]

MAX_OPEN: Final = 10_000
"""Spans held open at most; the oldest beyond are forgotten, as OpenTelemetry forgets spans never ended."""
MAX_TRACES: Final = 1_000
"""Traces, and spans that links may point to, remembered at most."""


@dataclass(slots=True, eq=False)
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
    captured: Captured | None = None
    """What the block around it had captured when it began."""
    table: OpenSpans | None = None
    """Who records it: the first processor that was told of it."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Its attributes when it began."""
    seen: bool = False
    """Whether somebody records the call of a model that this contains, or is."""

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

    def mark_seen(self) -> None:
        """Note on this and what contains it, up to the next agent or tool, that a call is recorded."""
        span: OpenSpan | None = self
        while span is not None and kind_of(span.span.attributes) in (None, Kind.CALL):
            span.seen = True
            span = span.parent


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

    def __init__(self, span: OpenSpan, event_id: str | None) -> None:
        self.run = span.tracker
        self.outer = span.frame
        self.event_id = event_id


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
            entry.block, entry.captured = frame, frame.captured
        with self._lock:
            self._open[context.span_id] = entry
            _remember(self._traces, context.trace_id, tracker, MAX_TRACES)
            if len(self._open) > self._limit:
                self._release(*self._open.popitem(last=False))

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

    def place(self, span_id: int, frame: Frame | None) -> Frame | None:
        """Return where a call belongs that a transport records inside a span, and note that it does."""
        entry = self._open.get(span_id)
        if entry is None or entry.table is not self:
            return frame
        entry.mark_seen()
        if frame is not None and (
            frame is not entry.frame or type(frame) in (PromptCall, SeveralCalls)
        ):
            return frame
        kind = kind_of(entry.span.attributes)
        is_call = kind in (None, Kind.CALL)
        return _Inside(entry, entry.enclosing(kind) if is_call else entry.event_id)


_recorded: dict[tuple[Any, int, int], OpenSpan] = {}
"""What any processor records, by the client it goes to and the span's ids: each span once."""


def _remember(known: OrderedDict[int, Any], key: int, value: Any, limit: int) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > limit:
        known.popitem(last=False)
