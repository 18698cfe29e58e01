"""The door of WebSockets: OpenAI's realtime and responses, through its SDK and through plain connections."""

import asyncio
import base64
import gc
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
import trio
import websockets.asyncio.client
import websockets.sync.client
import websockets.trio.client
from websockets.exceptions import ConnectionClosedError

import llmobs
from llmobs import Client, PromptCallEvent, Status
from llmobs.contrib import websockets as door
from llmobs.contrib._wire import recognise
from llmobs.runtime import troubles
from llmobs.runtime.troubles import Troubles
from llmobs.testing import CapturedEvents
from tests.support.polling import eventually

BRIEF = "What is a sonnet, in brief?"
KINDS = [
    websockets.asyncio.client.ClientConnection,
    websockets.sync.client.ClientConnection,
    websockets.trio.client.ClientConnection,
]
SECOND = base64.b64encode(bytes(48_000)).decode()
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


# The openai package asks for websockets before 16, whose function this was.
pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager")


@pytest.fixture(autouse=True)
def opened(llmobs_client: Client) -> Iterator[None]:
    constructors = [kind.__dict__["__init__"] for kind in KINDS]
    door.instrument(llmobs_client=llmobs_client)
    yield
    door.uninstrument()
    assert [kind.__dict__["__init__"] for kind in KINDS] == constructors


@pytest.fixture
def gpt(plain_gpt: openai.OpenAI) -> openai.OpenAI:
    return plain_gpt


def until(connection: Any, *kinds: str) -> list[Any]:
    """Read events up to one of *kinds*."""
    seen = []
    for event in connection:
        seen.append(event)
        if event.type in kinds:
            return seen
    raise AssertionError(f"closed after {[each.type for each in seen]}")


def only(events: CapturedEvents) -> PromptCallEvent:
    (event,) = events.of(PromptCallEvent)
    return event


def said_by(response: Any) -> str:
    parts = [part for item in response.output for part in getattr(item, "content", None) or ()]
    return "".join(part.text or part.transcript for part in parts)


def heard(event: PromptCallEvent) -> str:
    return "".join(
        part["content"]
        for message in event.response or ()
        for part in message["parts"]
        if part["type"] == "text"
    )


def texts(event: PromptCallEvent) -> list[tuple[str, str]]:
    return [(m["role"], m["parts"][0].get("content", "")) for m in event.prompt]


def ask(connection: Any, text: str) -> None:
    part = {"type": "input_text", "text": text}
    connection.conversation.item.create(item={"type": "message", "role": "user", "content": [part]})


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_a_conversation(gpt: openai.OpenAI, modality: Any, events: CapturedEvents) -> None:
    with gpt.realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(session={"type": "realtime", "output_modalities": [modality]})
        ask(connection, BRIEF)
        connection.response.create()
        first = until(connection, "response.done")
        ask(connection, "And a haiku?")
        connection.response.create(response={"instructions": "Be quick."})
        second = until(connection, "response.done")
    answers = [seen[-1].response for seen in (first, second)]
    calls = events.of(PromptCallEvent)
    assert [heard(call) for call in calls] == [said_by(answer) for answer in answers]
    for call, answer in zip(calls, answers, strict=True):
        assert call.response_id == answer.id
        assert call.model == "gpt-realtime"
        assert call.provider == "openai"
        assert call.tokens_input == answer.usage.input_tokens
        assert call.tokens_output == answer.usage.output_tokens
        assert (call.status, call.finish_reason, call.stream) == ("success", "completed", True)
        assert call.time_to_first_token_ms is not None
        assert call.warnings == ()
        assert "delta" not in str(call)
    assert texts(calls[0]) == [("system", "Be kind."), ("user", BRIEF)]
    assert texts(calls[1]) == [
        ("system", "Be quick."),
        ("user", BRIEF),
        ("assistant", said_by(answers[0])),
        ("user", "And a haiku?"),
    ]
    pieces = sum(event.type == "response.output_audio.delta" for event in first)
    seconds = (calls[0].response_metadata or {}).get("audio_seconds_out")
    if modality == "audio":
        assert pieces
        assert seconds == pytest.approx(pieces / 10)
        assert (calls[0].usage or {})["output_audio_tokens"] == calls[0].tokens_output
    else:
        assert seconds is None


