"""smolagents, the real one, in an environment of its own, with and without the transport."""

import pytest

from tests.contrib.agents.playing import CALL, RUN, STEP, TOOL, Told, by_run, kinds, of, play
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("wire", ["wire", "alone"])
def test_what_agents_do(llm_server: str, wire: str) -> None:
    found = play("smolagents", llm_server, wire)
    for name in ("plain", "handling"):
        told = found[name]
        assert kinds(told) == {CALL: 1, TOOL: 1, STEP: 2, RUN: 1}
        assert not [e for e in told if e.get("status")], "what is handled around it is not its own"
    told = found["tool"]
    assert kinds(told) == {CALL: 2, TOOL: 2, STEP: 4, RUN: 1}, "each call once"
    inside, first, second, agent = of(told, STEP)
    tool, answer = of(told, TOOL)
    assert (tool["tool_name"], tool["input"]) == ("get_weather", {"city": "Paris"})
    assert tool["output"] == "sunny in Paris"
    assert inside["parent_id"] == tool["event_id"]
    assert [e["parent_id"] for e in (tool, answer)] == [first["event_id"], second["event_id"]]
    assert [e["parent_id"] for e in of(told, CALL)] == [first["event_id"], second["event_id"]]
    assert first["parent_id"] == second["parent_id"] == agent["event_id"]
    assert first["input_data"] == [{"get_weather": {"city": "Paris"}}]
    assert first["output_data"] == "sunny in Paris"
    assert agent["step_name"] == "ToolCallingAgent"
    assert agent["input_data"] == "What is the weather in Paris?"
    assert agent["output_data"] == answer["output"]
    for call in of(told, CALL):
        assert call["model"] == "gpt-4o"
        assert call["tokens_input"]
        assert call["finish_reason"] == "tool_calls"
        assert call["prompt"][0]["role"] == "system"
        assert call["response"][0]["parts"][0]["type"] == "tool_call"
        assert call.get("http_status") == (200 if wire == "wire" else None)

    told = found["parallel"]
    assert {e["output"] for e in of(told, TOOL)[:2]} == {"sunny in Paris", "sunny in Rome"}
    assert {e["parent_id"] for e in of(told, STEP)[:2]} == {
        e["event_id"] for e in of(told, TOOL)[:2]
    }

    for name in ("stream", "tokens"):
        told = [e for e in found[name] if e.get("step_name") != "between"]
        assert kinds(told) == {CALL: 2, TOOL: 2, STEP: 4, RUN: 1}
        assert [kinds(each) for each in by_run(told)] == [kinds(told)]
        assert all(e["tokens_input"] for e in of(told, CALL))
        streamed = [e.get("stream", False) for e in of(told, CALL)]
        assert streamed == [name == "tokens"] * 2
        assert all("time_to_first_token_ms" in e for e in of(told, CALL)) is (name == "tokens")
        run_id = told[-1]["run_id"]
        between = [e for e in found[name] if e.get("step_name") == "between"]
        assert between
        assert not [e for e in between if e["run_id"] == run_id or e.get("parent_id")]
    assert {e["status"] for e in found["left"]} == {"cancelled"}

    [tool] = of(found["tool fails"], TOOL)
    assert (tool["status"], tool["error"]["message"]) == ("error", "no Paris")
    assert [e.get("status") for e in of(found["tool fails"], STEP)] == ["error", "error", None]
    assert found["call fails raised"] == "AgentGenerationError"
    assert {e["status"] for e in found["call fails"]} == {"error"}

    plan, step, agent = of(found["plan"], STEP)
    assert plan["step_name"] == "plan"
    assert plan["output_data"]
    assert plan["parent_id"] == step["parent_id"] == agent["event_id"]

    code_and_managed_agents(found)

    for name in ("many", "threads"):
        runs = by_run(found[name])
        assert [kinds(each) for each in runs] == [{CALL: 2, TOOL: 2, STEP: 4, RUN: 1}] * 20
    assert [e for e in found["off"] if e.get("step_name") != "inside"] == []
    assert found["off code"] == []
    hidden = found["metadata"]
    assert kinds(hidden) == {CALL: 2, TOOL: 2, STEP: 4, RUN: 1}
    assert "sunny" not in str(hidden)
    assert "Paris" not in str(hidden)


def code_and_managed_agents(found: dict[str, Told]) -> None:
    told = found["code"]
    assert kinds(told) == {CALL: 1, TOOL: 2, STEP: 3, RUN: 1}, "asked once, through two classes"
    [call], [tool, _] = of(told, CALL), of(told, TOOL)
    assert call["model"] == "coder"
    inside, step, agent = of(told, STEP)
    assert tool["input"] == {"city": "Paris"}
    assert inside["parent_id"] == tool["event_id"]
    assert tool["parent_id"] == call["parent_id"] == step["event_id"]
    assert step["input_data"] == "final_answer(get_weather('Paris'))"
    assert "sunny in Paris" in step["output_data"]
    assert agent["output_data"] == "sunny in Paris"
    step = of(found["code fails"], STEP)[0]
    assert "ZeroDivisionError" in step["error"]["message"]

    told = found["managed"]
    ids = {e["event_id"]: e for e in told}
    [forecaster] = [e for e in told if e.get("step_name") == "forecaster"]
    step = ids[forecaster["parent_id"]]
    assert ids[step["parent_id"]]["step_name"] == "CodeAgent"
    [tool] = [e for e in told if e.get("tool_name") == "get_weather"]
    assert ids[ids[tool["parent_id"]]["parent_id"]] is forecaster
    assert len(by_run(told)) == 1
