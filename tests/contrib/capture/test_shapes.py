"""Hosts nobody knows: what is a call of a model there, and what is the host's own affair."""

from time import process_time
from typing import Any

import httpx2
import pytest

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
    ("/v2/chat", ASKED, {"message": "Hi"}),
]


@pytest.mark.parametrize(("path", "request_", "reply"), BELIEVED)
def test_a_wire_is_known_by_its_shape(path: str, request_: Any, reply: Any) -> None:
    assert len(send(path, request_, js(reply))) == 1


@pytest.mark.parametrize(("path", "request_", "reply"), INNOCENT)
def test_an_innocent_host_is_left_alone(path: str, request_: Any, reply: Any) -> None:
    assert send(path, request_, js(reply)) == []


@pytest.mark.parametrize("shape", [v for v in vars(shapes).values() if type(v) is shapes.Shape])
def test_a_look_takes_no_time_whatever_the_answer(shape: shapes.Shape) -> None:
    names = b'"created_at" :"message" :"response" :"pages" :"object" :' + b" " * 63
    started = process_time()
    for answer in (names * 150, b" " * 8192, b'"choices"' + b" " * 8000):
        shape.shows(answer)
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
    assert send("/v1/messages", {**ASKED, "max_tokens": 1}, b"{}", status=500, host=host) == []
    # Good answers have to have the shape all the same.
    assert send("/api/chat", ASKED, js({"reply": "Hi"}), host=host) == []


@pytest.mark.parametrize("agent", ["ollama-python/0.6.3 (x86_64 linux)", "cohere/7.3.1"])
def test_an_sdk_is_believed_whatever_comes(agent: str) -> None:
    assert len(send("/api/chat", ASKED, js({"error": "no"}), status=500, agent=agent)) == 1


def test_a_known_host_is_believed_whatever_comes() -> None:
    failed = send("/v2/chat", {"message": "Hi"}, b"no", status=500, host="api.cohere.com")
    assert len(failed) == 1


def test_a_request_that_never_arrives_is_the_hosts_own() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    client = Client(sink="memory:")
    with capture_events() as events, client_over(httpx2.MockTransport(refuse), client) as http:
        for _ in range(2):
            with pytest.raises(httpx2.ConnectError):
                http.post("https://api.example.test/api/chat", json=ASKED)
    assert events == []
    client.close()
