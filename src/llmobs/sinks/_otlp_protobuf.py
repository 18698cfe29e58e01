"""Records as OTLP protobuf messages (opentelemetry-proto v1)."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from google.protobuf.message import (  # type: ignore[import-untyped, unused-ignore]
    DecodeError,
    Message,
)
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from llmobs.codec import clean_text, encode
from llmobs.events import ErrorInfo, Event
from llmobs.recorded import semconv as names
from llmobs.sinks._otlp_records import Record, to_record

__all__ = ["LogRequest", "TraceRequest", "read_refusal", "read_status"]

SAMPLED = 0x01
HAS_IS_REMOTE = 0x100
IS_REMOTE = 0x200
SEVERITY_ERROR = 17

M = TypeVar("M", bound=Message)
ResourceKey = tuple[str | None, ...]


def _resource_key(event: Event) -> ResourceKey:
    """Return what tells the resource of an event from others: service, version, place."""
    host, version = (
        (None, None) if event.client is None else (event.client.hostname, event.client.sdk_version)
    )
    return (
        event.service_name,
        event.release,
        event.environment,
        event.project_id,
        host,
        version,
    )


def _resource(key: ResourceKey) -> Resource:
    service, release, environment, project, host, version = key
    resource = Resource()
    _put(
        resource.attributes,
        {
            names.SERVICE_NAME: service or "unknown_service",
            names.SERVICE_VERSION: release,
            names.DEPLOYMENT_ENVIRONMENT_NAME: environment,
            names.HOST_NAME: host,
            names.PROJECT_ID: project,
            names.SDK_NAME: "llmobs",
            names.SDK_LANGUAGE: "python",
            names.SDK_VERSION: version,
        },
    )
    return resource


class TraceRequest:
    """Events as spans, grouped by resource."""

    def __init__(self) -> None:
        self._message = ExportTraceServiceRequest()
        self._groups: dict[ResourceKey, ScopeSpans] = {}

    def add(self, event: Event) -> None:
        """Append one event."""
        key = _resource_key(event)
        if key not in self._groups:
            group = self._message.resource_spans.add(resource=_resource(key))
            self._groups[key] = group.scope_spans.add(scope=_scope(key))
        _add(self._groups[key].spans, _write_span, to_record(event))

    def to_bytes(self) -> bytes:
        """Return the request as it travels."""
        return bytes(self._message.SerializeToString())


class LogRequest:
    """Events as log events, grouped by resource."""

    def __init__(self) -> None:
        self._message = ExportLogsServiceRequest()
        self._groups: dict[ResourceKey, ScopeLogs] = {}

    def add(self, event: Event) -> None:
        """Append one event."""
        key = _resource_key(event)
        if key not in self._groups:
            group = self._message.resource_logs.add(resource=_resource(key))
            self._groups[key] = group.scope_logs.add(scope=_scope(key))
        _add(self._groups[key].log_records, _write_log, to_record(event))

    def to_bytes(self) -> bytes:
        """Return the request as it travels."""
        return bytes(self._message.SerializeToString())


def _scope(key: ResourceKey) -> InstrumentationScope:
    return InstrumentationScope(name="llmobs", version=key[-1] or "")


def _add(messages: Any, write: Callable[[Any, Record], None], record: Record) -> None:
    try:
        write(messages.add(), record)
    except BaseException:
        del messages[-1]  # half a message must not leave
        raise


def _write_span(span: Span, record: Record) -> None:
    ids = record.ids
    span.trace_id = ids.trace_id
    span.span_id = ids.span_id
    span.parent_span_id = ids.parent_id
    span.flags = SAMPLED | HAS_IS_REMOTE | (IS_REMOTE if ids.is_remote else 0)
    span.name = _text(record.name)
    span.kind = record.kind  # type: ignore[assignment]
    span.start_time_unix_nano = record.start
    span.end_time_unix_nano = record.end
    _put(span.attributes, record.attributes)
    if record.failed:
        span.status.code = Status.STATUS_CODE_ERROR
    if record.error is not None:
        if record.failed:
            span.status.message = _text(record.error.message)
        exception = span.events.add(name=names.EXCEPTION, time_unix_nano=record.end)
        _put(exception.attributes, _exception(record.error))
    elif record.severity:
        # A log event on its way to a backend that takes spans only.
        span.events.add(name=_text(record.body), time_unix_nano=record.end)


def _write_log(log: LogRecord, record: Record) -> None:
    log.time_unix_nano = log.observed_time_unix_nano = record.start
    log.severity_number = record.severity  # type: ignore[assignment]
    log.severity_text = "ERROR" if record.severity >= SEVERITY_ERROR else "WARN"
    log.body.string_value = _text(record.body)
    _put(log.attributes, record.attributes)
    log.flags = SAMPLED
    log.trace_id = record.ids.trace_id
    # A log event belongs to the span it happened in: it has none of its own.
    log.span_id = record.ids.parent_id
    log.event_name = record.name


def _exception(error: ErrorInfo) -> dict[str, Any]:
    return {
        names.EXCEPTION_TYPE: error.type,
        names.EXCEPTION_MESSAGE: error.message,
        names.EXCEPTION_STACKTRACE: error.stack,
        **({"code": error.code} if error.code else {}),
    }


def _put(attributes: Any, values: Mapping[str, Any]) -> None:
    # Filled in place: building messages and copying them in takes twice as long.
    for key, value in values.items():
        if value is not None:
            attribute = attributes.add()
            attribute.key = _text(key)
            _set(attribute.value, value)


def _set(holder: AnyValue, value: Any) -> None:
    if isinstance(value, str):
        holder.string_value = _text(value)
    elif isinstance(value, bool):
        holder.bool_value = value
    elif isinstance(value, int) and -(2**63) <= value < 2**63:
        holder.int_value = value
    elif isinstance(value, float):
        holder.double_value = value
    elif isinstance(value, list | tuple):
        holder.array_value.SetInParent()
        for item in value:
            _set(holder.array_value.values.add(), item)
    else:
        holder.string_value = str(value) if isinstance(value, int) else encode(value).decode()


def _text(text: str) -> str:
    return text if text.isascii() else clean_text(text)


def read_refusal(body: bytes) -> tuple[int, str]:
    """
    Return how many were refused, and the backend's words, from an answer to spans or to logs.

    Both answers have the same layout. (0, "") if the answer is not protobuf.
    """
    refusal = _parse(ExportTraceServiceResponse(), body).partial_success
    return refusal.rejected_spans, refusal.error_message


def read_status(body: bytes) -> str:
    """Return the message of a ``google.rpc.Status``, the form of OTLP's errors; empty if it is none."""
    # Its second field is the message, as in a partial success: no need for one more package.
    return _parse(ExportTracePartialSuccess(), body).error_message


def _parse(message: M, body: bytes) -> M:
    try:
        message.ParseFromString(body)
    except DecodeError:
        message.Clear()
    return message
