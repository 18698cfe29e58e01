"""The client's life: through the lifespan, and when the lifespan goes wrong."""

import logging
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from django.core.handlers.asgi import ASGIHandler
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from llmobs import AsyncClient, ConfigurationError, current_tracker
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


async def test_an_application_that_knows_no_lifespan_is_answered_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fact 4: Django's handler raises ValueError."""
    caplog.set_level(logging.INFO, "llmobs")
    sink = ScriptedSink()
    handler = ASGIHandler.__new__(ASGIHandler)  # the real one, without a project of its own

    async def django(scope: Scope, receive: Receive, send: Send) -> None:
        await (endpoint if scope["type"] == "http" else handler)(scope, receive, send)

    middleware = LLMObsMiddleware(django, sink=sink, flush_interval_seconds=60)
    lifespan = Lifespan(middleware)
    await _startup_requests_shutdown(lifespan, middleware, requests=2)
    assert lifespan.types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert len(sink.events) == 4
    assert "knows no lifespan" in caplog.text


@pytest.mark.parametrize("error", [ValueError, RuntimeError, AssertionError, KeyboardInterrupt])
async def test_what_an_application_raises_before_it_listens_comes_out(
    error: type[BaseException],
) -> None:
    """A bare server sees it too, and knows what to do."""
    sink = ScriptedSink()

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise error("no database")

    lifespan = Lifespan(LLMObsMiddleware(broken, sink=sink))
    with pytest.raises(error, match="no database"):
        await lifespan.run("startup", "shutdown")
    assert lifespan.answers == []


async def test_an_application_that_leaves_after_its_start_keeps_its_client() -> None:
    sink = ScriptedSink()

    async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await endpoint(scope, receive, send)
        else:
            await receive()
            await send({"type": "lifespan.startup.complete"})

    middleware = LLMObsMiddleware(hasty, sink=sink, flush_interval_seconds=60)
    lifespan = Lifespan(middleware)
    await _startup_requests_shutdown(lifespan, middleware, requests=1)
    assert lifespan.types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert len(sink.events) == 2


class _Watched:
    """Runs a coroutine, and counts how often it waits after `marked`."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self.marked = False
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            waits_for = self._coroutine.send(None)
            while True:
                self.waits += self.marked
                try:
                    value = yield waits_for
                except BaseException as error:
                    waits_for = self._coroutine.throw(error)
                else:
                    waits_for = self._coroutine.send(value)
        except StopIteration:
            return


@pytest.mark.parametrize("application", ["polite", "silent"])
async def test_nothing_is_awaited_after_the_end_was_told(application: str) -> None:
    """Servers end the loop at this message, and log what still waits as a failure."""

    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    app = polite if application == "polite" else silent
    lifespan = Lifespan(LLMObsMiddleware(app, sink=ScriptedSink()))
    watched = _Watched(lifespan.run("startup", "shutdown"))

    def note(message: Any) -> None:
        watched.marked = message["type"] == "lifespan.shutdown.complete"

    lifespan.on_answer = note
    await watched
    assert watched.marked
    assert watched.waits == 0


async def test_an_application_may_answer_from_another_task() -> None:
    """The client is left in the task that entered it, whoever tells of the end."""
    sink = ScriptedSink()

    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(polite, scope, receive, send)

    middleware = LLMObsMiddleware(elsewhere, sink=sink)
    await _startup_requests_shutdown(Lifespan(middleware), middleware, requests=1)
    assert (len(sink.events), sink.closed) == (2, 1)


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


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_test_client_raises_what_is_wrong_with_a_setting(backend: Any) -> None:
    app = Starlette(routes=[Route("/", ask)], lifespan=with_state)
    app.add_middleware(LLMObsMiddleware, header_name="no header")
    with (
        pytest.raises(ConfigurationError, match="header_name: 'no header' is no name"),
        TestClient(app, backend=backend),
    ):
        pass


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length", "transfer-encoding", "host", "connection", "content-type", "set-cookie",
        "sec-websocket-accept", "access-control-allow-origin", "traceparent", "upgrade",
    ],
)  # fmt: skip
async def test_a_header_that_means_something_else_is_refused(name: str) -> None:
    middleware = LLMObsMiddleware(polite, header_name=name, sink="memory:")
    with pytest.raises(ConfigurationError, match=f"header_name: '{name}' means something else"):
        await Lifespan(middleware).run("startup")
