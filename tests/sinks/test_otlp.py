"""The OTLP sink: what it writes, read back from the protobuf, and what it makes of answers."""

import gzip
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

import llmobs
from llmobs.contrib._tasks import TaskRuns
from llmobs.errors import (
    ConfigurationError,
    SinkRejectedError,
    SinkTooLargeError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)
from llmobs.events import ErrorEvent, ErrorInfo, Event, RunEvent
from llmobs.pipeline.sink import Batch
from llmobs.recorded import semconv
from llmobs.sinks import resolve
from llmobs.sinks.otlp import OTLPSink
from tests.sinks.examples import RUN, SPAN, TRACE, common, every_kind, prompt_call
from tests.support.scripted_server import Reply, ScriptedServer, Seen

pytestmark = pytest.mark.anyio

PROTOBUF = {"content-type": "application/x-protobuf"}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        running.otherwise = Reply(200, b"", PROTOBUF)
        yield running


@asynccontextmanager
async def opened(*args: Any, **keywords: Any) -> AsyncIterator[OTLPSink]:
    sink = OTLPSink(*args, **{"timeout": 10, **keywords})
    await sink.open()
    try:
        yield sink
    finally:
        await sink.aclose()


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)


def attributes(holder: Any) -> dict[str, Any]:
    return {item.key: _value(item.value) for item in holder.attributes}


def _of_path(server: ScriptedServer, path: str) -> list[Seen]:
    return [seen for seen in server.requests if seen.path.endswith(path)]


