"""
Whatever comes on the wire: the host never notices, and there is one event that every sink can write.

The corpus is the seed: a value in it becomes another, a member comes twice, a piece is missing or strange.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs import Client, PromptCallEvent, Status
from llmobs.codec import encode
from llmobs.contrib._wire.body import Copy
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.reading import Exchange, read_exchange
from llmobs.contrib._wire.recognise import recognise
from llmobs.recorded.ids import new_id
from llmobs.recorded.jsontext import MAX_COUNT
from llmobs.runtime.time_slices import finish
from llmobs.testing import capture_events
from tests.contrib.corpus import JSON, STREAM, Case, js, sse
from tests.contrib.corpus.all import CASES
from tests.contrib.corpus.batches import BATCHES

from .mock import answering, client_over

_TOKEN = re.compile(rb'-?\d+(?:\.\d+)?|"(?:[^"\\]|\\.)*"|true|false|null|[\[\]{}:,]')
HOSTILE = [
    *(b"null", b"true", b"[]", b"{}", b"[[]]", b'{"":{}}', b'""', b'"\\ud800"', b'"\\u0000"'),
    *(b"-1", b"1e400", b"1.5", b"9" * 40, b"9" * 5000, b"NaN", b"-Infinity", b"0x1", b'"12"'),
    *(b"\xff\xfe", b"'", b'"', b"\\", b"\n", b"\n\n", b"[" * 2000, b'{"a":' * 2000, b"\x00"),
]
SEEDS = [case for case in CASES if len(case.body) < 20_000]


@st.composite
def mutated(draw: Any, text: bytes) -> bytes:
    """Return *text* with one to four tokens that are others, missing, twice, or cut."""
    for _ in range(draw(st.integers(1, 4))):
        places = [found.span() for found in _TOKEN.finditer(text)]
        if not places:
            return text
        start, end = draw(st.sampled_from(places))
        how = draw(st.sampled_from(["other", "other", "gone", "twice", "cut"]))
        if how == "other":
            text = text[:start] + draw(st.sampled_from(HOSTILE)) + text[end:]
        elif how == "gone":
            text = text[:start] + text[end:]
        elif how == "twice":
            member = text.find(b",", end)
            text = text[:start] + text[start : member + 1 or end] + text[start:]
        else:
            text = text[:start]
    return text


@st.composite
def exchanges(draw: Any) -> Exchange:
    """An exchange of the corpus, spoilt."""
    case = draw(st.sampled_from(SEEDS))
    target = recognise("POST", case.host, case.path.encode())
    assert target is not None
    request = js(case.request)
    limit = draw(st.sampled_from([0, 1, 200, 1_000_000]))
    copy = Copy(limit)
    body = draw(mutated(case.body))
    for at in range(0, len(body), 50):
        copy.add(body[at : at + 50])
    copy.close()
    return Exchange(
        target=target,
        request=(draw(mutated(request)) if draw(st.booleans()) else request, None),
        form_model=None,
        started=0.0,
        status=draw(st.sampled_from([case.status, 200, 400, 503])),
        headers=case.headers,
        copy=copy,
        ending=draw(st.sampled_from(Ending)),
    )


def check(event: PromptCallEvent) -> None:
    """Assert that it is one that can be believed and written."""
    written = msgspec.json.decode(encode(event), type=dict)
    assert type(written) is dict
    counts = [event.tokens_input, event.tokens_output, event.tokens_cached, event.tokens_reasoning]
    for count in (*counts, event.tokens_cache_write, *(event.usage or {}).values()):
        assert count is None or (type(count) is int and 0 <= count <= 8 * MAX_COUNT)
    assert (event.tokens_reasoning or 0) <= (event.tokens_output or event.tokens_reasoning or 0)
    assert event.cost_usd is None or 0 <= event.cost_usd < 1e30
    assert event.status in set(Status)
    assert all(type(warning) is str for warning in event.warnings)
    for name in ("model", "provider", "operation"):
        assert type(getattr(event, name)) is str
    for name in ("finish_reason", "response_id", "model_version", "service_tier", "request_id"):
        assert type(getattr(event, name)) in (str, type(None)), name


@settings(max_examples=300)
@given(exchanges())
def test_spoilt_exchanges_are_read(exchange: Exchange) -> None:
    event = PromptCallEvent(
        event_id=new_id(), run_id="r", timestamp=datetime.now(UTC), provider="openai"
    )
    finish(read_exchange(exchange, event))
    check(event)


def send(case: Case, method: str = "POST") -> list[PromptCallEvent]:
    """Send the case's request; its answer has to come as it is."""
    client = Client(sink="memory:", capture_bytes=case.limit)
    inner = answering(case.body, headers=case.headers, status=case.status)
    with capture_events() as events, client_over(inner, client) as http:
        url = f"https://{case.host}{case.path}"
        content = js(case.request) if method == "POST" else None
        headers = {"x-stainless-retry-count": "0"}
        with http.stream(method, url, content=content, headers=headers) as response:
            assert b"".join(response.iter_raw()) == case.body
    client.close()
    found = events.of(PromptCallEvent)
    for event in found:
        check(event)
    return found


