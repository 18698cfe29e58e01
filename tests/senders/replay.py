"""What was recorded of everybody's SDK, sent again: into this process' spans, or to a collector."""

import gzip
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.sdk.trace import Span, TracerProvider

from tests.senders.record import SAMPLES

__all__ = ["Request", "names", "requests_of", "runs_of", "send", "spans_in_process"]


class Request(NamedTuple):
    """What one HTTP request of a sender was."""

    method: str
    path: str
    content_type: str
    content_encoding: str
    body: bytes


def names() -> list[str]:
    """Return the names of the senders that were recorded."""
    return sorted(each.name for each in SAMPLES.iterdir())


def requests_of(name: str) -> Iterator[Request]:
    """Return what the sender sent, in its order, the bodies without their compression."""
    folder = SAMPLES / name
    for each in json.loads((folder / "requests.json").read_text()):
        body = gzip.decompress((folder / each["file"]).read_bytes())
        yield Request(
            each["method"], each["path"], each["content-type"], each["content-encoding"], body
        )


def send(name: str, address: str) -> list[tuple[Request, httpx2.Response]]:
    """Send it all to the collector at *address*, compressed as it was."""
    answers = []
    with httpx2.Client(base_url=address, trust_env=False) as client:
        for each in requests_of(name):
            body = gzip.compress(each.body) if each.content_encoding == "gzip" else each.body
            told = {"content-type": each.content_type, "content-encoding": each.content_encoding}
            headers = {key: value for key, value in told.items() if value}
            answer = client.request(each.method, each.path, content=body, headers=headers)
            answers.append((each, answer))
    return answers


def runs_of(name: str) -> set[str]:
    """Return the ids of the sender's traces, which are its runs."""
    return {span.trace_id.hex() for _, span in _spans(name)}


def spans_in_process(name: str, provider: TracerProvider) -> None:
    """
    Let the spans happen once more here: begun in the order they began, ended in the order they ended.

    Ids are new, and of the resource nothing is left: an application's own provider has one.
    """
    found = _spans(name)
    # Clocks are coarse: what begins or ends at once is told apart by who is listed first, the inner one.
    moments = [(span.start_time_unix_nano, 0, -i) for i, (_, span) in enumerate(found)]
    moments += [(span.end_time_unix_nano, 1, i) for i, (_, span) in enumerate(found)]
    begun: dict[bytes, Span] = {}
    for _, ends, place in sorted(moments):
        scope, told = found[abs(place)]
        if not ends:
            parent = begun.get(told.parent_span_id)
            context = None if parent is None else trace.set_span_in_context(parent)
            tracer = provider.get_tracer(scope.name, scope.version)
            span: Any = tracer.start_span(
                told.name,
                context,
                kind=trace.SpanKind(told.kind - 1),
                attributes={each.key: value_of(each.value) for each in told.attributes},
                start_time=told.start_time_unix_nano,
            )
            begun[told.span_id] = span
            continue
        span = begun[told.span_id]
        for event in told.events:
            attributes = {each.key: value_of(each.value) for each in event.attributes}
            span.add_event(event.name, attributes, event.time_unix_nano)
        if told.status.code:
            code = trace.StatusCode(told.status.code)
            span.set_status(code, told.status.message or None)
        span.end(told.end_time_unix_nano)


def _spans(name: str) -> list[tuple[Any, Any]]:
    return [
        (scope.scope, span)
        for request in requests_of(name)
        if request.path.endswith("/traces")
        for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def value_of(value: AnyValue) -> Any:
    """Return a value of an attribute as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return {each.key: value_of(each.value) for each in value.kvlist_value.values}
    return None if kind is None else getattr(value, kind)
