"""The worker example: tickets in, answers and runs out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from example_apps.langchain_worker.worker import TICKETS, main
from llmobs import AgentStepEvent, PromptCallEvent, RunEvent, ToolCallEvent
from llmobs.store.reader import Reader
from llmobs.testing import CapturedEvents


@pytest.fixture
def model(llm_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{llm_server}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    monkeypatch.setenv("LLMOBS_SINK", "memory:")


def test_every_ticket_is_a_run(
    model: None, llmobs_events: CapturedEvents, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    tickets = [json.loads(line) for line in TICKETS.read_text("utf-8").splitlines()]
    runs = {run.user_id: run for run in llmobs_events.of(RunEvent)}
    assert runs.keys() == {ticket["customer"] for ticket in tickets}
    for run in runs.values():
        inside = [e for e in llmobs_events.in_run(run.run_id) if e is not run]
        assert run.events == len(inside)
        ids = {event.event_id for event in inside}
        for event in inside:
            if isinstance(event, PromptCallEvent | ToolCallEvent):
                assert event.parent_id in ids
        roots = [event for event in inside if event.parent_id is None]
        assert [e.step_name for e in roots if isinstance(e, AgentStepEvent)] == [
            "RunnableSequence",
            "LangGraph",
        ]
    tools = {
        tool.user_id: tool for tool in llmobs_events.of(ToolCallEvent) if tool.user_id != "cho"
    }
    assert (tools["ann"].tool_name, tools["ann"].output) == (
        "search_orders",
        "A-17: shipped on Monday",
    )
    assert "64.6" in str(tools["bob"].output)
    assert "dee" not in tools
    for call in llmobs_events.of(PromptCallEvent):
        assert call.status == "success"
        assert call.http_status == 200, "seen by the transport"
        assert call.tokens_input
        assert call.cost_usd
        if call.model == "gpt-4o":
            assert call.time_to_first_token_ms, "seen by both"
    out = capsys.readouterr().out
    assert out.count("\n") == len(tickets) + 1


def test_a_ticket_that_fails(llm_server: str, tmp_path: Path) -> None:
    # Its own process: langchain-openai keeps its HTTP clients, whose event loop would be gone.
    store = tmp_path / "worker.db"
    tickets = tmp_path / "one.jsonl"
    tickets.write_text('{"id": "t1", "customer": "ann", "text": "hello"}\n')
    environment = {
        **os.environ,
        "OPENAI_BASE_URL": f"{llm_server}/v1",
        "OPENAI_API_KEY": "invalid",
        "LLMOBS_SINK": f"sqlite:///{store}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "example_apps.langchain_worker", str(tickets)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 1, done.stderr
    assert "t1  failed" in done.stdout
    with Reader(store) as reader:
        [run] = reader.runs()
        detail = reader.run(run.run_id)
    [call] = [event for event in detail.events if isinstance(event, PromptCallEvent)]
    assert (call.status, call.http_status) == ("error", 401)
