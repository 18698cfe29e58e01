"""urllib3's door: through requests and by itself, against the model server; the caller sees no difference."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import urllib3
from urllib3.exceptions import ProtocolError
from urllib3.util import Retry

import llmobs
from llmobs import Client, PromptCallEvent, Status
from llmobs.contrib import urllib3 as door
from llmobs.runtime import troubles
from llmobs.testing import CapturedEvents

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is a sonnet?"}]}
TEXT = json.dumps(BODY)
STREAM = {**BODY, "stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture(autouse=True)
def instrumented(llmobs_client: Client) -> Iterator[None]:
    before = urllib3.HTTPConnectionPool.__dict__["urlopen"]
    door.instrument(llmobs_client=llmobs_client)
    yield
    door.uninstrument()
    assert urllib3.HTTPConnectionPool.__dict__["urlopen"] is before


def chat(server: str) -> str:
    return f"{server}/v1/chat/completions"


def only(events: CapturedEvents) -> PromptCallEvent:
    (event,) = events.of(PromptCallEvent)
    return event


def words(event: PromptCallEvent) -> Any:
    """The text of the one message that the answer is."""
    (message,) = event.response
    return "".join(part.get("content", "") for part in message["parts"])


def comparable(response: requests.Response) -> Any:
    """Without the ids and times that the server makes anew."""
    body = response.json()
    return body["choices"], body["usage"], sorted(name.lower() for name in response.headers)


@pytest.mark.parametrize("fault", ["", "gzip"])
def test_requests(fault: str, llm_server: str, events: CapturedEvents) -> None:
    headers = {"x-fake-fault": fault, "accept-encoding": "gzip"}
    seen = requests.post(chat(llm_server), json=BODY, headers=headers, timeout=10)
    event = only(events)
    body = seen.json()
    assert words(event) == body["choices"][0]["message"]["content"]
    assert event.tokens_input == body["usage"]["prompt_tokens"]
    assert (event.status, event.http_status, event.attempt) == (Status.SUCCESS, 200, 1)
    assert event.server_address == "127.0.0.1"
    door.uninstrument()
    plain = requests.post(chat(llm_server), json=BODY, headers=headers, timeout=10)
    assert comparable(seen) == comparable(plain)


@pytest.mark.parametrize("fault", ["", "gzip", "split"])
@pytest.mark.parametrize("size", [1, 7, 512, None])
def test_a_stream(fault: str, size: int | None, llm_server: str, events: CapturedEvents) -> None:
    headers = {"x-fake-fault": fault}
    with requests.post(
        chat(llm_server), json=STREAM, headers=headers, stream=True, timeout=10
    ) as response:
        text = b"".join(response.iter_content(size))
    assert text.endswith(b"data: [DONE]\n\n")
    event = only(events)
    assert event.stream
    assert event.status == Status.SUCCESS
    assert event.response
    assert event.tokens_output
    assert event.time_to_first_token_ms is not None


def test_a_stream_read_line_by_line_belongs_to_its_run(
    llm_server: str, events: CapturedEvents, llmobs_client: Client
) -> None:
    with llmobs_client.run() as run:
        response = requests.post(chat(llm_server), json=STREAM, stream=True, timeout=10)
        lines = list(response.iter_lines())
    assert b"data: [DONE]" in lines
    event = only(events)
    assert event.run_id == run.run_id
    assert event.status == Status.SUCCESS


@pytest.mark.parametrize("close", [True, False])
def test_closed_early(close: bool, llm_server: str, events: CapturedEvents) -> None:
    response = requests.post(
        chat(llm_server),
        json=STREAM,
        headers={"x-fake-fault": "endless"},
        stream=True,
        timeout=10,
    )
    pieces = response.iter_content(200)
    for _ in range(10):
        next(pieces)
    if close:
        response.close()
    del pieces, response
    event = only(events)
    assert event.status == Status.CANCELLED
    assert event.response


@pytest.mark.parametrize("body", [BODY, STREAM])
def test_an_error(body: Any, llm_server: str, events: CapturedEvents) -> None:
    response = requests.post(
        chat(llm_server), json=body, headers={"x-fake-fault": "429"}, timeout=10
    )
    assert response.status_code == 429
    event = only(events)
    assert (event.status, event.http_status) == (Status.ERROR, 429)
    assert event.error is not None
    assert event.error.message == response.json()["error"]["message"]


def test_a_stream_that_is_cut(llm_server: str, events: CapturedEvents) -> None:
    response = requests.post(
        chat(llm_server), json=STREAM, headers={"x-fake-fault": "cut"}, stream=True, timeout=10
    )
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        list(response.iter_content(512))
    event = only(events)
    assert event.status == Status.ERROR
    assert event.error is not None


def test_an_error_in_the_stream(llm_server: str, events: CapturedEvents) -> None:
    headers = {"x-fake-fault": "stream-error"}
    with requests.post(
        chat(llm_server), json=STREAM, headers=headers, stream=True, timeout=10
    ) as response:
        list(response.iter_content(512))
    assert only(events).status == Status.ERROR


def test_retries_of_its_own_are_calls(llm_server: str, events: CapturedEvents) -> None:
    retry = Retry(2, status_forcelist=[429], allowed_methods=None, backoff_factor=0)
    retry.respect_retry_after_header = False
    with urllib3.PoolManager(retries=retry) as http:
        headers = {"x-fake-fault": "429-once", "idempotency-key": "urllib3"}
        response = http.request("POST", chat(llm_server), body=TEXT, headers=headers)
    assert response.status == 200
    assert [(e.status, e.http_status, e.attempt) for e in events.of(PromptCallEvent)] == [
        (Status.ERROR, 429, 1),
        (Status.SUCCESS, 200, 2),
    ]
    message = json.loads(response.data)["choices"][0]["message"]["content"]
    assert words(events.of(PromptCallEvent)[1]) == message


def test_attempts_of_azure_bear_one_id(llm_server: str, events: CapturedEvents) -> None:
    """As azure-core's retries do, which are requests of their own."""
    for name in ("a", "a", "b", "a"):
        headers = {"X-MS-Client-Request-Id": name}
        requests.post(chat(llm_server), json=BODY, headers=headers, timeout=10)
    assert [event.attempt for event in events.of(PromptCallEvent)] == [1, 2, 1, 3]


