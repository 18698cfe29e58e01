"""llmobs.sinks._sentinel: whatever was recorded, Sentinel's parser takes it; nothing is lost."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs.events import ErrorInfo, PromptCallEvent
from llmobs.pipeline.sanitise import sanitise
from llmobs.recorded.ids import new_id
from llmobs.sinks._sentinel import MAX_PROMPT_CHARS, NOTES_KEY, message_text, telemetry
from tests.helpers import make_event
from tests.support.sentinel import sentinel_warnings, validate_sentinel


def sent(**fields: Any) -> dict[str, Any]:
    """Return the message of an event, once the server's parser has taken it."""
    message = telemetry(make_event(**fields))
    assert validate_sentinel(message.value) == []
    parsed: dict[str, Any] = json.loads(message.value)
    return parsed


def test_a_whole_event_field_by_field() -> None:
    event_id = new_id()
    event = make_event(
        event_id=event_id, run_id="run-7", timestamp=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
        service_name="größe", trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7",
        model="gpt-4o", prompt="What is ML?", response="ML is …", tokens_input=12,
        tokens_output=45, latency_ms=1250, cost_usd=0.000735, finish_reason="length",
        prompt_embedding=[0.5, -1], response_embedding=[0.25], environment="production",
        metadata={"region": "eu", "n": 1, "deep": {"a": [None, True]}, "none": None},
        user_id="u1", tags=("a", "b"), errors=("slow",), error=ErrorInfo("boom", type="ValueError"),
    )  # fmt: skip
    message = telemetry(event)
    assert validate_sentinel(message.value) == []
    assert sentinel_warnings(message.value) == []
    assert message.key == "größe".encode()
    assert message.headers == [
        ("event_id", event_id.encode()),
        ("service_name", "größe".encode()),
        ("model", b"gpt-4o"),
    ]
    body = json.loads(message.value)
    error = body["metadata"].pop("error")
    assert json.loads(error) == {"message": "boom", "type": "ValueError"}
    assert body == {
        "event_id": event_id,
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "service_name": "größe",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
        "model": "gpt-4o",
        "prompt": {"text": "What is ML?", "tokens": 12, "embedding": [0.5, -1]},
        "response": {
            "text": "ML is …", "tokens": 45, "finish_reason": "length", "embedding": [0.25]
        },
        "latency_ms": 1250,
        "cost_usd": 0.000735,
        "metadata": {
            "region": "eu", "n": "1", "deep": '{"a":[null,true]}', "none": "null",
            "run_id": "run-7", "user_id": "u1", "tags": '["a","b"]', "environment": "production",
        },
        "errors": ["slow", "ValueError: boom"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (datetime(2024, 1, 1), "2024-01-01T00:00:00Z"),  # noqa: DTZ001
        (datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00Z"),
        (datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2024-01-01T00:00:00Z"),
        (datetime(2024, 1, 1, 0, 0, 0, 5, UTC), "2024-01-01T00:00:00.000005Z"),
    ],
)
def test_timestamps_have_exactly_one_offset(when: datetime, text: str) -> None:
    assert sent(timestamp=when)["timestamp"] == text


def test_an_id_that_is_no_uuid_becomes_one_for_good() -> None:
    first, second = sent(event_id="order-17"), sent(event_id="order-17")
    assert first["event_id"] == second["event_id"]
    assert UUID(first["event_id"]).version == 5
    assert "event_id was 'order-17'" in first["metadata"][NOTES_KEY]
    upper = "{0191E2F0-0000-7000-8000-00000000ABCD}"
    assert sent(event_id=upper)["event_id"] == "0191e2f0-0000-7000-8000-00000000abcd"


def test_what_is_unknown_is_zero_and_said() -> None:
    body = sent()
    assert (body["prompt"]["tokens"], body["response"]["tokens"]) == (0, 0)
    assert (body["latency_ms"], body["cost_usd"]) == (0, 0)
    assert body["metadata"][NOTES_KEY] == (
        "prompt.tokens is unknown; response.tokens is unknown; "
        "latency_ms is unknown; cost_usd is unknown"
    )
    known = {"tokens_input": 0, "tokens_output": 0, "latency_ms": 0, "cost_usd": 0}
    assert NOTES_KEY not in sent(**known)["metadata"]


@pytest.mark.parametrize("tokens", [5.0, True, -1, 2**32, "5", math.nan])
def test_tokens_are_unsigned_32_bit_or_said(tokens: Any) -> None:
    body = sent(tokens_input=tokens)
    assert body["prompt"]["tokens"] == (2**32 - 1 if tokens == 2**32 else 0)
    assert f"prompt.tokens was {tokens!r}" in body["metadata"][NOTES_KEY]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, 10**30, True, "3"])
