"""Pydantic AI, the real one, in an environment of its own, with and without the transport."""

import pytest

from tests.contrib.agents.playing import CALL, RUN, STEP, TOOL, by_run, kinds, of, play
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]

WITH_TOOL = {CALL: 2, STEP: 2, TOOL: 1, RUN: 1}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("wire", ["wire", "alone"])
def test_what_agents_do(llm_server: str, wire: str) -> None:
    found = play("pydantic_ai", llm_server, wire)
    assert kinds(found["plain"]) == {CALL: 1, STEP: 1, RUN: 1}
    assert kinds(found["tool"]) == WITH_TOOL, "each call once"
    [tool] = of(found["tool"], TOOL)
    assert (tool["tool_name"], tool["output"]) == ("get_weather", "sunny in Paris")
    [inside] = (e for e in of(found["tool"], STEP) if e["step_name"] == "inside")
    assert inside["parent_id"] == tool["event_id"]
    for call in of(found["tool"], CALL):
        assert call["tokens_input"] and call["model"] == "gpt-4o"
        assert call.get("http_status") == (200 if wire == "wire" else None)
    assert kinds(found["parallel"]) == {CALL: 2, STEP: 3, TOOL: 2, RUN: 1}
    assert [e["status"] for e in of(found["tool fails"], TOOL)] == ["error"]
    assert [e["status"] for e in of(found["call fails"], CALL)] == ["error"]
    assert kinds(found["stream"]) == {CALL: 1, STEP: 1, RUN: 1}
    assert [kinds(each) for each in by_run(found["many"])] == [WITH_TOOL] * 20
    assert kinds(found["off"]) == ({CALL: 1} if wire == "wire" else {})
    assert kinds(found["metadata"]) == WITH_TOOL
    if wire == "alone":
        assert "sunny" not in str(found["metadata"])