def spans_of(server: ScriptedServer) -> list[Any]:
    found = []
    for seen in _of_path(server, "/v1/traces"):
        request = ExportTraceServiceRequest()
        request.ParseFromString(seen.body)
        found += [s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
    return found


def logs_of(server: ScriptedServer) -> list[Any]:
    found = []
    for seen in _of_path(server, "/v1/logs"):
        request = ExportLogsServiceRequest()
        request.ParseFromString(seen.body)
        found += [
            log
            for r in request.resource_logs
            for scope in r.scope_logs
            for log in scope.log_records
        ]
    return found


async def span_of(server: ScriptedServer, event: Event) -> Any:
    async with opened(server.url) as sink:
        await sink.send(Batch([event]))
    (span,) = spans_of(server)
    return span


# What an event becomes.


async def test_a_call(server: ScriptedServer) -> None:
    call = prompt_call(
        provider="openai",
        model_version="gpt-4o-2024-08-06",
        finish_reason="stop",
        tokens_cached=3,
        tokens_cache_write=2,
        tokens_reasoning=5,
        time_to_first_token_ms=250,
        stream=True,
        response_id="chatcmpl-1",
        server_address="api.openai.com",
        http_status=200,
        attempt=2,
        request_params={
            "temperature": 0,
            "max_completion_tokens": 99,
            "stop": "END",
            "n": 2,
            "response_format": {"type": "json_schema"},
            "tools": [
                {"type": "function", "function": {"name": "f", "description": "long", "x": 1}}
            ],
            "user": "u",
        },
    )
    span = await span_of(server, call)
    assert (span.name, span.kind) == ("chat gpt-4o", 3)
    assert span.start_time_unix_nano == 1_704_164_645_678_901_000
    assert span.end_time_unix_nano - span.start_time_unix_nano == 1_250_400_000
    assert span.status.code == 0
    assert attributes(span) == {
        semconv.EVENT_ID: call.event_id,
        semconv.RUN_ID: RUN,
        "gen_ai.conversation.id": "s1",
        "session.id": "s1",
        "user.id": "u1",
        semconv.STATUS: "success",
        semconv.TAGS: ["beta"],
        "llmobs.metadata.region": "eu",
        "llmobs.metadata.nested": '{"a":[1,null]}',
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 45,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.cache_creation.input_tokens": 2,
        "gen_ai.usage.cache_write.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "server.address": "api.openai.com",
        "http.response.status_code": 200,
        "http.request.resend_count": 1,
        semconv.COST_USD: 0.000735,
        "gen_ai.input.messages": json.dumps(
            [{"role": "user", "parts": [{"type": "text", "content": "What is ML?"}]}],
            separators=(",", ":"),
        ),
        "gen_ai.output.messages": json.dumps(
            [
                {
                    "role": "assistant",
                    "parts": [{"type": "text", "content": "Learning from data."}],
                    "finish_reason": "stop",
                }
            ],
            separators=(",", ":"),
        ),
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.choice.count": 2,
        "gen_ai.output.type": "json",
        "gen_ai.tool.definitions": '[{"type":"function","name":"f"}]',
        "llmobs.request.user": "u",
    }


async def test_no_content_no_content_attributes(server: ScriptedServer) -> None:
    names = attributes(await span_of(server, prompt_call(prompt="", response="")))
    assert semconv.INPUT_MESSAGES not in names
    assert semconv.OUTPUT_MESSAGES not in names


async def test_capture_content_governs_what_a_client_exports(server: ScriptedServer) -> None:
    client = llmobs.AsyncClient(sink=f"otlp+{server.url}", capture_content="metadata")
    async with client:
        with client.run(name="job") as run:
            run.log_prompt_call("secret prompt", "gpt-4o", "secret answer", 1, 2, 3)
            run.log_tool_call("t", {"a": "secret argument"}, "secret result")
            run.log_error(ValueError("secret words"))
    raw = b"".join(seen.body for seen in server.requests)
    assert b"gpt-4o" in raw
    assert b"secret" not in raw


async def test_a_failed_call(server: ScriptedServer) -> None:
    error = ErrorInfo(message="too fast", type="RateLimitError", stack="Traceback ...")
    span = await span_of(server, prompt_call(status="error", error=error, response=""))
    assert (span.status.code, span.status.message) == (2, "too fast")
    assert attributes(span)["error.type"] == "RateLimitError"
    (exception,) = span.events
    assert exception.name == "exception"
    assert attributes(exception) == {
        "exception.type": "RateLimitError",
        "exception.message": "too fast",
        "exception.stacktrace": "Traceback ...",
    }


async def test_every_kind(server: ScriptedServer) -> None:
    events = every_kind()
    async with opened(server.url) as sink:
        await sink.send(Batch(events))
    assert [(span.name, span.kind) for span in spans_of(server)] == [
        ("chat gpt-4o", 3),
        ("execute_tool search", 1),
        ("invoke_agent plan", 1),
        ("POST /chat", 2),
    ]
    assert [log.event_name for log in logs_of(server)] == [
        "exception",
        "gen_ai.evaluation.result",
        "gen_ai.evaluation.result",
        "gen_ai.evaluation.result",
        "llmobs.performance_alert",
    ]
    tool, step = map(attributes, spans_of(server)[1:3])
    assert tool["gen_ai.tool.call.arguments"] == '{"q":"x"}'
    assert tool["gen_ai.tool.call.result"] == '["a"]'
    assert step["gen_ai.agent.name"] == "plan"
    error, failed, _, rating, alert = logs_of(server)
    assert (error.body.string_value, error.severity_number) == ("boom", 17)
    assert attributes(error)["llmobs.context.path"] == "/x"
    assert attributes(failed)["llmobs.assertion.expected"] == '{"a":1}'
    assert (
        attributes(rating).items()
        >= {
            "gen_ai.evaluation.name": "helpfulness",
            "gen_ai.evaluation.score.value": 0.5,
            "gen_ai.evaluation.score.label": "fair",
            "gen_ai.evaluation.explanation": "short",
            "llmobs.evaluation.source": "user",
        }.items()
    )
    assert attributes(alert)["llmobs.alert.actual_value"] == 5000.5


async def test_resources_are_told_apart(server: ScriptedServer) -> None:
    async with opened(server.url) as sink:
        await sink.send(Batch([prompt_call(), prompt_call(service_name="other"), prompt_call()]))
    request = ExportTraceServiceRequest()
    request.ParseFromString(server.requests[0].body)
    first, second = request.resource_spans
    assert attributes(first.resource) == {
        "service.name": "checkout",
        "service.version": "1.2.3",
        "deployment.environment.name": "production",
        "host.name": "web-1",
        "llmobs.project.id": "shop",
        "telemetry.sdk.name": "llmobs",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": "9.9",
    }
    assert attributes(second.resource)["service.name"] == "other"
    assert [len(r.scope_spans[0].spans) for r in request.resource_spans] == [2, 1]


# Traces and parents.


async def test_the_tree_of_a_run(server: ScriptedServer) -> None:
    async with llmobs.AsyncClient(sink=f"otlp+{server.url}") as client:
        with client.run(name="job", trace_id=TRACE, span_id=SPAN) as run:
            with run.agent_step("plan"):
                run.log_tool_call("search", {}, {})
            run.log_prompt_call("p", "gpt-4o", "r", 1, 1, 1)
            run.log_error("boom")
    spans = {span.name: span for span in spans_of(server)}
    root = spans["job"]
    assert root.parent_span_id.hex() == SPAN
    assert root.flags == 0x301  # sampled, and the parent is known to be remote
    assert spans["chat gpt-4o"].parent_span_id == root.span_id
    assert spans["chat gpt-4o"].flags == 0x101
    assert spans["invoke_agent plan"].parent_span_id == root.span_id
    assert spans["execute_tool search"].parent_span_id == spans["invoke_agent plan"].span_id
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    (log,) = logs_of(server)
    assert (log.trace_id.hex(), log.span_id) == (TRACE, root.span_id)


async def test_the_attempts_of_a_task_have_spans_of_their_own(server: ScriptedServer) -> None:
    runs = TaskRuns(client := llmobs.Client(sink=f"otlp+{server.url}"), record_empty=True)
    with client:
        for attempt in (1, 2, 3):
            with runs.running(
                "mail",
                "ab" * 16,
                attempt=attempt,
                carried=f'{{"traceparent":"00-{TRACE}-{SPAN}-01"}}',
            ):
                llmobs.current_tracker().log_prompt_call("p", "gpt-4o", "r", 1, 1, 1)
    tasks = [span for span in spans_of(server) if span.name == "mail"]
    assert len({span.span_id for span in tasks}) == 3
    first, *later = sorted(tasks, key=lambda span: attributes(span)["llmobs.metadata.attempt"])
    assert first.parent_span_id.hex() == SPAN
    assert {span.parent_span_id for span in later} == {first.span_id}
    calls = [span for span in spans_of(server) if span.name == "chat gpt-4o"]
    assert {span.parent_span_id for span in calls} == {first.span_id}


async def test_without_a_trace_the_runs_id_is_the_trace(server: ScriptedServer) -> None:
    span = await span_of(server, RunEvent(**common(), name="job"))
    assert span.trace_id.hex() == RUN.replace("-", "")
    assert span.parent_span_id == b""


@pytest.mark.parametrize("wrong", ["", "xyz", "0" * 32, "é" * 32, TRACE + "00"])
async def test_a_wrong_trace_id_costs_the_link_not_the_event(
    server: ScriptedServer, wrong: str
) -> None:
    span = await span_of(server, RunEvent(**common(trace_id=wrong, span_id=SPAN)))
    assert span.trace_id.hex() == RUN.replace("-", "")
    assert span.parent_span_id == b""


async def test_events_outside_any_run_are_roots_or_hang_under_the_callers_span(
    server: ScriptedServer,
) -> None:
    async with llmobs.AsyncClient(sink=f"otlp+{server.url}") as client:
        client.log_prompt_call("run-1", "p", "gpt-4o", "r")
        client.log_tool_call("run-1", "search", {}, {})
        client.track("svc", "m", "p", "r", 1, 1, 1, trace_id=TRACE, span_id=SPAN)
    spans = {span.name: span for span in spans_of(server)}
    assert spans["chat gpt-4o"].parent_span_id == b""
    assert spans["execute_tool search"].trace_id == spans["chat gpt-4o"].trace_id
    assert spans["chat m"].parent_span_id.hex() == SPAN
    assert spans["chat m"].trace_id.hex() == TRACE


async def test_redelivery_repeats_the_same_bytes(server: ScriptedServer) -> None:
    events = every_kind()
    async with opened(server.url) as sink:
        await sink.send(Batch(events))
        await sink.send(Batch(events))
    bodies = [seen.body for seen in _of_path(server, "/v1/traces")]
    assert bodies[0] == bodies[1]


# Messages.


async def messages(server: ScriptedServer, **fields: Any) -> tuple[Any, Any]:
    names = attributes(await span_of(server, prompt_call(**fields)))
    return (
        json.loads(names.get(semconv.INPUT_MESSAGES, "[]")),
        json.loads(names.get(semconv.OUTPUT_MESSAGES, "[]")),
    )


async def test_openai_messages(server: ScriptedServer) -> None:
    given, made = await messages(
        server,
        prompt=[
            {"role": "system", "content": "Be kind."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c0", "content": "42"},
        ],
        response=[{"message": {"role": "assistant", "content": "Hm"}, "finish_reason": "length"}],
        tool_calls=[{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    )
    assert given == [
        {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "Look"},
                {"type": "uri", "modality": "image", "uri": "https://x/y.png"},
                {
                    "type": "blob",
                    "modality": "image",
                    "mime_type": "image/png",
                    "content": "AAAA",
                },
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c0", "response": "42"}]},
    ]
    assert made == [
        {
            "role": "assistant",
            "parts": [
                {"type": "text", "content": "Hm"},
                {"type": "tool_call", "name": "f", "id": "c1", "arguments": {}},
            ],
            "finish_reason": "length",
        }
    ]


async def test_anthropic_blocks(server: ScriptedServer) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    given, made = await messages(
        server,
        prompt=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": source},
                    {"type": "tool_result", "tool_use_id": "t1", "content": "sunny"},
                ],
            }
        ],
        response={
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm"},
                {"type": "tool_use", "id": "t2", "name": "w", "input": {"c": "Rome"}},
            ],
        },
        tool_calls=[{"id": "t2", "name": "w", "input": {"c": "Rome"}}],
    )
    blob = {"type": "blob", "modality": "image", "content": "AAAA", "mime_type": "image/png"}
    result = {"type": "tool_call_response", "response": "sunny", "id": "t1"}
    assert given == [{"role": "user", "parts": [blob, result]}]
    assert made[0]["parts"] == [
        {"type": "reasoning", "content": "hm"},
        {"type": "tool_call", "name": "w", "id": "t2", "arguments": {"c": "Rome"}},
    ]


