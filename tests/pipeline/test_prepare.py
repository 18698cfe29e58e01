"""llmobs.pipeline.prepare: the host's event loop goes on, and no part of an event spoils the rest."""

from collections.abc import Iterator
from typing import Any

import anyio
import httpx2
import pytest

from llmobs import AsyncClient
from llmobs.codec import encode
from llmobs.contrib.httpx import RecordingTransport
from llmobs.events import Event, PromptCallEvent
from llmobs.runtime.troubles import raise_internal_errors
from tests.helpers import ScriptedSink, make_event

pytestmark = pytest.mark.anyio

DENSE = {
    "a table of numbers": "3456 7890 1234 5678 ",
    "addresses": "ann.lee@example.com,",
    "decimals": "0.847433 ",
    "cards": "4111111111111111,",
    "keys": "sk-abcdefghijklmnopqrstuvwxyz0123456789 ",
}


async def turns_until(sink: ScriptedSink, count: int) -> int:
    """How often the event loop came round before *sink* had *count* events."""
    turns = 0
    with anyio.fail_after(20):
        while len(sink.events) < count:
            turns += 1
            await anyio.sleep(0)
    return turns


@pytest.mark.parametrize("unit", DENSE.values(), ids=DENSE.keys())
@pytest.mark.parametrize("size", [60_000, 300_000])
async def test_the_loop_comes_round_within_an_event(unit: str, size: int) -> None:
    sink = ScriptedSink()
    async with AsyncClient(sink=sink, batch_size=1) as client:
        client.log_prompt_call("r", unit * (size // len(unit)), "m", "a")
        turns = await turns_until(sink, 1)
    # What takes a millisecond on any machine is done in four slices, or more: of decimals, 200,000 characters.
    assert turns > size // 50_000


@pytest.mark.parametrize(
    "value",
    [
        ["a short text"] * 20_000,
        {f"key {n}": n for n in range(20_000)},
        [{"a": [f"text {n}", n]} for n in range(5_000)],
    ],
    ids=["list", "keys", "nested"],
)
async def test_the_loop_comes_round_within_a_container(value: Any) -> None:
    sink = ScriptedSink()
    async with AsyncClient(sink=sink, batch_size=1) as client:
        client.record(make_event(prompt=value), None, 1_000_000, failed=False)
        turns = await turns_until(sink, 1)
    assert turns > 5


async def test_an_event_once_begun_is_finished_when_the_host_is_cancelled() -> None:
    begun: list[str] = []
    redacted: list[str] = []

    def complete(event: Event) -> Iterator[None]:
        begun.append(event.event_id)
        for _ in range(100_000):
            yield

    def redactor(text: str) -> str:
        redacted.append(text)
        return f"<{text}>"

    sink = ScriptedSink()
    with anyio.CancelScope() as scope:
        async with AsyncClient(sink=sink, batch_size=1, redactor=redactor) as client:
            client.record(make_event(prompt="once"), None, 100, False, complete)
            while not begun:
                await anyio.sleep(0)
            scope.cancel()
            await anyio.sleep(10)
    assert len(begun) == 1
    assert redacted.count("once") == 1
    assert [event.prompt for event in sink.events] == ["<once>"]


async def test_what_cannot_be_completed_leaves_without_it() -> None:
    def complete(event: Event) -> None:
        raise ValueError("no such wire")

    raise_internal_errors(False)
    try:
        sink = ScriptedSink()
        async with AsyncClient(sink=sink) as client:
            with client.run() as run:
                event = make_event(prompt="mail ann@example.com", tokens_input=7)
                event.timestamp = 1_700_000_000.5  # type: ignore[assignment]  # as capture leaves it
                run.record(event, complete=complete)
            await client.flush()
    finally:
        raise_internal_errors(True)
    found = next(event for event in sink.events if isinstance(event, PromptCallEvent))
    assert (found.prompt, found.tokens_input) == ("mail [REDACTED_EMAIL]", 7)
    assert found.warnings == ("what was captured could not be read; left out",)
    assert b"2023-11-14T22:13:20.5" in encode(found)


@pytest.mark.parametrize(
    ("path", "event"),
    [
        ("/v1/chat/completions", {"choices": [{"index": 0, "delta": {"content": "a word "}}]}),
        (
            "/v1/messages",
            {"type": "content_block_delta", "index": 0,
             "delta": {"type": "text_delta", "text": "a word "}},
        ),
        ("/v1/responses", {"type": "response.output_text.delta", "output_index": 0, "delta": "w "}),
        ("/v1/completions", {"choices": [{"index": 0, "text": "a word "}]}),
    ],
)  # fmt: skip
async def test_the_loop_comes_round_while_a_long_stream_is_read(path: str, event: Any) -> None:
    body = b"".join(b"data: " + encode(event) + b"\n\n" for _ in range(5_000))

    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, content=body)

    sink = ScriptedSink()
    async with AsyncClient(sink=sink, batch_size=1) as client:
        transport = RecordingTransport(httpx2.MockTransport(answer), llmobs_client=client)
        with httpx2.Client(transport=transport) as http:
            http.post(f"https://api.openai.com{path}", json={"model": "m", "stream": True})
        turns = await turns_until(sink, 1)
    [found] = sink.events
    assert isinstance(found, PromptCallEvent)
    assert found.stream
    assert turns > 20
