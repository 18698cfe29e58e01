"""The OpenAI Agents SDK, the real one, in an environment of its own."""

import json
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from tests.servers.serving import ROOT
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]

HOME = ROOT / ".cache" / "agents" / "openai-agents"
PACKAGES = ("openai-agents==0.24.0", "openai==3.57.0")
CALL, STEP, TOOL, RUN = "PromptCallEvent", "AgentStepEvent", "ToolCallEvent", "RunEvent"


@pytest.fixture(scope="module")
def python() -> str:
    python = HOME / "bin" / "python"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    if not python.exists():
        subprocess.run([*uv, "venv", "--python", sys.executable, HOME], check=True)
        install = [*uv, "pip", "install", "--python", python, "-e", str(ROOT), *PACKAGES]
        subprocess.run(install, check=True)
    return str(python)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("wire", ["wire", "alone"])
@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_what_agents_do(python: str, llm_server: str, kind: str, wire: str) -> None:
    command = [python, "-m", "tests.contrib.agents.drive_openai_agents", llm_server, kind, wire]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "internal error" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)

    assert kinds(found["plain"]) == {CALL: 1, STEP: 1, RUN: 1}
    assert found["handling"][-1].get("status") != "error", (
        "what is handled around it is not its own"
    )
    for name in ("tool", "stream"):
        told = found[name]
        assert kinds(told) == {CALL: 2, STEP: 2, TOOL: 1, RUN: 1}, "each call once"
        [tool] = (e for e in told if e["kind"] == TOOL)
        inside, agent = (e for e in told if e["kind"] == STEP)
        assert tool["tool_name"] == "get_weather"
        assert tool["output"].startswith("sunny in")
        assert inside["parent_id"] == tool["event_id"]
        assert tool["parent_id"] == agent["event_id"]
        for call in (e for e in told if e["kind"] == CALL):
            assert call["parent_id"] == agent["event_id"]
            assert call["model"] == "gpt-4o"
            assert call["response"][0]["parts"]
            assert call.get("http_status") == (200 if wire == "wire" else None)
    assert all(e["tokens_input"] for e in found["tool"] if e["kind"] == CALL)

    assert found["guardrail raised"] == "InputGuardrailTripwireTriggered"
    assert [e["status"] for e in found["guardrail"][1:]] == ["error", "error"]

    many = found["many"]
    runs = {e["run_id"] for e in many}
    assert len(runs) == 20
    for run in runs:
        mine = [e for e in many if e["run_id"] == run]
        assert kinds(mine) == {CALL: 2, STEP: 2, TOOL: 1, RUN: 1}

    assert kinds(found["off"]) == ({CALL: 1} if wire == "wire" else {})
    assert found["exported"] > 100, "the vendor's export goes on"


def kinds(told: list[dict[str, Any]]) -> Counter[str]:
    return Counter(e["kind"] for e in told)
