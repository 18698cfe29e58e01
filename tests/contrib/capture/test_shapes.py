"""Hosts nobody knows: what is a call of a model there, and what is the host's own affair."""

import gzip
import json
from time import process_time
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs import Client
from llmobs.contrib._wire import call as wire_call
from llmobs.contrib._wire import shapes
from llmobs.contrib._wire.latest import Latest
from llmobs.contrib._wire.recognise import recognise
from llmobs.testing import capture_events
from tests.contrib.corpus import JSON, STREAM, USER, Case, js, sse
from tests.contrib.corpus.all import CASES

from .mock import answering, client_over

UNKNOWN = [
    case
    for case in CASES
    if case.status < 400
    and (target := recognise("POST", case.host, case.path.encode()))
    and target.shape is not None
    and case.expect.get("status", "success") == "success"
]


@pytest.fixture(autouse=True)
def no_host_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_call, "_shown", Latest())


def send(
    path: str,
    request: Any,
    *pieces: bytes,
    headers: dict[str, str] | None = None,
    status: int = 200,
    host: str = "api.example.test",
    agent: str = "python-httpx2",
) -> list[Any]:
    """Post without any SDK; return the events."""
    client = Client(sink="memory:")
    inner = answering(*pieces, headers=headers or JSON, status=status)
    with capture_events() as events, client_over(inner, client) as http:
        sent = {"user-agent": agent}
        response = http.post(f"https://{host}{path}", content=js(request), headers=sent)
        assert response.status_code == status
    client.close()
    return list(events)


@pytest.mark.parametrize("case", UNKNOWN, ids=lambda case: f"{case.path} {case.name}")
def test_the_shapes_of_the_corpus_are_believed(case: Case) -> None:
    [event] = send(case.path, case.request, case.body, headers=case.headers, host=case.host)
    assert event.provider == case.expect.get("provider", event.provider)


def test_the_corpus_has_most_shapes() -> None:
    targets = {recognise("POST", case.host, case.path.encode()) for case in UNKNOWN}
    assert len({target.shape for target in targets if target}) >= 9


ASKED = {"model": "m", "messages": USER}
OLLAMA = {"model": "m", "created_at": "x", "message": {"role": "assistant"}, "done": True}
BELIEVED = [
    ("/api/chat", ASKED, OLLAMA),
    ("/api/generate", {"model": "m", "prompt": "Hi"}, {**OLLAMA, "message": 0, "response": "Hi"}),
    ("/api/embed", {"model": "m", "input": "Hi"}, {"model": "m", "embeddings": [[0.1]]}),
    ("/v1/moderations", {"input": "Hi"}, {"id": "1", "results": [{"flagged": False}]}),
    ("/v1/responses", {"model": "m", "input": "Hi"}, {"id": "1", "object": "response"}),
    ("/v1/messages", {**ASKED, "max_tokens": 5}, {"type": "message", "content": []}),
    ("/v1/embeddings", {"model": "m", "input": "Hi"}, {"data": [{"embedding": [0.1]}]}),
    ("/v1/completions", {"model": "m", "prompt": "Hi"}, {"choices": [{"text": "Hi"}]}),
    ("/rerank", {"query": "q", "texts": ["a"]}, [{"index": 0, "score": 0.1}]),
    ("/v1/rerank", {"model": "m", "query": "q", "documents": []}, {"relevance_score": 1}),
    ("/generate", {"inputs": "Hi"}, {"generated_text": "Hi"}),
    ("/v2/chat", ASKED, {"message": {}, "finish_reason": "COMPLETE"}),
    ("/completion", {"prompt": "Hi"}, {"content": "Hi", "stop": True}),
    ("/v1beta/interactions", {"model": "m", "input": "Hi"}, {"id": "1", "steps": []}),
    ("/v1/ocr", {"model": "m", "document": {}}, {"pages": [{"index": 0, "markdown": "x"}]}),
]
INNOCENT = [
    # what applications have at the same paths
    ("/api/chat", ASKED, {"reply": "Hi"}),
    ("/api/chat", ASKED, {"choices": [{"message": {"content": "Hi"}}]}),
    ("/api/chat", {"model": "m", "message": "Hi"}, OLLAMA),
    ("/api/chat", {"messages": USER, "id": "1"}, {"done": True, "message": "Hi"}),
    ("/api/generate", {"model": "invoice", "id": 7}, {"url": "https://x.test/7.pdf"}),
    ("/generate", {"model": "sprite", "inputs": {"seed": 1}}, {"image": "AAAA"}),
    ("/generate", {"model": "report"}, {"generated_text": "x"}),
    ("/api/embed", {"model": "player", "url": "x"}, {"html": "<iframe>"}),
    ("/v1/embeddings", {"model": "m", "input": "x"}, {"status": "queued"}),
    ("/rerank", {"query": "shoes", "model": "m"}, {"hits": []}),
    ("/v1/moderations", {"input": "x", "model": "m"}, {"results": ["fine"]}),
    ("/messages", {"model": "sms", "messages": ["a"]}, {"type": "message", "id": "1"}),
    ("/messages", {"messages": ["a"], "max_tokens": 1}, {"id": "1", "queued": True}),
    ("/responses", {"model": "survey", "input": "x"}, {"object": "survey.response"}),
    ("/conversations", {"inputs": ["a"]}, {"id": "1"}),
    ("/v1/completions", {"model": "m", "prompt": "li"}, {"items": ["list"]}),
    ("/ocr", {"model": "m", "document": "x"}, {"pages": 3}),
    ("/completion", {"prompt": "li"}, {"content": ["list"], "stop": "here"}),
    ("/interactions", {"input": "called"}, {"id": 7}),
    ("/v2/chat", ASKED, {"message": "Hi"}),
]