def test_nobody_listens(events: CapturedEvents) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/v1/chat/completions"
        with urllib3.PoolManager() as http, pytest.raises(urllib3.exceptions.MaxRetryError):
            http.request("POST", url, body=TEXT, retries=Retry(1, backoff_factor=0))
    assert [(e.status, e.attempt) for e in events.of(PromptCallEvent)] == [
        (Status.ERROR, 1),
        (Status.ERROR, 2),
    ]


def test_a_timeout(events: CapturedEvents) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1/chat/completions"
        with pytest.raises(requests.exceptions.ReadTimeout):
            requests.post(url, json=BODY, timeout=0.1)
    assert only(events).status == Status.TIMEOUT


@pytest.mark.parametrize("preload", [True, False])
def test_urllib3_by_itself(preload: bool, llm_server: str, events: CapturedEvents) -> None:
    with urllib3.PoolManager() as http:
        response = http.request("POST", chat(llm_server), body=TEXT, preload_content=preload)
        message = json.loads(response.data)["choices"][0]["message"]["content"]
    assert words(only(events)) == message


def request_of(connection: socket.socket) -> bytes:
    """Return a whole request: a connection closed before it was read is reset."""
    got = b""
    while not got.endswith(b"}"):
        got += connection.recv(65536)
    return got


