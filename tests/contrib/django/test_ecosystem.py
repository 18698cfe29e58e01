"""REST framework, ninja, Channels and tasks, with their real packages."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import AsyncClient, Client, override_settings

from llmobs.events import PromptCallEvent, RunEvent
from llmobs.testing import CapturedEvents
from tests.support.polling import eventually

for package in ("rest_framework", "ninja", "channels"):
    pytest.importorskip(package)

ecosystem = pytest.importorskip("tests.contrib.django.ecosystem")


@pytest.fixture(autouse=True)
def urls() -> Iterator[None]:
    with override_settings(ROOT_URLCONF="tests.contrib.django.ecosystem"):
        yield


def the_run(events: CapturedEvents) -> RunEvent:
    (run,) = events.of(RunEvent)
    return run


def test_an_endpoint_of_rest_framework(llmobs_events: CapturedEvents) -> None:
    answer = Client().post("/answers/3/", {"question": "why?"}, content_type="application/json")
    run = the_run(llmobs_events)
    assert answer.json() == {"run": run.run_id}
    assert (run.name, run.metadata) == ("POST /answers/<int:pk>/", {"view": "answers"})


def test_an_exception_that_rest_framework_answers_is_an_answer(
    llmobs_events: CapturedEvents,
) -> None:
    assert Client().get("/busy/").status_code == 429
    assert (the_run(llmobs_events).status, the_run(llmobs_events).error) == ("success", None)


def test_one_that_it_does_not_is_recorded(llmobs_events: CapturedEvents) -> None:
    assert Client(raise_request_exception=False).get("/breaks/").status_code == 500
    error = the_run(llmobs_events).error
    assert error is not None
    assert error.message == "in an endpoint"


def test_operations_of_ninja(llmobs_events: CapturedEvents) -> None:
    answer = Client().get("/ninja/sync/3")
    assert answer.json() == {"run": the_run(llmobs_events).run_id}
    assert the_run(llmobs_events).route == "ninja/sync/<pk>"  # as ninja tells Django
    llmobs_events.clear()

    async def ask() -> Any:
        return await AsyncClient().get("/ninja/async")

    assert asyncio.run(ask()).json() == {"run": the_run(llmobs_events).run_id}


def test_a_task_that_runs_at_once_belongs_to_the_request(llmobs_events: CapturedEvents) -> None:
    Client().get("/enqueues/")
    (call,) = llmobs_events.of(PromptCallEvent)
    assert call.run_id == the_run(llmobs_events).run_id


async def _talk(application: Any, path: str, **headers: str) -> tuple[str, Any]:
    from channels.testing import WebsocketCommunicator

    sent_headers = [(key.encode(), value.encode()) for key, value in headers.items()]
    socket = WebsocketCommunicator(application, path, headers=sent_headers)
    sent: list[Any] = []
    connected, _ = await socket.connect(timeout=10)
    assert connected
    for question in ("one", "two"):
        await socket.send_to(question)
        sent.append(await socket.receive_from(timeout=10))
    await socket.disconnect(timeout=10)
    return sent[0], sent


@pytest.mark.parametrize("path", ["/ws/", "/threaded/"])
def test_a_consumer_of_channels_is_a_run(path: str, llmobs_events: CapturedEvents) -> None:
    said, _ = asyncio.run(_talk(ecosystem.application(), path))
    run = eventually(lambda: llmobs_events.of(RunEvent), what="the run")[0]
    assert (run.kind, run.http_status, run.events) == ("websocket", 101, 2)
    assert said in (run.run_id, "yes")
    assert {event.run_id for event in llmobs_events} == {run.run_id}


@pytest.mark.parametrize(("key", "trusted"), [("ours", True), ("theirs", False)])
def test_who_is_trusted_names_the_run_of_a_websocket(
    key: str, trusted: bool, llmobs_events: CapturedEvents
) -> None:
    def by_key(request: Any) -> bool:
        return bool(request.path == "/ws/" and request.headers["x-key"] == "ours")

    headers = {"x-run-id": "run-1", "x-key": key}
    with override_settings(LLMOBS={"SINK": "memory:", "TRUST_RUN_ID": by_key}):
        asyncio.run(_talk(ecosystem.application(), "/ws/", **headers))
    run = eventually(lambda: llmobs_events.of(RunEvent), what="the run")[0]
    assert (run.run_id == "run-1") is trusted
    assert (run.client_run_id == "run-1") is not trusted
