"""What came as spans and log records, as events and how they hang together."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from llmobs.codec import encode
from llmobs.contrib._spans import genai
from llmobs.contrib._spans.about import about, run_name
from llmobs.contrib._spans.events import Origin, event_of
from llmobs.contrib._spans.kinds import Kind
from llmobs.contrib._spans.limits import Whole, losses, salvaged_kind
from llmobs.contrib._spans.outcome import outcome_of
from llmobs.contrib._spans.own import set_own
from llmobs.events import (
    ClientInfo,
    ErrorInfo,
    Event,
    PromptCallEvent,
    RunEvent,
    Status,
)
from llmobs.recorded import semconv
from llmobs.recorded.ids import derived_id
from llmobs.recorded.jsontext import as_text
from llmobs.recorded.media import without_media
from llmobs.runtime.troubles import internal_errors
from llmobs.server.otlp.bounds import bounded
from llmobs.server.otlp.moments import MOMENTS, fill_moment, is_moment
from llmobs.server.otlp.span import Event as SpanEvent
from llmobs.server.otlp.span import Kind as SpanKind
from llmobs.server.otlp.span import Log, Resource, Span
from llmobs.store.spans import Link, What, event_id_of, run_event_id_of

__all__ = ["Converted", "convert_logs", "convert_spans"]

_WHAT: Final = {
    None: What.NOTHING,
    Kind.CALL: What.CALL,
    Kind.TOOL: What.CONTAINER,
    Kind.STEP: What.CONTAINER,
}
_HEXADECIMAL: Final = frozenset("0123456789abcdef")
_UNREAD: Final = "what was sent could not be read; left out"


class Converted(Struct):
    """What became of what a request brought."""

    events: list[Any] = []
    """See `llmobs.server.preparing.Read`."""
    links: list[Link] = []
    rejected: int = 0
    """Spans or records that cannot be stored."""
    words: str = ""
    """Why; empty if there are none."""
    others: int = 0
    """Records that have nothing to do with models."""


class _Sender(NamedTuple):
    """What a resource says of all that comes from it."""

    project_id: str | None
    service_name: str | None
    environment: str | None
    release: str | None
    client: ClientInfo

    @classmethod
    def of(cls, resource: Resource) -> "_Sender":
        get = resource.attributes.get
        runtime = (
            as_text(get(name))
            for name in (semconv.RUNTIME_NAME, semconv.RUNTIME_VERSION, semconv.OS_TYPE)
        )
        sdk = (as_text(get(semconv.SDK_NAME)), as_text(get(semconv.SDK_VERSION)))
        return cls(
            as_text(get(semconv.PROJECT_ID)),
            as_text(get(semconv.SERVICE_NAME)),
            as_text(get(semconv.DEPLOYMENT_ENVIRONMENT_NAME))
            or as_text(get(semconv.DEPLOYMENT_ENVIRONMENT)),
            as_text(get(semconv.SERVICE_VERSION)),
            ClientInfo(
                hostname=as_text(get(semconv.HOST_NAME)),
                sdk_version=" ".join(filter(None, sdk)) or None,
                platform=" ".join(filter(None, runtime)) or as_text(get(semconv.SDK_LANGUAGE)),
            ),
        )

    def sign(self, event: Event) -> None:
        """Say in *event* who sent it, as far as it does not say so itself."""
        event.project_id = self.project_id
        event.service_name = event.service_name or self.service_name
        event.environment = event.environment or self.environment
        event.release = event.release or self.release
        event.client = self.client


class _Senders:
    """Resources, read once each."""

    def __init__(self) -> None:
        self._resource: Resource | None = None
        self._sender: _Sender | None = None

    def of(self, resource: Resource) -> _Sender:
        if self._sender is None or resource is not self._resource:
            self._resource, self._sender = resource, _Sender.of(resource)
        return self._sender


def convert_spans(spans: Iterable[Span]) -> Converted:
    """
    Return what *spans* become: those of calls, tools and steps events, any of them perhaps a run's own.

    Raises:
        RefusedError: 413 there are too many.
    """
    converted = Converted()
    senders = _Senders()
    own: dict[str, tuple[tuple[int, int, str], Span]] = {}
    rejected, words = 0, ""
    for span in bounded(spans):
        if (why := _unfit(span.trace_id, span.span_id)) is not None:
            rejected, words = rejected + 1, words or why
            continue
        if span.attributes.get(semconv.LOGFIRE_SPAN_TYPE) == semconv.LOGFIRE_PENDING:
            continue  # it comes again when it has ended
        run_id, span_id = span.trace_id, span.span_id
        parent_id = span.parent_id if _is_span(span.parent_id) else ""
        kind = salvaged_kind(span, {})
        event_id = ""
        failed = False
        if kind is not None:
            event_id = event_id_of(run_id, span_id)
            event, failed = _event(span, kind, event_id)
            senders.of(span.resource).sign(event)
            converted.events.append(event)
        rank = 3 if not parent_id else 2 if _begins_here(span) else 1
        # The best of them comes first.
        order = (-rank, span.start_time, span_id)
        if run_id not in own or order < own[run_id][0]:
            own[run_id] = (order, span)
        converted.links.append(
            Link(
                run_id=run_id,
                span_id=span_id,
                what=_WHAT[kind],
                parent_id=parent_id,
                event_id=event_id,
                failed=failed,
                started=min(span.start_time, _MOST),
            )
        )
    converted.rejected, converted.words = rejected, words
    converted.links = _with_runs(converted, own, senders)
    return converted


def _with_runs(
    converted: Converted, own: dict[str, tuple[tuple[int, int, str], Span]], senders: _Senders
) -> list[Link]:
    """Add the events of runs; return the links with what came along."""
    ranks = {}
    for (rank, _, span_id), span in own.values():
        event = _run_event(span)
        senders.of(span.resource).sign(event)
        converted.events.append(event)
        ranks[span.trace_id, span_id] = -rank
    return [
        replace(link, rank=ranks[link.run_id, link.span_id])
        if (link.run_id, link.span_id) in ranks
        else link
        for link in converted.links
    ]


_NO_SPAN: Final = "0" * 16
_NO_TRACE: Final = "0" * 32
_MOST: Final = 2**63 - 1


def _unfit(trace_id: str, span_id: str) -> str | None:
    """Return why a span cannot be stored, None if it can."""
    if len(trace_id) != 32 or trace_id == _NO_TRACE or not _HEXADECIMAL.issuperset(trace_id):
        return "traceId is not 16 bytes, not all zero"
    if not _is_span(span_id):
        return "spanId is not 8 bytes, not all zero"
    return None


def _is_span(span_id: str) -> bool:
    return len(span_id) == 16 and span_id != _NO_SPAN and _HEXADECIMAL.issuperset(span_id)


def _begins_here(span: Span) -> bool:
    """Whether its parent is in another process."""
    return span.is_remote or span.kind in (SpanKind.SERVER, SpanKind.CONSUMER)


def _event(span: Span, kind: Kind, event_id: str) -> tuple[Event, bool]:
    whole: Any = Whole(span, {}) if span.dropped_attributes else span
    origin = Origin(
        event_id=event_id, run_id=span.trace_id, trace_id=span.trace_id, span_id=span.span_id
    )
    event, failed, complete = event_of(origin, whole, kind)
    _complete(event, complete)
    if lost := losses(span):
        event.warnings = (*event.warnings, *lost)
    return event, failed


def _complete(event: Event, complete: Callable[[Event], None]) -> None:
    """Fill in what a stranger wrote: what cannot be read costs itself, not its event."""
    done = False
    with internal_errors("read a span"):
        complete(event)
        done = True
    if not done:
        event.warnings = (*event.warnings, _UNREAD)


def _run_event(span: Span) -> RunEvent:
    get = span.attributes.get
    status, error = outcome_of(span)
    method = as_text(get(semconv.HTTP_REQUEST_METHOD)) or as_text(get(semconv.HTTP_METHOD))
    is_request = method is not None and span.kind is SpanKind.SERVER
    route = as_text(get(semconv.HTTP_ROUTE)) if is_request else None
    code = get(semconv.HTTP_RESPONSE_STATUS_CODE, get(semconv.HTTP_STATUS_CODE))
    event = RunEvent(
        event_id=run_event_id_of(span.trace_id, span.span_id),
        run_id=span.trace_id,
        timestamp=_time_of(span.start_time),
        trace_id=span.trace_id,
        span_id=span.span_id,
        kind="http" if is_request else "job",
        name=f"{method} {route}" if route else None,
        method=method if is_request else None,
        route=route,
        http_status=code if is_request and type(code) is int else None,
        latency_ms=max(0, span.end_time - span.start_time) / 1e6,
        status=status,
        error=error,
    )

    def complete(_: Event) -> None:
        if not route:
            event.name = run_name(span.attributes) or span.name or None
        for field, value in about(span.attributes).items():
            setattr(event, field, value)
        set_own(event, span.attributes)

    _complete(event, complete)
    return event


def _time_of(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


# Log records.


_TWICE: Final = "openlit."
"""Who writes of a stream that has ended a record outside its span, of which the span tells all, too."""


def convert_logs(logs: Iterable[Log]) -> Converted:
    """
    Return what *logs* become: those that tell of calls, which belong to the events of their spans.

    Raises:
        RefusedError: 413 there are too many.
    """
    converted = Converted()
    senders = _Senders()
    rejected, words, others = 0, "", 0
    for log in bounded(logs):
        name = log.name or as_text(log.attributes.get(semconv.EVENT_NAME)) or ""
        convert = _TAKEN.get(name)
        if convert is None or not is_moment(name, log.attributes):
            others += 1
            continue
        has_span = bool(log.trace_id.strip("0") and log.span_id.strip("0"))
        if not has_span and log.scope.name.startswith(_TWICE):
            continue
        why = _unfit(log.trace_id, log.span_id) if has_span else _misplaced(name)
        if why is not None:
            rejected, words = rejected + 1, words or why
            continue
        identity = (log.trace_id, log.span_id, name, log.time, log.body, log.attributes)
        digest = blake2b(encode(identity), digest_size=16).hexdigest()
        event, link = convert(log, name, digest, has_span)
        senders.of(log.resource).sign(event)
        converted.events.append(event)
        if has_span:
            converted.links.append(link)
    converted.rejected, converted.words, converted.others = rejected, words, others
    return converted


def _misplaced(name: str) -> str | None:
    """Return why a record that belongs to no span cannot be stored, None if it can."""
    if name == semconv.INFERENCE_DETAILS:
        return None
    return f"{name} outside of any span: nobody knows of which call"


def _call(log: Log, name: str, digest: str, has_span: bool) -> tuple[Event, Link]:
    """Return what a record tells of a call, and that it does."""
    is_whole = name == semconv.INFERENCE_DETAILS
    event_id = derived_id("log", digest)
    body = log.body if type(log.body) is dict else {"content": log.body} if log.body else {}
    attributes = {**body, **log.attributes}
    kind = as_text(attributes.get(semconv.ERROR_TYPE))
    event = PromptCallEvent(
        event_id=event_id,
        run_id=log.trace_id if has_span else event_id,
        timestamp=_time_of(log.time),
        trace_id=log.trace_id if has_span else None,
        span_id=log.span_id if has_span else None,
        standalone=True,  # unless its span comes
        status=Status.SUCCESS if kind is None else Status.ERROR,
        error=None if kind is None else ErrorInfo(message=kind, type=kind),
    )

    def complete(event: Event) -> None:
        if is_whole:
            fields = genai.call(attributes, (), log.time, log.scope.name)
        else:
            said = SpanEvent(name, log.time, attributes)
            fields = genai.call({}, (said,), log.time, log.scope.name)
        for field, value in fields.items():
            if value is not None and value not in ("", [], {}):
                setattr(event, field, without_media(value))

    _complete(event, complete)
    return event, Link(
        run_id=log.trace_id,
        span_id=log.span_id,
        what=What.WHOLE if is_whole else What.MORE,
        event_id=event_id,
        failed=event.failed,
        started=min(log.time, _MOST),
    )


def _moment_of(log: Log, name: str, digest: str, has_span: bool) -> tuple[Event, Link]:
    """Return a moment: it hangs together with its span as if it were a span inside."""
    span_id = digest[:16]
    common = {
        "event_id": event_id_of(log.trace_id, span_id),
        "run_id": log.trace_id,
        "timestamp": _time_of(log.time),
        "trace_id": log.trace_id,
        "span_id": log.span_id,
    }
    event = MOMENTS[name](log.attributes, common)
    _complete(event, lambda event: fill_moment(event, log.attributes))
    return event, Link(
        run_id=log.trace_id,
        span_id=span_id,
        what=What.CONTAINER,
        parent_id=log.span_id,
        event_id=event.event_id,
        failed=event.failed,
        started=min(log.time, _MOST),
    )


_TAKEN: Final = {
    **dict.fromkeys(
        (
            *semconv.MESSAGE_EVENTS,
            semconv.CHOICE,
            semconv.CONTENT_PROMPT,
            semconv.CONTENT_COMPLETION,
            semconv.INFERENCE_DETAILS,
        ),
        _call,
    ),
    **dict.fromkeys(MOMENTS, _moment_of),
}
"""What is made of records, by the name of the event that they are."""
