"""LlamaIndex, the real one, in an environment of its own, with and without the transport."""

import pytest

from llmobs.contrib._agents.work import NEVER_ENDED
from tests.contrib.agents.playing import CALL, RUN, STEP, TOOL, by_run, kinds, of, play
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("wire", ["wire", "alone"])
def test_what_it_does(llm_server: str, wire: str) -> None:
    found = play("llama_index", llm_server, wire)
    for name in ("chat", "achat", "complete", "stream", "astream"):
        assert kinds(found[name]) == {CALL: 1, RUN: 1}, name
        [call] = of(found[name], CALL)
        assert call["model"] == "gpt-4o"
        assert call["response"][0]["parts"][0]["content"]
        assert "Explain queues" in str(call["prompt"])
        assert call.get("http_status") == (200 if wire == "wire" else None)
        assert call.get("tokens_input") or "stream" in name
        assert bool(call.get("time_to_first_token_ms")) == ("stream" in name)
    [call] = of(found["call fails"], CALL)
    assert call["status"] == "error"

    told = found["tool"]
    [tool] = of(told, TOOL)
    assert (tool["tool_name"], tool["input"]) == ("get_weather", {"city": "Paris"})
    assert tool["output"] == "sunny in Paris"
    [inside] = (e for e in of(told, STEP) if e["step_name"] == "inside")
    assert inside["parent_id"] == tool["event_id"]
    assert len(of(told, CALL)) == 2, "each call once"
    assert len(by_run(told)) == 1
    assert len(of(found["parallel"], TOOL)) == 2
    assert [e["status"] for e in of(found["tool fails"], TOOL)] == ["error"]
    [search] = of(found["query"], TOOL)
    assert search["input"] == {"query": "What are queues?"}
    assert search["output"][0]["content"] == "Queues are first in, first out."
    assert [e.get("operation") for e in of(found["query"], CALL)] == ["embeddings", None]
    for name in ("many", "threads"):
        assert [kinds(each) for each in by_run(found[name])] == [{CALL: 1, RUN: 1}] * 20
    [tool] = of(found["undone meanwhile"], TOOL)
    assert (tool["status"], tool["warnings"]) == ("cancelled", [NEVER_ENDED])
    assert len(of(found["undone meanwhile"], RUN)) == 1
    assert kinds(found["off"]) == ({CALL: 1} if wire == "wire" else {})
    if wire == "alone":
        assert "sunny" not in str(found["metadata"])