@settings(max_examples=60)
@given(st.data())
def test_spoilt_results_of_batches_never_reach_the_host(data: Any) -> None:
    batch = data.draw(st.sampled_from([each for each in BATCHES if len(each.body) < 20_000]))
    body = data.draw(mutated(batch.body))
    case = Case("", batch.path, None, {}, body, 200, batch.headers, batch.host, batch.limit)
    events = send(case, "GET")
    assert len(events) <= body.count(b"\n") + body.count(b"{") + 1
    assert len({event.event_id for event in events}) == len(events)


TEN_MEGABYTES = "x" * 10_000_000
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
USED = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}


def spoken(words: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": words}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USED}


def streamed(words: str) -> bytes:
    delta = {"choices": [{"index": 0, "delta": {"content": words}, "finish_reason": "stop"}]}
    return sse(delta, {"choices": [], "usage": USED}, "[DONE]")


OLLAMA = {"model": "m", "created_at": "x", "done": True, "prompt_eval_count": 4, "eval_count": 2}
GEMINI = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
CANDIDATE = {"content": {"parts": [{"text": TEN_MEGABYTES}]}}
ENDED = [{"content": {"parts": []}, "finishReason": "STOP"}]
COUNTED = {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6}
LAST = {"candidates": ENDED, "usageMetadata": COUNTED}
LARGE = [
    Case("an answer", "/v1/chat/completions", CHAT, {}, js(spoken(TEN_MEGABYTES)), 200, JSON),
    Case("an event", "/v1/chat/completions", CHAT, {}, streamed(TEN_MEGABYTES), 200, STREAM),
    Case(
        "a line",
        "/api/chat",
        CHAT,
        {},
        js({**OLLAMA, "done": False, "message": {"content": TEN_MEGABYTES}})
        + b"\n"
        + js({**OLLAMA, "message": {"content": ""}})
        + b"\n",
        200,
        {"content-type": "application/x-ndjson"},
    ),
    Case(
        "an item of an array",
        GEMINI,
        {"contents": []},
        {},
        b"["
        + js({"candidates": [CANDIDATE]})
        + b"\n,\r\n"
        + js({"candidates": ENDED, "usageMetadata": COUNTED})
        + b"]",
        200,
        JSON,
        "generativelanguage.googleapis.com",
    ),
]


@pytest.mark.parametrize("case", LARGE, ids=lambda case: case.name)
def test_ten_megabytes_at_once_keep_their_figures(case: Case) -> None:
    [event] = send(case)
    assert (event.tokens_input, event.tokens_output) == (4, 2)
    assert len(encode(event)) < 4 * case.limit


def test_a_result_of_ten_megabytes_keeps_its_figures() -> None:
    body = {"object": "chat.completion", "model": "gpt-4o", **spoken(TEN_MEGABYTES)}
    line = js({"custom_id": "a", "response": {"status_code": 200, "body": body}, "error": None})
    path = "/v1/files/file-hostile/content"
    [event] = send(Case("", path, None, {}, line + b"\n", host="api.openai.com"), "GET")
    assert len(encode(event)) < 4_000_000
    assert event.service_tier == "batch"


TWICE: list[tuple[str, Callable[[PromptCallEvent], Any], Any]] = [
    # which of two members with one name counts: the last, as for the SDKs
    ('{"id": "a", "id": "b", "choices": []}', lambda event: event.response_id, "b"),
    (
        '{"choices": [], "usage": {"prompt_tokens": 1, "prompt_tokens": 7}}',
        lambda event: event.tokens_input,
        json.loads('{"n": 1, "n": 7}')["n"],
    ),
]


@pytest.mark.parametrize(("body", "field", "expected"), TWICE)
def test_of_two_members_the_last_counts(
    body: str, field: Callable[[PromptCallEvent], Any], expected: Any
) -> None:
    [event] = send(Case("", "/v1/chat/completions", CHAT, {}, body.encode(), 200, JSON))
    assert field(event) == expected


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 200_000, b"\xff" * 1000, b"9" * 9000])
@pytest.mark.parametrize("kind", [JSON, STREAM, {"content-type": "application/x-ndjson"}])
def test_bodies_that_no_parser_likes(status: int, body: bytes, kind: dict[str, str]) -> None:
    case = Case("", "/v1/chat/completions", CHAT, {}, body, status, kind)
    [event] = send(case)
    assert event.tokens_output is None
    [event] = send(replace(case, path="/v1/messages"))
    assert event.tokens_output is None


def test_a_server_that_says_nothing() -> None:
    [event] = send(Case("", "/v1/chat/completions", CHAT, {}, b"", 200, {}))
    assert event.response == ""
