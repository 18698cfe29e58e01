"""The application for ASGI servers: the client's life in its lifespan, and without one."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from llmobs.contrib.asgi import LLMObsMiddleware
from llmobs.contrib.django import asgi
from llmobs.contrib.django.project import current_project
from llmobs.errors import ConfigurationError
from llmobs.events import PromptCallEvent, RunEvent
from llmobs.runtime.context import current_run
from llmobs.runtime.troubles import Troubles
from llmobs.testing import CapturedEvents
from tests.support.asgi import Lifespan, http_scope


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "_troubles", Troubles())


def settings(folder: Path) -> dict[str, Any]:
    return {"SINK": f"sqlite:///{folder / 'llmobs.db'}", "FLUSH_INTERVAL_SECONDS": 60}


def stored(folder: Path) -> int:
    with sqlite3.connect(folder / "llmobs.db") as store:
        (count,) = store.execute("SELECT count(*) FROM events").fetchone()
    store.close()
    return int(count)


@asynccontextmanager
async def living(application: Any) -> AsyncIterator[None]:
    """Inside the block the application has started; the server hears of nothing after its end."""
    asked: asyncio.Queue[Any] = asyncio.Queue()
    answers: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(application(Lifespan(application).scope, asked.get, answers.put))
    for name in ("startup", "shutdown"):
        await asked.put({"type": f"lifespan.{name}"})
        assert (await answers.get())["type"] == f"lifespan.{name}.complete"
        if name == "startup":
            yield
    task.cancel()  # as servers do


async def ask(application: Any, path: str = "/chat/") -> list[Any]:
    sent: list[Any] = []
    asked = False

    async def receive() -> Any:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(http_scope(path=path), receive, send)
    return sent


def test_the_lifespan_delivers_before_the_server_hears_of_the_end(tmp_path: Path) -> None:
    async def serve() -> None:
        application = asgi.get_asgi_application()
        async with living(application):
            assert (await ask(application))[0]["status"] == 200
            assert not (tmp_path / "llmobs.db").exists() or stored(tmp_path) == 0
        assert stored(tmp_path) == 2

    with override_settings(LLMOBS=settings(tmp_path)):
        asyncio.run(serve())
        asyncio.run(serve_again(tmp_path))


async def serve_again(folder: Path) -> None:
    """A second lifespan of one process: the client is there again."""
    application = asgi.get_asgi_application()
    async with living(application):
        await ask(application)
    assert stored(folder) == 4


def test_without_a_lifespan_the_request_waits_for_the_delivery(tmp_path: Path) -> None:
    with override_settings(LLMOBS=settings(tmp_path)):
        asyncio.run(ask(asgi.get_asgi_application()))
        assert stored(tmp_path) == 2


def test_what_an_abandoned_generator_does_last_belongs_to_its_run(
    llmobs_events: CapturedEvents,
) -> None:
    """Django closes none whose reader has left: the garbage collector does."""

    async def serve() -> None:
        asked, full = asyncio.Queue[Any](), asyncio.Event()
        await asked.put({"type": "http.request", "body": b"", "more_body": False})

        async def send(message: Any) -> None:
            if message.get("body"):
                full.set()
                await asyncio.Event().wait()  # a reader that takes nothing more

        scope = http_scope(path="/acleans/")
        task = asyncio.create_task(asgi.get_asgi_application()(scope, asked.get, send))
        await full.wait()
        await asked.put({"type": "http.disconnect"})
        await task
        assert current_run() is None
        assert llmobs_events.of(RunEvent), "the run ends with its request"

    asyncio.run(serve())
    (run,) = llmobs_events.of(RunEvent)
    assert (run.status, run.events, run.name) == ("cancelled", 2, "GET /acleans/")
    calls = llmobs_events.of(PromptCallEvent)
    assert [(call.run_id, call.prompt_text) for call in calls] == [
        (run.run_id, "q"),
        (run.run_id, "cleaning up"),
    ]


def test_a_wrong_setting_stops_the_start() -> None:
    async def serve() -> None:
        await Lifespan(asgi.get_asgi_application()).run("startup")

    with (
        override_settings(LLMOBS={"SNIK": "memory:"}),
        pytest.raises(ConfigurationError, match="SINK"),
    ):
        asyncio.run(serve())
    with override_settings(LLMOBS={"SNIK": "memory:"}):
        assert asyncio.run(ask(asgi.get_asgi_application()))[0]["status"] == 200


def test_an_asgi_middleware_outside_holds_the_run(llmobs_events: CapturedEvents) -> None:
    client = current_project().client
    application = LLMObsMiddleware(asgi.get_asgi_application(), client=client)
    asyncio.run(ask(application, "/chat/"))
    (run,) = llmobs_events.of(RunEvent)
    assert run.events == 1


def test_observed_twice_is_observed_once() -> None:
    application = asgi.get_asgi_application()
    assert asgi.observe(application) is application