def test_what_was_said_aloud(gpt: openai.OpenAI, events: CapturedEvents) -> None:
    hearing: Any = {
        "type": "realtime",
        "audio": {
            "input": {
                "transcription": {"model": "gpt-4o-transcribe"},
                "turn_detection": {"type": "server_vad"},
            }
        },
    }
    with gpt.realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(session=hearing)
        connection.input_audio_buffer.append(audio=SECOND[:6400])
        connection.input_audio_buffer.append(audio=SECOND)
        seen = until(connection, "response.done")
    [transcript] = [e for e in seen if e.type.endswith("transcription.completed")]
    written, answer = events.of(PromptCallEvent)
    assert (written.model, heard(written)) == ("gpt-4o-transcribe", transcript.transcript)
    assert written.operation == "generate_content"
    assert written.tokens_input == transcript.usage.input_tokens
    assert written.usage == {"input_audio_tokens": written.tokens_input}
    assert answer.model == "gpt-realtime"
    assert texts(answer)[-1] == ("user", transcript.transcript)
    assert (answer.response_metadata or {})["audio_seconds_in"] == pytest.approx(1.1)
    assert SECOND[:100] not in str(events)


def test_a_tool(gpt: openai.OpenAI, events: CapturedEvents) -> None:
    with gpt.realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(session={"type": "realtime", "tools": [WEATHER]})  # type: ignore[list-item]
        ask(connection, "What is the weather in Paris?")
        connection.response.create()
        [asked] = until(connection, "response.done")[-1].response.output
        connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": asked.call_id, "output": "sunny"}
        )
        connection.response.create()
        until(connection, "response.done")
    first, second = events.of(PromptCallEvent)
    [called] = first.tool_calls or []
    assert called["name"] == "get_weather"
    assert called["arguments"] == json.loads(asked.arguments)
    assert second.prompt[-1]["parts"][0]["response"] == "sunny"
    assert second.prompt[-2]["parts"][0]["name"] == "get_weather"


def test_apart_from_the_conversation_and_at_once(
    gpt: openai.OpenAI, events: CapturedEvents
) -> None:
    with gpt.realtime.connect(model="gpt-realtime") as connection:
        for number in range(5):
            part: Any = {"type": "input_text", "text": f"Explain queue number {number}, briefly"}
            item: Any = {"type": "message", "role": "user", "content": [part]}
            connection.response.create(
                response={
                    "conversation": "none",
                    "input": [item],
                    "metadata": {"number": str(number)},
                    "output_modalities": ["text"],
                }
            )
        answers = [until(connection, "response.done")[-1].response for _ in range(5)]
    calls = {call.response_id: call for call in events.of(PromptCallEvent)}
    assert calls.keys() == {answer.id for answer in answers}
    for answer in answers:
        call = calls[answer.id]
        assert heard(call) == said_by(answer)
        assert texts(call)[-1][1] == f"Explain queue number {answer.metadata['number']}, briefly"
        assert (call.response_metadata or {})["metadata"] == answer.metadata


def test_cancelled(gpt: openai.OpenAI, events: CapturedEvents) -> None:
    with gpt.realtime.connect(model="gpt-realtime-fail-endless") as connection:
        ask(connection, BRIEF)
        connection.response.create()
        until(connection, "response.output_audio_transcript.delta")
        connection.response.cancel()
        until(connection, "response.done")
    call = only(events)
    assert call.status == Status.CANCELLED
    assert call.finish_reason == "client_cancelled"
    assert call.error is None


@pytest.mark.parametrize("how", ["close", "forget"])
def test_left_early(gpt: openai.OpenAI, how: str, events: CapturedEvents) -> None:
    connection = gpt.realtime.connect(model="gpt-realtime-fail-endless").enter()
    ask(connection, BRIEF)
    connection.response.create(response={"output_modalities": ["text"]})
    seen = until(connection, "response.output_text.delta")
    if how == "close":
        connection.close()
    else:
        door.uninstrument()
        connection.close()
    call = only(events)
    assert call.status == Status.CANCELLED
    assert call.response_id == seen[-1].response_id
    assert heard(call).startswith(seen[-1].delta)


