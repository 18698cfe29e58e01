"""What `llmobs show` says of messages, in OpenAI's form and in that of the GenAI conventions."""

from typing import Any

import pytest

from llmobs.cli.describe import contents, text_of
from tests.helpers import make_event

CALL = {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"x": 1}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([{"role": "user", "content": "hi"}], "user: hi"),
        ([{"role": "user", "content": [{"type": "text", "text": "hi"}]}], "user: hi"),
        ([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}], "user: hi"),
        ([{"role": "assistant", "parts": [CALL]}], 'assistant: f({"x":1})'),
        (
            [{"role": "tool", "parts": [{"type": "tool_call_response", "response": "sunny"}]}],
            "tool: sunny",
        ),
        (
            [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}],
            "assistant: f({})",
        ),
        ([{"role": "user", "parts": []}], "user: "),
        ({"a": 1}, '{"a":1}'),
    ],
)
def test_messages(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_tools_asked_for_are_said_once() -> None:
    answered = make_event(response=[{"role": "assistant", "parts": [CALL]}], tool_calls=[CALL])
    assert contents(answered, full=False) == [("<", 'assistant: f({"x":1})')]
    told = make_event(response="", tool_calls=[{"name": "f", "arguments": {"x": 1}}])
    assert contents(told, full=False) == [("<", 'f({"x":1})')]
