"""The transport: what it records, what it leaves alone, and that nothing shows."""

import gc
import logging
import threading
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from llmobs import Client, PromptCallEvent, Status, StepType
from llmobs.contrib import _transports
from llmobs.contrib import httpx as door
from llmobs.contrib._wire import beginning
from llmobs.contrib._wire import call as wire_call
from llmobs.runtime import troubles
from llmobs.testing import CapturedEvents
from tests.contrib.corpus import js, sse

from .mock import (
    ASK,
    CHUNKS,
    EVENTS,
    JSON,
    STREAM,
    URL,
    USAGE_CHUNK,
    WHOLE,
    answering,
    ask,
    client_over,
    stream_of,
)

SDK = {"x-stainless-lang": "python", "x-stainless-retry-count": "0"}


def only(events: CapturedEvents) -> PromptCallEvent:
    [event] = events.of(PromptCallEvent)
    return event


@pytest.mark.parametrize("library", [httpx2, httpx], ids=["httpx2", "httpx"])
def test_httpx_and_httpx2(library: Any, events: CapturedEvents, llmobs_client: Client) -> None:
    with client_over(answering(*EVENTS, library=library), llmobs_client, library) as http:
        assert ask(http, stream=True) == b"".join(EVENTS)
    assert only(events).finish_reason == "stop"


@pytest.mark.anyio
@pytest.mark.parametrize("library", [httpx2, httpx], ids=["httpx2", "httpx"])
async def test_async(library: Any, events: CapturedEvents, llmobs_client: Client) -> None:
    transport = answering(*EVENTS, library=library)
    async with library.AsyncClient(transport=transport) as http:
        door.instrument(http, llmobs_client=llmobs_client)
        async with http.stream("POST", URL, content=js({**ASK, "stream": True})) as response:
            seen = [chunk async for chunk in response.aiter_raw()]
    assert seen == EVENTS, "the very pieces, one by one"
    assert only(events).status == "success"


def test_a_response_that_was_read_already(events: CapturedEvents, llmobs_client: Client) -> None:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=WHOLE))
    with client_over(transport, llmobs_client) as http:
        assert http.post(URL, content=js(ASK)).content == WHOLE
    assert only(events).tokens_input == 3
    assert only(events).warnings == ()


@pytest.mark.parametrize(
    ("method", "url", "headers", "body"),
    [
        ("GET", "https://api.openai.com/v1/models", SDK, b""),
        ("GET", "https://api.openai.com/v1/responses/resp_1", SDK, b""),
        ("POST", "https://api.openai.com/v1/files", SDK, b"{}"),
        ("POST", "https://api.openai.com/v1/responses/resp_1/cancel", SDK, b"{}"),
        ("POST", "https://chat.test/api/messages", {}, b'{"text": "hello"}'),
        ("POST", "https://survey.test/v1/responses", {}, b'{"answers": []}'),
        ("POST", "https://collector.test/v1/events/batch", {}, b'{"model": "x"}'),
        ("POST", URL, {"user-agent": "llmobs/0.1.0"}, js(ASK)),
    ],
)
def test_what_is_no_model_call_is_left_alone(
    method: str, url: str, headers: Any, body: bytes, events: CapturedEvents, llmobs_client: Client
) -> None:
    with client_over(answering(b"{}", headers=JSON), llmobs_client) as http:
        response = http.request(method, url, headers=headers, content=body)
    assert response.content == b"{}"
    assert events == []


