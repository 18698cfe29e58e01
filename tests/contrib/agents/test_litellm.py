"""LiteLLM, the real one, in an environment of its own, with and without the transport."""

import pytest

from tests.contrib.agents.playing import CALL, RUN, STEP, by_run, kinds, of, play
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]

WHOLE = {CALL: 1, STEP: 1, RUN: 1}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("wire", ["wire", "alone"])
def test_each_call_is_recorded_once(llm_server: str, wire: str) -> None:
    found = play("litellm", llm_server, wire)
    for provider in ("openai", "anthropic"):
        for name in ("sync", "async", "stream"):
            told = found[f"{provider} {name}"]
            assert kinds(told) == WHOLE, (provider, name)
            [call], [after] = of(told, CALL), of(told, STEP)
            assert call["provider"] == provider
            assert call["tokens_input"] and call["tokens_output"]
            assert call["cost_source"] == "litellm"
            assert call["cost_usd"] > 0
            assert call.get("http_status") == (200 if wire == "wire" else None)
            assert after.get("parent_id") is None, "what comes after is not inside"
            assert call.get("stream", False) == (name == "stream")
        for name in ("alone", "alone async"):
            assert kinds(found[f"{provider} {name}"]) == {CALL: 1, RUN: 1}
        [call] = of(found[f"{provider} fails"], CALL)
        assert call["status"] == "error"
        assert call["error"]["message"]
    [call] = of(found["embeddings"], CALL)
    assert call["operation"] == "embeddings"
    [call] = of(found["mock"], CALL)
    assert call["response"][0]["parts"] == [{"type": "text", "content": "sunny"}]
    for name in ("many", "threads"):
        assert [kinds(each) for each in by_run(found[name])] == [{CALL: 1, RUN: 1}] * 20
    if wire == "wire":
        [call] = of(found["left"], CALL)
        assert call["status"] == "cancelled"
    assert kinds(found["off"]) == ({CALL: 1} if wire == "wire" else {})
