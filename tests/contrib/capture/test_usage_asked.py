"""``include_usage`` behind servers that compress although asked not to, or forbid what they do not know."""

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import openai
import pytest
from backports import zstd

from llmobs import Client, PromptCallEvent
from llmobs.contrib import _transports
from llmobs.contrib import httpx as door
from llmobs.contrib._wire.latest import Latest
from llmobs.testing import CapturedEvents
from tests.contrib.corpus import js, sse

from .mock import ASK, CHUNKS, STREAM, URL, USAGE_CHUNK, answering, ask, client_over, stream_of
from .scenarios import OPENAI, see, streamed

BODY = sse(*CHUNKS, USAGE_CHUNK, "[DONE]")
SHOWN = sse(*CHUNKS, "[DONE]")
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
    "gzip, zstd": lambda data: zstd.compress(gzip.compress(data)),
    "identity, gzip": gzip.compress,
}


@pytest.fixture(autouse=True)
def no_server_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transports, "_refusing", Latest())


def call_of(events: CapturedEvents) -> PromptCallEvent:
    [event] = events.of(PromptCallEvent)
    return event


def in_pieces(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


@pytest.mark.parametrize("library", [httpx2, httpx])
@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_chunk_is_hidden_in_a_compressed_stream_too(
    encoding: str, size: int, library: Any, events: CapturedEvents, llmobs_client: Client
) -> None:
    headers = {**STREAM, "content-encoding": encoding}
    pieces = in_pieces(ENCODINGS[encoding](BODY), size)
    transport = answering(*pieces, headers=headers, library=library)
    with client_over(transport, llmobs_client, library, include_usage=True) as http:
        response = http.post(URL, content=js({**ASK, "stream": True}))
    assert response.content == SHOWN
    event = call_of(events)
    assert (event.status, event.tokens_input, event.warnings) == ("success", 3, ())
    assert event.time_to_first_token_ms is not None


@pytest.mark.anyio
async def test_the_chunk_is_hidden_in_a_compressed_stream_async(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    headers = {**STREAM, "content-encoding": "gzip"}
    transport = answering(gzip.compress(BODY), headers=headers)
    async with httpx2.AsyncClient(transport=transport) as http:
        door.instrument(http, llmobs_client=llmobs_client, include_usage=True)
        response = await http.post(URL, content=js({**ASK, "stream": True}))
    assert response.content == SHOWN
    assert call_of(events).tokens_input == 3


def test_a_body_that_is_not_what_its_headers_say(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    """The host sees the error that its client raises for it."""
    headers = {**STREAM, "content-encoding": "gzip"}
    transport = answering(BODY, headers=headers)
    with (
        client_over(transport, llmobs_client, include_usage=True) as http,
        pytest.raises(httpx2.DecodingError),
    ):
        http.post(URL, content=js({**ASK, "stream": True}))
    assert call_of(events).status == "error"


def test_an_encoding_nobody_reads_passes(events: CapturedEvents, llmobs_client: Client) -> None:
    headers = {**STREAM, "content-encoding": "rot13"}
    with client_over(
        answering(b"uryyb", headers=headers), llmobs_client, include_usage=True
    ) as http:
        assert ask(http, stream=True) == b"uryyb"


def test_responses_of_the_applications_own(events: CapturedEvents, llmobs_client: Client) -> None:
    class Mine(httpx2.Response):
        pass

    def respond(request: httpx2.Request) -> httpx2.Response:
        headers = {**STREAM, "content-encoding": "gzip"}
        return Mine(200, headers=headers, stream=stream_of(httpx2, [gzip.compress(BODY)]))

    with client_over(httpx2.MockTransport(respond), llmobs_client, include_usage=True) as http:
        assert http.post(URL, content=js({**ASK, "stream": True})).content == SHOWN


class Strict:
    """A server that refuses *status* what it does not know; *good* says what else it takes."""

    def __init__(self, status: int = 422, good: bool = True) -> None:
        self.status = status
        self.good = good
        self.asked: list[bool] = []

    def __call__(self, request: Any) -> Any:
        asked = b"stream_options" in request.content
        self.asked.append(asked)
        refused = asked or not self.good
        pieces = [b'{"detail": "extra_forbidden"}'] if refused else [SHOWN]
        headers = {"content-type": "application/json"} if refused else STREAM
        return httpx2.Response(
            self.status if refused else 200, headers=headers, stream=stream_of(httpx2, pieces)
        )


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_refuses_is_asked_once(
    status: int, events: CapturedEvents, llmobs_client: Client
) -> None:
    server = Strict(status)
    with client_over(httpx2.MockTransport(server), llmobs_client, include_usage=True) as http:
        assert [ask(http, stream=True) for _ in range(3)] == [SHOWN] * 3
    with client_over(httpx2.MockTransport(server), llmobs_client, include_usage=True) as http:
        assert ask(http, stream=True) == SHOWN
        assert server.asked == [True, False, False, False, False]
        ask(http, "http://another.test/v1/chat/completions", stream=True)
        assert server.asked[-2:] == [True, False]
    assert [event.status for event in events.of(PromptCallEvent)] == ["success"] * 5
    assert {event.http_status for event in events.of(PromptCallEvent)} == {200}


def test_what_is_wrong_without_us_stays_wrong(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    server = Strict(good=False)
    with client_over(httpx2.MockTransport(server), llmobs_client, include_usage=True) as http:
        for _ in range(2):
            assert ask(http, stream=True) == b'{"detail": "extra_forbidden"}'
    assert server.asked == [True, False] * 2, "nothing is known of a server that refuses both"
    assert [event.http_status for event in events.of(PromptCallEvent)] == [422, 422]


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_other_statuses_are_no_refusal(
    status: int, events: CapturedEvents, llmobs_client: Client
) -> None:
    server = Strict(status)
    with client_over(httpx2.MockTransport(server), llmobs_client, include_usage=True) as http:
        ask(http, stream=True)
    assert server.asked == [True]


@pytest.mark.anyio
async def test_a_server_that_refuses_is_asked_once_async(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    server = Strict()
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(server)) as http:
        door.instrument(http, llmobs_client=llmobs_client, include_usage=True)
        for _ in range(2):
            response = await http.post(URL, content=js({**ASK, "stream": True}))
            assert response.content == SHOWN
    assert server.asked == [True, False, False]


@pytest.mark.parametrize("fault", ["strict", "gzip", "gzip,split"])
def test_with_the_real_sdk(
    fault: str, llm_server: str, llmobs_client: Client, events: CapturedEvents
) -> None:
    path, arguments = streamed(OPENAI["text"])
    call = path, {**arguments, "extra_headers": {"x-fake-fault": fault}}
    with openai.OpenAI(base_url=f"{llm_server}/v1", api_key="any", max_retries=0) as client:
        expected = see(client, call)
        door.instrument(client._client, llmobs_client=llmobs_client, include_usage=True)
        assert see(client, call) == expected
    event = call_of(events)
    assert event.status == "success"
    assert (event.tokens_input is None) == (fault == "strict")
