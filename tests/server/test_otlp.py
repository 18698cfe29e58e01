"""OTLP over HTTP: what comes as protobuf or JSON becomes runs and events."""

import base64
import gzip
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from starlette.testclient import TestClient

from llmobs import Settings
from llmobs.events import (
    AgentStepEvent,
    ErrorEvent,
    EvaluationEvent,
    PromptCallEvent,
    RunEvent,
    ToolCallEvent,
)
from llmobs.recorded import semconv
from llmobs.server.app import create_app
from llmobs.server.collector import Collector
from llmobs.server.otlp import json_, protobuf
from llmobs.server.otlp.mapping import convert_spans
from llmobs.store.engine import open_reader, writer_of
from llmobs.store.records import RunDetail

PROTOBUF = "application/x-protobuf"
START = 1_764_400_000_000_000_000


class Served:
    """A collector, and what is in its store."""

    def __init__(self, client: TestClient, path: Path) -> None:
        self.client = client
        self.path = path
        self.traces = 0

    def new_trace(self) -> str:
        self.traces += 1
        return f"{self.traces:032x}"

    def post(self, signal: str, body: Any, kind: str = PROTOBUF, **headers: str) -> Any:
        if type(body) is dict:
            body, kind = json.dumps(body).encode(), "application/json"
        content = body if type(body) is bytes else body.SerializeToString()
        return self.client.post(
            f"/v1/{signal}", content=content, headers={"content-type": kind, **headers}
        )

    def send(self, *spans: "Spec", resource: dict[str, Any] | None = None) -> None:
        answer = self.post("traces", request_of(*spans, resource=resource))
        assert answer.status_code == 200, answer.content
        assert answer.content == b""

    def tell(self, *logs: "Spec") -> None:
        answer = self.post("logs", logs_of(*logs))
        assert (answer.status_code, answer.content) == (200, b"")

    def run(self, trace: str) -> RunDetail:
        with open_reader(self.path) as reader:
            return reader.run(trace)

    def has(self, trace: str) -> bool:
        with open_reader(self.path) as reader:
            return any(run.run_id == trace for run in reader.runs(1000))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("otlp") / "llmobs.db"
    collector = Collector(writer_of(path), Settings(project_id="shop"))
    with TestClient(create_app(collector), raise_server_exceptions=False) as client:
        yield Served(client, path)


Spec = dict[str, Any]


def span(trace: str, number: int, parent: int = 0, /, **fields: Any) -> Spec:
    return {"trace": trace, "number": number, "parent": parent, **fields}


CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 5,
}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "helper"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
HTTP = {"http.request.method": "POST", "http.route": "/chat/{id}", "http.response.status_code": 201}
SERVER, CLIENT = 2, 3


def put(pairs: Any, values: dict[str, Any]) -> None:
    for key, value in values.items():
        pairs.append(KeyValue(key=key, value=any_value(value)))


def any_value(value: Any) -> AnyValue:
    found = AnyValue()
    if type(value) is str:
        found.string_value = value
    elif type(value) is bool:
        found.bool_value = value
    elif type(value) is int:
        found.int_value = value
    elif type(value) is float:
        found.double_value = value
    elif type(value) is bytes:
        found.bytes_value = value
    elif type(value) is list:
        found.array_value.values.extend([any_value(each) for each in value])
        found.array_value.SetInParent()
    elif type(value) is dict:
        put(found.kvlist_value.values, value)
        found.kvlist_value.SetInParent()
    return found


def request_of(*specs: Spec, resource: dict[str, Any] | None = None) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    put(group.resource.attributes, resource or {"service.name": "shop"})
    scope = group.scope_spans.add()
    scope.scope.name = "tests"
    for spec in specs:
        made = scope.spans.add(name=spec.get("name", f"span {spec['number']}"))
        made.trace_id = bytes.fromhex(spec["trace"])
        made.span_id = spec["number"].to_bytes(8, "big")
        if spec["parent"]:
            made.parent_span_id = spec["parent"].to_bytes(8, "big")
        made.kind = spec.get("kind", 1)
        made.flags = spec.get("flags", 0)
        made.start_time_unix_nano = START + spec["number"] * 10**9
        made.end_time_unix_nano = made.start_time_unix_nano + 2 * 10**9
        put(made.attributes, spec.get("attributes", {}))
        if "error" in spec:
            made.status.code = 2
            made.status.message = spec["error"]
    return request