async def test_messages_in_the_schemas_own_form_pass(server: ScriptedServer) -> None:
    own = [{"role": "user", "parts": [{"type": "file", "modality": "image", "file_id": "f1"}]}]
    given, _ = await messages(server, prompt=own)
    assert given == own


@pytest.mark.parametrize("odd", [7, {"a": 1}, [[1], None, {}], {"role": None}, [{"content": 5}]])
async def test_odd_prompts_still_make_valid_messages(server: ScriptedServer, odd: Any) -> None:
    given, made = await messages(server, prompt=odd, response=odd, finish_reason="stop")
    for message in [*given, *made]:
        assert isinstance(message["role"], str)
        assert all(isinstance(part["type"], str) for part in message["parts"])
    assert all(message["finish_reason"] == "stop" for message in made)


async def test_values_protobuf_refuses_are_mended(server: ScriptedServer) -> None:
    odd = {"huge": 2**70, "lone": "\ud83d", "list": [float("nan")]}
    names = attributes(await span_of(server, prompt_call(metadata=odd, model="\udc00")))
    assert names["llmobs.metadata.huge"] == str(2**70)
    assert names["llmobs.metadata.lone"] == "\ufffd"


# Answers.


def partial(rejected: int, words: str) -> Reply:
    refusal = ExportTracePartialSuccess(rejected_spans=rejected, error_message=words)
    body = ExportTraceServiceResponse(partial_success=refusal).SerializeToString()
    return Reply(200, body, PROTOBUF)


