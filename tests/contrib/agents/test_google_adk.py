"""Google's Agent Development Kit, the real one, in an environment of its own, with and without the transport."""

from typing import Any

import pytest

from tests.contrib.agents.playing import CALL, RUN, STEP, TOOL, Told, by_run, kinds, of, play
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]


def agents_own(told: Told) -> Told:
    """Return what is not the consumer's, which no agent has part in."""
    between = [e for e in told if e.get("step_name") == "between"]
    own = [e for e in told if e not in between]
    assert not [e for e in between if e.get("parent_id")]
    runs = {e["run_id"] for e in own if e["kind"] == RUN and e.get("user_id")}
    assert not [e for e in between if e["run_id"] in runs]
    return own


@pytest.mark.timeout(600)
@pytest.mark.parametrize("wire", ["wire", "alone"])
def test_what_agents_do(llm_server: str, wire: str) -> None:
    played = play("google_adk", llm_server, wire)
    found: dict[str, Any] = {
        name: agents_own(told) if isinstance(told, list) else told for name, told in played.items()
    }
    for name in ("plain", "handling"):
        assert kinds(found[name]) == {CALL: 1, STEP: 1, RUN: 1}
        assert not [e for e in found[name] if e.get("status")], "what is handled is not its own"

    for name in ("tool", "stream"):
        told = found[name]
        assert kinds(told) == {CALL: 2, TOOL: 1, STEP: 2, RUN: 1}, "each call once"
        [tool] = of(told, TOOL)
        inside, agent = of(told, STEP)
        assert (tool["tool_name"], tool["input"]) == ("get_weather", {"city": "Paris"})
        assert tool["output"] == "sunny in Paris"
        assert tool["tool_id"]
        assert inside["parent_id"] == tool["event_id"]
        assert tool["parent_id"] == agent["event_id"]
        assert agent["step_name"] == "assistant"
        assert agent["input_data"]["parts"] == [{"text": "What is the weather in Paris?"}]
        assert "sunny in Paris" in str(agent["output_data"])
        for call in of(told, CALL):
            assert call["parent_id"] == agent["event_id"]
            assert call["model"] == "gemini-2.5-flash"
            assert call["tokens_input"]
            assert call["prompt"][0]["role"] == "system"
            assert call["response"][0]["parts"]
            assert call.get("http_status") == (200 if wire == "wire" else None)
            assert call.get("stream", False) is (name == "stream")
            assert ("time_to_first_token_ms" in call) is (name == "stream")
        run = told[-1]
        assert (run["name"], run["session_id"], run["user_id"]) == ("shop", "s", "u")

    told = found["parallel"]
    assert {e["output"] for e in of(told, TOOL)} == {"sunny in Paris", "sunny in Rome"}
    assert {e["parent_id"] for e in of(told, STEP)[:2]} == {e["event_id"] for e in of(told, TOOL)}

    assert [e.get("status") for e in found["left"]] == [None, "cancelled", "cancelled"]
    assert found["cancelled raised"] == "TimeoutError"
    statuses = [e.get("status") for e in found["cancelled"]]
    assert statuses == [None] * (len(statuses) - 3) + ["cancelled"] * 3
    assert found["tool fails raised"] == "LookupError"
    assert [e.get("status") for e in found["tool fails"]] == [None, "error", "error", "error"]
    [tool] = of(found["tool fails"], TOOL)
    assert tool["error"]["message"] == "no Paris"
    assert found["call fails raised"] == "ClientError"
    assert [e["status"] for e in found["call fails"]] == ["error"] * 3

    several_agents(found)
    told = found["live"]
    turns = {CALL: 2} if wire == "wire" else {}  # over a WebSocket, which a plugin tells nothing of
    assert kinds(told) == turns | {TOOL: 1, STEP: 2, RUN: 1}
    assert not [e for e in told if e.get("status")]
    _, agent = of(told, STEP)
    assert {e["parent_id"] for e in (*of(told, CALL), *of(told, TOOL))} == {agent["event_id"]}
    agent, run = found["live left"][-2:]
    assert (agent["status"], run["status"]) == ("cancelled", "cancelled")
    [call] = of(found["instead"], CALL)
    assert (call["cost_usd"], call["cost_source"]) == (0, "google_adk")
    assert [e.get("status") for e in found["instead"]] == [None] * 3
    assert [e.get("status") for e in found["skipped"]] == [None] * 2

    for name in ("many", "threads"):
        runs = by_run(found[name])
        assert [kinds(each) for each in runs] == [{CALL: 2, TOOL: 1, STEP: 2, RUN: 1}] * 20
    assert found["plugins"] == 0
    assert [e for e in found["off"] if e.get("step_name") != "inside"] == []
    hidden = found["metadata"]
    assert kinds(hidden) == {CALL: 2, TOOL: 1, STEP: 2, RUN: 1}
    assert "sunny" not in str(hidden)
    assert "Paris" not in str(hidden)


def several_agents(found: dict[str, Told]) -> None:
    told = found["transfer"]
    assert not [e for e in told if e.get("status")]
    named = {e["step_name"]: e for e in of(told, STEP)}
    tools = {e["tool_name"]: e for e in of(told, TOOL)}
    assert tools["ask_about_weather"]["parent_id"] == named["first"]["event_id"]
    assert tools["get_weather"]["parent_id"] == named["forecaster"]["event_id"]
    assert len(by_run(told)) == 1

    told = found["as a tool"]
    [tool] = of(told, TOOL)
    inner, outer = of(told, STEP)
    assert inner["step_name"] == tool["tool_name"] == "forecaster"
    assert inner["parent_id"] == tool["event_id"]
    assert tool["parent_id"] == outer["event_id"]
    assert kinds(told) == {CALL: 3, TOOL: 1, STEP: 2, RUN: 1}

    for name in ("sequence", "at once"):
        one, two, both = of(found[name], STEP)
        assert one["parent_id"] == two["parent_id"] == both["event_id"]
        parents = {e["parent_id"] for e in of(found[name], CALL)}
        assert parents == {one["event_id"], two["event_id"]}