def logs_of(*specs: Spec) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for at, spec in enumerate(specs):
        made = scope.log_records.add(event_name=spec["name"])
        if spec["trace"]:
            made.trace_id = bytes.fromhex(spec["trace"])
            made.span_id = spec["number"].to_bytes(8, "big")
        made.time_unix_nano = START + at
        put(made.attributes, spec.get("attributes", {}))
        if "body" in spec:
            made.body.CopyFrom(any_value(spec["body"]))
    return request


def as_json(request: Any) -> bytes:
    """Return *request* in OTLP's JSON: ids are hexadecimal there."""

    def mend(found: Any) -> Any:
        if type(found) is list:
            return [mend(each) for each in found]
        if type(found) is not dict:
            return found
        return {
            key: base64.b64decode(value).hex() if key in ids else mend(value)
            for key, value in found.items()
        }

    ids = ("traceId", "spanId", "parentSpanId")
    return json.dumps(mend(MessageToDict(request))).encode()


# Runs.


def test_a_trace_is_a_run_and_its_root_says_which(served: Served) -> None:
    trace = served.new_trace()
    root = span(
        trace, 1, kind=SERVER, name="POST", attributes={**HTTP, "user.id": "u1", "session.id": "s1"}
    )
    resource = {
        "service.name": "web",
        "service.version": "1.2",
        "deployment.environment.name": "staging",
        "host.name": "h1",
        "llmobs.project.id": "chats",
    }
    call = span(trace, 2, 1, kind=CLIENT, attributes=CHAT)
    served.send(root, call, resource=resource)
    found = served.run(trace)
    assert found.summary.name == "POST /chat/{id}"
    assert (found.summary.kind, found.summary.http_status, found.summary.status) == (
        "http",
        201,
        "success",
    )
    assert (found.summary.user_id, found.summary.session_id) == ("u1", "s1")
    assert (found.summary.service_name, found.summary.environment, found.summary.release) == (
        "web", "staging", "1.2",
    )  # fmt: skip
    assert found.summary.project_id == "chats"
    assert found.summary.duration_ms == 2000
    assert (found.summary.calls, found.summary.tokens_input, found.summary.tokens_output) == (
        1,
        10,
        5,
    )
    run, event = found.events
    assert isinstance(run, RunEvent)
    assert (run.method, run.route) == ("POST", "/chat/{id}")
    assert isinstance(event, PromptCallEvent)
    assert event.parent_id is None
    assert event.cost_usd is not None
    assert event.client is not None
    assert event.client.hostname == "h1"


def test_a_run_goes_on_until_its_own_span_has_come(served: Served) -> None:
    trace = served.new_trace()
    served.send(span(trace, 2, 1, attributes=CHAT))
    assert served.run(trace).summary.outcome == "cut off"  # the spans are old
    served.send(span(trace, 1, name="job"))
    found = served.run(trace).summary
    assert (found.outcome, found.name) == ("success", "job")


def test_a_server_whose_caller_is_elsewhere_is_the_run(served: Served) -> None:
    trace = served.new_trace()
    served.send(span(trace, 2, 1, kind=SERVER, attributes=HTTP), span(trace, 3, 2, attributes=CHAT))
    assert served.run(trace).summary.name == "POST /chat/{id}"
    served.send(span(trace, 1, name="the caller"))
    found = served.run(trace)
    assert found.summary.name == "the caller"
    assert found.summary.http_status is None
    assert sum(isinstance(event, RunEvent) for event in found.events) == 1


def test_traces_without_models_leave_no_run(served: Served) -> None:
    trace = served.new_trace()
    served.send(span(trace, 1, kind=SERVER, attributes=HTTP), span(trace, 2, 1))
    assert not served.has(trace)
    served.send(span(trace, 3, 2, attributes=CHAT))
    assert served.run(trace).summary.name == "POST /chat/{id}"


# Parents.