async def test_a_partial_success_counts_what_was_refused(server: ScriptedServer) -> None:
    server.replies = [partial(2, "quota")]
    async with opened(server.url) as sink:
        with pytest.raises(SinkRejectedError, match="quota") as caught:
            await sink.send(Batch([prompt_call() for _ in range(5)]))
    assert len(caught.value.events) == 2
    assert caught.value.delivered


async def test_a_warning_in_a_success_is_logged_once(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.otherwise = partial(0, "use the other endpoint")
    async with opened(server.url) as sink:
        await sink.send(Batch([prompt_call()]))
        await sink.send(Batch([prompt_call()]))
    assert caplog.text.count("use the other endpoint") == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, SinkRejectedError), (401, SinkUnauthorizedError), (413, SinkTooLargeError),
        (429, SinkUnavailableError), (503, SinkUnavailableError), (404, SinkUnavailableError),
    ],
)  # fmt: skip
async def test_statuses_and_the_words_of_a_protobuf_status(
    server: ScriptedServer, status: int, error: type[Exception]
) -> None:
    words = b"\x08\x03\x12\x07because"  # google.rpc.Status(code=3, message="because")
    server.otherwise = Reply(status, words, {**PROTOBUF, "retry-after": "7"})
    async with opened(server.url) as sink:
        with pytest.raises(error, match="because") as caught:
            await sink.send(Batch([prompt_call()]))
    if status in (429, 503):
        assert caught.value.retry_after == 7  # type: ignore[attr-defined]


