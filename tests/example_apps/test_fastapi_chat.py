"""The chat example: what each endpoint answers, and what of it is recorded."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from rich.console import Console

from example_apps.fastapi_chat import demo
from example_apps.fastapi_chat.app import app
from example_apps.fastapi_chat.demo_drive import Answered
from example_apps.fastapi_chat.demo_processes import running_app
from example_apps.fastapi_chat.demo_proof import prove
from example_apps.fastapi_chat.demo_view import view
from example_apps.fastapi_chat.tools import calculate
from llmobs import AgentStepEvent, AssertionFailedEvent, PromptCallEvent, RunEvent, ToolCallEvent
from llmobs.testing import CapturedEvents
from tests.support.polling import eventually
from tests.support.stores import call, run, write_store


@pytest.fixture
def api(
    llm_server: str, llmobs_events: CapturedEvents, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{llm_server}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    monkeypatch.setenv("LLMOBS_SINK", "memory:")
    httpx2.AsyncClient()  # imports what the SDK's own client would, in the event loop
    app.middleware_stack = None  # built anew, with this environment
    with TestClient(app) as client:
        yield client


def text_of(recorded: PromptCallEvent) -> str:
    [said] = recorded.response
    return "".join(part["content"] for part in said["parts"])


def test_chat_and_the_title_found_after_the_answer(
    api: TestClient, llmobs_events: CapturedEvents
) -> None:
    answer = api.post("/chat", json={"message": "Why is the sky blue?", "user": "ann"})
    assert answer.status_code == 200
    first, title = llmobs_events.of(PromptCallEvent)
    assert text_of(first) == answer.json()["answer"]
    assert (first.model, first.provider, first.finish_reason) == ("gpt-4o-mini", "openai", "stop")
    assert first.tokens_input
    assert first.tokens_output
    assert first.user_id == "ann"
    (step,) = llmobs_events.of(AgentStepEvent)
    assert title.parent_id == step.event_id
    (own,) = llmobs_events.of(RunEvent)
    assert (own.run_id, own.name, own.events) == (answer.headers["x-run-id"], "POST /chat", 3)
    assert {event.run_id for event in llmobs_events} == {own.run_id}
    conversation = answer.json()["conversation_id"]
    assert api.get(f"/conversations/{conversation}").json()["title"] == text_of(title)
    assert api.get("/conversations/none").status_code == 404


def test_a_stream_is_recorded_whole(api: TestClient, llmobs_events: CapturedEvents) -> None:
    answer = api.post("/chat/stream", json={"message": "List the steps to brew tea."})
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    (recorded,) = llmobs_events.of(PromptCallEvent)
    assert text_of(recorded) == "".join(json.loads(line)["answer"] for line in lines)
    assert recorded.stream is True
    assert recorded.tokens_output
    assert recorded.latency_ms
    assert 0 < (recorded.time_to_first_token_ms or 0) <= recorded.latency_ms


def test_the_agent_uses_its_tools_side_by_side(
    api: TestClient, llmobs_events: CapturedEvents
) -> None:
    answer = api.post(
        "/agent", json={"message": "What is the weather in Paris and Oslo? Calculate 2 * 21."}
    )
    assert "42" in answer.json()["answer"]
    tools = llmobs_events.of(ToolCallEvent)
    assert sorted(tool.tool_name for tool in tools) == ["calculate", "get_weather", "get_weather"]
    steps = llmobs_events.of(AgentStepEvent)
    assert [(step.step_number, step.step_name) for step in steps] == [
        (1, "think"), (2, "use tools"), (3, "think"),
    ]  # fmt: skip
    assert {tool.parent_id for tool in tools} == {steps[1].event_id}
    assert [recorded.parent_id for recorded in llmobs_events.of(PromptCallEvent)] == [
        steps[0].event_id, steps[2].event_id,
    ]  # fmt: skip


def test_a_tool_that_fails_is_told_to_the_model(
    api: TestClient, llmobs_events: CapturedEvents
) -> None:
    answer = api.post("/agent", json={"message": "How much is 81 / (7 - 7)?"})
    assert answer.status_code == 200
    (tool,) = llmobs_events.of(ToolCallEvent)
    assert tool.status == "error"
    assert "ZeroDivisionError" in tool.output["error"]


def test_the_endpoint_that_fails(api: TestClient, llmobs_events: CapturedEvents) -> None:
    answer = api.post("/contacts", json={"message": "Call Mrs Tanaka, tanaka@example.org."})
    assert answer.status_code == 502
    (check,) = llmobs_events.of(AssertionFailedEvent)
    assert check.assertion_name == "contact_is_json"
    (own,) = llmobs_events.of(RunEvent)
    assert (own.http_status, own.run_id) == (502, answer.headers["x-run-id"])


@pytest.mark.parametrize(("fault", "status"), [("400", 502), ("401", 502)])
def test_a_model_that_fails(
    api: TestClient, llmobs_events: CapturedEvents, fault: str, status: int
) -> None:
    answer = api.post("/chat", json={"message": "Hello", "model": f"gpt-4o-fail-{fault}"})
    assert answer.status_code == status
    (recorded,) = llmobs_events.of(PromptCallEvent)
    assert recorded.status == "error"
    assert recorded.error is not None
    assert recorded.http_status == int(fault)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "code", ["__import__('os')", "2 ** 9", "a", "(1).real", "[1][0]", "'a' * 9"]
)
async def test_the_calculator_runs_no_code(code: str, anyio_backend: object) -> None:
    with pytest.raises(ValueError, match="only numbers"):
        await calculate(code)


def test_the_prompts_are_many_and_valid() -> None:
    questions = [json.loads(line) for line in demo.PROMPTS.read_text("utf-8").splitlines()]
    assert len(questions) >= 30
    paths = {route.path for route in app.routes if hasattr(route, "path")}
    assert {question["path"] for question in questions} == {
        "/chat", "/chat/stream", "/agent", "/contacts",
    } <= paths  # fmt: skip


class TestProof:
    def test_holds_when_all_is_there(self, tmp_path: Path) -> None:
        store = write_store(tmp_path / "a.db", [call("a"), run("a", events=1), run("b", events=0)])
        proof = prove(store, [Answered("200", "a"), Answered("502", "b")])
        assert proof.holds
        assert (proof.answered, proof.stored, proof.events_recorded, proof.events_stored) == (
            2, 2, 3, 3,
        )  # fmt: skip
        assert proof.richest == "a"

    @pytest.mark.parametrize(
        "answered", [Answered("200", "gone"), Answered("broken off", None), Answered("200", "b")]
    )
    def test_fails_when_a_run_or_an_event_is_missing(
        self, tmp_path: Path, answered: Answered
    ) -> None:
        store = write_store(tmp_path / "a.db", [call("b"), run("b", events=2)])
        proof = prove(store, [answered])
        assert not proof.holds
        assert len(proof.lost) == 1


@pytest.mark.servers
def test_who_knows_the_password_sees_the_runs(llm_server: str, tmp_path: Path) -> None:
    password = {"CHAT_ADMIN_PASSWORD": "let me in"}
    with running_app(llm_server, tmp_path / "llmobs.db", **password) as served:
        asked = {"message": "Which colours are warm?", "user": "ann"}
        assert httpx2.post(f"{served.url}/chat", json=asked, timeout=30).is_success
        for given in (None, ("ann", "guessed"), ("ann", "")):
            away = httpx2.get(f"{served.url}/llmobs/runs", auth=given)
            assert away.status_code == 401 and "/chat" not in away.text

        def shown() -> bool:
            page = httpx2.get(f"{served.url}/llmobs/runs", auth=("ann", "let me in"))
            return page.status_code == 200 and "POST /chat" in page.text

        eventually(shown, timeout=30, what="the run in the viewer")


@pytest.mark.servers
def test_the_demo_loses_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--folder", str(tmp_path), "--concurrency", "8"]) == 0
    out = capfd.readouterr().out
    assert "8 of 8 answers arrived whole" in out
    assert "nothing was lost" in out
    assert "/llmobs cost --store" in out or "$ llmobs cost --store" in out
    assert "first token" in out
    assert "\x1b" not in out


@pytest.mark.servers
def test_the_viewer_shows_who_goes_on_asking_until_interrupted(tmp_path: Path) -> None:
    said = io.StringIO()
    shown: list[str] = []

    def look() -> None:
        try:
            [url] = eventually(lambda: re.findall(r"http://\S+:\d+", said.getvalue()), timeout=60)
            shown.append(url)
            eventually(lambda: "POST /chat" in httpx2.get(f"{url}/runs").text, timeout=30)
            shown.append("runs")
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    looking = threading.Thread(target=look)
    looking.start()
    questions = [{"path": "/chat", "message": "Why is the sky blue?", "user": "ann"}]
    view(Console(file=said, width=200), tmp_path / "llmobs.db", questions, None)
    looking.join()
    assert shown[1:] == ["runs"], said.getvalue()
    assert "Everything that was started is ended." in said.getvalue()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(shown[0])


@pytest.mark.servers
def test_unwatched_it_ends_by_itself(tmp_path: Path) -> None:
    said = io.StringIO()
    questions = [{"path": "/chat/stream", "message": "Tell me about tides.", "user": "ann"}]
    view(Console(file=said, width=200), tmp_path / "llmobs.db", questions, 0.5)
    assert "it ends in 0 seconds" in said.getvalue()
    assert said.getvalue().endswith("is ended.\n")


@pytest.mark.servers
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "example_apps.fastapi_chat.demo", "--folder", str(tmp_path)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(40, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            pid = re.search(r"pid (\d+)", line)
            assert pid is not None, line
            os.kill(int(pid[1]), 0)
            process.send_signal(number)
            assert "interrupted; everything that was started is ended" in process.stdout.read()
            assert process.wait(20) == 130
        finally:
            watchdog.cancel()
            process.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid[1]), 0)
