"""The client's life: through the lifespan, without one, and when the lifespan goes wrong."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from llmobs import AsyncClient, Client, current_tracker
from llmobs.contrib.asgi import LLMObsMiddleware, Message, Receive, Scope, Send
from llmobs.sinks.memory import MemorySink
from tests.helpers import ScriptedSink
from tests.support.asgi import Lifespan, call

pytestmark = pytest.mark.anyio


async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
    current_tracker().log_prompt_call("q", "m", "a")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


async def polite(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers its lifespan and serves."""
    if scope["type"] != "lifespan":
        await endpoint(scope, receive, send)
        return
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


@pytest.fixture
def lazily_started() -> Iterator[list[Client]]:
    """Clients the middleware started without a lifespan; closed after the test."""
    clients: list[Client] = []
    yield clients
    for client in clients:
        client.close()


def lazy_client(middleware: LLMObsMiddleware, clients: list[Client]) -> Client:
    client = middleware._client
    assert isinstance(client, Client)
    clients.append(client)
    return client


async def test_everything_is_delivered_before_the_server_hears_of_the_end() -> None:
    """Fact 1: after `lifespan.shutdown.complete` the process is gone."""
    sink = ScriptedSink()
    middleware = LLMObsMiddleware(polite, sink=sink, flush_interval_seconds=60)
    delivered: dict[str, int] = {}
    lifespan = Lifespan(middleware)
    lifespan.on_answer = lambda m: delivered.update({m["type"]: len(sink.events)})
    await _startup_requests_shutdown(lifespan, middleware, requests=3)
    assert delivered == {"lifespan.startup.complete": 0, "lifespan.shutdown.complete": 6}
    assert sink.closed == 1


async def _startup_requests_shutdown(
    lifespan: Lifespan, middleware: LLMObsMiddleware, requests: int
) -> None:
    up, down = anyio.Event(), anyio.Event()
    steps = ["startup", "shutdown"]

    async def receive() -> Message:
        if len(steps) == 1:
            up.set()
            await down.wait()
        return {"type": f"lifespan.{steps.pop(0)}"}

    async def send(message: Message) -> None:
        lifespan.on_answer(message)
        lifespan.answers.append(message)

    async with anyio.create_task_group() as group:
        group.start_soon(middleware, lifespan.scope, receive, send)
        with anyio.fail_after(10):
            await up.wait()
            for _ in range(requests):
                await call(middleware)
        down.set()


async def test_an_application_that_refuses_the_lifespan_is_answered_for() -> None:
    """Fact 4: Django's handler raises ValueError."""
    sink = ScriptedSink()

    async def django(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"Django can only handle ASGI/HTTP connections, not {scope['type']}.")
        await endpoint(scope, receive, send)

    middleware = LLMObsMiddleware(django, sink=sink, flush_interval_seconds=60)
    lifespan = Lifespan(middleware)
    await _startup_requests_shutdown(lifespan, middleware, requests=2)
    assert lifespan.types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert len(sink.events) == 4


async def test_an_application_that_ignores_the_lifespan_is_answered_for() -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await endpoint(scope, receive, send)

    lifespan = Lifespan(LLMObsMiddleware(silent, sink="memory:"))
    await lifespan.run("startup", "shutdown")
    assert lifespan.types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("where", ["startup", "shutdown"])
async def test_failures_are_forwarded_after_delivery(where: str) -> None:
    sink = ScriptedSink()

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        current = middleware._client
        assert current is not None
        current.run().log_prompt_call("q", "m", "a")
        if where == "shutdown":
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": f"lifespan.{where}.failed", "message": "no database"})

    middleware = LLMObsMiddleware(failing, sink=sink, flush_interval_seconds=60)
    lifespan = Lifespan(middleware)
    lifespan.on_answer = lambda m: (
        pytest.fail("not delivered") if m["type"].endswith("failed") and not sink.events else None
    )
    await lifespan.run("startup", "shutdown")
    assert lifespan.answers[-1] == {"type": f"lifespan.{where}.failed", "message": "no database"}