def test_refused(gpt: openai.OpenAI, events: CapturedEvents) -> None:
    with gpt.realtime.connect(model="gpt-realtime-fail-429") as connection:
        connection.send({"type": "no.such"})  # type: ignore[typeddict-item,misc,arg-type]
        until(connection, "error")
        connection.response.create(event_id="mine")
        until(connection, "error")
        connection.response.create()
        until(connection, "error")
    for call in events.of(PromptCallEvent):
        assert call.status == Status.ERROR
        assert call.error is not None
        assert call.error.code == "rate_limit_exceeded"
    assert len(events.of(PromptCallEvent)) == 2


def test_failed_in_the_middle(gpt: openai.OpenAI, events: CapturedEvents) -> None:
    with gpt.realtime.connect(model="gpt-realtime-fail-stream-error") as connection:
        ask(connection, BRIEF)
        connection.response.create()
        assert until(connection, "response.done")[-1].response.status == "failed"
    call = only(events)
    assert call.status == Status.ERROR
    assert call.error is not None
    assert call.error.type == "server_error"


@pytest.mark.parametrize("dialect", ["realtime", "responses"])
def test_the_provider_hangs_up(gpt: openai.OpenAI, dialect: str, events: CapturedEvents) -> None:
    with pytest.raises(ConnectionClosedError):
        if dialect == "realtime":
            with gpt.realtime.connect(model="gpt-realtime-fail-cut") as connection:
                connection.response.create()
                until(connection, "response.done")
        else:
            with gpt.responses.connect() as responses:
                responses.response.create(model="gpt-4o-fail-cut", input=BRIEF)
                until(responses, "response.completed")
    call = only(events)
    assert call.status == Status.ERROR
    assert call.error is not None
    assert call.error.type == "websockets.exceptions.ConnectionClosedError"
    assert "1011" in call.error.message


def test_responses(gpt: openai.OpenAI, events: CapturedEvents) -> None:
    answers = []
    with gpt.responses.connect() as connection:
        previous: Any = None
        for text in (BRIEF, "And a haiku, in brief?"):
            connection.response.create(model="gpt-4o", input=text, previous_response_id=previous)
            answers.append(until(connection, "response.completed")[-1].response)
            previous = answers[-1].id
        connection.response.create(model="gpt-4o-fail-429", input=BRIEF)
        until(connection, "error")
        connection.response.create(model="gpt-4o-fail-stream-error", input=BRIEF)
        until(connection, "error")
        connection.response.create(model="gpt-4o", input=BRIEF)
        answers.append(until(connection, "response.completed")[-1].response)
    calls = events.of(PromptCallEvent)
    assert [call.status for call in calls] == ["success"] * 2 + ["error"] * 2 + ["success"]
    whole = [call for call in calls if call.status == Status.SUCCESS]
    for call, answer in zip(whole, answers, strict=True):
        assert call.response_id == answer.id
        assert heard(call) == answer.output[0].content[0].text
        assert call.tokens_input == answer.usage.input_tokens
        assert call.time_to_first_token_ms is not None
        assert call.warnings == ()
    assert [call.error.code for call in calls if call.error] == [
        "rate_limit_exceeded",
        "server_error",
    ]


async def read_lanes(url: str, lanes: int) -> dict[str, list[Any]]:
    """Ask twice in each lane, all at once, over one plain connection; the answers by lane."""
    found: dict[str, list[Any]] = {}
    async with websockets.asyncio.client.connect(f"{url}/v1/responses") as connection:
        for number in range(2 * lanes):
            lane = f"lane{number % lanes}"
            body = {"model": "gpt-4o", "input": f"Explain queue {number} of {lane} briefly"}
            await connection.send(
                json.dumps({"type": "response.create", "stream_id": lane, **body})
            )
        async for message in connection:
            event = json.loads(message)
            if event["type"] == "response.completed":
                found.setdefault(event["stream_id"], []).append(event["response"])
                if sum(map(len, found.values())) == 2 * lanes:
                    return found
    raise AssertionError("closed")


