"""boto3's Bedrock client, its event streams read by botocore, against a server that sends the corpus."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore import config

from llmobs import Client, PromptCallEvent
from llmobs.contrib import urllib3 as door
from llmobs.testing import capture_events
from tests.contrib.corpus import aws_frame, js
from tests.contrib.corpus.anthropic import frame
from tests.contrib.corpus.bedrock import ARN, COUNTS, EVENTS, SAID, THROTTLED, WHOLE, converse

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
def bedrock() -> Iterator[Any]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        client = boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            endpoint_url=f"http://127.0.0.1:{server.server_port}",
            config=config.Config(retries={"total_max_attempts": 2, "mode": "standard"}),
        )
        yield client
        client.close()
        server.shutdown()
        thread.join()


HI: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
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
    (invoked, "meta.llama3-1-8b-instruct-v1:0", [COUNTED]),
    (invoked_stream, "meta.llama3-1-8b-instruct-v1:0", [{**COUNTED, "stream": True}]),
]
ERRORS = {
    "bad": "ValidationException",
    "throttled": "throttlingException",
    "damaged": "invalid_response",
    "cut": "incomplete_stream",
}


@pytest.mark.parametrize(
    ("ask", "model", "expected"), CASES, ids=lambda value: getattr(value, "__name__", None)
)
def test_boto3(bedrock: Any, ask: Any, model: str, expected: list[dict[str, Any]]) -> None:
    without = ask(bedrock, model)
    door.instrument(llmobs_client=Client(sink="memory:"))
    try:
        with capture_events() as events:
            assert ask(bedrock, model) == without
    finally:
        door.uninstrument()
    calls = events.of(PromptCallEvent)
    assert [
        {name: getattr(c, name) for name in e} for c, e in zip(calls, expected, strict=True)
    ] == (expected)
    assert {c.provider for c in calls} == {"aws.bedrock"}
    if model in ERRORS:
        error = calls[0].error
        assert error is not None
        assert error.type == ERRORS[model]
