"""boto3's Bedrock client, its event streams read by botocore, against a server that sends the corpus."""

import gc
import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore import config
from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from botocore.exceptions import EndpointConnectionError
from urllib3 import HTTPResponse

from llmobs import Client, PromptCallEvent
from llmobs.contrib import botocore as hooks
from llmobs.contrib import urllib3 as wire
from llmobs.contrib.httpx import CAPTURE_HEADER
from llmobs.runtime import troubles
from llmobs.testing import CapturedEvents, capture_events
from tests.contrib.corpus import aws_frame, js
from tests.contrib.corpus.anthropic import frame
from tests.contrib.corpus.bedrock import ARN, COUNTS, EVENTS, SAID, THROTTLED, WHOLE, converse
from tests.support.environments import ROOT, python_packages

LLAMA = {
    "generation": "Hello",
    "prompt_token_count": 7,
    "generation_token_count": 3,
    "stop_reason": "stop",
}
STREAMS = {
    "throttled": b"".join(aws_frame(*event) for event in EVENTS[:6]) + THROTTLED,
    "damaged": WHOLE.replace(b'"Hel"', b'"Hal"'),
    "cut": WHOLE[:900],
}
REFUSALS = {"bad": (400, "ValidationException"), "once": (429, "ThrottlingException")}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        _, _, model, verb = self.path.split("/", 3)
        attempt = self.headers.get("amz-sdk-request", "")
        if model in REFUSALS and (model == "bad" or attempt.startswith("attempt=1")):
            status, kind = REFUSALS[model]
            self.send_response(status)
            self.send_header("x-amzn-errortype", f"{kind}:http://internal.amazon.com/")
            self._whole(js({"message": "Refused"}))
            return
        self.send_response(200)
        if verb == "converse-stream":
            self._pieces(STREAMS.get(model, WHOLE))
        elif verb == "invoke-with-response-stream":
            self._pieces(
                frame({**LLAMA, "generation": "Hel"}) + frame(LLAMA | {"generation": "lo"})
            )
        else:
            self._whole(js(converse() if verb == "converse" else LLAMA))

    def _whole(self, body: bytes) -> None:
        self.send_header("content-type", "application/json")
        self.send_header("x-amzn-requestid", "amzn-1")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pieces(self, body: bytes) -> None:
        self.send_header("content-type", "application/vnd.amazon.eventstream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for at in range(0, len(body), 50):
            piece = body[at : at + 50]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


class Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up: that is what is tried."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def made(url: str, service: str = "bedrock-runtime") -> Any:
    return boto3.client(
        service,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        endpoint_url=url,
        config=config.Config(retries={"total_max_attempts": 2, "mode": "standard"}),
    )


@pytest.fixture(scope="module")
def bedrock(url: str) -> Iterator[Any]:
    client = made(url)
    yield client
    client.close()


HI: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
LLAMA_3 = "meta.llama3-1-8b-instruct-v1:0"
PROMPT = json.dumps({"prompt": "Hi"})


def plain(client: Any, model: str) -> Any:
    answer = client.converse(modelId=model, messages=HI)
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def streamed(client: Any, model: str) -> Any:
    seen = []
    stream = client.converse_stream(modelId=model, messages=HI)["stream"]
    try:
        for event in stream:
            seen.append(event)
            if model == "early" and len(seen) == 3:
                break
    except Exception as error:
        seen.append((type(error).__name__, str(error)))
    finally:
        stream.close()
    return seen


def refused(client: Any, model: str) -> Any:
    with pytest.raises(client.exceptions.ValidationException) as caught:
        client.converse(modelId=model, messages=HI)
    return str(caught.value)


def invoked(client: Any, model: str) -> Any:
    return client.invoke_model(modelId=model, body=PROMPT)["body"].read()


def in_pieces(client: Any, model: str) -> Any:
    return list(client.invoke_model(modelId=model, body=PROMPT)["body"].iter_chunks(5))


def in_lines(client: Any, model: str) -> Any:
    return client.invoke_model(modelId=model, body=PROMPT)["body"].readlines()


def in_place(client: Any, model: str) -> Any:
    buffer = bytearray(500)
    return client.invoke_model(modelId=model, body=PROMPT)["body"].readinto(buffer), buffer


def begun(client: Any, model: str) -> Any:
    body = client.invoke_model(modelId=model, body=PROMPT)["body"]
    with body:
        return body.read(9)


def forgotten(client: Any, model: str) -> Any:
    return client.invoke_model(modelId=model, body=PROMPT)["body"].read(9)


def forgotten_stream(client: Any, model: str) -> Any:
    event = next(iter(client.converse_stream(modelId=model, messages=HI)["stream"]))
    gc.collect()  # an EventStream and its generator hold each other
    return event


def invoked_stream(client: Any, model: str) -> Any:
    return list(client.invoke_model_with_response_stream(modelId=model, body=PROMPT)["body"])


WHOLLY = {"status": "success", "response": [SAID], "warnings": (), **COUNTS}
COUNTED = {"status": "success", "tokens_input": 7, "tokens_output": 3, "finish_reason": "stop"}
CASES: list[tuple[Callable[..., Any], str, list[dict[str, Any]]]] = [
    (plain, "us.amazon.nova-lite-v1:0", [{**WHOLLY, "model": "us.amazon.nova-lite-v1:0"}]),
    (
        plain,
        "once",
        [{"status": "error", "http_status": 429, "attempt": 1}, {"attempt": 2, **WHOLLY}],
    ),
    (refused, "bad", [{"status": "error", "http_status": 400, "request_id": "amzn-1"}]),
    (streamed, ARN, [{**WHOLLY, "model": ARN, "stream": True}]),
    (streamed, "early", [{"status": "cancelled", "tokens_output": None}]),
    (streamed, "throttled", [{"status": "error"}]),
    (streamed, "damaged", [{"status": "error"}]),
    (streamed, "cut", [{"status": "error"}]),
    (forgotten_stream, "nova", [{"status": "cancelled"}]),
    (invoked, LLAMA_3, [COUNTED]),
    (in_pieces, LLAMA_3, [COUNTED]),
    (in_lines, LLAMA_3, [COUNTED]),
    (in_place, LLAMA_3, [COUNTED]),
    (begun, LLAMA_3, [{"status": "cancelled"}]),
    (forgotten, LLAMA_3, [{"status": "cancelled"}]),
    (invoked_stream, LLAMA_3, [{**COUNTED, "stream": True}]),
]
ERRORS = {
    "bad": "ValidationException",
    "throttled": "throttlingException",
    "damaged": "invalid_response",
    "cut": "incomplete_stream",
}


DOORS = {"hooks": (hooks,), "wire": (wire,), "both": (hooks, wire)}


@contextmanager
def opened(*doors: Any) -> Iterator[CapturedEvents]:
    for door in doors:
        door.instrument(llmobs_client=Client(sink="memory:"))
    try:
        with capture_events() as events:
            yield events
    finally:
        for door in doors:
            door.uninstrument()


@pytest.mark.parametrize("doors", DOORS)
@pytest.mark.parametrize(
    ("ask", "model", "expected"), CASES, ids=lambda value: getattr(value, "__name__", None)
)
def test_boto3(
    bedrock: Any, ask: Any, model: str, expected: list[dict[str, Any]], doors: str
) -> None:
    without = ask(bedrock, model)
    with opened(*DOORS[doors]) as events:
        assert ask(bedrock, model) == without
    calls = events.of(PromptCallEvent)
    assert [
        {name: getattr(c, name) for name in e} for c, e in zip(calls, expected, strict=True)
    ] == (expected)
    assert {c.provider for c in calls} == {"aws.bedrock"}
    if model in ERRORS:
        error = calls[0].error
        assert error is not None
        assert error.type == ERRORS[model]


def handlers(client: Any) -> list[Any]:
    names = ("before-send", "before-parse", "response-received")
    return [
        client.meta.events._emitter._handlers.prefix_search(f"{n}.bedrock-runtime.X") for n in names
    ]


def test_clients_made_before_and_after(url: str) -> None:
    constructor = BaseClient.__dict__["__init__"]
    early = made(url)
    untouched = handlers(early)
    hooks.instrument()
    with opened(hooks) as events:
        late = made(url)
        sessions = [made(url)]
        for client in (early, late, *sessions):
            plain(client, "nova")
    assert len(events.of(PromptCallEvent)) == 3
    assert handlers(early) == handlers(late) == untouched
    assert BaseClient.__dict__["__init__"] is constructor


def test_a_client_that_was_given(url: str, bedrock: Any) -> None:
    given = made(url)
    with Client(sink="memory:") as client, opened() as events:
        mine = hooks.instrument(given, llmobs_client=client, capture_content="metadata")
        assert mine is given
        plain(given, "nova")
        plain(bedrock, "nova")
        assert len(events.of(PromptCallEvent)) == 1
        hooks.instrument(llmobs_client=client)
        plain(given, "nova")
        hooks.uninstrument()
        plain(given, "nova")
        hooks.uninstrument(given)
        plain(given, "nova")
    calls = events.of(PromptCallEvent)
    assert len(calls) == 3
    assert not any(call.prompt or call.response for call in calls)


def test_what_is_no_client_of_bedrock(url: str) -> None:
    for wrong in (made(url, "s3"), object()):
        with pytest.raises(TypeError, match="no client of botocore"):
            hooks.instrument(wrong)
    with pytest.raises(ValueError, match="capture_content"):
        hooks.instrument(capture_content="all")  # type: ignore[call-overload]
    with opened(hooks):
        assert made(url, "s3") not in hooks._hooks


def test_a_run_of_each(url: str) -> None:
    """Threads share a client; each has its own attempt under way."""
    client = made(url)

    def ask(number: int) -> tuple[str, str]:
        with ours.run() as run:
            plain(client, f"nova-{number}")
            return run.run_id, f"nova-{number}"

    with (
        Client(sink="memory:") as ours,
        opened(hooks, wire) as events,
        ThreadPoolExecutor(8) as pool,
    ):
        asked = dict(pool.map(ask, range(20)))
    assert {call.run_id: call.model for call in events.of(PromptCallEvent)} == asked


class Interrupt(BaseException):
    """As an interrupt from the keyboard, or gevent's timeouts."""


def test_an_interrupt(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = made(url)

    def send(request: Any) -> Any:
        raise Interrupt

    with opened(hooks, wire) as events:
        with monkeypatch.context() as patch:
            patch.setattr(client._endpoint.http_session, "send", send)
            with pytest.raises(Interrupt):
                plain(client, "nova")
        gc.collect()
        (call,) = events.of(PromptCallEvent)
        assert (call.status, call.error) == ("cancelled", None)
        plain(client, "nova")
    assert [call.status for call in events.of(PromptCallEvent)] == ["cancelled", "success"]


def test_nobody_answers(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    client = made(f"http://127.0.0.1:{port}")
    with opened(hooks, wire) as events, pytest.raises(EndpointConnectionError):
        plain(client, "nova")
    calls = events.of(PromptCallEvent)
    assert [(call.status, call.attempt) for call in calls] == [("error", 1), ("error", 2)]
    assert {call.error.type for call in calls if call.error} == {
        "botocore.exceptions.EndpointConnectionError"
    }


def test_an_answer_that_another_hook_gives(url: str) -> None:
    """As moto's do: nothing is sent."""
    client = made("http://127.0.0.1:9")
    raw = HTTPResponse(io.BytesIO(js(converse())), preload_content=False)
    answer = AWSResponse("", 200, {}, raw)
    client.meta.events.register("before-send.bedrock-runtime", lambda request, **_: answer)
    with opened(hooks) as events:
        plain(client, "nova")
    (call,) = events.of(PromptCallEvent)
    assert {name: getattr(call, name) for name in WHOLLY} == WHOLLY


def test_the_header_of_one_call_is_heard_and_stays_signed(url: str) -> None:
    client = made(url)
    client.meta.events.register(
        "before-call.bedrock-runtime",
        lambda params, **_: params["headers"].update({CAPTURE_HEADER: "metadata"}),
    )
    with opened(hooks, wire) as events:
        plain(client, "nova")
    (call,) = events.of(PromptCallEvent)
    assert not call.prompt
    assert call.tokens_input == COUNTS["tokens_input"]


def test_our_errors_never_reach_the_host(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    troubles.raise_internal_errors(False)
    client = made(url)
    expected = plain(client, "nova"), streamed(client, "nova")

    def broken(*args: Any, **more: Any) -> Any:
        raise RuntimeError("our own fault")

    for where in ("llmobs.contrib.botocore.begin", "llmobs.contrib._wire.call.Call.respond"):
        with monkeypatch.context() as patch, opened(hooks):
            patch.setattr(troubles, "_troubles", troubles.Troubles())
            patch.setattr(where, broken)
            assert (plain(client, "nova"), streamed(client, "nova")) == expected
        assert "our own fault" in caplog.text
        caplog.clear()


@pytest.mark.timeout(600)
def test_aiobotocore(url: str) -> None:
    """It sends through aiohttp, whose door records it; it asks for a botocore of its own."""
    home = python_packages(
        ROOT / ".cache" / "capture" / "aiobotocore", ("aiobotocore==3.10.0",), with_llmobs=True
    )
    command = [home / "bin" / "python", "-m", "tests.contrib.capture.drive_aiobotocore", url]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "internal error" not in done.stderr
    found = json.loads(done.stdout)
    assert found["seen"] == found["without"]
    assert "llmobs.contrib.aiohttp" in found["seen"][-1]
    assert found["calls"] == [
        ["nova", "success", COUNTS["tokens_input"], COUNTS["tokens_output"], False],
        ["nova", "success", COUNTS["tokens_input"], COUNTS["tokens_output"], True],
        ["nova", "cancelled", None, None, True],
        ["llama", "success", 7, 3, False],
        ["llama", "success", 7, 3, True],
        ["bad", "error", None, None, False],
    ]