def test_lanes(llm_server: str, events: CapturedEvents) -> None:
    found = asyncio.run(read_lanes(llm_server.replace("http", "ws"), 4))
    calls = {call.response_id: call for call in events.of(PromptCallEvent)}
    assert len(calls) == 8
    for lane, answers in found.items():
        for turn, answer in enumerate(answers):
            number = int(lane[4:]) + 4 * turn
            assert texts(calls[answer["id"]])[0][1] == f"Explain queue {number} of {lane} briefly"
            assert heard(calls[answer["id"]]) == answer["output"][0]["content"][0]["text"]


async def talk(client: openai.AsyncOpenAI, text: str) -> Any:
    async with client.realtime.connect(model="gpt-realtime") as connection:
        part: Any = {"type": "input_text", "text": text}
        item: Any = {"type": "message", "role": "user", "content": [part]}
        await connection.conversation.item.create(item=item)
        await connection.response.create()
        async for event in connection:
            if event.type == "response.done":
                return event.response
    raise AssertionError("closed")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ],
)
async def test_runs_at_once(llm_server: str, llmobs_client: Client, events: CapturedEvents) -> None:
    async def one(number: int) -> tuple[str, tuple[str, str]]:
        with llmobs_client.run() as run:
            answer = await talk(client, f"Explain queue {number}, briefly")
            return run.run_id, (answer.id, said_by(answer))

    async with openai.AsyncOpenAI(base_url=f"{llm_server}/v1", api_key="any") as client:
        asked = dict(await asyncio.gather(*map(one, range(20))))
    calls = events.of(PromptCallEvent)
    assert {call.run_id: (call.response_id, heard(call)) for call in calls} == asked
    assert len(calls) == 20


def test_threads(gpt: openai.OpenAI, llmobs_client: Client, events: CapturedEvents) -> None:
    def one(number: int) -> tuple[str, str]:
        with llmobs_client.run() as run, gpt.responses.connect() as connection:
            connection.response.create(model="gpt-4o", input=f"Explain queue {number} briefly")
            return run.run_id, until(connection, "response.completed")[-1].response.id

    with ThreadPoolExecutor(8) as pool:
        asked = dict(pool.map(one, range(20)))
    assert {call.run_id: call.response_id for call in events.of(PromptCallEvent)} == asked


@pytest.mark.anyio
async def test_a_task_that_is_cancelled(llm_server: str, events: CapturedEvents) -> None:
    begun = asyncio.Event()

    async def read() -> None:
        async with (
            openai.AsyncOpenAI(base_url=f"{llm_server}/v1", api_key="any") as client,
            client.responses.connect() as connection,
        ):
            await connection.response.create(model="gpt-4o-fail-endless", input=BRIEF)
            async for event in connection:
                if event.type == "response.output_text.delta":
                    begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    call = only(events)
    assert call.status == Status.CANCELLED
    assert heard(call)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def over_threads(url: str, messages: list[Any]) -> list[Any]:
    with websockets.sync.client.connect(url) as connection:
        for message in messages:
            connection.send(message)
        return plainly(connection.recv)


def plainly(receive: Callable[[], Any]) -> list[Any]:
    seen = []
    while not seen or seen[-1]["type"] != "response.completed":
        seen.append(json.loads(receive()))
    return seen


async def exchanged(connect: Any, url: str, messages: list[Any]) -> list[Any]:
    async with connect(url) as connection:
        for message in messages:
            await connection.send(message)
        seen: list[Any] = []
        while not seen or seen[-1]["type"] != "response.completed":
            seen.append(json.loads(await connection.recv()))
        return seen


def over_asyncio(url: str, messages: list[Any]) -> list[Any]:
    return asyncio.run(exchanged(websockets.asyncio.client.connect, url, messages))


def over_trio(url: str, messages: list[Any]) -> list[Any]:
    return trio.run(exchanged, websockets.trio.client.connect, url, messages)


@pytest.mark.parametrize("over", [over_threads, over_asyncio, over_trio])
@pytest.mark.parametrize("cut", ["text", "fragments"])
def test_plain_connections(
    llm_server: str, over: Callable[[str, list[Any]], list[Any]], cut: str, events: CapturedEvents
) -> None:
    asked = json.dumps({"type": "response.create", "model": "gpt-4o", "input": BRIEF}, indent=1)
    message: Any = asked if cut == "text" else [asked[:9], asked[9:30], asked[30:]]
    url = llm_server.replace("http", "ws") + "/v1/responses"
    seen = over(url, [message])
    call = only(events)
    assert texts(call) == [("user", BRIEF)]
    assert heard(call) == seen[-1]["response"]["output"][0]["content"][0]["text"]