def answered(answer: bytes, **more: Any) -> Any:
    """Ask a server that answers these bytes and goes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                request_of(connection)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with urllib3.PoolManager() as http:
                url = f"http://127.0.0.1:{server.getsockname()[1]}/v1/chat/completions"
                return http.request("POST", url, body=TEXT, retries=False, **more).data
        finally:
            thread.join()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
ANSWER = b'{"choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'


@pytest.mark.parametrize(
    "framed",
    [
        b"content-length: %d\r\n\r\n" % len(ANSWER) + ANSWER,
        b"connection: close\r\n\r\n" + ANSWER,
        b"transfer-encoding: chunked\r\n\r\n2;a=b\r\n"
        + ANSWER[:2]
        + b"\r\n%x\r\n" % len(ANSWER[2:])
        + ANSWER[2:]
        + b"\r\n0\r\nx-checksum: 1\r\n\r\n",
    ],
)
def test_ways_to_frame_a_body(framed: bytes, events: CapturedEvents) -> None:
    assert answered(HEAD + framed, preload_content=False) == ANSWER
    assert (words(only(events)), only(events).status) == ("Hi", Status.SUCCESS)


@pytest.mark.parametrize(
    "framed",
    [
        b"content-length: 999\r\n\r\n" + ANSWER,
        b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(ANSWER) + ANSWER + b"\r\n",
        b"transfer-encoding: chunked\r\n\r\n999\r\n" + ANSWER,
    ],
)
def test_an_answer_that_is_cut(framed: bytes, events: CapturedEvents) -> None:
    with pytest.raises(ProtocolError):
        answered(HEAD + framed, preload_content=False)
    assert only(events).status == Status.ERROR
    assert only(events).error is not None


def test_one_call_in_another_way(llm_server: str, events: CapturedEvents) -> None:
    headers = {"X-LLMObs-Capture-Content": "metadata"}
    response = requests.post(chat(llm_server), json=BODY, headers=headers, timeout=10)
    event = only(events)
    assert not event.prompt
    assert not event.response
    assert event.model == "gpt-4o"
    assert "X-LLMObs-Capture-Content" in headers
    # requests keeps what it prepared; what left is what counts.
    assert response.ok


def test_the_header_does_not_leave(events: CapturedEvents) -> None:
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                got.append(request_of(connection))
                connection.sendall(HEAD + b"content-length: 2\r\n\r\n{}")

        thread = threading.Thread(target=serve)
        thread.start()
        requests.post(
            f"http://127.0.0.1:{server.getsockname()[1]}/v1/chat/completions",
            data='{"model":"m","messages":[]}',
            headers={"x-llmobs-capture-content": "redacted"},
            timeout=10,
        )
        thread.join()
    assert got
    assert b"capture" not in got[0]
    assert only(events).model == "m"


@pytest.mark.parametrize("signed", [True, False])
def test_a_signed_header_stays(
    signed: bool, llm_server: str, events: CapturedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    original = urllib3.HTTPConnectionPool._make_request  # type: ignore[attr-defined]

    def looking(pool: Any, *args: Any, **more: Any) -> Any:
        seen.append(more["headers"])
        return original(pool, *args, **more)

    monkeypatch.setattr(urllib3.HTTPConnectionPool, "_make_request", looking)
    names = "host;x-llmobs-capture-content" if signed else "host"
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential=k, SignedHeaders={names}, Signature=0",
        "X-LLMObs-Capture-Content": "metadata",
    }
    requests.post(chat(llm_server), json=BODY, headers=headers, timeout=10)
    assert ("X-LLMObs-Capture-Content" in seen[0]) is signed
    assert not only(events).prompt


def test_others_pass(llm_server: str, events: CapturedEvents) -> None:
    assert requests.get(f"{llm_server}/v1/models", timeout=10).ok
    assert not events


def test_our_errors_never_reach_the_host(
    llm_server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    troubles.raise_internal_errors(False)
    monkeypatch.setattr(troubles, "_troubles", troubles.Troubles())

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("our own fault")

    for where in ("_begin", "_respond"):
        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            patch.setattr(door, where, broken)
            assert requests.post(chat(llm_server), json=BODY, timeout=10).ok
        assert "our own fault" in caplog.text


def test_everything_covers_it(
    llm_server: str, events: CapturedEvents, llmobs_client: Client
) -> None:
    door.uninstrument()
    llmobs.instrument(llmobs_client=llmobs_client)
    try:
        requests.post(chat(llm_server), json=BODY, timeout=10)
    finally:
        llmobs.uninstrument()
    requests.post(chat(llm_server), json=BODY, timeout=10)
    assert len(events.of(PromptCallEvent)) == 1
