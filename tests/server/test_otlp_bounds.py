"""What a body of protobuf holds is told before it is read: bombs are refused, nothing else is."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llmobs.server.bodies import RefusedError
from llmobs.server.otlp import protobuf
from llmobs.server.otlp.bounds import (
    MAX_MESSAGES,
    MAX_RECORDS,
    check_logs,
    check_spans,
    count_metrics,
)
from llmobs.server.otlp.mapping import Converted

MEGABYTES = 8
FEW = 20_000
"""Messages that are let in where a test makes too many."""


def field(number: int, content: bytes) -> bytes:
    """A field of protobuf that holds *content*."""
    size, digits = len(content), []
    while size > 127:
        digits.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *digits, size]) + content


def inside(content: bytes, *numbers: int) -> bytes:
    """*content* in a field that is in a field, the outermost first."""
    for number in reversed(numbers):
        content = field(number, content)
    return content


@pytest.mark.parametrize(
    ("check", "path"),
    [
        (check_spans, ()), (check_spans, (1,)), (check_spans, (1, 1)), (check_spans, (1, 2)),
        (check_spans, (1, 2, 2)), (check_spans, (1, 2, 2, 9, 2, 5)), (check_spans, (1, 2, 2, 9, 2, 6)),
        (check_spans, (1, 2, 2, 11)), (check_spans, (1, 2, 2, 13)), (check_spans, (1, 2, 1)),
        (check_logs, (1, 2)), (check_logs, (1, 2, 2)), (check_logs, (1, 2, 2, 5, 5)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("short", [b"", b"\x10\x01"])
def test_too_many_messages_are_refused_wherever_they_are(
    check: object, path: tuple[int, ...], short: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmobs.server.otlp.bounds.MAX_MESSAGES", FEW)
    monkeypatch.setattr("llmobs.server.otlp.bounds.SMALL", FEW)
    assert callable(check)
    repeated = {
        (): 1, (1,): 2, (1, 1): 1, (1, 2): 2, (1, 2, 2): 9 if check is check_spans else 6,
        (1, 2, 1): 3, (1, 2, 2, 11): 3, (1, 2, 2, 13): 4,
    }.get(path, 1)  # fmt: skip
    one = field(repeated, short)
    check(inside(one * (FEW // 2), *path))
    with pytest.raises(RefusedError) as refused:
        check(inside(one * (FEW + 1), *path))
    assert refused.value.status == 413


def span_of(attributes: int, text: int) -> bytes:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    for number in range(attributes):
        pair = span.attributes.add()
        pair.key, pair.value.string_value = f"gen_ai.attribute.{number}", "x" * (number % 40)
    pair = span.attributes.add()
    pair.key, pair.value.string_value = "gen_ai.input.messages", "y" * text
    pair = span.attributes.add()
    pair.key = "embedding"
    for number in range(300):
        pair.value.array_value.values.add().double_value = number / 7
    return bytes(request.SerializeToString())


@pytest.mark.parametrize(("attributes", "text"), [(30, 3_000), (128, 0), (5, 100_000)])
def test_what_an_sdk_sends_is_let_in_up_to_the_largest_body(attributes: int, text: int) -> None:
    one = span_of(attributes, text)
    check_spans(one * (MEGABYTES * 1024 * 1024 // len(one)))


def test_a_million_is_where_it_ends() -> None:
    assert MAX_MESSAGES == 1_000_000
    bomb = inside(field(9, b"") * (MAX_MESSAGES + 1), 1, 2, 2)
    with pytest.raises(RefusedError, match="1,000,000 messages"):
        check_spans(bomb)


@pytest.mark.parametrize("read", [protobuf.read_spans, protobuf.read_logs])
def test_so_do_spans_and_records_of_one_request(
    read: Callable[[bytes], Converted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tiny span takes 40 bytes in a body, and some kilobytes as an event with its run's."""
    assert MAX_RECORDS == 20_000
    monkeypatch.setattr("llmobs.server.otlp.bounds.MAX_RECORDS", 100)
    ids = field(1, b"t" * 16) + field(2, b"s" * 8)
    one = field(2, ids) if read is protobuf.read_spans else field(2, ids.replace(b"\x0a", b"\x4a"))
    assert not read(inside(one * 100, 1, 2)).rejected
    with pytest.raises(RefusedError, match="over 100 of them") as refused:
        read(inside(one * 101, 1, 2))
    assert refused.value.status == 413


@settings(max_examples=30)
@given(st.binary(max_size=60))
def test_whatever_is_no_protobuf_is_left_to_the_parser(data: bytes) -> None:
    padded = data + field(9, b"\xff" * 1024 * 1024)
    for check in (check_spans, check_logs):
        check(padded)
        check(data)


@given(st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=4))
def test_metrics_are_counted_unread(groups: list[list[int]]) -> None:
    request = ExportMetricsServiceRequest()
    for scopes in groups:
        group = request.resource_metrics.add()
        for metrics in scopes:
            scope = group.scope_metrics.add()
            for number in range(metrics):
                scope.metrics.add().name = f"m{number}"
    assert count_metrics(request.SerializeToString()) == sum(map(sum, groups))


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05", b"\x0b", b"\x0a" + b"\xff" * 11])
def test_no_metrics_at_all_are_refused(body: bytes) -> None:
    with pytest.raises(RefusedError) as refused:
        count_metrics(body)
    assert refused.value.status == 400


def test_the_layouts_are_those_of_the_protocol() -> None:
    """Every field that holds messages with a number of their own is known by its number."""
    for request, known in (
        (ExportTraceServiceRequest, ("resource_spans", 1)),
        (ExportLogsServiceRequest, ("resource_logs", 1)),
    ):
        names = {each.name: each.number for each in request.DESCRIPTOR.fields}
        assert names[known[0]] == known[1]
        group = request.DESCRIPTOR.fields_by_name[known[0]].message_type
        assert group.fields_by_number[1].name == "resource"
        scoped = group.fields_by_number[2].message_type
        assert scoped.fields_by_number[1].name == "scope"
        one = scoped.fields_by_number[2].message_type
        held = {e.number for e in one.fields if e.message_type is not None}
        assert held == ({9, 11, 13, 15} if "spans" in known[0] else {5, 6})
