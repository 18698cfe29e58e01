"""The OpenAI Agents SDK, the real one, in an environment of its own."""

import pytest

from tests.contrib.agents.playing import CALL, RUN, STEP, TOOL, by_run, kinds, of, play
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("wire", ["wire", "alone"])
@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_what_agents_do(llm_server: str, kind: str, wire: str) -> None:
    found = play("openai_agents", llm_server, f"{kind} {wire}")

    assert kinds(found["plain"]) == {CALL: 1, STEP: 1, RUN: 1}
    assert found["handling"][-1].get("status") != "error", (
        "what is handled around it is not its own"
    )
    for name in ("tool", "stream"):
        told = found[name]
        assert kinds(told) == {CALL: 2, STEP: 2, TOOL: 1, RUN: 1}, "each call once"
        [tool] = of(told, TOOL)
        inside, agent = of(told, STEP)
        assert tool["tool_name"] == "get_weather"
        assert tool["output"].startswith("sunny in")
        assert inside["parent_id"] == tool["event_id"]
        assert tool["parent_id"] == agent["event_id"]
        for call in of(told, CALL):
            assert call["parent_id"] == agent["event_id"]
            assert call["model"] == "gpt-4o"
            assert call["response"][0]["parts"]
            assert call.get("http_status") == (200 if wire == "wire" else None)
    assert all(e["tokens_input"] for e in of(found["tool"], CALL))

    told = found["parallel"]
    assert kinds(told) == {CALL: 2, STEP: 3, TOOL: 2, RUN: 1}
    *inside, agent = of(told, STEP)
    assert {e["output"] for e in of(told, TOOL)} == {"sunny in Paris", "sunny in Rome"}
    assert {e["parent_id"] for e in inside} == {e["event_id"] for e in of(told, TOOL)}

    assert found["tool fails raised"]
    [tool] = of(found["tool fails"], TOOL)
    assert tool["status"] == "error"
    assert "no Oslo" in tool["error"]["message"]
    [call] = of(found["call fails"], CALL)
    assert call["status"] == "error"
    assert found["call fails"][-1]["status"] == "error"

    assert found["guardrail raised"] == "InputGuardrailTripwireTriggered"
    assert [e["status"] for e in found["guardrail"][1:]] == ["error", "error"]
    assert kinds(found["left"]) == {CALL: 1, STEP: 1, RUN: 1}
    assert [e["status"] for e in found["left"]] == ["cancelled"] * 3
    steps = [e["step_name"] for e in of(found["handoff"], STEP)]
    assert steps == ["handoff to forecaster", "a", "forecaster"]

    for name in ("many", "threads"):
        runs = by_run(found[name])
        assert len(runs) == 20
        assert all(kinds(each) == {CALL: 2, STEP: 2, TOOL: 1, RUN: 1} for each in runs)

    assert kinds(found["off"]) == ({CALL: 1} if wire == "wire" else {})
    assert found["exported"] > 100, "the vendor's export goes on"
    hidden = found["metadata"]
    assert kinds(hidden) == {CALL: 2, STEP: 2, TOOL: 1, RUN: 1}
    assert not any(e.get("output") or e.get("input") for e in of(hidden, TOOL))
    assert "sunny" not in str(hidden) if wire == "alone" else True