def test_parents_are_the_nearest_stored_ones(served: Served) -> None:
    trace = served.new_trace()
    served.send(span(trace, 4, 3, attributes=CHAT))
    served.send(span(trace, 3, 2), span(trace, 1))
    served.send(span(trace, 2, 1, attributes=AGENT), span(trace, 5, 4, attributes=TOOL))
    events = {type(event): event for event in served.run(trace).events}
    assert events[PromptCallEvent].parent_id == events[AgentStepEvent].event_id
    assert events[AgentStepEvent].parent_id is None
    assert events[ToolCallEvent].parent_id == events[PromptCallEvent].event_id


def test_resending_changes_nothing(served: Served) -> None:
    trace = served.new_trace()
    spans = (span(trace, 1, attributes=AGENT), span(trace, 2, 1, attributes=CHAT))
    served.send(*spans)
    before = served.run(trace)
    served.send(*spans)
    served.send(spans[1], spans[1])
    assert served.run(trace) == before


# One call, told of twice.

TOLD_OUTSIDE = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o", "input.value": "hi"}


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_nested_spans_of_one_call_are_one_event(served: Served, order: tuple[int, int]) -> None:
    trace = served.new_trace()
    spans = {
        1: span(trace, 1, attributes=TOLD_OUTSIDE),
        2: span(trace, 2, 1, attributes={**CHAT, "gen_ai.response.id": "r1"}),
    }
    for number in order:
        served.send(spans[number])
    found = served.run(trace)
    (event,) = (event for event in found.events if isinstance(event, PromptCallEvent))
    assert (event.span_id, event.prompt, event.response_id) == (f"{1:016x}", "hi", "r1")
    assert (found.summary.calls, found.summary.tokens_input) == (1, 10)


# Log records.

ASKED = {"name": "gen_ai.user.message", "body": {"content": "what is 6 times 7?"}}
SAID = {
    "name": "gen_ai.choice",
    "body": {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": "42"},
    },
}


@pytest.mark.parametrize("logs_first", [False, True])
def test_messages_in_log_records_belong_to_the_call(served: Served, logs_first: bool) -> None:
    trace = served.new_trace()
    call = span(trace, 1, attributes=CHAT)
    logs = [{"trace": trace, "number": 1, **each} for each in (ASKED, SAID)]
    if logs_first:
        served.tell(*logs)
    served.send(call)
    if not logs_first:
        served.tell(logs[0])
        served.tell(logs[0], logs[1])
    (event,) = (e for e in served.run(trace).events if isinstance(e, PromptCallEvent))
    assert (event.prompt_text, event.response_text) == ("what is 6 times 7?", "42")
    assert (event.finish_reason, event.tokens_input) == ("stop", 10)


def test_details_without_their_span_are_a_call(served: Served) -> None:
    trace = served.new_trace()
    details = {
        "trace": trace,
        "number": 2,
        "name": "gen_ai.client.inference.operation.details",
        "attributes": {
            **CHAT,
            "gen_ai.input.messages": [
                {"role": "user", "parts": [{"type": "text", "content": "hi"}]}
            ],
        },
    }
    served.tell(details)
    (event,) = served.run(trace).events
    assert isinstance(event, PromptCallEvent)
    assert (event.prompt_text, event.tokens_output) == ("hi", 5)
    served.send(span(trace, 1, attributes=AGENT), span(trace, 2, 1, attributes=CHAT))
    found = served.run(trace)
    step, call = (e for e in found.events if not isinstance(e, RunEvent))
    assert (call.event_id, call.parent_id) == (event.event_id, step.event_id)
    assert found.summary.calls == 1


METRICS = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "tokens"}]}]}]}


def test_an_evaluation_is_of_the_event_that_its_span_is_part_of(served: Served) -> None:
    trace = served.new_trace()
    judged = {
        "trace": trace,
        "number": 2,
        "name": "gen_ai.evaluation.result",
        "attributes": {
            "gen_ai.evaluation.name": "relevance",
            "gen_ai.evaluation.score.value": 0.5,
            "gen_ai.evaluation.score.label": "fair",
        },
    }
    served.tell(judged)
    served.tell(judged)
    served.send(span(trace, 2, 1, attributes=CHAT), span(trace, 1, attributes=TOLD_OUTSIDE))
    found = served.run(trace)
    (evaluation,) = (event for event in found.events if isinstance(event, EvaluationEvent))
    (call,) = (event for event in found.events if isinstance(event, PromptCallEvent))
    assert (evaluation.name, evaluation.score, evaluation.label) == ("relevance", 0.5, "fair")
    assert evaluation.parent_id == call.event_id


