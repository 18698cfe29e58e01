"""A store with what a chat application records, and the command line on it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from llmobs import AgentStepEvent, AssertionFailedEvent, ErrorInfo, ToolCallEvent
from llmobs.cli.app import llmobs
from tests.support.stores import at, call, run, write_store

CLI = Callable[..., Result]


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("LLMOBS_SINK", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """``llmobs.db`` in the working directory."""
    events = [
        AgentStepEvent(
            event_id="step", run_id="run-agent", timestamp=at(0.1), step_number=1,
            step_name="think", latency_ms=500.0, output_data={"tools": 1},
        ),
        call(
            "run-agent", 0.1, parent_id="step", latency_ms=450.0, tokens_input=1200,
            tokens_output=45, tokens_cached=1024, cost_usd=0.0012, time_to_first_token_ms=80.0,
            finish_reason="tool_calls", user_id="ann", response="",
            prompt=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Rain?"}],
            tool_calls=[{"id": "1", "function": {"name": "get_weather", "arguments": "{}"}}],
        ),
        ToolCallEvent(
            event_id="tool", run_id="run-agent", timestamp=at(0.6), tool_name="get_weather",
            input={"city": "Paris"}, output={"sky": "clear"}, latency_ms=100.0,
        ),
        call(
            "run-agent", 0.7, status="error", response="", latency_ms=200.0, model="mine",
            error=ErrorInfo("boom", type="openai.RateLimitError", stack="Traceback: deep inside"),
        ),
        AssertionFailedEvent(
            event_id="check", run_id="run-agent", timestamp=at(0.95), assertion_name="is_json",
            expected={"a": 1}, actual="prose",
        ),
        run("run-agent", 0, name="POST /agent", http_status=200),
        call("run-chat", 60, model="mine", tokens_input=5, tokens_output=6, latency_ms=30.0),
    ]  # fmt: skip
    return write_store(tmp_path / "llmobs.db", events)


@pytest.fixture
def invoke() -> CLI:
    """Run one command in this process, whatever comes of it."""
    runner = CliRunner()

    def run(*arguments: object) -> Result:
        return runner.invoke(llmobs, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def cli(invoke: CLI) -> CLI:
    """Run one command in this process, which ends with *code*."""

    def run(*arguments: object, code: int = 0) -> Result:
        result = invoke(*arguments)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return run


def parsed(result: Result) -> Any:
    """The JSON a command wrote, and nothing else."""
    return json.loads(result.stdout)
