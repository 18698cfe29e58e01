"""Gemini's live sessions: each turn of the model is a call, over real connections and message by message."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from llmobs import Client, PromptCallEvent
from llmobs.contrib import websockets as door
from llmobs.contrib._wire.beginning import Options
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.realtime_dialogue import dialogue_for
from llmobs.contrib._wire.recognise import recognise_socket
from llmobs.testing import CapturedEvents, capture_events
from tests.contrib.corpus import reasoning, text

PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
HOST = "generativelanguage.googleapis.com"
SETUP = {
    "setup": {
        "model": "models/gemini-live-2.5-flash",
        "generationConfig": {"responseModalities": ["AUDIO"], "temperature": 0.5},
        "systemInstruction": {"parts": [{"text": "Be kind"}]},
    }
}
USAGE = {
    "promptTokenCount": 10,
    "responseTokenCount": 4,
    "thoughtsTokenCount": 2,
    "totalTokenCount": 16,
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}],
}
SOUND = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "AAAA" * 400}}


def asks(words: str) -> dict[str, Any]:
    turn = {"role": "user", "parts": [{"text": words}]}
    return {"client_content": {"turns": [turn], "turn_complete": True}}


def says(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"serverContent": {"modelTurn": {"role": "model", "parts": list(parts)}, **more}}


def aloud(words: str) -> dict[str, Any]:
    return {"serverContent": {"outputTranscription": {"text": words}}}


DONE = {"serverContent": {"turnComplete": True}, "usageMetadata": USAGE}
CALL = {"toolCall": {"functionCalls": [{"id": "c1", "name": "f", "args": {"x": 1}}]}}
RESULT = {"tool_response": {"functionResponses": [{"id": "c1", "name": "f", "response": {"r": 2}}]}}
Said = tuple[str, Any]
"""Who, and what: ``host`` or ``provider``."""


def play(client: Client, *said: Said, path: str = PATH) -> None:
    target = recognise_socket(HOST, path)
    assert target is not None
    dialogue = dialogue_for(target, Options(client))
    dialogue.opened({})
    for who, message in said:
        given = message if isinstance(message, bytes) else json.dumps(message).encode()
        (dialogue.sent if who == "host" else dialogue.received)(given)
    dialogue.closed(Ending.CLOSED)


def host(*messages: Any) -> list[Said]:
    return [("host", message) for message in messages]


def provider(*messages: Any) -> list[Said]:
    return [("provider", message) for message in messages]


def spoken(event: PromptCallEvent) -> list[tuple[str, list[Any]]]:
    return [
        (each["role"], [part.get("content") or part["type"] for part in each["parts"]])
        for each in event.prompt
    ]


def test_a_turn_is_a_call(llmobs_client: Client, events: CapturedEvents) -> None:
    play(
        llmobs_client,
        *host(SETUP),
        *provider({"setupComplete": {}}),
        *host(asks("Hi")),
        *provider(
            says({"text": "hm", "thought": True}), says({"text": "Hel"}), says({"text": "lo"})
        ),
        *provider(DONE),
    )
    [call] = events.of(PromptCallEvent)
    assert (call.provider, call.model, call.status) == (
        "gcp.gemini",
        "gemini-live-2.5-flash",
        "success",
    )
    assert spoken(call) == [("system", ["Be kind"]), ("user", ["Hi"])]
    [answer] = call.response
    assert answer["parts"] == [reasoning("hm"), text("Hello")]
    assert call.finish_reason == "STOP"
    assert (call.tokens_input, call.tokens_output, call.tokens_reasoning) == (10, 6, 2)
    assert call.usage == {"output_audio_tokens": 4}
    assert call.request_params == {"responseModalities": ["AUDIO"], "temperature": 0.5}
    assert call.stream
    assert call.warnings == ()


def test_what_comes_after_the_host_has_closed_is_no_turn(
    llmobs_client: Client, events: CapturedEvents
) -> None:
    target = recognise_socket(HOST, PATH)
    assert target is not None
    dialogue = dialogue_for(target, Options(llmobs_client))
    dialogue.sent(json.dumps(SETUP).encode())
    dialogue.sent(json.dumps(asks("Hi")).encode())
    dialogue.received(json.dumps(says({"text": "Hel"})).encode())
    dialogue.closed(Ending.CLOSED)
    dialogue.received(json.dumps(says({"text": "lo"})).encode())
    dialogue.closed(Ending.FAILED, ConnectionError())
    assert [call.status for call in events.of(PromptCallEvent)] == ["cancelled"]


def test_the_next_turn_has_what_was_said_before(
    llmobs_client: Client, events: CapturedEvents
) -> None:
    turn = (*provider(says({"text": "Yes"}), says({"text": "."})), *provider(DONE))
    play(llmobs_client, *host(SETUP, asks("Hi")), *turn, *host(asks("More")), *turn)
    _, second = events.of(PromptCallEvent)
    assert spoken(second)[1:] == [("user", ["Hi"]), ("assistant", ["Yes."]), ("user", ["More"])]


def test_functions_end_a_turn_and_their_results_begin_one(
    llmobs_client: Client, events: CapturedEvents
) -> None:
    play(
        llmobs_client,
        *host(SETUP, asks("Hi")),
        *provider(CALL),
        *host(RESULT),
        *provider(says({"text": "Two"}), DONE),
    )
    first, second = events.of(PromptCallEvent)
    assert [(each["name"], each["arguments"]) for each in first.tool_calls or ()] == [
        ("f", {"x": 1})
    ]
    assert (first.status, second.status) == ("success", "success")
    assert [each["role"] for each in second.prompt] == ["system", "user", "assistant", "tool"]
    assert second.response[0]["parts"] == [text("Two")]


def test_what_is_said_aloud_is_written_down_and_its_sound_is_not_kept(
    llmobs_client: Client, events: CapturedEvents
) -> None:
    sound = {"realtime_input": {"audio": {"mimeType": "audio/pcm", "data": "AAAA" * 400}}}
    heard = {"serverContent": {"inputTranscription": {"text": "Hello there"}}}
    play(
        llmobs_client,
        *host(SETUP, sound, sound),
        *provider(heard, says(SOUND), says(SOUND), aloud("Good "), aloud("day"), DONE),
    )
    [call] = events.of(PromptCallEvent)
    assert spoken(call)[1:] == [("user", ["Hello there"])]
    kinds = [part["type"] for part in call.response[0]["parts"]]
    assert kinds == ["blob", "text"]
    assert call.response[0]["parts"][1]["content"] == "Good day"
    assert "AAAA" not in str(call)


def test_a_session_is_bounded(llmobs_client: Client, events: CapturedEvents) -> None:
    heard = {"serverContent": {"inputTranscription": {"text": "Well, " * 400}}}
    long = says({"text": "So " * 100_000})
    play(
        llmobs_client,
        *host(SETUP),
        *provider(*[heard] * 2000, *[long] * 5, DONE),
        *host(asks("Hi")),
    )
    assert len(events.of(PromptCallEvent)) == 2
    for event in events.of(PromptCallEvent):
        assert len(json.dumps(event.prompt)) + len(json.dumps(event.response)) < 2.2 * 2**20


def test_who_interrupts_and_who_leaves(llmobs_client: Client, events: CapturedEvents) -> None:
    stopped = {"serverContent": {"interrupted": True}}
    play(
        llmobs_client,
        *host(SETUP, asks("Hi")),
        *provider(says({"text": "Well"}), stopped, DONE),
        *host(asks("Go on")),
        *provider(says({"text": "So"})),
    )
    first, second = events.of(PromptCallEvent)
    assert (first.status, first.response[0]["parts"]) == ("success", [text("Well")])
    assert (second.status, second.response[0]["parts"]) == ("cancelled", [text("So")])


@pytest.mark.parametrize(
    "path",
    [
        PATH + "?key=any",
        PATH + "Constrained?access_token=t",
        "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent",
    ],
)
def test_where_sessions_are_opened(
    path: str, llmobs_client: Client, events: CapturedEvents
) -> None:
    play(llmobs_client, *host(SETUP, asks("Hi")), *provider(says({"text": "Yes"}), DONE), path=path)
    assert len(events.of(PromptCallEvent)) == 1


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["parts", "text", "turns", "turnComplete", "modelTurn", "functionCalls"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
MESSAGES = st.dictionaries(
    st.sampled_from(
        ["setup", "client_content", "clientContent", "toolResponse", "realtimeInput", "serverContent",
         "toolCall", "usageMetadata"]
    ),
    ANY,
    max_size=3,
).map(lambda each: json.dumps(each).encode())  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["host", "provider"]), MESSAGES | st.binary(max_size=9))))
def test_any_messages(said: list[Said]) -> None:
    client = Client(sink="memory:")
    with capture_events() as events:
        play(client, *host(SETUP), *said, *host(asks("Hi")))
        assert events.of(PromptCallEvent)
        assert not any(event.error for event in events.of(PromptCallEvent)[-1:])


@pytest.fixture
def served() -> Iterator[str]:
    """A server that answers each whole message of the host's with one turn."""

    def talk(socket: ServerConnection) -> None:
        for message in socket:
            if "client_content" in json.loads(message):
                for told in (says({"text": "Yes"}), DONE):
                    socket.send(json.dumps(told).encode())  # Google's are binary

    with serve(talk, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}{PATH}"
        server.shutdown()
        thread.join()


def test_over_a_connection(served: str, llmobs_client: Client, events: CapturedEvents) -> None:
    door.instrument(llmobs_client=llmobs_client)
    try:
        with connect(served) as socket:
            socket.send(json.dumps(SETUP))
            for words in ("One", "Two"):
                socket.send(json.dumps(asks(words)))
                assert "turnComplete" not in str(socket.recv())
                assert "turnComplete" in str(socket.recv())
    finally:
        door.uninstrument()
    assert [call.response[0]["parts"] for call in events.of(PromptCallEvent)] == [[text("Yes")]] * 2