@pytest.mark.parametrize(("path", "request_", "reply"), BELIEVED)
def test_a_wire_is_known_by_its_shape(path: str, request_: Any, reply: Any) -> None:
    assert len(send(path, request_, js(reply))) == 1


@pytest.mark.parametrize(("path", "request_", "reply"), INNOCENT)
def test_an_innocent_host_is_left_alone(path: str, request_: Any, reply: Any) -> None:
    assert send(path, request_, js(reply)) == []


ERROR = {"message": "no such model", "type": "NotFoundError", "param": None, "code": 404}
CLAUDE = {"type": "error", "error": {"type": "not_found_error", "message": "model: m"}}
UNMISTAKABLE = [
    # requests that are for a model whatever becomes of them
    ("/v1/agents/completions", ASKED),
    ("/v1/completions", {"model": "m", "prompt": "Hi", "max_tokens": 5}),
    ("/v1/responses", {"model": "m", "input": USER}),
    ("/v1/responses", {"model": "m", "input": "Hi", "max_output_tokens": 5}),
    ("/v1/responses/input_tokens", {"model": "m", "input": "Hi"}),
    ("/v1/embeddings", {"model": "m", "input": "Hi", "encoding_format": "float"}),
    ("/v1/messages", {**ASKED, "max_tokens": 5}),
    ("/v1/messages/count_tokens", ASKED),
    ("/api/chat", {**ASKED, "options": {"num_ctx": 2048}}),
    ("/api/generate", {"model": "m", "prompt": "Hi", "keep_alive": "5m"}),
    ("/v2/chat", {**ASKED, "safety_mode": "OFF"}),
    ("/rerank", {"query": "q", "texts": ["a"]}),
    ("/v1/rerank", {"model": "m", "query": "q", "documents": ["a"]}),
    ("/generate", {"inputs": "Hi", "parameters": {"max_new_tokens": 5}}),
    ("/v1/multimodalembeddings", {"model": "m", "inputs": [{"content": []}]}),
    ("/completion", {"prompt": "Hi", "n_predict": 5}),
    ("/v1beta/interactions", {"model": "m", "input": "Hi", "generation_config": {}}),
    ("/v1/audio/speech", {"model": "m", "input": "Hi", "voice": "alloy"}),
]
TOLD = [
    # failures that such servers alone tell in this way
    ("/v1/completions", {"model": "m", "prompt": "Hi"}, {"error": ERROR}),
    ("/v1/completions", {"model": "m", "prompt": "Hi"}, {"object": "error", **ERROR}),
    ("/v1/embeddings", {"model": "m", "input": "Hi"}, {"error": ERROR}),
    ("/v1/responses", {"model": "m", "input": "Hi"}, {"error": ERROR}),
    ("/v1/moderations", {"input": "Hi"}, {"error": ERROR}),
    ("/v1/messages", {"model": "m", "messages": [], "max_tokens": 5}, CLAUDE),
    ("/api/chat", ASKED, {"error": "model 'm' not found"}),
    ("/api/chat", ASKED, {"error": 'model "m" not found, try pulling it first'}),
    ("/api/generate", {"model": "m"}, {"error": "m does not support generate"}),
    ("/generate", {"inputs": "Hi"}, {"error": "Model is overloaded", "error_type": "overloaded"}),
]
FOREIGN = [
    # how anybody fails
    (500, {"error": "no"}),
    (404, {"detail": "Not Found"}),
    (422, {"detail": [{"loc": ["body", "model"], "msg": "Field required", "type": "missing"}]}),
    (400, {"message": "no", "statusCode": 400}),
    (502, b"<html>Bad Gateway</html>"),
    (503, b""),
]


def refused(path: str, request: Any, port: str = "") -> list[Any]:
    """Post to where nobody listens; return the events."""

    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    client = Client(sink="memory:")
    inner = httpx2.MockTransport(refuse)
    with (
        capture_events() as events,
        client_over(inner, client) as http,
        pytest.raises(httpx2.ConnectError),
    ):
        http.post(f"https://api.example.test{port}{path}", json=request)
    client.close()
    return list(events)


