"""DSPy, the real one, in an environment of its own, with LiteLLM and the transport, and alone."""

import pytest

from tests.contrib.agents.playing import CALL, RUN, STEP, TOOL, by_run, kinds, of, play
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("wire", ["wire", "alone"])
def test_what_programs_do(llm_server: str, wire: str) -> None:
    found = play("dspy", llm_server, wire)
    for name in ("lm", "later", "own chat", "own responses"):
        assert kinds(found[name]) == {CALL: 1, RUN: 1}, "each call once, whoever sees it"
        [call] = of(found[name], CALL)
        assert "Explain queues" in str(call["prompt"])
        assert call["response"][0]["parts"][0]["content"]
        assert call["tokens_input"]
        assert call["tokens_output"]
        assert call["model_version"] == "gpt-4o"
        seen = wire == "wire" and not name.startswith("own")
        assert call.get("http_status") == (200 if seen else None)
    [call] = of(found["cached"], CALL)
    assert call["response"][0]["parts"][0]["content"]
    assert (call["cost_usd"], call["cost_source"]) == (0, "cache")
    assert not call.get("tokens_input")
    [step] = of(found["predict"], STEP)
    assert step["step_name"] == "Predict"
    assert step["input_data"] == {"question": "Explain queues"}
    assert {e["parent_id"] for e in of(found["predict"], CALL)} == {step["event_id"]}
    assert [e["status"] for e in found["fails"]] == ["error"] * 3
    inside, tool, _ = found["tool"]
    assert inside["parent_id"] == tool["event_id"]
    assert (tool["kind"], tool["input"], tool["output"]) == (
        TOOL,
        {"city": "Paris"},
        "sunny in Paris",
    )
    for name in ("many", "threads"):
        assert [kinds(each) for each in by_run(found[name])] == [{CALL: 1, RUN: 1}] * 20
    assert found["off"] == []