def test_a_gateway_nobody_knows_is_recognised_by_its_body(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    reply = js({"type": "message", "content": []})
    with client_over(answering(reply, headers=JSON), llmobs_client) as http:
        ask(http, "http://10.0.0.7:8000/proxy/v1/messages", max_tokens=9)
    assert (only(events).provider, only(events).server_address) == ("anthropic", "10.0.0.7")


def test_redirects_are_one_call(events: CapturedEvents, llmobs_client: Client) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == "mock.test":
            return httpx2.Response(307, headers={"location": URL.replace("mock", "other")})
        return httpx2.Response(200, stream=stream_of(httpx2, [WHOLE]))

    http = httpx2.Client(transport=httpx2.MockTransport(answer), follow_redirects=True)
    with door.instrument(http, llmobs_client=llmobs_client):
        http.post(URL, content=js(ASK))
    assert only(events).server_address == "other.test"


def test_a_stream_belongs_to_the_run_and_step_it_was_asked_in(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    with client_over(answering(*EVENTS), llmobs_client) as http:
        with llmobs_client.run() as run, run.agent_step("think", StepType.REASONING) as step:
            request = http.build_request("POST", URL, content=js({**ASK, "stream": True}))
            response = http.send(request, stream=True)
        with llmobs_client.run() as other, other.agent_step("print", StepType.OUTPUT):
            reader = threading.Thread(target=response.read)
            reader.start()
            reader.join()
    event = only(events)
    assert (event.run_id, event.parent_id) == (run.run_id, step.event_id)


@pytest.mark.parametrize("own", ["mine", None])
@pytest.mark.parametrize("background", [True, False])
def test_a_runs_own_session_outlives_the_providers_conversation(
    own: str | None, background: bool, events: CapturedEvents, llmobs_client: Client
) -> None:
    reply = {"id": "r", "object": "response", "status": "completed", "conversation": {"id": "c"}}
    inner = answering(js(reply), headers=JSON)
    with client_over(inner, llmobs_client) as http, llmobs_client.run(session_id=own):
        asked = {"model": "m", "input": "Hi", "background": background}
        http.post("https://api.openai.com/v1/responses", content=js(asked))
    calls = events.of(PromptCallEvent)
    assert [event.session_id for event in calls] == [own or "c"]


def test_outside_any_step_there_is_no_parent(events: CapturedEvents, llmobs_client: Client) -> None:
    with client_over(answering(*EVENTS), llmobs_client) as http, llmobs_client.run() as run:
        response = http.send(http.build_request("POST", URL, content=js(ASK)), stream=True)
        with run.agent_step("print", StepType.OUTPUT):
            response.read()
    assert only(events).parent_id is None


def test_each_call_outside_any_run_is_a_run_of_its_own(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    with client_over(answering(WHOLE), llmobs_client) as http:
        ask(http)
        ask(http)
    first, second = events
    assert first.run_id != second.run_id


def test_the_default_client_records_if_no_other_was_named(
    events: CapturedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = Client(sink="memory:", service_name="the-default")
    monkeypatch.setattr(beginning, "default_client", lambda: default)
    with door.instrument(httpx2.Client(transport=answering(WHOLE))) as http:
        ask(http)
    assert only(events).service_name == "the-default"


def test_a_client_that_is_off_sees_nothing(events: CapturedEvents) -> None:
    with client_over(answering(WHOLE), Client(enabled=False)) as http:
        assert ask(http) == WHOLE
    assert events == []


def test_a_response_nobody_reads_is_recorded_when_it_goes(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    with client_over(answering(*EVENTS), llmobs_client) as http:
        response = http.send(http.build_request("POST", URL, content=js(ASK)), stream=True)
        del response
        gc.collect()
        assert only(events).status == Status.CANCELLED


def test_the_time_to_the_first_token_is_that_of_content(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    """The first chunk brings only a role: it is no token."""
    from time import sleep

    role = sse({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})

    class Slow(httpx2.SyncByteStream):
        def __iter__(self) -> Any:
            yield role
            sleep(0.05)
            yield from EVENTS

    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(200, headers=STREAM, stream=Slow())
    )
    with client_over(transport, llmobs_client) as http:
        ask(http, stream=True)
    first = only(events).time_to_first_token_ms
    assert first is not None
    assert first >= 50


# Errors of our own.


@pytest.mark.parametrize("where", ["begin", "Call.respond", "Call._finish"])
def test_our_errors_never_reach_the_host(
    where: str,
    llmobs_client: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    troubles.raise_internal_errors(False)
    monkeypatch.setattr(troubles, "_troubles", troubles.Troubles())  # else the same words come once

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"our own fault in {where}")

    if where == "begin":
        monkeypatch.setattr(_transports, "begin", broken)
    else:
        monkeypatch.setattr(wire_call.Call, where.removeprefix("Call."), broken)
    with caplog.at_level(logging.ERROR), client_over(answering(*EVENTS), llmobs_client) as http:
        assert ask(http, stream=True) == b"".join(EVENTS)
    gc.collect()
    assert f"our own fault in {where}" in caplog.text


# include_usage.


def test_usage_is_asked_for_only_if_told(events: CapturedEvents, llmobs_client: Client) -> None:
    sent: list[bytes] = []
    transport = answering(*EVENTS, seen=lambda request: sent.append(request.content))
    with client_over(transport, llmobs_client) as http:
        ask(http, stream=True)
    assert sent == [js({**ASK, "stream": True})]


@pytest.mark.parametrize("size", [1, 10, 10_000])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_usage_asked_for_is_hidden(
    size: int, end: str, events: CapturedEvents, llmobs_client: Client
) -> None:
    sent: list[Any] = []
    body = sse(*CHUNKS, USAGE_CHUNK, "[DONE]", end=end)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    with client_over(
        answering(*pieces, seen=sent.append), llmobs_client, include_usage=True
    ) as http:
        request = http.build_request("POST", URL, content=js({**ASK, "stream": True}))
        response = http.send(request, stream=True)
        seen = response.read()
    assert seen == sse(*CHUNKS, "[DONE]", end=end)
    assert response.request is request
    assert response.request.content == js({**ASK, "stream": True})
    body_sent = sent[0].content
    assert b'"stream_options":{"include_usage":true}' in body_sent
    assert sent[0].headers["content-length"] == str(len(body_sent))
    assert (only(events).tokens_input, only(events).tokens_output) == (3, 1)
    assert only(events).status == "success"


@pytest.mark.parametrize("asked", [True, False])
def test_who_asks_for_usage_himself_gets_what_he_asked_for(
    asked: bool, events: CapturedEvents, llmobs_client: Client
) -> None:
    sent: list[bytes] = []
    body = sse(*CHUNKS, USAGE_CHUNK, "[DONE]")
    transport = answering(body, seen=lambda request: sent.append(request.content))
    options = {"include_usage": asked}
    with client_over(transport, llmobs_client, include_usage=True) as http:
        assert ask(http, stream=True, stream_options=options) == body
    assert sent == [js({**ASK, "stream": True, "stream_options": options})]


@pytest.mark.anyio
async def test_usage_asked_for_is_hidden_async(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    body = sse(*CHUNKS, USAGE_CHUNK, "[DONE]")
    async with httpx2.AsyncClient(transport=answering(body)) as http:
        door.instrument(http, llmobs_client=llmobs_client, include_usage=True)
        response = await http.post(URL, content=js({**ASK, "stream": True}))
    assert response.content == sse(*CHUNKS, "[DONE]")
    assert only(events).tokens_input == 3


# capture_content.


def contents(event: PromptCallEvent) -> tuple[bool, bool]:
    text = str((event.prompt, event.response))
    return "Hello" in text, "a@b.example" in text


@pytest.mark.parametrize(
    ("of_client", "of_door", "of_call", "kept"),
    [
        ("full", "full", None, (True, True)),
        ("full", "redacted", None, (True, False)),
        ("full", "metadata", None, (False, False)),
        ("full", "full", "metadata", (False, False)),
        ("full", "full", "redacted", (True, False)),
        ("full", "metadata", "full", (True, True)),
        ("full", "full", "metdata", (False, False)),
        ("metadata", "full", "full", (False, False)),
        ("redacted", "full", "full", (True, False)),
    ],
)
def test_capture_content(
    of_client: Any, of_door: Any, of_call: str | None, kept: Any, events: CapturedEvents
) -> None:
    sent: list[Any] = []
    client = Client(sink="memory:", redact_pii=False, capture_content=of_client)
    transport = answering(WHOLE, headers=JSON, seen=sent.append)
    headers = {"X-LLMObs-Capture-Content": of_call} if of_call else {}
    with client_over(transport, client, capture_content=of_door) as http:
        ask(http, headers=headers)
    event = only(events)
    assert contents(event) == kept
    assert (event.model, event.tokens_input, event.finish_reason) == ("gpt-4o", 3, "stop")
    assert door.CAPTURE_HEADER not in sent[0].headers


def test_metadata_keeps_no_text_of_errors(events: CapturedEvents, llmobs_client: Client) -> None:
    error = js({"error": {"message": "no such user a@b.example", "type": "bad", "code": "c"}})
    transport = answering(error, status=400, headers=JSON)
    with client_over(transport, llmobs_client, capture_content="metadata") as http:
        ask(http)
    event = only(events)
    assert event.error is not None
    assert (event.error.message, event.error.type, event.error.code) == ("bad", "bad", "c")


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="'full', 'redacted' or 'metadata'"):
        door.instrument(httpx2.Client(), capture_content="some")  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_concurrent_calls_keep_apart(events: CapturedEvents, llmobs_client: Client) -> None:
    async with httpx2.AsyncClient(transport=answering(WHOLE, headers=JSON)) as http:
        door.instrument(http, llmobs_client=llmobs_client)

        async def one(name: str) -> None:
            with llmobs_client.run(name):
                await http.post(URL, content=js({**ASK, "model": name}))

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(one, f"run-{number}")
    calls = events.of(PromptCallEvent)
    assert len(calls) == 20
    assert all(event.run_id == event.model for event in calls)
