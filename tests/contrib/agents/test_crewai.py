"""CrewAI, the real one, in an environment of its own, with and without the transport."""

import pytest

from llmobs.contrib._agents.work import NEVER_ENDED
from tests.contrib.agents.playing import CALL, RUN, STEP, TOOL, by_run, kinds, of, play
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("wire", ["wire", "alone"])
def test_what_crews_do(llm_server: str, wire: str) -> None:
    found = play("crewai", llm_server, wire)
    assert kinds(found["plain"]) == {CALL: 1, STEP: 4, RUN: 1}
    for name in ("tool", "later"):
        told = found[name]
        assert kinds(told) == {CALL: 2, STEP: 5, TOOL: 1, RUN: 1}, "each call once"
        [tool] = of(told, TOOL)
        assert (tool["tool_name"], tool["input"]) == ("get_weather", {"city": "Paris"})
        assert tool["output"] == "sunny in Paris"
        inside, executor, agent, task, crew = of(told, STEP)
        assert [e["step_name"] for e in (agent, task, crew)] == ["forecaster", "asked", "shop"]
        assert inside["parent_id"] == tool["event_id"]
        assert tool["parent_id"] == executor["event_id"]
        assert executor["parent_id"] == agent["event_id"]
        assert agent["parent_id"] == task["event_id"]
        assert task["parent_id"] == crew["event_id"]
        for call in of(told, CALL):
            assert call["model"] == "gpt-4o"
            assert call["tokens_input"]
            assert call["parent_id"] == executor["event_id"]
            assert call.get("http_status") == (200 if wire == "wire" else None)
    assert {e["status"] for e in of(found["call fails"], CALL)} == {"error"}
    assert found["call fails raised"]
    runs = by_run(found["threads"])
    assert [kinds(each) for each in runs] == [{CALL: 1, STEP: 4, RUN: 1}] * 20
    [tool] = of(found["undone meanwhile"], TOOL)
    assert (tool["status"], tool["warnings"]) == ("cancelled", [NEVER_ENDED])
    assert len(of(found["undone meanwhile"], RUN)) == 1
    assert found["off"] == []
