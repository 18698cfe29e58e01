"""The text of prompts and answers, whoever wrote the messages down."""

from datetime import UTC, datetime
from typing import Any

import pytest

import llmobs
from llmobs.messages import text_in

CASES = {
    "text": ("Hi", "Hi"),
    "nothing": (None, ""),
    "number": (7, ""),
    "GenAI": (
        [
            {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
            {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
        ],
        "Be brief.\nWeather?",
    ),
    "GenAI, with what is not said": (
        [
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "Hm."},
                    {"type": "text", "content": "Let me look."},
                    {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {}},
                ],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "response": "rain"}]},
        ],
        "Let me look.",
    ),
    "refused": (
        [{"role": "assistant", "parts": [{"type": "refusal", "content": "No."}]}],
        "No.",
    ),
    "OpenAI": ([{"role": "user", "content": "Hi"}], "Hi"),
    "OpenAI, parts": (
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
                ],
            },
        ],
        "What is this?",
    ),
    "OpenAI, only a tool": (
        [{"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]}],
        "",
    ),
    "OpenAI, responses": (
        [
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hi"}],
            }
        ],
        "Hi",
    ),
    "Anthropic": (
        [
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm."},
                    {"type": "text", "text": "Hi"},
                    {"type": "tool_use", "id": "t", "name": "n", "input": {"text": "no"}},
                ],
            }
        ],
        "Hi",
    ),
    "one message": ({"role": "user", "content": "Hi"}, "Hi"),
    "several inputs": (["one", "two"], "one\ntwo"),
    "no messages": ({"question": "Hi"}, ""),
    "odd types": ([{"role": "user", "type": ["x"], "content": "Hi"}], ""),
}


@pytest.mark.parametrize(("value", "text"), CASES.values(), ids=CASES)
def test_the_text_of_messages(value: Any, text: str) -> None:
    assert text_in(value) == text
    event = llmobs.PromptCallEvent(
        event_id="e", run_id="r", timestamp=datetime.now(UTC), prompt=value, response=value
    )
    assert event.prompt_text == event.response_text == text


def test_a_value_that_contains_itself_ends() -> None:
    loop: list[Any] = ["Hi"]
    loop.append(loop)
    assert text_in(loop).startswith("Hi")


def test_the_block_tells_its_texts(llmobs_events: Any) -> None:
    class Odd:
        """What is no JSON is looked at as it would be recorded."""

    with llmobs.run().prompt_call(model="m", prompt=({"role": "user", "content": "Hi"},)) as call:
        assert (call.prompt_text, call.response_text) == ("Hi", "")
        call.finish(response=[{"role": "assistant", "content": "Hello"}])
        assert call.response_text == "Hello"
        call.response = Odd()
        assert "Odd" in call.response_text
        call.response = "Hello"
    [event] = llmobs_events.of(llmobs.PromptCallEvent)
    assert (event.prompt_text, event.response_text) == ("Hi", "Hello")
