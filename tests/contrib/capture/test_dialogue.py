"""Dialogues over WebSocket from any messages: nothing raises, and each response is one event."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmobs import Client, PromptCallEvent
from llmobs.contrib._wire.beginning import Options
from llmobs.contrib._wire.dialogue import MAX_OPEN
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.realtime_dialogue import dialogue_for
from llmobs.contrib._wire.recognise import recognise_socket
from llmobs.testing import CapturedEvents, capture_events

TYPES = [
    "session.created", "session.updated", "conversation.item.added", "conversation.item.created",
    "conversation.item.done", "conversation.item.deleted", "conversation.item.truncated",
    "conversation.item.create", "conversation.item.input_audio_transcription.completed",
    "conversation.item.input_audio_transcription.failed", "input_audio_buffer.append",
    "input_audio_buffer.clear", "input_audio_buffer.committed", "response.create",
    "response.created", "response.done", "response.completed", "response.failed",
    "response.output_text.delta", "response.output_audio.delta", "response.output_item.done",
    "error", "unheard.of",
]  # fmt: skip
IDS = st.sampled_from(["a", "b", "c"])
PARTS = st.lists(
    st.dictionaries(st.sampled_from(["type", "text", "transcript", "audio"]), st.text(max_size=5))
)
ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "id": IDS,
        "type": st.sampled_from(["message", "function_call", "function_call_output"]),
        "role": st.sampled_from(["user", "assistant"]),
        "content": PARTS | st.integers() | st.text(max_size=3),
        "arguments": st.text(max_size=5),
    },
)
RESPONSES = st.fixed_dictionaries(
    {},
    optional={
        "id": IDS,
        "status": st.sampled_from(["completed", "failed", "cancelled"]) | st.none(),
        "status_details": st.dictionaries(
            st.sampled_from(["error", "reason"]), st.text(max_size=3)
        ),
        "output": st.lists(ITEMS, max_size=2) | st.integers(),
        "input": st.lists(ITEMS, max_size=2),
        "usage": st.dictionaries(st.sampled_from(["input_tokens"]), st.integers()),
    },
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
MEMBERS = {
    "response": RESPONSES | ANYTHING,
    "item": ITEMS | ANYTHING,
    "session": st.dictionaries(
        st.sampled_from(["model", "instructions", "audio", "tools", "input_audio_transcription"]),
        ANYTHING,
    ),
    "error": st.dictionaries(
        st.sampled_from(["message", "event_id", "param"]), st.text(max_size=3)
    ),
    "response_id": IDS,
    "item_id": IDS,
    "stream_id": IDS,
    "previous_item_id": IDS | st.just("root"),
    "content_index": st.integers(-1, 2),
    "output_index": st.integers(0, 2),
    "delta": st.text(max_size=5),
    "audio": st.text(max_size=5),
    "transcript": st.text(max_size=5),
}
MESSAGES = st.builds(
    lambda kind, more: json.dumps({"type": kind, **more}).encode(),
    st.sampled_from(TYPES),
    st.fixed_dictionaries({}, optional=MEMBERS),  # type: ignore[arg-type]
)
ODD = st.sampled_from(
    [
        b"", b"\xff\xfe", b"null", b"[1]", b"{", b'{"type":1}', b'{"type":"error"}',
        b'{"type":"response.create","input":"\\ud800"}', b'{"type":"error","error":{"message":"\\ud800"}}',
        b'{"type":"response.created","response":' + b"[" * 1500 + b"]" * 1500 + b"}",
        b'{"type":"response.create","metadata":' + b'{"a":' * 1500 + b"1" + b"}" * 1500 + b"}",
        b'{"type":"session.created","session":{"model":1e999}}',
    ]
)  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/realtime?model=m", "/v1/responses"])
@given(said=st.lists(st.tuples(st.booleans(), MESSAGES | ODD), max_size=25))
def test_any_messages(path: str, said: list[tuple[bool, bytes]], llmobs_client: Client) -> None:
    target = recognise_socket("api.openai.com", path)
    assert target is not None
    asked = 0
    with capture_events() as events:
        dialogue = dialogue_for(target, Options(llmobs_client))
        dialogue.opened({"x-request-id": "r"})
        for is_sent, message in said:
            asked += is_sent and b'"type": "response.create"' in message
            (dialogue.sent if is_sent else dialogue.received)(message)
        dialogue.closed(Ending.CLOSED)
        calls: list[Any] = events.of(PromptCallEvent)
        for is_sent, message in said:  # what still comes while it is closed
            (dialogue.sent if is_sent else dialogue.received)(message)
        dialogue.closed(Ending.FAILED, RuntimeError("twice"))
        assert events.of(PromptCallEvent) == calls
    assert len([call for call in calls if call.operation == "chat"]) >= asked
    assert all(call.request_id == "r" for call in calls if call.http_status)


@pytest.mark.parametrize("path", ["/v1/realtime?model=m", "/v1/responses"])
def test_one_begins_where_another_has_not_ended(
    path: str, llmobs_client: Client, events: CapturedEvents
) -> None:
    target = recognise_socket("api.openai.com", path)
    assert target is not None
    dialogue = dialogue_for(target, Options(llmobs_client))
    for _ in range(2):
        dialogue.sent(b'{"type":"response.create"}')
        dialogue.received(b'{"type":"response.created","response":{"id":"a"}}')
    dialogue.closed(Ending.CLOSED)
    assert [call.status for call in events.of(PromptCallEvent)] == ["cancelled"] * 2


def test_what_is_open_is_bounded(llmobs_client: Client, events: CapturedEvents) -> None:
    target = recognise_socket("api.openai.com", "/v1/realtime?model=m")
    assert target is not None
    dialogue = dialogue_for(target, Options(llmobs_client))
    heard = {"input_audio_transcription": {"model": "whisper-1"}}
    dialogue.received(json.dumps({"type": "session.created", "session": heard}).encode())
    for number in range(MAX_OPEN + 2):
        dialogue.sent(b'{"type":"response.create"}')
        told = {"type": "response.created", "response": {"id": str(number)}}
        dialogue.received(json.dumps(told).encode())
        item = {"type": "input_audio_buffer.committed", "item_id": str(number)}
        dialogue.received(json.dumps(item).encode())
    assert len(events.of(PromptCallEvent)) == 4
    dialogue.closed(Ending.CLOSED)
    assert len(events.of(PromptCallEvent)) == 2 * (MAX_OPEN + 2)


def test_a_long_conversation_loses_its_beginning(
    llmobs_client: Client, events: CapturedEvents
) -> None:
    target = recognise_socket("api.openai.com", "/v1/realtime?model=m")
    assert target is not None
    dialogue = dialogue_for(target, Options(llmobs_client))
    for number in range(30):
        part = {"type": "input_text", "text": f"{number} " + "x" * 50_000}
        item = {"id": str(number), "type": "message", "role": "user", "content": [part]}
        dialogue.received(json.dumps({"type": "conversation.item.added", "item": item}).encode())
    dialogue.received(b'{"type":"conversation.item.deleted","item_id":"28"}')
    dialogue.sent(b'{"type":"response.create"}')
    dialogue.received(b'{"type":"response.created","response":{"id":"a"}}')
    dialogue.received(b'{"type":"response.done","response":{"id":"a","status":"completed"}}')
    (call,) = events.of(PromptCallEvent)
    told = [message["parts"][0]["content"].partition(" ")[0] for message in call.prompt]
    assert told[-2:] == ["27", "29"]
    assert 15 < len(told) < 22
    assert call.status == "success"


def test_items_that_are_referred_to(llmobs_client: Client, events: CapturedEvents) -> None:
    target = recognise_socket("api.openai.com", "/v1/realtime?model=m")
    assert target is not None
    dialogue = dialogue_for(target, Options(llmobs_client))
    part = {"type": "input_text", "text": "Hi"}
    item = {"id": "i", "type": "message", "role": "user", "content": [part]}
    dialogue.received(json.dumps({"type": "conversation.item.added", "item": item}).encode())
    asked = {"input": [{"type": "item_reference", "id": "i"}]}
    dialogue.sent(json.dumps({"type": "response.create", "response": asked}).encode())
    dialogue.received(b'{"type":"response.created","response":{"id":"a"}}')
    dialogue.closed(Ending.CLOSED)
    (call,) = events.of(PromptCallEvent)
    assert call.prompt == [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