def test_measures_are_finite_and_not_negative(value: Any) -> None:
    body = sent(latency_ms=value, cost_usd=value)
    assert (body["latency_ms"], body["cost_usd"]) == (0, 0)
    assert f"cost_usd was {value!r}" in body["metadata"][NOTES_KEY]


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e300, 10**400, None, "x", True])
def test_an_embedding_with_one_bad_number_is_left_out_and_said(bad: Any) -> None:
    body = sent(prompt_embedding=[0.1, bad])
    assert body["prompt"]["embedding"] is None
    assert "prompt.embedding" in body["metadata"][NOTES_KEY]
    assert sent(prompt_embedding=[])["prompt"]["embedding"] == []


def test_a_long_prompt_is_cut_and_said() -> None:
    exact = "é" * MAX_PROMPT_CHARS
    assert sent(prompt=exact)["prompt"]["text"] == exact
    body = sent(prompt=exact + "x", response=exact + "x")
    assert body["prompt"]["text"] == exact
    assert body["response"]["text"] == exact + "x"
    assert "cut from 100001 to 100000 characters" in body["metadata"][NOTES_KEY]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "stop"),
        ({"finish_reason": "tool_calls"}, "tool_calls"),
        ({"status": "timeout"}, "timeout"),
        ({"status": "warning"}, "stop"),
        ({"error": ErrorInfo("x")}, "error"),
    ],
)
def test_a_finish_reason_is_always_there(fields: dict[str, Any], reason: str) -> None:
    assert sent(**fields)["response"]["finish_reason"] == reason


def test_surrogates_do_not_lose_the_event() -> None:
    message = telemetry(
        make_event(
            service_name="s\ud83d",
            model="m\udc00",
            prompt="p\ud83d",
            metadata={"k\ud83d": "v\ud83d"},
        )
    )
    assert validate_sentinel(message.value) == []
    assert message.key == "s\ufffd".encode()
    body = json.loads(message.value)
    assert (body["model"], body["prompt"]["text"]) == ("m\ufffd", "p\ufffd")
    assert body["metadata"]["k\ufffd"] == "v\ufffd"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        (None, ""),
        ([], "[]"),
        ([{"role": "user", "content": "hi"}], "hi"),
        (
            [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}],
            "system: be kind\n\nuser: hi",
        ),
        (
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "look"},
                        {"type": "image_url", "image_url": {"url": "u"}},
                    ],
                }
            ],
            "look\n[image, u]",
        ),
        ({"role": "assistant", "content": "hi"}, "hi"),
        (
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"x":1}'}}],
            },
            'f({"x":1})',
        ),
        ({"a": 1}, '{"a":1}'),
        (["a", "b"], '["a","b"]'),
        (17, "17"),
    ],
)
def test_messages_become_text(value: Any, text: str) -> None:
    assert message_text(value) == text
    assert sent(prompt=value, response=value)["response"]["text"] == text


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
_NOT_THE_CALLERS = ("run_id", "timestamp", "warnings", "client")
FIELDS = [f for f in PromptCallEvent.__struct_fields__ if f not in _NOT_THE_CALLERS]


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(FIELDS), anything, max_size=6))
def test_whatever_callers_hand_over_is_accepted(fields: dict[str, Any]) -> None:
    event = make_event(**{**fields, "event_id": str(fields.get("event_id", "id"))})
    sanitise(event)
    assert validate_sentinel(telemetry(event).value) == []
