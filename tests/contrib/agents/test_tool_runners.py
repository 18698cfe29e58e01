"""The tool runners of Anthropic's and OpenAI's SDKs, the real ones, in an environment of its own."""

import pytest

from tests.contrib.agents.playing import CALL, RUN, STEP, TOOL, kinds, of, play
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]


@pytest.mark.timeout(600)
def test_tools_that_sdks_run(llm_server: str) -> None:
    found = play("tool_runners", llm_server)
    for name in ("claude", "claude later", "gpt", "gpt later"):
        told = found[name]
        assert kinds(told) == {CALL: 2, STEP: 2, TOOL: 2, RUN: 1}, name
        tools = of(told, TOOL)
        later = "_later" if name == "claude later" else ""
        assert [e["tool_name"] for e in tools] == [f"get_weather{later}"] * 2
        assert sorted(e["input"]["city"] for e in tools) == ["Paris", "Rome"]
        assert sorted(e["output"] for e in tools) == ["sunny in Paris", "sunny in Rome"]
        assert {e["parent_id"] for e in of(told, STEP)} == {e["event_id"] for e in tools}
    [tool] = of(found["fails"], TOOL)
    assert tool["status"] == "error"
    assert tool["error"]["message"] == "no Oslo"
    assert kinds(found["off"]) == {CALL: 2, STEP: 2, RUN: 1}