def test_a_call_that_log_records_alone_tell_of_is_no_run_under_way(served: Served) -> None:
    trace = served.new_trace()
    details = {"number": 2, "name": "gen_ai.client.inference.operation.details", "attributes": CHAT}
    served.tell({"trace": trace, **details})
    assert served.run(trace).summary.outcome is None
    served.send(span(trace, 2, 1, attributes=CHAT))
    assert served.run(trace).summary.outcome == "cut off"  # the span is old
    served.tell({"trace": "", **details})  # of no span at all
    with open_reader(served.path) as reader:
        assert any(len(run.run_id) == 36 and run.calls == 1 for run in reader.runs(1000))


def test_other_signals_are_acknowledged_and_said_once(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    other = {"trace": "", "number": 0, "name": "", "body": "a line"}
    with caplog.at_level(logging.INFO, "llmobs"):
        for _ in range(2):
            served.tell(other)
            answer = served.post("metrics", METRICS)
            assert (answer.status_code, answer.json()) == (200, {})
    said = [record.getMessage() for record in caplog.records]
    assert len([line for line in said if "not kept" in line]) == 2


# The wire.

texts = st.text(st.characters(codec="utf-8"), max_size=8)
scalars = st.one_of(
    texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=9),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
NAMES = (
    *CHAT, *AGENT, *TOOL, *HTTP, *TOLD_OUTSIDE, "gen_ai.input.messages", "gen_ai.output.messages",
    "gen_ai.prompt.0.content", "llm.input_messages.0.message.role", "langfuse.observation.type",
    "langfuse.observation.input", "ai.operationId", "ai.prompt", "traceloop.span.kind", "request_data",
    "langsmith.span.kind", "error.type", "user.id", "logfire.json_schema", "gen_ai.response.finish_reasons",
    "gen_ai.usage.details.cached_tokens", "metadata", "gen_ai.response.time_to_first_chunk",
    "http.status_code", "gen_ai.tool.definitions", "llm.invocation_parameters", "langfuse.trace.tags",
)  # fmt: skip
WORDS = (
    "chat",
    "invoke_agent",
    "execute_tool",
    "LLM",
    "TOOL",
    "AGENT",
    "generation",
    "ai.generateText.doGenerate",
)
JSONISH = (
    "{}",
    "[]",
    '[{"role": 1}]',
    '{"a": [null]}',
    '[[1], {"parts": "x"}]',
    "[1e999]",
    '{"usage": []}',
)
attributes = st.dictionaries(
    st.sampled_from(NAMES), values | st.sampled_from(WORDS) | st.sampled_from(JSONISH), max_size=9
)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    trace = draw(st.sampled_from([f"{7:032x}", f"{8:032x}"]))
    specs = [
        span(
            trace,
            number,
            draw(st.integers(0, 4)),
            kind=draw(st.integers(0, 5)),
            flags=draw(st.sampled_from([0, 0x101, 0x301])),
            attributes=draw(attributes),
        )
        for number in range(1, 1 + draw(st.integers(1, 3)))
    ]
    request = request_of(*specs, resource=draw(attributes))
    for made in request.resource_spans[0].scope_spans[0].spans:
        made.start_time_unix_nano = draw(st.integers(0, 2**62))
        if draw(st.booleans()):
            event = made.events.add(name=draw(st.sampled_from(["exception", "gen_ai.choice", "x"])))
            put(event.attributes, draw(attributes))
        made.status.code = draw(st.sampled_from([0, 1, 2]))
    return request


@given(requests())
@settings(max_examples=60, deadline=None)
def test_json_says_what_protobuf_says(request: ExportTraceServiceRequest) -> None:
    by_protobuf = convert_spans(protobuf.spans_in(request.SerializeToString()))
    by_json = convert_spans(json_.spans_in(as_json(request)))
    assert by_json == by_protobuf
    assert len(by_protobuf.links) == len(request.resource_spans[0].scope_spans[0].spans)


def test_json_in_all_its_spellings() -> None:
    plain = {
        "trace_id": f"{1:032X}",
        "spanId": f"{2:016x}",
        "parentSpanId": None,
        "name": "chat",
        "kind": "SPAN_KIND_CLIENT",
        "startTimeUnixNano": str(START),
        "end_time_unix_nano": START + 10**9,
        "status": {"code": "STATUS_CODE_ERROR", "message": "no"},
        "attributes": [
            {"key": "gen_ai.request.model", "value": {"stringValue": "m"}},
            {"key": "gen_ai.operation.name", "value": {"string_value": "chat"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "7"}},
            {"key": "gen_ai.usage.output_tokens", "value": {"intValue": 8}},
            {"key": "gen_ai.request.top_p", "value": {"doubleValue": "NaN"}},
            {"key": "odd", "value": None},
        ],
        "notKnown": {"a": 1},
    }
    body = json.dumps(
        {"resourceSpans": [{"scope_spans": [{"spans": [plain]}]}], "more": []}
    ).encode()
    (event, run) = convert_spans(json_.spans_in(body)).events
    assert isinstance(event, PromptCallEvent)
    assert (event.model, event.tokens_input, event.tokens_output) == ("m", 7, 8)
    assert (event.status, event.latency_ms, event.trace_id) == ("error", 1000.0, f"{1:032x}")
    assert isinstance(run, RunEvent)


def test_what_cannot_be_stored_is_named_and_the_rest_is_stored(served: Served) -> None:
    trace = served.new_trace()
    request = request_of(span(trace, 1, attributes=CHAT), span(trace, 2, 1, attributes=CHAT))
    request.resource_spans[0].scope_spans[0].spans[1].span_id = b"short"
    answer = ExportTraceServiceResponse.FromString(served.post("traces", request).content)
    assert answer.partial_success.rejected_spans == 1
    assert "spanId" in answer.partial_success.error_message
    told = served.post("traces", as_json(request), "application/json").json()
    assert told["partialSuccess"]["rejectedSpans"] == "1"
    assert served.run(trace).summary.calls == 1


def status_of(answer: Any) -> tuple[int, str]:
    """Read a ``google.rpc.Status``; its fields have the numbers of those of a partial success."""
    if answer.headers["content-type"] == "application/json":
        return answer.json()["code"], answer.json()["message"]
    told = ExportTracePartialSuccess.FromString(answer.content)
    return told.rejected_spans, told.error_message


@pytest.mark.parametrize("signal", ["traces", "logs", "metrics"])
@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"\xff\xff\xff", PROTOBUF, 400, 3),
        (b"{", "application/json", 400, 3),
        (b"[]", "application/json; charset=utf-8", 400, 3),
        (b"", "text/plain", 415, 3),
    ],
)
def test_errors_are_told_in_the_words_of_the_request(
    served: Served, signal: str, body: bytes, kind: str, status: int, code: int
) -> None:
    answer = served.post(signal, body, kind)
    assert answer.status_code == status
    assert answer.headers["content-type"] == (PROTOBUF if kind == PROTOBUF else "application/json")
    told = status_of(answer)
    assert told[0] == code
    assert told[1]


