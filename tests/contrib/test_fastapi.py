"""The doors for Starlette and FastAPI: every kind of endpoint, dependency and middleware."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocketDisconnect

from llmobs import current_run, current_tracker
from llmobs.capture.tracker import NO_RECORDER, Tracker
from llmobs.contrib import asgi
from llmobs.contrib.fastapi import LLMObsMiddleware, TrackerDep, get_tracker
from llmobs.events import PromptCallEvent, RunEvent, Status
from llmobs.runtime.troubles import Troubles
from llmobs.testing import CapturedEvents


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def make_app(**options: Any) -> FastAPI:
    app = FastAPI(**options)
    app.add_middleware(LLMObsMiddleware, sink="memory:")
    return app


def log(tracker: Tracker, prompt: str = "q") -> None:
    tracker.log_prompt_call(prompt, "m", "a")


def prompts(events: CapturedEvents, run_id: str) -> list[str]:
    return [e.prompt for e in events.in_run(run_id) if isinstance(e, PromptCallEvent)]


def test_every_kind_of_endpoint(backend: Any, llmobs_events: CapturedEvents) -> None:
    app = make_app()

    @app.get("/async")
    async def in_the_loop(tracker: TrackerDep) -> str:
        assert current_run() is tracker
        log(tracker, "async")
        return tracker.run_id

    @app.get("/sync")
    def in_a_thread(tracker: Annotated[Tracker, Depends(get_tracker)]) -> str:
        assert current_run() is tracker
        log(tracker, "sync")
        return tracker.run_id

    @app.get("/stream")
    async def streamed() -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            for number in range(2):
                log(current_tracker(), f"chunk {number}")
                yield "x"

        return StreamingResponse(body())

    @app.get("/sync-stream")
    def streamed_from_threads() -> StreamingResponse:
        def body() -> Iterator[str]:
            log(current_tracker(), "thread chunk")
            yield "x"

        return StreamingResponse(body())

    @app.get("/background")
    async def background(tracker: TrackerDep, tasks: BackgroundTasks) -> str:
        tasks.add_task(log, tracker, "afterwards")
        tasks.add_task(lambda: log(current_tracker(), "and by context"))
        return tracker.run_id

    expected = {
        "/async": ["async"],
        "/sync": ["sync"],
        "/stream": ["chunk 0", "chunk 1"],
        "/sync-stream": ["thread chunk"],
        "/background": ["afterwards", "and by context"],
    }
    with TestClient(app, backend=backend) as client:
        for path, wanted in expected.items():
            answer = client.get(path)
            assert answer.status_code == 200
            run_id = answer.headers["x-run-id"]
            assert prompts(llmobs_events, run_id) == wanted
            (run,) = (e for e in llmobs_events.in_run(run_id) if isinstance(e, RunEvent))
            assert (run.events, run.route, run.name) == (len(wanted), path, f"GET {path}")


def test_a_websocket_is_a_run(backend: Any, llmobs_events: CapturedEvents) -> None:
    app = make_app()

    @app.websocket("/ws/{room}")
    async def talk(socket: WebSocket, tracker: TrackerDep) -> None:
        await socket.accept(headers=[(b"x-own", b"1")])
        while True:
            log(tracker, await socket.receive_text())
            await socket.send_text("yes")

    # The test client shows what an application does not catch; servers log it.
    with (
        TestClient(app, backend=backend) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/ws/7", headers={"x-run-id": "socket-1"}) as socket,
    ):
        for text in ("one", "two"):
            socket.send_text(text)
            assert socket.receive_text() == "yes"
        headers = dict(socket.extra_headers or [])
        assert headers[b"x-own"] == b"1"
    (run,) = llmobs_events.of(RunEvent)
    assert headers[b"x-run-id"].decode() == run.run_id
    assert run.client_run_id == "socket-1"
    assert (run.kind, run.route, run.events) == ("websocket", "/ws/{room}", 2)
    assert run.status == Status.CANCELLED  # the client left, the endpoint did not catch it
    assert run.http_status == 101


def test_a_refused_websocket(backend: Any, llmobs_events: CapturedEvents) -> None:
    app = make_app()

    @app.websocket("/ws")
    async def refuse(socket: WebSocket, tracker: TrackerDep) -> None:
        log(tracker)
        await socket.close()

    with (
        TestClient(app, backend=backend) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/ws"),
    ):
        pass
    (run,) = llmobs_events.of(RunEvent)
    assert run.http_status == 403


@pytest.mark.parametrize("raised", [ClientDisconnect(), WebSocketDisconnect(1001)])
def test_a_client_that_left_is_not_an_error_of_ours(
    raised: Exception, llmobs_events: CapturedEvents
) -> None:
    app = make_app()

    @app.get("/")
    async def upload(tracker: TrackerDep) -> None:
        log(tracker)
        raise raised

    with TestClient(app, raise_server_exceptions=False) as client:
        client.get("/")
    (run,) = llmobs_events.of(RunEvent)
    assert run.status == Status.CANCELLED


def test_route_templates_have_the_prefixes_of_routers_and_mounts(
    llmobs_events: CapturedEvents,
) -> None:
    async def page(request: Request) -> PlainTextResponse:
        log(current_tracker())
        return PlainTextResponse("ok")

    inner = Starlette(routes=[Route("/page/{name}", page)])
    app = FastAPI()
    app.add_middleware(LLMObsMiddleware, sink="memory:")
    router = APIRouter(prefix="/v1")

    @router.get("/users/{user_id}")
    async def user(user_id: int, tracker: TrackerDep) -> None:
        log(tracker)

    @router.websocket("/talk/{room}")
    async def talk(socket: WebSocket, tracker: TrackerDep) -> None:
        await socket.accept()
        log(tracker)
        await socket.close()

    app.include_router(router, prefix="/api")
    app.mount("/mounted", Starlette(routes=[Mount("/deep", inner)]))
    with TestClient(app, root_path="/behind-a-proxy") as client:
        assert client.get("/behind-a-proxy/api/v1/users/3").status_code == 200
        assert client.get("/behind-a-proxy/mounted/deep/page/x").status_code == 200
        with client.websocket_connect("/behind-a-proxy/api/v1/talk/1"):
            pass
    assert [run.route for run in llmobs_events.of(RunEvent)] == [
        "/api/v1/users/{user_id}",
        "/mounted/deep/page/{name}",
        "/api/v1/talk/{room}",
    ]


async def _page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


async def _raw(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("raw")(scope, receive, send)


@pytest.mark.parametrize("framework", [FastAPI, Starlette])
def test_every_route_has_its_template(
    framework: Any, tmp_path: Path, llmobs_events: CapturedEvents
) -> None:
    (tmp_path / "a.txt").write_text("a")
    sub = FastAPI()
    sub.add_api_route("/items/{number}", lambda number: number)
    sub.add_route("/plain/{name}", _page)
    inside = [Route("/page/{a}", _page), Mount("/deep/{id}", routes=[Route("/z/{b}", _page)])]
    app = framework()
    app.mount("/static", StaticFiles(directory=tmp_path))
    app.mount("/sub", sub)
    app.mount("/mounted", Starlette(routes=inside))
    app.mount("/raw", _raw)
    app.mount("/of/{tenant}", Starlette(routes=inside))
    app.add_route("/plain/{name}", _page)
    app.mount("/", StaticFiles(directory=tmp_path))
    app.add_middleware(LLMObsMiddleware, sink="memory:", record_empty=True)
    expected = {
        "/static/a.txt": "/static",
        "/static/none.txt": "/static",
        "/sub/items/3": "/sub/items/{number}",
        "/sub/plain/x": "/sub/plain/{name}",
        "/sub/none": "/sub",
        "/mounted/page/7": "/mounted/page/{a}",
        "/mounted/deep/5/z/6": "/mounted/deep/{id}/z/{b}",
        "/mounted/deep/5/none": "/mounted/deep/{id}",
        "/raw/anything": "/raw",
        "/of/acme/page/7": "/of/{tenant}/page/{a}",
        "/plain/x": "/plain/{name}",
        "/a.txt": "/",
    }
    with TestClient(app, root_path="/proxied") as client:
        for path in expected:
            client.get(f"/proxied{path}")
    routes = [run.route for run in llmobs_events.of(RunEvent)]
    assert dict(zip(expected, routes, strict=True)) == expected
    assert [run.name for run in llmobs_events.of(RunEvent)][:3] == [
        "GET /static", "GET /static", "GET /sub/items/{number}",
    ]  # fmt: skip


def test_a_path_that_no_route_takes_has_no_template(llmobs_events: CapturedEvents) -> None:
    for framework in (FastAPI, Starlette):
        app: Any = framework()
        app.add_middleware(LLMObsMiddleware, sink="memory:", record_empty=True)
        with TestClient(app) as client:
            client.get("/none")
    assert [run.name for run in llmobs_events.of(RunEvent)] == ["GET", "GET"]


@pytest.mark.parametrize("order", ["inside", "around"])
@pytest.mark.parametrize("recorded", [True, False])
def test_the_span_of_an_opentelemetry_middleware_is_found(
    order: str, recorded: bool, llmobs_events: CapturedEvents
) -> None:
    """The documented order has ours outermost, so that its span begins inside the run."""
    trace_sdk = pytest.importorskip("opentelemetry.sdk.trace")
    otel = pytest.importorskip("opentelemetry.instrumentation.asgi")
    provider = trace_sdk.TracerProvider()  # one of its own, not the global
    spans: list[Any] = []
    provider.add_span_processor(SimpleSpanProcessor(_Ended(spans)))
    traced = {"tracer_provider": provider}
    app = FastAPI()

    @app.get("/")
    async def index(tracker: TrackerDep) -> str:
        if recorded:
            with provider.get_tracer("own").start_as_current_span("inside the request"):
                log(tracker)
        return tracker.run_id

    if order == "inside":
        app.add_middleware(otel.OpenTelemetryMiddleware, **traced)
    app.add_middleware(LLMObsMiddleware, sink="memory:", record_empty=True)
    if order == "around":
        app.add_middleware(otel.OpenTelemetryMiddleware, **traced)
    stranger = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with TestClient(app) as client:
        for headers in ({}, {"traceparent": stranger}):
            spans.clear()
            llmobs_events.clear()
            client.get("/", headers=headers)
            (server,) = (span for span in spans if span.kind.name == "SERVER")
            ids = f"{server.context.trace_id:032x}", f"{server.context.span_id:016x}"
            assert {(event.trace_id, event.span_id) for event in llmobs_events} == {ids}


class _Ended(SpanExporter):
    def __init__(self, spans: list[Any]) -> None:
        self._spans = spans

    def export(self, spans: Any) -> SpanExportResult:
        self._spans.extend(spans)
        return SpanExportResult.SUCCESS


def test_a_mounted_application_with_the_middleware_of_its_own(
    llmobs_events: CapturedEvents,
) -> None:
    """It steps aside inside a run, and stands alone where the outer application has none."""
    inner = make_app()

    @inner.get("/x")
    async def x(tracker: TrackerDep) -> str:
        log(tracker)
        return tracker.run_id

    with_both, inner_only = make_app(), FastAPI()
    for app in (with_both, inner_only):
        app.mount("/in", inner)
        with TestClient(app) as client:
            answer = client.get("/in/x")
            assert answer.json() == answer.headers["x-run-id"]
    assert [run.events for run in llmobs_events.of(RunEvent)] == [1, 1]


def test_dependency_overrides(llmobs_events: CapturedEvents) -> None:
    app = make_app()

    @app.get("/")
    async def index(tracker: TrackerDep) -> str:
        return tracker.run_id

    app.dependency_overrides[get_tracker] = lambda: Tracker(NO_RECORDER, "mine")
    with TestClient(app) as client:
        assert client.get("/").json() == "mine"


def test_without_the_middleware_it_records_nothing_and_says_so_once(
    llmobs_events: CapturedEvents,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asgi, "_troubles", Troubles())
    caplog.set_level(logging.WARNING, "llmobs")
    app = FastAPI()

    @app.get("/")
    async def index(tracker: TrackerDep) -> str:
        log(tracker)
        with tracker.prompt_call(model="m") as call:
            call.finish(response="a")
        return "fine"

    with TestClient(app) as client:
        for _ in range(3):
            assert client.get("/").json() == "fine"
    assert len(caplog.records) == 1
    assert "add_middleware(LLMObsMiddleware)" in caplog.text
    assert not llmobs_events


@pytest.mark.parametrize("order", ["around", "inside", "both"])
def test_base_http_middleware_hides_nothing(order: str, llmobs_events: CapturedEvents) -> None:
    """Fact 19."""

    async def pass_on(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    app = FastAPI()

    @app.get("/")
    async def index(tasks: BackgroundTasks) -> StreamingResponse:
        tracker = current_tracker()
        log(tracker, "endpoint")

        async def body() -> AsyncIterator[str]:
            log(current_tracker(), "body")
            yield "x"

        return StreamingResponse(body())

    if order != "around":
        app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    app.add_middleware(LLMObsMiddleware, sink="memory:")
    if order != "inside":
        app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    with TestClient(app) as client:
        run_id = client.get("/").headers["x-run-id"]
    assert prompts(llmobs_events, run_id) == ["endpoint", "body"]
    (run,) = llmobs_events.of(RunEvent)
    assert (run.events, run.status) == (2, Status.SUCCESS)


def test_dependencies_with_yield_in_any_context(
    backend: Any, llmobs_events: CapturedEvents
) -> None:
    """Facts 7 and 12: FastAPI enters and leaves a sync generator in different contexts."""
    app = make_app()

    def sync_step(tracker: TrackerDep) -> Iterator[str]:
        with tracker.agent_step("sync"):
            yield "sync"

    async def async_step(tracker: TrackerDep) -> AsyncIterator[str]:
        with tracker.agent_step("async"):
            yield "async"

    @app.get("/")
    async def index(
        tracker: TrackerDep,
        one: Annotated[str, Depends(sync_step)],
        two: Annotated[str, Depends(async_step)],
    ) -> str:
        log(tracker)
        return one + two

    with TestClient(app, backend=backend) as client:
        answers = [client.get("/") for _ in range(2)]
    for answer in answers:
        assert answer.json() == "syncasync"
        events = llmobs_events.in_run(answer.headers["x-run-id"])
        assert sorted(event.event_type for event in events) == [
            "agent_step", "agent_step", "prompt_call", "run",
        ]  # fmt: skip


def test_errors_are_answered_and_recorded(backend: Any, llmobs_events: CapturedEvents) -> None:
    app = make_app()

    @app.get("/")
    async def index(tracker: TrackerDep) -> None:
        log(tracker)
        raise ValueError("on purpose")

    with TestClient(app, backend=backend) as client, pytest.raises(ValueError, match="on purpose"):
        client.get("/")
    (run,) = llmobs_events.of(RunEvent)
    assert (run.status, run.http_status, run.route) == (Status.ERROR, 500, "/")
