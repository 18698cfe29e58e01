"""The text of prompts and answers, whoever wrote the messages down."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmobs
from llmobs.recorded import messages
from llmobs.recorded.messages import (
    conversation,
    message_of,
    messages_of,
    parts_of,
    said_in,
    text_in,
)
from tests.helpers import make_event
from tests.sinks.examples import every_kind

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
    "Gemini": ([{"role": "model", "parts": [{"text": "Hi"}]}], "Hi"),
    "a text as a member": ({"role": "user", "text": "Hi"}, "Hi"),
    "a part": ([{"text": "Hi"}], "Hi"),
    "the result of a tool": ([{"role": "tool", "tool_call_id": "c", "content": "rain"}], ""),
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


CALL = {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"x": 1}}
SPELLINGS: dict[str, Any] = {
    "GenAI": {"role": "assistant", "parts": [{"type": "text", "content": "Hm"}, CALL]},
    "OpenAI": {
        "role": "assistant",
        "content": "Hm",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
        ],
    },
    "a choice": {
        "message": {
            "role": "assistant",
            "content": "Hm",
            "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"x": 1}}}],
        }
    },
    "Anthropic": {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Hm"},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {"x": 1}},
        ],
    },
    "LangChain": {
        "role": "assistant",
        "content": "Hm",
        "tool_calls": [{"id": "c1", "name": "f", "args": {"x": 1}, "type": "tool_call"}],
    },
}


@pytest.mark.parametrize("spelt", SPELLINGS.values(), ids=SPELLINGS)
def test_one_message_however_it_is_spelt(spelt: Any) -> None:
    expected = {"role": "assistant", "parts": [{"type": "text", "content": "Hm"}, CALL]}
    assert message_of(spelt) == expected
    assert message_of(expected) == expected, "what is read stays as it is"
    event = make_event(prompt=[spelt], response=[spelt], tool_calls=[spelt_call(CALL)])
    assert event.prompt_messages == event.response_messages == [expected]
    assert said_in(spelt) == 'Hm f({"x":1})'


def spelt_call(part: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key != "type"}


def test_items_of_the_responses() -> None:
    items = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": '{"x":1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "done"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "sh", "input": '{"no": "JSON"}'},
    ]
    assert messages_of(items) == [
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "Hm"}]},
        {"role": "assistant", "parts": [CALL]},
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "c1", "response": "done"}],
        },
        {
            "role": "assistant",
            "parts": [{**CALL, "id": "c2", "name": "sh", "arguments": '{"no": "JSON"}'}],
        },
    ]


PICTURES: dict[str, Any] = {
    "OpenAI": {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    "OpenAI, responses": {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
    "Anthropic": {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
    },
    "LangChain": {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
    "GenAI": {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"},
}


@pytest.mark.parametrize("spelt", PICTURES.values(), ids=PICTURES)
def test_a_picture_is_named_or_kept(spelt: Any) -> None:
    named = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""}
    assert parts_of([spelt]) == [{**named, "size": 3}]
    assert parts_of(parts_of([spelt])) == [{**named, "size": 3}], "its size is not forgotten"
    assert parts_of([spelt], whole=True) == [{**named, "content": "AAAA"}]
    assert said_in({"role": "user", "content": [spelt]}) == "[image/png, 3 bytes]"


def test_data_that_looks_like_a_message_is_data() -> None:
    for data in ({"title": "T", "content": "C"}, {"type": "object"}, {"message": {"a": 1}}, [1]):
        assert conversation(data) is None
        assert text_in(data) == ""
    for value in ({"role": "user", "content": "Hi"}, [{"type": "text", "text": "Hi"}]):
        assert conversation(value) is not None


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "parts", "type", "text", "tool_calls", "name", "id"]
            )
            | st.text(max_size=3),
            inner | st.sampled_from(sorted(messages._PARTS)),
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(anything)
def test_anything_becomes_messages(value: Any) -> None:
    for whole in (True, False):
        found = messages_of(value, whole=whole)
        assert all(type(each["role"]) is str and each["role"] for each in found)
        assert all(type(part["type"]) is str for each in found for part in each["parts"])
        assert all(type(said_in(each)) is str for each in found)
    assert type(text_in(value)) is str
    event = make_event(prompt=value, response=value, tool_calls=[{"name": "f"}])
    parts = [part for each in event.response_messages for part in each["parts"]]
    assert "tool_call" in {part["type"] for part in parts}


SUBJECTS = {
    "prompt_call": ("gpt-4o", "What is ML?", "Learning from data."),
    "tool_call": ("search", {"q": "x"}, ["a"]),
    "agent_step": ("plan", "q", [1]),
    "error": ("ValueError", {"path": "/x"}, None),
    "assertion_failed": ("is_json", {"a": 1}, None),
    "hallucination_detected": ("heuristic", None, "cheese"),
    "evaluation": ("helpfulness", None, "short"),
    "performance_alert": ("latency_spike", 1000, 5000.5),
    "run": ("POST /chat", None, None),
}


def test_every_event_says_what_it_is_about() -> None:
    told = {e.event_type.value: (e.subject, e.given, e.made) for e in every_kind()}
    assert told == SUBJECTS


def test_what_a_call_made_where_it_says_nothing() -> None:
    calls = [{"name": "f", "arguments": {}}]
    assert make_event(response="", tool_calls=calls).made == calls
    assert make_event(response="Hi", tool_calls=calls).made == "Hi"
