"""
OTLP's JSON: requests into spans and log records, and answers.

Protobuf's mapping with OTLP's exceptions: ids are hexadecimal. Enumerations may be numbers or names,
integers texts, names of fields in either spelling; what is not known is passed over.
"""

from collections.abc import Iterator
from math import isfinite
from typing import Any, Final

import msgspec

from llmobs.recorded.jsontext import Json, loads
from llmobs.server.bodies import RefusedError, check_json
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

_KINDS: Final[dict[Any, Kind]] = {
    **{kind.value: kind for kind in Kind},
    **{f"SPAN_KIND_{kind.name}": kind for kind in Kind},
}
_CODES: Final[dict[Any, StatusCode]] = {
    **{code.value: code for code in StatusCode},
    **{f"STATUS_CODE_{code.name}": code for code in StatusCode},
}
_HEXADECIMAL: Final = frozenset("0123456789abcdefABCDEF")
_FLOATS: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


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
        RefusedError: It is no such request, or holds too many values.
    """
    for group in _objects(_read(body), "resourceSpans", "resource_spans"):
        resource = _resource(group)
        for inner in _objects(group, "scopeSpans", "scope_spans"):
            scope = _scope(inner)
            for span in _objects(inner, "spans"):
                yield _span(resource, scope, span)


def _span(resource: Resource, scope: Scope, span: Json) -> Span:
    reported = _object(span, "status")
    code = reported.get("code")
    status = Status(
        _CODES.get(code if type(code) in (int, str) else None, StatusCode.UNSET),
        _text(reported, "message") or None,
    )
    kind = span.get("kind")
    return Span(
        resource=resource,
        scope=scope,
        trace_id=_id(span, "traceId", "trace_id"),
        span_id=_id(span, "spanId", "span_id"),
        parent_id=_id(span, "parentSpanId", "parent_span_id"),
        is_remote=has_remote_parent(_count(span, "flags")),
        name=_text(span, "name"),
        kind=_KINDS.get(kind if type(kind) in (int, str) else None, Kind.UNSPECIFIED),
        start_time=_count(span, "startTimeUnixNano", "start_time_unix_nano"),
        end_time=_count(span, "endTimeUnixNano", "end_time_unix_nano"),
        attributes=_attributes(span),
        events=[
            Event(
                _text(event, "name"),
                _count(event, "timeUnixNano", "time_unix_nano"),
                _attributes(event),
                _count(event, "droppedAttributesCount", "dropped_attributes_count"),
            )
            for event in _objects(span, "events")
        ],
        links=[
            Link(Context(_number(link, "traceId", "trace_id"), _number(link, "spanId", "span_id")))
            for link in _objects(span, "links")
        ],
        status=status,
        dropped=(
            _count(span, "droppedAttributesCount", "dropped_attributes_count"),
            _count(span, "droppedEventsCount", "dropped_events_count"),
            _count(span, "droppedLinksCount", "dropped_links_count"),
        ),
    )


def logs_in(body: bytes) -> Iterator[Log]:
    """
    Yield the log records of a request.

    Raises:
        RefusedError: It is no such request, or holds too many values.
    """
    for group in _objects(_read(body), "resourceLogs", "resource_logs"):
        resource = _resource(group)
        for inner in _objects(group, "scopeLogs", "scope_logs"):
            scope = _scope(inner)
            for log in _objects(inner, "logRecords", "log_records"):
                yield Log(
                    resource,
                    scope,
                    _id(log, "traceId", "trace_id"),
                    _id(log, "spanId", "span_id"),
                    _text(log, "eventName", "event_name"),
                    _count(log, "timeUnixNano", "time_unix_nano")
                    or _count(log, "observedTimeUnixNano", "observed_time_unix_nano"),
                    _value(log.get("body"), 0),
                    _attributes(log),
                )


def count_metrics(body: bytes) -> int:
    """
    Return how many metrics are in a request.

    Raises:
        RefusedError: It is no such request, or holds too many values.
    """
    return sum(
        len(list(_objects(inner, "metrics")))
        for group in _objects(_read(body), "resourceMetrics", "resource_metrics")
        for inner in _objects(group, "scopeMetrics", "scope_metrics")
    )


def _read(body: bytes) -> Json:
    check_json(body)
    try:
        found = loads(body)
    except (ValueError, UnicodeError):
        raise RefusedError(400, "the body is no JSON", "body") from None
    if type(found) is not dict:
        raise RefusedError(400, "the body is no JSON object", "body")
    return found


# Fields. What is null is as if it were not there.


def _field(found: Json, *names: str) -> Any:
    for name in names:
        value = found.get(name)
        if value is not None:
            return value
    return None


def _objects(found: Json, *names: str) -> Iterator[Json]:
    value = _field(found, *names)
    if value is None:
        return
    if type(value) is not list:
        raise RefusedError(400, f"{names[0]} is no array", names[0])
    for each in value:
        if type(each) is not dict:
            raise RefusedError(400, f"{names[0]} holds what is no object", names[0])
        yield each


def _object(found: Json, name: str) -> Json:
    value = found.get(name)
    if value is None:
        return {}
    if type(value) is not dict:
        raise RefusedError(400, f"{name} is no object", name)
    return value


def _text(found: Json, *names: str) -> str:
    value = _field(found, *names)
    if value is None:
        return ""
    if type(value) is not str:
        raise RefusedError(400, f"{names[0]} is no text", names[0])
    return value


def _id(found: Json, *names: str) -> str:
    return _text(found, *names).lower()


def _number(found: Json, *names: str) -> int:
    text = _text(found, *names)
    return int(text, 16) if text and len(text) <= 32 and _HEXADECIMAL.issuperset(text) else 0


def _count(found: Json, *names: str) -> int:
    value = _field(found, *names)
    if value is None:
        return 0
    number = _whole(value)
    if number is None or not 0 <= number < 2**64:
        raise RefusedError(400, f"{names[0]} is no integer of 64 bits", names[0])
    return number


def _whole(value: Any) -> int | None:
    if type(value) is str and len(value) <= 20 and value.removeprefix("-").isdecimal():
        return int(value)
    if type(value) is float and isfinite(value) and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _resource(group: Json) -> Resource:
    return Resource(_attributes(_object(group, "resource")))


def _scope(inner: Json) -> Scope:
    return Scope(_text(_object(inner, "scope"), "name"))


def _attributes(found: Json) -> dict[str, Any]:
    return {_text(p, "key"): _value(p.get("value"), 0) for p in _objects(found, "attributes")}


def _value(value: Any, depth: int) -> Any:
    if type(value) is not dict or depth > MAX_DEPTH:
        return None
    text = value.get("stringValue")
    if text is None:
        text = value.get("string_value")
    if type(text) is str:
        return text
    if type(found := _field(value, "boolValue", "bool_value")) is bool:
        return found
    if (found := _field(value, "intValue", "int_value")) is not None:
        return _whole(found)
    if (found := _field(value, "doubleValue", "double_value")) is not None:
        return _double(found)
    if (found := _field(value, "bytesValue", "bytes_value")) is not None:
        return found if type(found) is str else None
    if (found := _field(value, "arrayValue", "array_value")) is not None:
        inside = found if type(found) is dict else {}
        return [_value(each, depth + 1) for each in _objects(inside, "values")]
    if (found := _field(value, "kvlistValue", "kvlist_value")) is not None:
        inside = found if type(found) is dict else {}
        return {
            _text(p, "key"): _value(p.get("value"), depth + 1) for p in _objects(inside, "values")
        }
    return None


def _double(value: Any) -> float | None:
    if type(value) is str:
        if value in _FLOATS:
            return _FLOATS[value]
        try:
            return float(value)
        except ValueError:
            return None
    return (
        float(value)
        if type(value) is float or (type(value) is int and abs(value) < 2**1000)
        else None
    )


# Answers.

_REJECTED: Final = {
    "traces": "rejectedSpans",
    "logs": "rejectedLogRecords",
    "metrics": "rejectedDataPoints",
}


def answer(signal: str, rejected: int, words: str) -> bytes:
    """Return the answer to a request of ``traces``, ``logs`` or ``metrics``."""
    body: Json = {}
    if rejected or words:
        body["partialSuccess"] = {_REJECTED[signal]: str(rejected), "errorMessage": words}
    return msgspec.json.encode(body)


def status(code: int, words: str) -> bytes:
    """Return a ``google.rpc.Status``."""
    return msgspec.json.encode({"code": code, "message": words})
