"""The agent example: what it answers, and what of it is recorded."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from example_apps.starlette_agent import demo
from example_apps.starlette_agent.app import app
from llmobs import AgentStepEvent, PromptCallEvent, RunEvent, ToolCallEvent
from llmobs.testing import CapturedEvents


@pytest.fixture
def api(
    llm_server: str, llmobs_events: CapturedEvents, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", llm_server)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "any")
    monkeypatch.setenv("LLMOBS_SINK", "memory:")
    app.middleware_stack = None  # built anew, with this environment
    with TestClient(app) as client:
        yield client


def test_an_answer_with_tools(api: TestClient, llmobs_events: CapturedEvents) -> None:
    question = "Search the notes for refunds. How much is 2 * 19.90?"
    answer = api.post("/ask", json={"question": question, "user": "ann"})
    assert "39.8" in answer.json()["answer"]
    asked, answered = llmobs_events.of(PromptCallEvent)
    assert asked.tool_calls is not None
    assert {call["name"] for call in asked.tool_calls} == {"search_notes", "calculate_price"}
    tools = llmobs_events.of(ToolCallEvent)
    assert {tool.tool_id for tool in tools} == {call["id"] for call in asked.tool_calls}
    [step] = llmobs_events.of(AgentStepEvent)
    assert {tool.parent_id for tool in tools} == {step.event_id}
    assert asked.parent_id is answered.parent_id is None
    for call in (asked, answered):
        assert (call.provider, call.model, call.stream) == ("anthropic", "claude-sonnet-4-6", True)
        assert call.tokens_input
        assert call.cost_usd
        assert call.time_to_first_token_ms
        assert call.user_id == "ann"
    [run] = llmobs_events.of(RunEvent)
    assert (run.run_id, run.events) == (answer.headers["x-run-id"], 5)
    assert run.tokens_output == (asked.tokens_output or 0) + (answered.tokens_output or 0)


def test_a_streamed_answer(api: TestClient, llmobs_events: CapturedEvents) -> None:
    answer = api.post("/ask/stream", json={"question": "Tell me in detail about gift cards."})
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    [call] = llmobs_events.of(PromptCallEvent)
    [said] = call.response
    text = "".join(part["content"] for part in said["parts"])
    assert text == "".join(json.loads(line)["text"] for line in lines)
    assert llmobs_events.of(RunEvent)[0].run_id == answer.headers["x-run-id"]


def test_a_tool_that_fails_is_told_to_the_model(
    api: TestClient, llmobs_events: CapturedEvents
) -> None:
    answer = api.post("/ask", json={"question": "How much is 60 / (5 - 5)?"})
    assert answer.status_code == 200
    [tool] = llmobs_events.of(ToolCallEvent)
    assert tool.status == "error"
    assert "ZeroDivisionError" in tool.output


def test_health_leaves_no_run(api: TestClient, llmobs_events: CapturedEvents) -> None:
    assert api.get("/health").json() == {"status": "ok"}
    assert llmobs_events == []


@pytest.mark.servers
def test_the_demo(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--folder", str(tmp_path)]) == 0
    out = capfd.readouterr().out
    assert "POST /ask/stream" in out
    assert "first token" in out
    assert "claude-sonnet-4-6" in out
