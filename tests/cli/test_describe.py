"""What `llmobs show` says of messages, in OpenAI's form and in that of the GenAI conventions."""

from pathlib import Path
from typing import Any

import pytest

from llmobs.describe.events import contents, text_of
from tests.cli.conftest import CLI
from tests.helpers import make_event
from tests.support.stores import call, run, write_store

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


def test_warnings_are_shown_and_many_are_counted(cli: CLI, tmp_path: Path) -> None:
    events = [
        call("r", 0, warnings=tuple(f"field_{n}=1: there is no such\nfield" for n in range(8))),
        run("r", 0, name="job", warnings=("bogus=1: left out",)),
    ]
    store = write_store(tmp_path / "warned.db", events)
    brief = cli("show", "r", "--store", store).output
    assert "! field_0=1: there is no such" in brief and "! bogus=1: left out" in brief
    assert "field_5" not in brief and "! 3 warnings more" in brief
    assert "field_7=1" in cli("show", "r", "--full", "--store", store).output