def test_a_field_of_the_wrong_type_is_named(served: Served) -> None:
    spans = [{"traceId": 5}]
    body = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    answer = served.post("traces", body)
    assert (answer.status_code, "traceId" in answer.json()["message"]) == (400, True)


OURS = [name for name in vars(semconv).values() if str(name).startswith("llmobs.")]
MOMENTS = ("gen_ai.evaluation.result", "exception", "llmobs.performance_alert")


@pytest.mark.parametrize("value", ["", "{", 7, -1.5, True, b"x", ["x", 7], {"a": {"b": 1}}])
def test_odd_values_under_our_own_names_cost_no_event(served: Served, value: Any) -> None:
    """Who writes them may be anybody: what a field does not hold is mended, as in all that comes."""
    trace = served.new_trace()
    said = {name + "x" * name.endswith("."): value for name in OURS}
    kinds = ({}, CHAT, TOOL, AGENT)
    served.send(*(span(trace, n, n - 1, attributes=kind | said) for n, kind in enumerate(kinds, 1)))
    said |= {"exception.message": "boom", "gen_ai.evaluation.name": "good"}
    judged = said | {"llmobs.assertion.type": value}
    plain = {key: item for key, item in said.items() if "assertion" not in key}
    for about in (judged, plain):
        served.tell(
            *({"trace": trace, "number": 2, "name": n, "attributes": about} for n in MOMENTS)
        )
    found = [type(event) for event in served.run(trace).events]
    assert len(found) == 4 + 2 * len(MOMENTS)
    assert {RunEvent, PromptCallEvent, ToolCallEvent, AgentStepEvent, ErrorEvent} < {*found}