def test_a_connection_that_was_there_before(
    gpt: openai.OpenAI, llmobs_client: Client, events: CapturedEvents
) -> None:
    door.uninstrument()
    with gpt.realtime.connect(model="gpt-realtime") as connection:
        door.instrument(llmobs_client=llmobs_client, capture_content="metadata")
        door.instrument(llmobs_client=llmobs_client, capture_content="metadata")
        ask(connection, BRIEF)
        connection.response.create()
        answer = until(connection, "response.done")[-1].response
    call = only(events)
    assert (call.model, call.response_id) == ("gpt-realtime", answer.id)
    assert call.tokens_output == answer.usage.output_tokens
    assert not call.prompt
    assert not call.response


@pytest.mark.parametrize(
    ("host", "path", "provider", "model"),
    [
        ("api.openai.com", "/v1/realtime?model=gpt-realtime", "openai", "gpt-realtime"),
        (
            "x.openai.azure.com",
            "/openai/realtime?api-version=1&deployment=d",
            "azure.ai.openai",
            "d",
        ),
        ("api.x.ai", "/v1/responses", "x_ai", ""),
        ("gateway.example", "/prefix/v1/realtime/?model=m%2F1", "openai", "m/1"),
    ],
)
def test_where_it_goes(host: str, path: str, provider: str, model: str) -> None:
    target = recognise.recognise_socket(host, path)
    assert target is not None
    assert (target.provider, target.model, target.host) == (provider, model, host)


def test_what_is_no_call_passes(llm_server: str, events: CapturedEvents) -> None:
    url = llm_server.replace("http", "ws")
    with pytest.raises(websockets.exceptions.InvalidStatus):
        websockets.sync.client.connect(f"{url}/v1/elsewhere")
    with websockets.sync.client.connect(f"{url}/v1/responses") as connection:
        connection.send(json.dumps({"type": "response.nothing"}))
        connection.recv()
    assert not events


def test_what_is_not_read_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recognise, "_troubles", Troubles())
    host, path = (
        "generativelanguage.googleapis.com",
        "/ws/google.ai.GenerativeService.BidiGenerateMusic?key=k",
    )
    with caplog.at_level(logging.WARNING, "llmobs"):
        for _ in range(2):
            assert recognise.recognise_socket(host, path) is None
        assert recognise.recognise_socket("elsewhere.example", "/ws") is None
    (record,) = caplog.records
    assert "WebSocket wss://generativelanguage.googleapis.com/ws" in record.getMessage()


def test_our_errors_never_reach_the_host(
    gpt: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    troubles.raise_internal_errors(False)

    def broken(*args: Any, **more: Any) -> Any:
        raise RuntimeError("our own fault")

    for where in ("begin", "add"):
        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            patch.setattr(troubles, "_troubles", Troubles())
            patch.setattr(f"llmobs.contrib._wire.dialogue.{where}", broken)
            with gpt.responses.connect() as connection:
                connection.response.create(model="gpt-4o", input=BRIEF)
                assert until(connection, "response.completed")
        assert "our own fault" in caplog.text
        caplog.clear()
    gc.collect()


def test_through_the_one_line(gpt: openai.OpenAI, llmobs_client: Client, events: Any) -> None:
    door.uninstrument()
    llmobs.instrument(llmobs_client=llmobs_client)
    try:
        with gpt.responses.connect() as connection:
            connection.response.create(model="gpt-4o", input=BRIEF)
            until(connection, "response.completed")
    finally:
        llmobs.uninstrument()
    assert only(events).model == "gpt-4o"


def test_nothing_is_left(gpt: openai.OpenAI) -> None:
    before = threading.active_count()
    with gpt.responses.connect() as connection:
        connection.response.create(model="gpt-4o", input=BRIEF)
        until(connection, "response.completed")
    del connection
    eventually(lambda: threading.active_count() <= before)
    gc.collect()
    assert not list(door._connections)
