"""Without a lifespan: a thread delivers, one request waits for it, and nothing is left behind."""

import gc
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from llmobs import Client, current_tracker
from llmobs.contrib._web.unattended import FAILED_SECONDS
from llmobs.contrib.asgi import LLMObsMiddleware, Receive, Scope, Send
from llmobs.errors import SinkUnavailableError
from llmobs.pipeline.sink import Batch
from tests.helpers import ScriptedSink, llmobs_threads
from tests.support.asgi import Lifespan, call
from tests.support.polling import eventually

pytestmark = pytest.mark.anyio


async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
    current_tracker().log_prompt_call("q", "m", "a")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    current_tracker().log_prompt_call("q", "m", "a")
    raise ValueError("on purpose")


class HangingSink(ScriptedSink):
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = False

    async def send(self, batch: Batch) -> None:
        while not self.let_go:
            await anyio.sleep(0.01)
        await super().send(batch)


@pytest.fixture
def lazily_started() -> Iterator[list[Client]]:
    """Clients the middleware started without a lifespan; closed after the test."""
    clients: list[Client] = []
    yield clients
    for client in clients:
        client.close()


def lazy_client(middleware: LLMObsMiddleware, clients: list[Client]) -> Client:
    unattended = middleware._unattended
    assert unattended is not None
    clients.append(unattended.client)
    return unattended.client


async def timed(middleware: LLMObsMiddleware) -> float:
    begin = time.monotonic()
    with suppress(ValueError):
        await call(middleware)
    return time.monotonic() - begin


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
    with anyio.fail_after(20):  # a failed request waits for a tenth of a second only
        while len(sink.events) < 2:
            await anyio.sleep(0.01)


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


async def test_one_request_at_a_time_waits_for_a_sink_that_does_not_answer(
    lazily_started: list[Client],
) -> None:
    sink = HangingSink()
    middleware = LLMObsMiddleware(endpoint, sink=sink, shutdown_timeout=1.5)
    took: list[float] = []

    async def request() -> None:
        took.append(await timed(middleware))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(request)
    assert sum(seconds > 1 for seconds in took) == 1
    # Nothing was taken meanwhile: nobody waits in vain a second time.
    assert max([await timed(middleware) for _ in range(3)]) < 1
    client = lazy_client(middleware, lazily_started)
    sink.let_go = True
    eventually(lambda: client.statistics().pending == 0)
    await call(middleware)
    assert len(sink.events) == 18  # and it is waited for again


async def test_nobody_waits_for_a_sink_that_is_known_to_be_down(
    lazily_started: list[Client],
) -> None:
    sink = ScriptedSink([SinkUnavailableError("down")] * 1000)
    middleware = LLMObsMiddleware(endpoint, sink=sink, shutdown_timeout=10)
    took = [await timed(middleware) for _ in range(5)]
    assert max(took) < 5  # the first learns it
    lazy_client(middleware, lazily_started)
    sink.script.clear()


async def test_a_request_that_fails_is_not_held_up_by_a_sink_that_does_not_answer(
    lazily_started: list[Client],
) -> None:
    sink = HangingSink()
    middleware = LLMObsMiddleware(failing, sink=sink)
    sink.let_go = True
    await timed(middleware)  # builds the client
    sink.let_go = False
    took = [await timed(middleware) for _ in range(5)]
    assert sum(took) < 2
    lazy_client(middleware, lazily_started)
    sink.let_go = True


async def test_a_socket_that_fails_is_closed_at_once_and_delivered_meanwhile(
    lazily_started: list[Client],
) -> None:
    sink = HangingSink()
    middleware = LLMObsMiddleware(failing, sink=sink, flush_interval_seconds=0.05)
    with suppress(ValueError):
        await call(
            middleware, {"type": "websocket", "path": "/", "headers": []}
        )  # builds the client
    begin = time.perf_counter()
    for _ in range(20):
        with suppress(ValueError):
            await call(middleware, {"type": "websocket", "path": "/", "headers": []})
    assert time.perf_counter() - begin < 20 * FAILED_SECONDS / 2
    lazy_client(middleware, lazily_started)
    sink.let_go = True
    await anyio.to_thread.run_sync(eventually, lambda: len(sink.events) == 42)


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_what_failed_requests_recorded_leaves_soon_though_nobody_waits_for_it(
    kind: str, lazily_started: list[Client]
) -> None:
    """A server may end before the interval does, and tells nobody."""
    sink = HangingSink()
    middleware = LLMObsMiddleware(failing, sink=sink, flush_interval_seconds=60)
    for _ in range(5):
        with suppress(ValueError):
            await call(middleware, {"type": kind, "path": "/", "headers": []})
    lazy_client(middleware, lazily_started)
    sink.let_go = True
    await anyio.to_thread.run_sync(eventually, lambda: len(sink.events) == 10)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_middleware_that_goes_closes_its_client(anyio_backend: str) -> None:
    sink = ScriptedSink()
    middleware = LLMObsMiddleware(endpoint, sink=sink)
    await call(middleware)
    assert llmobs_threads() == ["llmobs"]
    del middleware
    gc.collect()
    with anyio.fail_after(10):
        while llmobs_threads():
            await anyio.sleep(0.01)
    assert len(sink.events) == 2
    assert sink.closed == 1


MANY_APPS = """
import gc, resource, sys
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from llmobs import current_tracker
from llmobs.contrib.starlette import LLMObsMiddleware

resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

async def ask(request):
    current_tracker().log_prompt_call("q", "m", "a")
    return PlainTextResponse("ok")

for _ in range(203):
    app = Starlette(routes=[Route("/", ask)])
    app.add_middleware(LLMObsMiddleware, sink=f"sqlite:///{sys.argv[1]}")
    assert TestClient(app).get("/").status_code == 200
"""


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
def test_an_application_per_test_leaves_no_files_open(anyio_backend: str, tmp_path: Path) -> None:
    store = tmp_path / "runs.db"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", MANY_APPS, str(store)],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    import sqlite3

    connection = sqlite3.connect(store)
    assert connection.execute("SELECT count(*) FROM runs").fetchone() == (203,)
    connection.close()
