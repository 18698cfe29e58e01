"""OTLP's protobuf: requests into spans and log records, and answers."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

from google.protobuf.message import (  # type: ignore[import-untyped, unused-ignore]
    DecodeError,
    Message,
)
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from llmobs.server.bodies import RefusedError
from llmobs.server.otlp.bounds import check_logs, check_spans, count_metrics
from llmobs.server.otlp.mapping import Converted, convert_logs, convert_spans
from llmobs.server.otlp.span import (
    MAX_DEPTH,
    Context,
    Event,
    Kind,
    Link,
    Log,
    Resource,
    Scope,
    Span,
    Status,
    StatusCode,
    has_remote_parent,
)

__all__ = ["answer", "count_metrics", "logs_in", "read_logs", "read_spans", "spans_in", "status"]

M = TypeVar("M", bound=Message)

_KINDS: Final = {kind.value: kind for kind in Kind}
_CODES: Final = {code.value: code for code in StatusCode}
_NONE: Final = Status(StatusCode.UNSET, None)
_OK: Final = Status(StatusCode.OK, None)
_NOTHING_DROPPED: Final = (0, 0, 0)


def read_spans(body: bytes) -> Converted:
    """Return what the spans of a request become; raises as `spans_in` does."""
    return convert_spans(spans_in(body))


def read_logs(body: bytes) -> Converted:
    """Return what the log records of a request become; raises as `logs_in` does."""
    return convert_logs(logs_in(body))


def spans_in(body: bytes) -> Iterator[Span]:
    """
    Yield the spans of a request.

    Raises:
        RefusedError: It is no such request, or holds too many messages.
    """
    check_spans(body)
    for group in _parse(ExportTraceServiceRequest(), body).resource_spans:
        resource = Resource(_attributes(group.resource.attributes))
        for inner in group.scope_spans:
            scope = Scope(inner.scope.name)
            for span in inner.spans:
                yield _span(resource, scope, span)


def _span(resource: Resource, scope: Scope, span: Any) -> Span:
    events: Any = ()
    if span.events:
        events = [
            Event(e.name, e.time_unix_nano, _attributes(e.attributes), e.dropped_attributes_count)
            for e in span.events
        ]
    links: Any = ()
    if span.links:
        links = [
            Link(Context(int.from_bytes(each.trace_id), int.from_bytes(each.span_id)))
            for each in span.links
        ]
    status = _NONE
    if span.HasField("status"):
        code, words = span.status.code, span.status.message
        if words or code == StatusCode.ERROR.value:
            status = Status(_CODES.get(code, StatusCode.UNSET), words or None)
        elif code:
            status = _OK
    return Span(
        resource=resource,
        scope=scope,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        is_remote=has_remote_parent(span.flags),
        name=span.name,
        kind=_KINDS.get(span.kind, Kind.UNSPECIFIED),
        start_time=span.start_time_unix_nano,
        end_time=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        events=events,
        links=links,
        status=status,
        dropped=(
            span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count
        ),
    )  # fmt: skip


def logs_in(body: bytes) -> Iterator[Log]:
    """
    Yield the log records of a request.

    Raises:
        RefusedError: It is no such request, or holds too many messages.
    """
    check_logs(body)
    for group in _parse(ExportLogsServiceRequest(), body).resource_logs:
        resource = Resource(_attributes(group.resource.attributes))
        for inner in group.scope_logs:
            scope = Scope(inner.scope.name)
            for log in inner.log_records:
                yield Log(
                    resource,
                    scope,
                    log.trace_id.hex(),
                    log.span_id.hex(),
                    log.event_name,
                    log.time_unix_nano or log.observed_time_unix_nano,
                    _value(log.body, 0),
                    _attributes(log.attributes),
                )


def _parse(message: M, body: bytes) -> M:
    try:
        message.ParseFromString(body)
    except DecodeError:
        name = type(message).DESCRIPTOR.full_name
        raise RefusedError(400, f"the body is no {name} in protobuf", "body") from None
    return message


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    found = {}
    for pair in pairs:
        value = pair.value
        # Texts, nearly always.
        found[pair.key] = value.string_value or _value(value, 0)
    return found


def _value(value: Any, depth: int) -> Any:
    kind = value.WhichOneof("value")
    if kind is None or depth > MAX_DEPTH:
        return None
    if kind == "array_value":
        return [_value(each, depth + 1) for each in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value, depth + 1) for pair in value.kvlist_value.values}
    if kind == "bytes_value":
        return b64encode(value.bytes_value).decode()
    return getattr(value, kind)


# Answers.

_ANSWERS: Final[dict[str, Any]] = {
    "traces": (ExportTraceServiceResponse, "rejected_spans"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
}


def answer(signal: str, rejected: int, words: str) -> bytes:
    """Return the answer to a request of ``traces``, ``logs`` or ``metrics``."""
    kind, name = _ANSWERS[signal]
    message = kind()
    if rejected or words:
        setattr(message.partial_success, name, rejected)
        message.partial_success.error_message = words
    return bytes(message.SerializeToString())


def status(code: int, words: str) -> bytes:
    """Return a ``google.rpc.Status``: its two fields are written as those of a partial success are."""
    return bytes(
        ExportTracePartialSuccess(rejected_spans=code, error_message=words).SerializeToString()
    )
