"""The ASGI door with bare applications: what passes, what is answered, what is recorded."""

import json
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from llmobs import AsyncClient, ConfigurationError, current_run, current_tracker
from llmobs.contrib import asgi, httpx
from llmobs.contrib._web import options, origin
from llmobs.contrib.asgi import LLMObsMiddleware, Receive, Scope, Send, run_of, tracker_of
from llmobs.events import PromptCallEvent, RunEvent, Status
from llmobs.runtime.troubles import Troubles
from llmobs.testing import CapturedEvents
from tests.support.asgi import Lifespan, Message, call, http_scope

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]

App = Callable[[Scope, Receive, Send], Awaitable[None]]


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is the first to run without lifespan."""
    monkeypatch.setattr(asgi, "_troubles", Troubles())


def log(prompt: str = "q") -> str:
    return current_tracker().log_prompt_call(prompt, "gpt-4o", "a", 1, 2)


def answering(status: int = 200, *chunks: bytes, record: bool = True) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if record:
            log()
        await send({"type": "http.response.start", "status": status, "headers": []})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


def run_id_of(messages: list[Message]) -> str:
    headers = dict(messages[0]["headers"])
    return bytes(headers[b"x-run-id"]).decode()


def the_run(events: CapturedEvents) -> RunEvent:
    (run,) = events.of(RunEvent)
    return run


# What passes through.


async def test_chunks_pass_untouched_and_unbuffered(llmobs_events: CapturedEvents) -> None:
    messages: list[Message] = [
        {"type": "http.response.body", "body": b"one", "more_body": True},
        {"type": "http.response.body", "body": b"", "more_body": True},
        {"type": "http.response.body", "body": bytes(100_000), "more_body": False},
    ]
    arrived: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        log()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        for message in messages:
            await send(message)
            assert arrived[-1] is message  # the same object, sent before we go on

    async def server(message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        arrived.append(message)

    await call(LLMObsMiddleware(app), send=server)
    assert arrived[0]["headers"][0] == (b"a", b"b")
    assert len(arrived) == 4


async def test_the_applications_own_run_id_header_is_replaced(
    llmobs_events: CapturedEvents,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 204, "headers": [(b"x-run-id", b"mine")]}
        await send(start)
        await send({"type": "http.response.body"})
        assert start["headers"] == [(b"x-run-id", b"mine")]  # the application's list is its own

    sent = await call(LLMObsMiddleware(app))
    assert [name for name, _ in sent[0]["headers"]] == [b"x-run-id"]
    assert run_id_of(sent) != "mine"


async def test_informational_and_unknown_messages_pass(llmobs_events: CapturedEvents) -> None:
    hints = {"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]}
    trailers = {"type": "http.response.trailers", "headers": [], "more_trailers": False}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        log()
        await send(hints)
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        await send({"type": "http.response.body", "body": b"x"})
        await send(trailers)

    sent = await call(LLMObsMiddleware(app))
    assert sent[0] is hints
    assert sent[3] is trailers
    assert dict(sent[1]["headers"])[b"x-run-id"]  # without headers of its own: one all the same
    assert the_run(llmobs_events).http_status == 200


@pytest.mark.parametrize(
    "last",
    [
        {"type": "http.response.pathsend", "path": "/some/file"},
        {"type": "http.response.zerocopysend", "file": 3},
    ],
)
async def test_files_sent_by_the_server_end_the_body(
    last: Message, llmobs_events: CapturedEvents
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        log()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(last)

    assert (await call(LLMObsMiddleware(app)))[1] is last
    assert the_run(llmobs_events).status == Status.SUCCESS


@pytest.mark.parametrize("method", ["HEAD", "GET", "POST"])
async def test_method_and_status_are_recorded(method: str, llmobs_events: CapturedEvents) -> None:
    await call(LLMObsMiddleware(answering(404)), http_scope("/nowhere", method=method))
    run = the_run(llmobs_events)
    assert (run.method, run.http_status, run.route) == (method, 404, None)
    assert run.status == Status.SUCCESS
    assert run.name == method


async def test_a_server_error_is_a_failed_run(llmobs_events: CapturedEvents) -> None:
    await call(LLMObsMiddleware(answering(503)))
    assert the_run(llmobs_events).status == Status.ERROR


# Which run it is.


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        (b"run-1", True),
        (b"a" * 128, True),
        (b"a" * 129, False),
        (b"a" * 10_000, False),
        (b"", False),
        (b" run", False),
        (b"run\r\nset-cookie: x", False),
        (b"run\x00", False),
        (b"run\x1b[31m", False),
        ("läuf".encode(), False),
        ("läuf".encode("latin-1"), False),
        (b"<script>", False),
        (b"../../etc/passwd", False),
        (b"'; DROP TABLE runs --", False),
    ],
)
async def test_run_ids_from_outside_are_checked(
    value: bytes, taken: bool, llmobs_events: CapturedEvents
) -> None:
    scope = http_scope(headers=[(b"x-run-id", value)])
    run_id = run_id_of(await call(LLMObsMiddleware(answering(), trust_run_id=True), scope))
    assert (run_id.encode() == value) is taken
    assert {event.run_id for event in llmobs_events} == {run_id}
    assert the_run(llmobs_events).client_run_id is None
    llmobs_events.clear()
    scope = http_scope(headers=[(b"x-run-id", value)])
    run_id = run_id_of(await call(LLMObsMiddleware(answering()), scope))
    assert run_id.encode() != value
    kept = the_run(llmobs_events).client_run_id
    assert kept == (value.decode() if taken else None)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"x-request-id", b"req-1")], "req-1"),
        ([(b"x-request-id", b"req-1"), (b"x-run-id", b"run-1")], "run-1"),
        ([(b"x-request-id", b"req-1"), (b"x-run-id", b"bad id")], "req-1"),
    ],
)
async def test_the_request_id_stands_in(
    headers: list[tuple[bytes, bytes]], expected: str, llmobs_events: CapturedEvents
) -> None:
    trusting = LLMObsMiddleware(answering(), trust_run_id=True)
    sent = await call(trusting, http_scope(headers=headers))
    assert run_id_of(sent) == expected
    llmobs_events.clear()
    await call(LLMObsMiddleware(answering()), http_scope(headers=headers))
    assert the_run(llmobs_events).client_run_id == expected


async def test_the_header_may_have_another_name(llmobs_events: CapturedEvents) -> None:
    app = LLMObsMiddleware(answering(), header_name="X-Trace-Me", trust_run_id=True)
    sent = await call(app, http_scope(headers=[(b"x-trace-me", b"r1"), (b"x-run-id", b"r2")]))
    assert dict(sent[0]["headers"]) == {b"x-trace-me": b"r1"}


@pytest.mark.parametrize("trust", [True, False])
async def test_without_a_header_none_is_read_and_none_is_sent(
    trust: bool, llmobs_events: CapturedEvents
) -> None:
    app = LLMObsMiddleware(answering(), header_name=None, trust_run_id=trust)
    headers = [(b"x-run-id", b"r1"), (b"x-request-id", b"r2")]
    sent = await call(app, http_scope(headers=headers))
    assert sent[0]["headers"] == []
    run = the_run(llmobs_events)
    assert run.run_id not in ("r1", "r2")
    assert run.client_run_id is None


async def test_strangers_who_send_the_same_id_do_not_share_a_run(
    llmobs_events: CapturedEvents,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        current_tracker().user_id = scope["path"]
        await answering()(scope, receive, send)

    middleware = LLMObsMiddleware(app)
    for user in ("/alice", "/mallory"):
        await call(middleware, http_scope(user, headers=[(b"x-run-id", b"shared")]))
    runs = llmobs_events.of(RunEvent)
    assert [run.client_run_id for run in runs] == ["shared", "shared"]
    assert len({run.run_id for run in runs} | {"shared"}) == 3
    for run in runs:
        assert {event.user_id for event in llmobs_events.in_run(run.run_id)} == {run.user_id}


def _behind_the_gateway(scope: Scope) -> bool:
    return dict(scope["headers"]).get(b"x-gateway") == b"secret"


@pytest.mark.parametrize(
    ("trust", "trusted", "said"),
    [
        (_behind_the_gateway, True, None),
        (lambda scope: False, False, None),
        (lambda scope: None, False, None),
        (lambda scope: "yes", False, "instead of True or False"),
        (lambda scope: 1 / 0, False, "ZeroDivisionError"),
    ],
)
async def test_trust_may_depend_on_the_request(
    trust: Any,
    trusted: bool,
    said: str | None,
    llmobs_events: CapturedEvents,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(origin, "_troubles", Troubles())
    middleware = LLMObsMiddleware(answering(), trust_run_id=trust)
    headers = [(b"x-run-id", b"run-1"), (b"x-gateway", b"secret")]
    run_id = run_id_of(await call(middleware, http_scope(headers=headers)))
    assert (run_id == "run-1") is trusted
    assert (the_run(llmobs_events).client_run_id == "run-1") is not trusted
    assert (said or "") in caplog.text
    assert ("trust_run_id" in caplog.text) is (said is not None)
    run_id = run_id_of(await call(middleware, http_scope(headers=[(b"x-run-id", b"run-2")])))
    assert run_id != "run-2"


@pytest.mark.parametrize("own", ["作業-1", "a\r\nset-cookie: x=1", "", "run-1"])
async def test_an_id_the_application_sets_is_sent_only_if_it_may_be(
    own: str, llmobs_events: CapturedEvents
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        current_tracker().run_id = own
        await answering()(scope, receive, send)

    sent = await call(LLMObsMiddleware(app))
    recorded = llmobs_events[0].run_id  # of no text it is a new one
    fit = [(b"x-run-id", recorded.encode())] if own in ("run-1", "") else []
    assert sent[0]["headers"] == fit
    assert recorded.isprintable() and (recorded == own or own not in ("run-1", "作業-1"))


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def test_traceparent_gives_the_run_its_trace(llmobs_events: CapturedEvents) -> None:
    good = f"00-{TRACE}-{SPAN}-01".encode()
    await call(LLMObsMiddleware(answering()), http_scope(headers=[(b"traceparent", good)]))
    assert {(event.trace_id, event.span_id) for event in llmobs_events} == {(TRACE, SPAN)}
    assert TRACE not in {event.run_id for event in llmobs_events}
    llmobs_events.clear()
    bad = f"00-{'0' * 32}-{SPAN}-01".encode()
    await call(LLMObsMiddleware(answering()), http_scope(headers=[(b"traceparent", bad)]))
    assert {event.trace_id for event in llmobs_events} == {None}


async def test_an_active_opentelemetry_span_wins(llmobs_events: CapturedEvents) -> None:
    trace_sdk = pytest.importorskip("opentelemetry.sdk.trace")
    tracer = trace_sdk.TracerProvider().get_tracer("test")  # a provider of its own, not the global
    header = (b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())
    with tracer.start_as_current_span("request") as span:
        await call(LLMObsMiddleware(answering()), http_scope(headers=[header]))
    context = span.get_span_context()
    ids = (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert {(event.trace_id, event.span_id) for event in llmobs_events} == {ids}


@pytest.mark.parametrize(
    ("path", "excluded"),
    [
        ("/health", True),
        ("/healthy", False),
        ("/static/a.css", True),
        ("/static", False),
        ("/api/health", True),  # as servers say it that know of a proxy's prefix
        ("/apis/health", False),
    ],
)
async def test_excluded_paths_get_no_run(
    path: str, excluded: bool, llmobs_events: CapturedEvents
) -> None:
    paths = ["/health", "/static/*"]
    for given in (paths, iter(paths)):
        app = LLMObsMiddleware(answering(record=False), exclude=given)
        sent = await call(app, http_scope(path, root_path="/api"))
        assert (b"x-run-id" not in dict(sent[0]["headers"])) is excluded


@pytest.mark.parametrize("record_empty", [False, True])
async def test_empty_runs_are_recorded_if_asked(
    record_empty: bool, llmobs_events: CapturedEvents
) -> None:
    app = LLMObsMiddleware(answering(record=False), record_empty=record_empty)
    await call(app)
    assert len(llmobs_events.of(RunEvent)) == record_empty


async def test_added_twice_is_added_once(llmobs_events: CapturedEvents) -> None:
    outer = LLMObsMiddleware(LLMObsMiddleware(answering()))
    sent = await call(outer)
    assert [name for name, _ in sent[0]["headers"]].count(b"x-run-id") == 1
    assert the_run(llmobs_events).events == 1


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"batch_sice": 3}, "batch_sice"),
    ({"sink": "nonsense://"}, "nonsense"),
    ({"header_name": "x\r\nset-cookie: y"}, "header_name"),
    ({"header_name": "läuf"}, "header_name"),
    ({"header_name": ""}, "header_name"),
    ({"header_name": b"x-run-id"}, "header_name"),
    ({"exclude": "/health"}, "a list of paths"),
    ({"exclude": 5}, "a list of paths"),
    ({"exclude": [b"/health"]}, "exclude"),
    ({"exclude": ["health"]}, "begin with a slash"),
    ({"capture": "yes"}, "capture"),
    ({"record_empty": "no"}, "record_empty"),
    ({"trust_run_id": "false"}, "trust_run_id"),
    ({"trust_run_id": answering()}, "trust_run_id"),
    ({"client": "https://example.org"}, "client"),
    ({"client": AsyncClient(sink="memory:"), "sink": "memory:"}, "not both"),
]


@pytest.mark.usefixtures("llmobs_events")  # the application records with the default client
@pytest.mark.parametrize(("settings", "words"), WRONG)
async def test_a_wrong_setting_stops_the_start_up_and_not_the_requests(
    settings: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Built inside the event loop, as Starlette does.
    app = LLMObsMiddleware(answering(), **settings)
    lifespan = Lifespan(app)
    with pytest.raises(ConfigurationError, match=words):
        await lifespan.run("startup")
    assert lifespan.types == ["lifespan.startup.failed"]
    assert words in lifespan.answers[0]["message"]
    answer = await call(app)
    assert answer[0]["status"] == 200
    assert "nothing is recorded" in caplog.text


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("settings", "words"), WRONG)
def test_a_wrong_use_is_told_at_once(
    settings: dict[str, Any], words: str, anyio_backend: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        LLMObsMiddleware(answering(), **settings)


def test_the_page_lists_the_names_of_headers_that_are_refused() -> None:
    page = (ROOT / "docs/reference/middleware.md").read_text()
    (listed,) = [part for part in page.split("\n\n") if part.startswith("`header_name` is refused")]
    names = re.findall(r"`([a-z_-]+)`", listed)
    assert names == ["header_name", *sorted(options._TAKEN), *options._TAKEN_PREFIXES]
    for name in names[1:]:
        with pytest.raises(ConfigurationError, match="means something else already"):
            options.header_of(f"{name}x" if name.endswith("-") else name.title())


# Scopes as no server makes them.


@pytest.mark.parametrize("without", ["headers", "path", "root_path", "method", "client"])
async def test_what_is_missing_in_a_scope_is_the_applications_business(
    without: str, llmobs_events: CapturedEvents
) -> None:
    scope = http_scope()
    del scope[without]
    sent = await call(LLMObsMiddleware(answering(), exclude=["/health"]), scope)
    assert sent[0]["status"] == 200
    assert the_run(llmobs_events).http_status == 200


@pytest.mark.parametrize("shape", [iter, tuple, list, lambda pairs: [list(pair) for pair in pairs]])
async def test_headers_are_there_for_the_application_too(
    shape: Any, llmobs_events: CapturedEvents
) -> None:
    headers = shape([(b"x-run-id", b"run-1"), (b"a", b"b")])
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend(tuple(pair) for pair in scope["headers"])
        await answering()(scope, receive, send)

    await call(LLMObsMiddleware(app), {**http_scope(), "headers": headers})
    assert seen == [(b"x-run-id", b"run-1"), (b"a", b"b")]
    assert the_run(llmobs_events).client_run_id == "run-1"


@pytest.mark.parametrize(
    "headers", [None, 5, [1], [(b"a",)], [("x-run-id", "text")], [([], b"")], "text", {}]
)
async def test_headers_that_are_none_are_not_read(
    headers: Any, llmobs_events: CapturedEvents
) -> None:
    await call(LLMObsMiddleware(answering()), {**http_scope(), "headers": headers})
    assert the_run(llmobs_events).client_run_id is None


@pytest.mark.parametrize(
    "start", [{}, {"headers": 5}, {"headers": [()]}, {"status": 200, "headers": iter([])}]
)
async def test_answers_that_are_none_pass(start: Any, llmobs_events: CapturedEvents) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", **start})

    sent = await call(LLMObsMiddleware(app))
    assert sent[0].get("status") == start.get("status")


@pytest.mark.parametrize("kind", ["http", "websocket", "something else"])
async def test_what_the_application_returns_is_passed_on(
    kind: str, llmobs_events: CapturedEvents
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> str:
        return "done"

    middleware: Any = LLMObsMiddleware(app)
    assert await middleware({**http_scope(), "type": kind}, None, None) == "done"


# The run of another request.


async def test_a_block_may_take_the_run_of_another_request(llmobs_events: CapturedEvents) -> None:
    """As a stateful MCP session serves all its requests in the task of the first."""
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        if scope["path"] == "/first":
            await call(middleware, http_scope("/second"))
            second = tracker_of(scopes[1])
            mine = current_run()
            with run_of(scopes[1]) as tracker:
                assert tracker is second
                assert current_run() is second
                current_tracker().prompt_call(model="m").start()  # left open on purpose
            assert current_run() is mine
            with run_of(None) as nothing:
                nothing.log_prompt_call("q", "m", "a")
            assert current_run() is mine
        await answering()(scope, receive, send)

    middleware = LLMObsMiddleware(app)
    await call(middleware, http_scope("/first"))
    assert len(llmobs_events.of(RunEvent)) == 2


# How it ends.


async def test_a_crash_comes_out_as_it_is(llmobs_events: CapturedEvents) -> None:
    """Fact 5: nothing wraps what the application raises."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        log()
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await call(LLMObsMiddleware(app))
    run = the_run(llmobs_events)
    assert (run.status, run.http_status) == (Status.ERROR, 500)
    assert run.error is not None
    assert run.error.type == "ValueError"
    assert current_run() is None