@pytest.mark.parametrize(("path", "request_"), UNMISTAKABLE)
def test_the_first_failure_of_an_unmistakable_request_is_recorded(path: str, request_: Any) -> None:
    for status, reply in FOREIGN:
        body = reply if isinstance(reply, bytes) else js(reply)
        [event] = send(path, request_, body, status=status)
        assert (event.status, event.http_status) == ("error", status)
    [event] = refused(path, request_)
    assert (event.status, event.http_status) == ("error", None)
    if "audio" not in path:  # any good answer there is a sound
        assert send(path, request_, js({"ok": True})) == []


@pytest.mark.parametrize(("path", "request_", "reply"), TOLD)
def test_a_failure_told_as_a_model_server_does_is_recorded(
    path: str, request_: Any, reply: Any
) -> None:
    [event] = send(path, request_, js(reply), status=404)
    assert event.status == "error"
    packed = {**JSON, "content-encoding": "gzip"}
    assert len(send(path, request_, gzip.compress(js(reply)), headers=packed, status=404)) == 1
    assert refused(path, request_) == []


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed"])
def test_the_port_of_ollama_tells_who_was_asked(path: str) -> None:
    [event] = refused(path, ASKED, ":11434")
    assert (event.status, event.provider) == ("error", "ollama")
    assert refused(path, ASKED, ":8000") == []


@pytest.mark.parametrize(("path", "request_", "reply"), INNOCENT)
def test_an_innocent_host_may_fail_unseen(path: str, request_: Any, reply: Any) -> None:
    for status, failure in FOREIGN:
        body = failure if isinstance(failure, bytes) else js(failure)
        assert send(path, request_, body, status=status) == [], status
    assert send(path, request_, js(reply), status=500) == []
    assert refused(path, request_) == []


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([(path, request) for path, request, _ in INNOCENT]),
    st.text(max_size=200),
    st.sampled_from(UNMISTAKABLE),
)
def test_what_a_text_says_proves_nothing(
    asked: tuple[str, Any], words: str, other: tuple[str, Any]
) -> None:
    path, request = asked
    target = recognise("POST", "api.example.test", path.encode())
    assert target is not None
    assert target.shape is not None
    told = js({**request, "note": words + json.dumps(other[1]), "more": js(other[1]).decode()})
    answer = js({"error": json.dumps({"error": ERROR}) + words})
    assert not target.shape.shows_failure(told, "", answer)


@pytest.mark.parametrize("shape", [v for v in vars(shapes).values() if type(v) is shapes.Shape])
def test_a_look_takes_no_time_whatever_the_answer(shape: shapes.Shape) -> None:
    names = b'"created_at" :"message" :"response" :"pages" :"object" :"error" :"role" :' + b" " * 63
    started = process_time()
    for answer in (names * 150, b" " * 8192, b'"choices"' + b" " * 8000):
        shape.shows(answer)
        shape.shows_failure(answer, "", answer)
    assert process_time() - started < 0.1


def test_a_stream_of_its_own_is_left_alone() -> None:
    own = sse({"type": "text-delta", "delta": "Hi"}, {"type": "finish"}, "[DONE]")
    assert send("/api/chat", ASKED, own, headers=STREAM) == []


@pytest.mark.parametrize("host", ["localhost", "models.internal"])
def test_a_failure_is_believed_of_a_host_that_gave_an_answer(host: str) -> None:
    def fail() -> list[Any]:
        return send("/api/chat", ASKED, js({"error": "no"}), status=500, host=host)

    assert fail() == []
    assert len(send("/api/chat", ASKED, js(OLLAMA), host=host)) == 1
    [event] = fail()
    assert (event.status, event.error.message) == ("error", "no")
    assert send("/v2/chat", ASKED, b"{}", status=500, host=host) == []
    # Good answers have to have the shape all the same.
    assert send("/api/chat", ASKED, js({"reply": "Hi"}), host=host) == []


@pytest.mark.parametrize("agent", ["ollama-python/0.6.3 (x86_64 linux)", "cohere/7.3.1"])
def test_an_sdk_is_believed_whatever_comes(agent: str) -> None:
    assert len(send("/api/chat", ASKED, js({"error": "no"}), status=500, agent=agent)) == 1


def test_a_known_host_is_believed_whatever_comes() -> None:
    failed = send("/v2/chat", {"message": "Hi"}, b"no", status=500, host="api.cohere.com")
    assert len(failed) == 1


def test_a_request_that_never_arrives_is_the_hosts_own() -> None:
    assert refused("/api/chat", ASKED) == []
    assert refused("/api/chat", ASKED) == []
