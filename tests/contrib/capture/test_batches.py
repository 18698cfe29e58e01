"""Results of batches: each answer becomes one event, however often and by whomever it is read."""

import gzip
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmobs import Client, PromptCallEvent
from llmobs.capture.joining import sightings
from llmobs.contrib._wire import batch_requests
from llmobs.contrib.httpx import RecordingTransport
from llmobs.runtime.time_slices import finish
from llmobs.testing import CapturedEvents, capture_events
from tests.contrib.corpus import js
from tests.contrib.corpus.batches import (
    BATCHES,
    CREATED,
    FILE,
    Batch,
    chat,
    gemini,
    line,
    lines,
    message,
    operation,
)

from .mock import stream_of

[CHATS, *_] = BATCHES
ANTHROPIC = next(batch for batch in BATCHES if batch.host == "api.anthropic.com")


def http_over(batch: Batch, size: int = 0, client: Client | None = None) -> httpx2.Client:
    """Return a client to which whatever it asks is answered with *batch*, in pieces of *size*."""
    step = size or len(batch.body) or 1
    pieces = [batch.body[at : at + step] for at in range(0, len(batch.body), step)]

    def reply(request: httpx2.Request) -> httpx2.Response:
        stream = stream_of(httpx2, pieces)
        return httpx2.Response(200, headers=batch.headers, stream=stream)

    recorded = client or Client(sink="memory:", capture_bytes=batch.limit)
    transport: Any = RecordingTransport(httpx2.MockTransport(reply), llmobs_client=recorded)
    return httpx2.Client(transport=transport)


def read(batch: Batch, size: int = 0, client: Client | None = None) -> bytes:
    with http_over(batch, size, client) as http:
        url = f"https://{batch.host}{batch.path}"
        with http.stream("GET", url, headers={"x-stainless-retry-count": "0"}) as response:
            return b"".join(response.iter_raw())


@pytest.fixture(autouse=True)
def nothing_is_known() -> None:
    sightings.reset()
    batch_requests._kept.clear()
    batch_requests._known.clear()


def told(event: PromptCallEvent, name: str) -> Any:
    value = getattr(event, name)
    return (value.message, value.type) if name == "error" and value else value