async def test_task_groups_of_the_application_stay_theirs(llmobs_events: CapturedEvents) -> None:
    async def child() -> None:
        log()
        raise KeyError("in a task")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(child)

    with pytest.raises(ExceptionGroup) as caught:
        await call(LLMObsMiddleware(app))
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert len(llmobs_events.of(PromptCallEvent)) == 1


async def test_a_client_that_leaves_is_a_cancelled_run(llmobs_events: CapturedEvents) -> None:
    started = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        log()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        started.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(call, LLMObsMiddleware(app))
        await started.wait()
        group.cancel_scope.cancel()  # servers cancel the task, or the framework returns
    run = the_run(llmobs_events)
    assert (run.status, run.http_status) == (Status.CANCELLED, 200)


async def test_a_body_that_never_ends_is_a_cancelled_run(llmobs_events: CapturedEvents) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        log()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    await call(LLMObsMiddleware(app))
    assert the_run(llmobs_events).status == Status.CANCELLED


async def test_the_run_ends_with_the_body_not_with_what_follows(
    llmobs_events: CapturedEvents,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering()(scope, receive, send)
        await anyio.sleep(0.3)
        log("in the background")

    await call(LLMObsMiddleware(app))
    run = the_run(llmobs_events)
    assert run.events == 2
    assert run.latency_ms is not None
    assert run.latency_ms < 250
    assert {event.run_id for event in llmobs_events} == {run.run_id}


async def test_a_call_that_is_read_after_the_request_brings_its_run(
    llmobs_events: CapturedEvents,
) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        chunk = {"model": "gpt-4o", "choices": [{"delta": {"content": "Hi"}}]}
        return httpx2.Response(
            200,
            headers={"content-type": "text/event-stream"},
            stream=httpx2.ByteStream(b"data: %s\n\ndata: [DONE]\n\n" % json.dumps(chunk).encode()),
        )

    responses: list[httpx2.Response] = []
    runs: list[str] = []  # others may bring what tests before this one left open
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        httpx.instrument(client)
        request = client.build_request(
            "POST",
            "https://api.openai.com/v1/chat/completions",
            json={"model": "gpt-4o", "stream": True, "messages": []},
        )

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            runs.append(current_tracker().run_id)
            responses.append(await client.send(request, stream=True))
            await answering(record=False)(scope, receive, send)

        await call(LLMObsMiddleware(app))
        assert llmobs_events.in_run(*runs) == []
        await responses[0].aread()
    (run,) = [event for event in llmobs_events.of(RunEvent) if event.run_id in runs]
    assert run.events == 1


# The context.


async def test_nothing_leaks_to_the_next_request_of_a_connection(
    llmobs_events: CapturedEvents,
) -> None:
    """Servers may serve a kept-alive connection in one task, so in one context."""
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(current_run())
        current_tracker().prompt_call(model="m").start()  # left open on purpose
        await answering()(scope, receive, send)

    middleware = LLMObsMiddleware(app)
    for _ in range(3):
        await call(middleware)
        assert current_run() is None
    assert len({run.run_id for run in seen}) == 3


async def test_requests_at_once_keep_their_runs(llmobs_events: CapturedEvents) -> None:
    both = anyio.Event()
    inside: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        tracker = tracker_of(scope)
        assert tracker is not None
        inside.append(tracker.run_id)
        if len(inside) == 2:
            both.set()
        await both.wait()
        assert current_run() is tracker
        await answering()(scope, receive, send)

    middleware = LLMObsMiddleware(app, trust_run_id=True)
    async with anyio.create_task_group() as group:
        for name in (b"one", b"two"):
            group.start_soon(call, middleware, http_scope(headers=[(b"x-run-id", name)]))
    assert {run.run_id: run.events for run in llmobs_events.of(RunEvent)} == {"one": 1, "two": 1}


async def test_a_run_outside_is_put_back(llmobs_events: CapturedEvents) -> None:
    from llmobs import run

    with run("outer") as outer:
        await call(LLMObsMiddleware(answering()))
        assert current_run() is outer


async def test_without_a_lifespan_it_is_said_once(
    llmobs_events: CapturedEvents, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "llmobs")
    middleware = LLMObsMiddleware(answering())
    for _ in range(3):
        await call(middleware)
    lines = [record for record in caplog.records if "no lifespan" in record.getMessage()]
    assert len(lines) == 1
    assert len(llmobs_events.of(RunEvent)) == 3
