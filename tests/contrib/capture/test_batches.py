"""Results of batches: each answer becomes one event, however often and by whomever it is read."""

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from llmobs import Client, PromptCallEvent
from llmobs.capture.joining import sightings
from llmobs.contrib.httpx import RecordingTransport
from llmobs.testing import CapturedEvents, capture_events
from tests.contrib.corpus.batches import BATCHES, CREATED, FILE, Batch, chat, line, lines

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