@pytest.mark.parametrize("size", [0, 7, 1], ids=["whole", "sevens", "bytes"])
@pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: batch.name)
def test_each_result_is_an_event(batch: Batch, size: int) -> None:
    with capture_events() as events:
        assert read(batch, size and max(size, len(batch.body) // 10_000)) == batch.body
    calls = events.of(PromptCallEvent)
    found = [
        {name: told(event, name) for name in expect}
        for event, expect in zip(calls, batch.expect, strict=False)
    ]
    assert found == batch.expect
    assert len(calls) == len(batch.expect)
    assert len({event.event_id for event in calls}) == len(calls)
    assert len({event.run_id for event in calls}) <= 1


def test_it_costs_what_a_batch_costs() -> None:
    with capture_events() as events:
        read(CHATS)
        read(ANTHROPIC)
    costs = {
        event.provider: event.cost_usd for event in events.of(PromptCallEvent) if event.cost_usd
    }
    assert costs["openai"] == pytest.approx((1000 * 0.15 + 100 * 0.6) / 2e6)
    assert costs["anthropic"] == pytest.approx((1000 * 3 + 100 * 15) / 2e6)


def test_a_price_that_no_batch_has_says_so() -> None:
    vectors = {
        "object": "list",
        "data": [{"object": "embedding", "embedding": [0.1]}],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    with capture_events() as events:
        read(Batch("", FILE, lines(line("e", vectors)), []))
    [event] = events.of(PromptCallEvent)
    assert event.cost_usd == pytest.approx(4 * 0.02 / 1e6)
    assert event.cost_source is not None
    assert event.cost_source.endswith("at the price of single calls")


def test_reading_again_adds_nothing() -> None:
    with capture_events() as events:
        read(CHATS)
        read(CHATS, 7)
    assert len(events.of(PromptCallEvent)) == len(CHATS.expect)
    first = [(event.event_id, event.run_id) for event in events]
    sightings.reset()  # as another process would
    with capture_events() as again:
        read(CHATS)
    assert [(event.event_id, event.run_id) for event in again] == first
    assert again[0].timestamp == events[0].timestamp == datetime.fromtimestamp(CREATED, UTC)


def test_what_was_left_in_the_middle_is_read_the_next_time() -> None:
    with capture_events() as events, http_over(CHATS, 40) as http:
        url = f"https://{CHATS.host}{CHATS.path}"
        with http.stream("GET", url) as response:
            raw = response.iter_raw()
            while not events:
                next(raw)
        assert len(events) == 1
        http.get(url)
    assert len(events) == len(CHATS.expect)


def test_requests_that_were_given_one_name_are_told_apart() -> None:
    twins = [{**line("a", chat("Hello")), "id": f"id-{number}"} for number in range(2)]
    with capture_events() as events:
        read(Batch("", FILE, lines(*twins), []))
    assert len(events) == 2


def test_they_are_of_the_run_in_which_they_are_read() -> None:
    client = Client(sink="memory:")
    with capture_events() as events, client.run() as run:
        read(CHATS, client=client)
    calls = events.of(PromptCallEvent)
    assert {event.run_id for event in calls} == {run.run_id}
    assert run.tokens_output == 100
    assert run.failures == 2


@pytest.mark.parametrize("size", [0, 100])
def test_a_compressed_body_is_read(size: int) -> None:
    packed = Batch("", FILE, gzip.compress(CHATS.body), [], headers={"content-encoding": "gzip"})
    with capture_events() as events:
        assert read(packed, size) == packed.body
    assert len(events) == len(CHATS.expect)


@pytest.mark.parametrize("encoding", ["gzip", "br, unknown"])
def test_what_cannot_be_decoded_is_let_go(encoding: str) -> None:
    with capture_events() as events:
        assert read(Batch("", FILE, CHATS.body, [], headers={"content-encoding": encoding}))
    assert events == []


def test_what_must_not_be_kept_is_not() -> None:
    with capture_events() as events, http_over(CHATS) as http:
        http.get(
            f"https://{CHATS.host}{CHATS.path}", headers={"x-llmobs-capture-content": "metadata"}
        )
    event = events.of(PromptCallEvent)[0]
    assert (event.response, event.tokens_output) == ("", 100)


def test_a_failed_download_is_no_call() -> None:
    inner = httpx2.MockTransport(lambda request: httpx2.Response(404, json={"error": "none"}))
    transport: Any = RecordingTransport(inner, llmobs_client=Client(sink="memory:"))
    with capture_events() as events, httpx2.Client(transport=transport) as http:
        http.get(f"https://{CHATS.host}{CHATS.path}")
    assert events == []


def test_the_results_of_a_large_file_are_kept_one_by_one() -> None:
    body = lines(*(line(f"r{number}", chat("Hello")) for number in range(3000)))
    with capture_events() as events:
        read(Batch("", FILE, body, [], limit=10_000), 65_536)
    assert len(events.of(PromptCallEvent)) == 3000


def test_at_a_host_nobody_knows_only_sdks_are_believed() -> None:
    url = "https://files.example.test/v1/files/file-1/content"
    for headers, count in (({}, 0), ({"x-stainless-retry-count": "0"}, 3)):
        with capture_events() as events, http_over(CHATS) as http:
            http.get(url, headers=headers)
        assert len(events) == count


# What was asked, if this process asked it.

OPENAI, GOOGLE_HOST, MISTRAL = (
    "api.openai.com",
    "generativelanguage.googleapis.com",
    "api.mistral.ai",
)


def asking(words: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": words}], **more}


def served(replies: dict[str, Any], sent: list[httpx2.Request] | None = None) -> httpx2.Client:
    """Return a client to which each path is answered as told: with JSON, or bytes."""

    def reply(request: httpx2.Request) -> httpx2.Response:
        request.read()
        if sent is not None:
            sent.append(request)
        found = replies[f"{request.method} {request.url.path}"]
        if isinstance(found, bytes):
            return httpx2.Response(
                200, headers={"content-type": "application/jsonl"}, content=found
            )
        return httpx2.Response(200, json=found)

    transport: Any = RecordingTransport(
        httpx2.MockTransport(reply), llmobs_client=Client(sink="memory:", capture_bytes=100_000)
    )
    return httpx2.Client(transport=transport)


def prompts(events: CapturedEvents) -> list[Any]:
    return [
        [part["content"] for each in event.prompt for part in each["parts"]]
        if isinstance(event.prompt, list) and event.prompt and isinstance(event.prompt[0], dict)
        else event.prompt
        for event in events.of(PromptCallEvent)
    ]


FILE_OF_TWO = lines(
    {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": asking("One?")},
    {"custom_id": "b", "method": "POST", "url": "/v1/chat/completions", "body": asking("Two?")},
)
OPENAI_BATCH = {
    "id": "batch_1",
    "object": "batch",
    "status": "completed",
    "input_file_id": "file-in",
    "output_file_id": "file-out",
    "error_file_id": "file-err",
}
OPENAI_REPLIES: dict[str, Any] = {
    "POST /v1/files": {"object": "file", "id": "file-in"},
    "POST /v1/batches": OPENAI_BATCH | {"output_file_id": None, "error_file_id": None},
    "GET /v1/batches/batch_1": OPENAI_BATCH,
    # In another order than they were asked.
    "GET /v1/files/file-out/content": lines(line("b", chat("Two.")), line("a", chat("One."))),
    "GET /v1/files/file-err/content": lines(line("b", None, error={"message": "late"})),
}


def test_a_file_is_read_by_who_sends_it_alone() -> None:
    class Pipe(io.RawIOBase):
        """What comes once, and counts who asks."""

        def __init__(self) -> None:
            self.left = FILE_OF_TWO
            self.reads = 0

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            self.reads += 1
            taken, self.left = self.left[:100], self.left[100:]
            return taken

    pipe = Pipe()
    sent: list[httpx2.Request] = []
    with capture_events() as events, served(OPENAI_REPLIES, sent) as http:
        form: Any = {"files": {"file": pipe}, "data": {"purpose": "batch"}}
        http.post(f"https://{OPENAI}/v1/files", **form)
        http.get(f"https://{OPENAI}/v1/batches/batch_1")
        http.get(f"https://{OPENAI}/v1/files/file-out/content")
    assert FILE_OF_TWO in sent[0].content
    assert pipe.reads == len(FILE_OF_TWO) // 100 + 2
    assert prompts(events) == [["Two?"], ["One?"]]


def test_a_file_that_is_sent_again_is_kept_once() -> None:
    sent: list[httpx2.Request] = []
    form: Any = {"files": {"file": io.BytesIO(FILE_OF_TWO)}, "data": {"purpose": "batch"}}
    with capture_events() as events, served(OPENAI_REPLIES, sent) as http:
        asked = http.build_request("POST", f"https://{OPENAI}/v1/files", **form)
        for _ in range(2):
            http.send(asked)
            del asked._content  # what a client reads that follows a redirect comes from the file
        http.get(f"https://{OPENAI}/v1/batches/batch_1")
        http.get(f"https://{OPENAI}/v1/files/file-out/content")
    assert prompts(events) == [["Two?"], ["One?"]]


@pytest.mark.parametrize("kind", ["bytes", "file", "path"])
def test_the_prompts_of_an_uploaded_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(FILE_OF_TWO)
    sent: list[httpx2.Request] = []
    with capture_events() as events, served(OPENAI_REPLIES, sent) as http, path.open("rb") as file:
        sdk = openai.OpenAI(api_key="any", http_client=http)
        given: Any = {"bytes": FILE_OF_TWO, "file": file, "path": path}[kind]
        uploaded = sdk.files.create(file=given, purpose="batch")
        assert FILE_OF_TWO in sent[0].content
        made = sdk.batches.create(
            input_file_id=uploaded.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
        )
        done = sdk.batches.retrieve(made.id)
        sdk.files.content(done.output_file_id or "")
        sdk.files.content(done.error_file_id or "")
    assert prompts(events) == [["Two?"], ["One?"], ["Two?"]]
    first = events.of(PromptCallEvent)[0]
    assert (first.model, first.model_version) == ("m", "gpt-4o-mini-2024-07-18")
    assert first.warnings == ()


def test_the_prompts_of_a_form_that_is_in_memory() -> None:
    """As requests sends it."""
    form = httpx2.Request(
        "POST", "https://x", files={"file": FILE_OF_TWO}, data={"purpose": "batch"}
    )
    kind = {"content-type": form.headers["content-type"]}
    with capture_events() as events, served(OPENAI_REPLIES) as http:
        http.post(f"https://{OPENAI}/v1/files", content=form.read(), headers=kind)
        http.get(f"https://{OPENAI}/v1/batches/batch_1")
        http.get(f"https://{OPENAI}/v1/files/file-out/content")
    assert prompts(events) == [["Two?"], ["One?"]]


def test_what_was_asked_elsewhere_has_no_prompt() -> None:
    with capture_events() as events, served(OPENAI_REPLIES) as http:
        http.get(f"https://{OPENAI}/v1/batches/batch_1")
        http.get(f"https://{OPENAI}/v1/files/file-out/content")
    assert prompts(events) == ["", ""]


def test_the_prompts_of_anthropics_batches() -> None:
    where = "https://api.anthropic.com/v1/messages/batches/msgbatch_9/results"
    batch = {"id": "msgbatch_9", "type": "message_batch", "results_url": where}
    results = lines(
        {"custom_id": "two", "result": {"type": "succeeded", "message": message("Two.")}},
        {"custom_id": "one", "result": {"type": "succeeded", "message": message("One.")}},
        {"custom_id": "three", "result": {"type": "expired"}},
    )
    replies = {
        "POST /v1/messages/batches": batch,
        "GET /v1/messages/batches/msgbatch_9": batch,
        "GET /v1/messages/batches/msgbatch_9/results": results,
    }
    with capture_events() as events, served(replies) as http:
        sdk = anthropic.Anthropic(api_key="any", http_client=http)
        sdk.messages.batches.create(
            requests=[
                {"custom_id": name, "params": asking(f"{name}?", max_tokens=9, system="Be kind")}  # type: ignore[typeddict-item]
                for name in ("one", "two")
            ]
        )
        list(sdk.messages.batches.results("msgbatch_9"))
    assert prompts(events) == [["Be kind", "two?"], ["Be kind", "one?"], ""]
    assert events.of(PromptCallEvent)[0].request_params == {"max_tokens": 9}


def gemini_request(words: str, **more: Any) -> dict[str, Any]:
    return {"request": {"contents": [{"role": "user", "parts": [{"text": words}]}]}, **more}


@pytest.mark.parametrize("keyed", [True, False])
def test_the_prompts_of_geminis_inlined_batches(keyed: bool) -> None:
    keys: Any = [{"metadata": {"key": name}} if keyed else {} for name in ("k1", "k2")]
    asked = [gemini_request(f"{n}?", **key) for n, key in zip(("One", "Two"), keys, strict=True)]
    answered = [{"response": gemini(n), **key} for n, key in zip(("1", "2"), keys, strict=True)]
    replies: dict[str, Any] = {
        "POST /v1beta/models/gemini-2.5-flash:batchGenerateContent": {"name": "batches/b7"},
        "GET /v1beta/batches/b7": operation(answered[::-1] if keyed else answered),
    }
    with capture_events() as events, served(replies) as http:
        http.post(
            f"https://{GOOGLE_HOST}/v1beta/models/gemini-2.5-flash:batchGenerateContent",
            json={"batch": {"inputConfig": {"requests": {"requests": asked}}}},
        )
        http.get(f"https://{GOOGLE_HOST}/v1beta/batches/b7")
    assert prompts(events) == ([["Two?"], ["One?"]] if keyed else [["One?"], ["Two?"]])


def test_the_prompts_of_geminis_file() -> None:
    replies = {
        "POST /upload/v1beta/files": {"file": {"name": "files/in", "mimeType": "jsonl"}},
        "POST /v1beta/models/m:batchGenerateContent": {"name": "batches/b8", "metadata": {}},
        "GET /v1beta/batches/b8": {
            "name": "batches/b8",
            "response": {"responsesFile": "files/out"},
        },
        "GET /download/v1beta/files/out:download": lines({"key": "k1", "response": gemini("One.")}),
    }
    with capture_events() as events, served(replies) as http:
        at = f"https://{GOOGLE_HOST}"
        http.post(f"{at}/upload/v1beta/files", content=lines(gemini_request("One?", key="k1")))
        http.post(
            f"{at}/v1beta/models/m:batchGenerateContent",
            json={"batch": {"inputConfig": {"fileName": "files/in"}}},
        )
        http.get(f"{at}/v1beta/batches/b8")
        http.get(f"{at}/download/v1beta/files/out:download?alt=media")
    assert prompts(events) == [["One?"]]


def test_the_prompts_of_mistrals_jobs() -> None:
    asked = [{"custom_id": "0", "body": asking("One?")}, {"custom_id": "1", "body": asking("Two?")}]
    job = {"id": "j1", "object": "batch", "input_files": [], "status": "SUCCESS"}
    outputs = [line("1", chat("Two.")), line("0", chat("One."))]
    replies = {
        "POST /v1/batch/jobs": job,
        "GET /v1/batch/jobs/j1": {**job, "output_file": "f-out", "outputs": outputs},
    }
    with capture_events() as events, served(replies) as http:
        body = {"requests": asked, "model": "m", "endpoint": "/v1/chat/completions"}
        http.post(f"https://{MISTRAL}/v1/batch/jobs", json=body)
        http.get(f"https://{MISTRAL}/v1/batch/jobs/j1?inline=true")
    assert prompts(events) == [["Two?"], ["One?"]]


ASKED_AT = [
    ("/v1/responses", {"model": "m", "input": "One?"}, [["One?"]]),
    ("/v1/embeddings", {"model": "m", "input": ["One?", "Two?"]}, [["One?", "Two?"]]),
    ("/v1/completions", {"model": "m", "prompt": "One?"}, ["One?"]),
    ("/v1/moderations", {"model": "m", "input": "One?"}, ["One?"]),
]


@pytest.mark.parametrize(("url", "body", "prompt"), ASKED_AT)
def test_each_endpoint_is_read_as_what_it_is(url: str, body: Any, prompt: Any) -> None:
    replies = OPENAI_REPLIES | {"GET /v1/files/file-out/content": lines(line("a", chat("One.")))}
    with capture_events() as events, served(replies) as http:
        file = lines({"custom_id": "a", "method": "POST", "url": url, "body": body})
        form = {"file": ("requests.jsonl", file)}
        http.post(f"https://{OPENAI}/v1/files", files=form, data={"purpose": "batch"})
        http.get(f"https://{OPENAI}/v1/batches/batch_1")
        http.get(f"https://{OPENAI}/v1/files/file-out/content")
    assert prompts(events) == prompt


@pytest.mark.parametrize(
    ("mode", "prompt"), [("metadata", ""), ("redacted", "I am [REDACTED_EMAIL]")]
)
def test_what_was_asked_keeps_its_mode(mode: str, prompt: str) -> None:
    file = lines(
        {"custom_id": "a", "url": "/v1/chat/completions", "body": asking("I am a@b.example")}
    )
    with capture_events() as events, served(OPENAI_REPLIES) as http:
        form: Any = {"files": {"file": file}, "data": {"purpose": "batch"}}
        header = {"x-llmobs-capture-content": mode}
        http.post(f"https://{OPENAI}/v1/files", headers=header, **form)
        http.get(f"https://{OPENAI}/v1/batches/batch_1")
        http.get(f"https://{OPENAI}/v1/files/file-out/content")
    calls = events.of(PromptCallEvent)
    [told] = [event for event in calls if (event.response_metadata or {}).get("custom_id") == "a"]
    assert prompt in str(told.prompt)
    assert "a@b.example" not in str(told.prompt)


def test_other_files_are_not_kept() -> None:
    with served(OPENAI_REPLIES) as http:
        for purpose, file in (("user_data", FILE_OF_TWO), ("batch", b"%PDF-1.7 " * 9999)):
            http.post(f"https://{OPENAI}/v1/files", files={"file": file}, data={"purpose": purpose})
    assert batch_requests.requests_of(OPENAI, "file-in") is None


def test_of_many_batches_the_latest_are_remembered() -> None:
    for number in range(40):
        body = js({"requests": [{"custom_id": "a", "params": asking("?" * 1000)}]})
        batch_requests.remember("h", body, "full", js({"id": f"b{number}"}))
    known = [n for n in range(40) if batch_requests.requests_of("h", f"b{n}")]
    assert known == list(range(24, 40))


@pytest.mark.parametrize("long", [b"[{" * 50_000, b'{"custom_id": "a", "x": "' + b"x" * 100_000])
def test_a_long_request_is_looked_through_in_steps(long: bytes) -> None:
    """The pipeline gives way between them."""
    steps = batch_requests.Requests(b'{"requests": [' + long, "full").find("a", 0)
    assert sum(1 for _ in steps) >= 40


@given(st.binary(max_size=300), st.binary(max_size=300), st.text(max_size=9), st.integers(0, 9))
def test_whatever_was_sent_is_no_reason_to_fail(
    body: bytes, answer: bytes, name: str, place: int
) -> None:
    requests = batch_requests.Requests(b'{"requests": [' + body, "full")
    finish(requests.find(name, place))
    finish(batch_requests.Requests(body, "full").find(name, place))
    batch_requests.remember("h", b'{"requests": [{"custom_id": ' + body, "full", answer)
    batch_requests.remember_files("h", "b", answer)


# The SDKs themselves.


def with_openai(http: httpx2.Client) -> Any:
    sdk = openai.OpenAI(api_key="any", http_client=http)
    return sdk.files.content("file-1").text.splitlines()


def with_anthropic(http: httpx2.Client) -> Any:
    sdk = anthropic.Anthropic(api_key="any", http_client=http)
    # Its own first request asks where the results are.
    return list(sdk.messages.batches.results("msgbatch_1"))


@pytest.fixture
def anthropic_http() -> Iterator[httpx2.Client]:
    where = "https://api.anthropic.com/v1/messages/batches/msgbatch_1/results"

    def reply(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/results"):
            return httpx2.Response(200, headers=ANTHROPIC.headers, content=ANTHROPIC.body)
        batch = {"id": "msgbatch_1", "type": "message_batch", "results_url": where}
        return httpx2.Response(200, json=batch)

    transport: Any = RecordingTransport(
        httpx2.MockTransport(reply), llmobs_client=Client(sink="memory:")
    )
    with httpx2.Client(transport=transport) as http:
        yield http


def test_through_the_sdks(anthropic_http: httpx2.Client) -> None:
    with capture_events() as events, http_over(CHATS) as http:
        assert len(with_openai(http)) == 3
        openai_events: CapturedEvents = events
        assert len(openai_events) == 3
        assert len(with_anthropic(anthropic_http)) == 4
    assert [event.status for event in events.of(PromptCallEvent)] == [
        "success", "error", "error", "success", "error", "cancelled", "error",
    ]  # fmt: skip