def test_exceptions_that_others_log_are_no_events(served: Served) -> None:
    trace = served.new_trace()
    served.send(span(trace, 1, attributes=CHAT))
    served.tell(
        {"trace": trace, "number": 1, "name": "exception", "attributes": {"exception.message": "x"}}
    )
    assert {type(event) for event in served.run(trace).events} == {RunEvent, PromptCallEvent}


def test_any_path_before_the_signal_and_gzip(served: Served) -> None:
    trace = served.new_trace()
    body = gzip.compress(request_of(span(trace, 1, attributes=CHAT)).SerializeToString())
    answer = served.client.post(
        "/api/public/otel/v1/traces",
        content=body,
        headers={"content-type": PROTOBUF, "content-encoding": "gzip"},
    )
    assert answer.status_code == 200
    assert served.has(trace)


KEYS = (
    "scopeSpans", "spans", "scopeLogs", "logRecords", "attributes", "resource", "events", "status", "kind",
    "startTimeUnixNano", "intValue", "stringValue", "doubleValue", "arrayValue", "values", "kvlistValue",
    "body", "eventName", "links", "parentSpanId",
)  # fmt: skip

jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("key", "value", "spanId", "traceId", "name", *KEYS)), inner, max_size=5
        )
    ),
    max_leaves=20,
)


@given(
    st.sampled_from(["traces", "logs", "metrics"]),
    st.one_of(
        st.tuples(st.just(PROTOBUF), st.binary(max_size=60)),
        st.tuples(st.just(PROTOBUF), requests().map(lambda request: request.SerializeToString())),
        st.tuples(
            st.just("application/json"),
            jsons.map(
                lambda found: json.dumps({"resourceSpans": found, "resourceLogs": found}).encode()
            ),
        ),
        st.tuples(st.just("application/json"), st.binary(max_size=60)),
    ),
)
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nothing_that_is_sent_breaks_it(
    served: Served, signal: str, sent: tuple[str, bytes]
) -> None:
    kind, body = sent
    answer = served.post(signal, body, kind)
    assert answer.status_code in (200, 400), answer.content


@pytest.mark.parametrize(
    "deep",
    [
        "[" * 400 + "]" * 400,
        '{"parts":[' * 300 + "1" + "]}" * 300,
        "[" * 5_000,
        '[{"role":"user","content":' * 90,
    ],
)
def test_what_is_nested_deeply_is_cut_and_not_refused(served: Served, deep: str) -> None:
    trace = served.new_trace()
    names = ("gen_ai.input.messages", "gen_ai.tool.definitions", "metadata", "gen_ai.prompt")
    served.send(span(trace, 1, attributes={**CHAT, **dict.fromkeys(names, deep)}))
    assert served.run(trace).summary.calls == 1


def test_values_nested_deeply_are_cut(served: Served) -> None:
    trace = served.new_trace()
    value: Any = "deep"
    for _ in range(40):
        value = [value, {"a": value}] if len(str(value)) < 500 else [value]
    body = json.loads(
        as_json(request_of(span(trace, 1, attributes={**CHAT, "gen_ai.input.messages": value})))
    )
    assert served.post("traces", body).status_code == 200
    assert served.run(trace).summary.calls == 1
    spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans[0]["attributes"].append({"key": "x", "value": "NESTED"})
    text = json.dumps(body).replace('"NESTED"', '{"arrayValue":{"values":[' * 900 + "]}}" * 900)
    assert served.post("traces", text.encode(), "application/json").status_code in (200, 400)