async def test_spans_are_not_sent_again_while_only_the_logs_fail(server: ScriptedServer) -> None:
    server.replies = [Reply(200, b"", PROTOBUF), Reply(503)]
    batch = Batch([prompt_call(), ErrorEvent(**common(), error=ErrorInfo(message="boom"))])
    async with opened(server.url) as sink:
        with pytest.raises(SinkUnavailableError):
            await sink.send(batch)
        await sink.send(batch)
        await sink.send(Batch([prompt_call()]))
    paths = [seen.path for seen in server.requests]
    assert paths == ["/v1/traces", "/v1/logs", "/v1/logs", "/v1/traces"]


async def test_refused_spans_do_not_hold_back_the_logs(server: ScriptedServer) -> None:
    server.replies = [Reply(400)]
    call = prompt_call()
    async with opened(server.url) as sink:
        with pytest.raises(SinkRejectedError) as caught:
            await sink.send(Batch([call, ErrorEvent(**common(), error=ErrorInfo(message="boom"))]))
    assert list(caught.value.events) == [call.event_id]
    assert len(logs_of(server)) == 1


async def test_a_backend_without_logs_gets_them_as_spans(server: ScriptedServer) -> None:
    server.respond = lambda seen: Reply(404) if seen.path == "/v1/logs" else None
    error = ErrorEvent(**common(), error=ErrorInfo(message="boom"))
    async with opened(server.url) as sink:
        await sink.send(Batch([prompt_call(), error]))
        await sink.send(Batch([ErrorEvent(**common(), error=ErrorInfo(message="again"))]))
    names = [span.name for span in spans_of(server)]
    assert names == ["chat gpt-4o", "exception", "exception"]
    assert len(_of_path(server, "/v1/logs")) == 1
    span = spans_of(server)[1]
    assert span.status.code == 2
    assert attributes(span)["exception.message"] == "boom"


# Configuration.


async def test_headers_keys_and_paths(server: ScriptedServer) -> None:
    for prefix, wanted in [("tok%20en@", "Bearer tok en"), ("u:p@", "Basic dTpw"), ("", None)]:
        url = f"otlp+{server.url}/base?headers=x-team=a%2520b,X-Two=2".replace("//", f"//{prefix}")
        (sink,) = resolve(url, SimpleNamespace(api_key="not for otlp", timeout=5))
        await sink.open()
        await sink.send(Batch([prompt_call()]))
        await sink.aclose()
        seen = server.requests[-1]
        assert seen.path == "/base/v1/traces"
        assert seen.headers.get("authorization") == wanted
        assert (seen.headers["x-team"], seen.headers["x-two"]) == ("a b", "2")


async def test_gzip(server: ScriptedServer) -> None:
    async with opened(server.url, compression="gzip") as sink:
        await sink.send(Batch([prompt_call()]))
    (seen,) = server.requests
    assert seen.headers["content-encoding"] == "gzip"
    request = ExportTraceServiceRequest()
    request.ParseFromString(gzip.decompress(seen.body))
    assert len(request.resource_spans) == 1


def test_compression_depends_on_where_it_goes() -> None:
    assert OTLPSink("http://localhost:4318")._compression == "none"
    assert OTLPSink("https://otlp.example")._compression == "gzip"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("otlp+http://", "needs a host"),
        ("otlp+http://h?compression=zstd", "gzip or none"),
        ("otlp+http://h?headers=oops", "name=value"),
        ("otlp+http://h?protocol=grpc", "no such option 'protocol'"),
        ("otlp+grpc://h", "no sink for 'otlp[+]grpc'"),
    ],
)
def test_a_wrong_url_names_what_is_wrong(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        resolve(url, SimpleNamespace(api_key=None, timeout=5))


def test_without_the_extra_the_configuration_names_it() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.proto'] = None\n"
        "import llmobs\n"
        "try: llmobs.Client(sink='otlp+http://localhost:4318')\n"
        "except llmobs.ConfigurationError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert "pip install 'llmobs[otlp]'" in done.stdout, done.stderr


def test_names_are_spelled_in_one_place_only() -> None:
    from pathlib import Path

    root = Path(llmobs.__file__).parent
    users = [path for path in root.rglob("*.py") if '"gen_ai.' in path.read_text()]
    assert [path.name for path in users] == ["semconv.py"]


async def test_counts_by_kind(server: ScriptedServer) -> None:
    usage = {"input_audio_tokens": 3, "cache_image_read_tokens": 2, "web_searches": 1}
    found = attributes(await span_of(server, prompt_call(usage=usage)))
    assert found["gen_ai.usage.audio.input_tokens"] == 3
    assert found["gen_ai.usage.image.cache_read.input_tokens"] == 2
    assert found["llmobs.usage.web_searches"] == 1