async def test_a_lifespan_that_crashes_leaves_a_working_middleware(
    lazily_started: list[Client],
) -> None:
    """Servers with lifespan="auto" take the crash for "unsupported", and serve all the same."""
    sink = ScriptedSink()

    async def crashing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            raise KeyError("in startup")
        await endpoint(scope, receive, send)

    middleware = LLMObsMiddleware(crashing, sink=sink)
    with pytest.raises(KeyError, match="in startup"):
        await Lifespan(middleware).run("startup")
    await call(middleware)
    lazy_client(middleware, lazily_started)
    assert len(sink.events) == 2  # and they were delivered before the request's task ended


async def test_without_a_lifespan_failed_requests_are_delivered_too(
    lazily_started: list[Client],
) -> None:
    sink = ScriptedSink()

    async def crashing(scope: Scope, receive: Receive, send: Send) -> None:
        current_tracker().log_prompt_call("q", "m", "a")
        raise ValueError("on purpose")

    middleware = LLMObsMiddleware(crashing, sink=sink, flush_interval_seconds=60)
    with pytest.raises(ValueError, match="on purpose"):
        await call(middleware)
    lazy_client(middleware, lazily_started)
    assert len(sink.events) == 2


async def test_waiting_for_a_dead_sink_takes_no_thread_from_the_application(
    lazily_started: list[Client],
) -> None:
    from llmobs.errors import SinkUnavailableError

    sink = ScriptedSink([SinkUnavailableError("down")] * 1000)
    middleware = LLMObsMiddleware(endpoint, sink=sink, shutdown_timeout=0.5)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(call, middleware)
        await anyio.sleep(0.2)
        limiter = anyio.to_thread.current_default_thread_limiter()
        assert limiter.borrowed_tokens == 0
    lazy_client(middleware, lazily_started)
    sink.script.clear()


async def test_a_client_given_is_not_closed() -> None:
    sink = ScriptedSink()
    async with AsyncClient(sink=sink) as client:
        middleware = LLMObsMiddleware(polite, client=client)
        await Lifespan(middleware).run("startup", "shutdown")
        await call(middleware)
        report = await client.flush()
    assert report.delivered == 2


async def test_it_may_be_added_twice_and_lives_once() -> None:
    outer_sink, inner_sink = ScriptedSink(), ScriptedSink()
    inner = LLMObsMiddleware(polite, sink=inner_sink)
    outer = LLMObsMiddleware(inner, sink=outer_sink)
    await _startup_requests_shutdown(Lifespan(outer), outer, requests=1)
    assert (len(outer_sink.events), len(inner_sink.events)) == (2, 0)


async def test_it_lives_again_after_its_end() -> None:
    sink = ScriptedSink()
    middleware = LLMObsMiddleware(polite, sink=sink)
    for _ in range(2):
        await _startup_requests_shutdown(Lifespan(middleware), middleware, requests=1)
    assert len(sink.events) == 4
    assert (sink.opened, sink.closed) == (2, 2)


# With Starlette: its own lifespan, its state, its test client.


async def ask(request: Request) -> PlainTextResponse:
    current_tracker().log_prompt_call("q", "m", "a")
    return PlainTextResponse(str(request.state.answer))


@asynccontextmanager
async def with_state(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    yield {"answer": 42}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_lifespan_state_of_the_application_stays(backend: Any) -> None:
    """Fact 9: what the application puts there reaches the requests, middleware or not."""
    sink = MemorySink()
    app = Starlette(routes=[Route("/", ask)], lifespan=with_state)
    app.add_middleware(LLMObsMiddleware, sink=sink)
    with TestClient(app, backend=backend) as client:
        assert client.get("/").text == "42"
    with TestClient(app, backend=backend) as client:  # a second life, in another event loop
        assert client.get("/").text == "42"
    assert len(sink.events) == 4


def test_the_store_is_written_in_both_lives(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    app = Starlette(routes=[Route("/", ask)], lifespan=with_state)
    app.add_middleware(LLMObsMiddleware, sink=f"sqlite:///{path}")
    for backend in ("asyncio", "trio", "asyncio"):
        with TestClient(app, backend=backend) as client:  # type: ignore[arg-type]
            client.get("/")
    import sqlite3

    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM runs").fetchone() == (3,)
    connection.close()
