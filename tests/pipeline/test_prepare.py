"""llmobs.pipeline.prepare: every event once, whoever made it and however many sinks there are."""

from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from llmobs import AsyncClient, ClientInfo, PromptCallEvent
from llmobs.codec import decode, encode
from llmobs.pipeline.buffer import Entry
from llmobs.pipeline.prepare import Preparer
from llmobs.pipeline.redaction import Redactor
from tests.helpers import ScriptedSink, make_event

pytestmark = pytest.mark.anyio

ELSEWHERE = ClientInfo(hostname="other-host", sdk_version="0.1")


def from_elsewhere(**fields: Any) -> PromptCallEvent:
    """Return an event as another process wrote it and this one read it."""
    event = make_event(model="gpt-4o", client=ELSEWHERE, **fields)
    read = decode(encode(event))
    assert isinstance(read, PromptCallEvent)
    return read


async def test_an_event_of_another_process_is_prepared_like_any_other() -> None:
    sink = ScriptedSink()
    event = from_elsewhere(prompt="write to ann@example.com", tokens_input=1000, tokens_output=10)
    event.latency_ms = -1.0
    async with AsyncClient(sink=sink, service_name="shop") as client:
        await client.send(event)
    (sent,) = sink.events
    assert isinstance(sent, PromptCallEvent)
    assert sent.prompt == "write to [REDACTED_EMAIL]"
    assert sent.cost_usd
    assert (sent.latency_ms, len(sent.warnings)) == (None, 1)
    assert sent.service_name == "shop"
    assert sent.client == ELSEWHERE  # who recorded it


@pytest.mark.parametrize("client", ["me", {"hostname": "h"}, 5, object()])
async def test_a_client_of_any_other_type_is_replaced(client: Any) -> None:
    async with AsyncClient(sink=(sink := ScriptedSink())) as ours:
        await ours.send(make_event(client=client, prompt="ann@example.com"))
    (sent,) = sink.events
    assert type(sent.client) is ClientInfo
    assert sent.client.sdk_version
    assert decode(encode(sent)) == sent


async def test_content_that_must_not_leave_does_not_leave_with_events_of_others() -> None:
    async with AsyncClient(sink=(sink := ScriptedSink()), capture_content="metadata") as client:
        await client.send(from_elsewhere(prompt="secret", response="secret"))
    assert b"secret" not in encode(sink.events[0])


@pytest.mark.parametrize("sinks", [1, 2, 3])
async def test_an_event_is_prepared_once_for_all_sinks(
    sinks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    completed: list[str] = []
    text = Redactor.value

    def counting(self: Redactor, value: Any) -> Any:
        seen.append(value)
        return text(self, value)

    monkeypatch.setattr(Redactor, "value", counting)
    targets = [ScriptedSink(name=f"sink-{n}") for n in range(sinks)]
    async with AsyncClient(sink=targets, flush_interval_seconds=0.001) as client:
        for number in range(30):
            event = make_event(prompt=f"prompt-{number}", timestamp=datetime.now(UTC))
            client.record(event, None, 1000, False, lambda event: completed.append(event.event_id))
            await anyio.sleep(0)
        await client.flush(10)
    assert [len(sink.events) for sink in targets] == [30] * sinks
    assert [value for value in seen if str(value).startswith("prompt")] == [
        f"prompt-{n}" for n in range(30)
    ]
    assert len(completed) == 30


async def test_what_the_first_sink_shed_is_prepared_for_the_second() -> None:
    small, large = ScriptedSink(name="small"), ScriptedSink(name="large")
    small.max_batch_events = 1
    client = AsyncClient(sink=[small, large], max_queue_events=2)
    client._buffers[1]._max_events = 100
    for number in range(5):
        client.log_prompt_call("r", f"ann{number}@example.com", "m", "a")
    async with client:
        await client.flush(10)
    assert [len(small.events), len(large.events)] == [2, 5]
    assert all(
        isinstance(event, PromptCallEvent) and event.prompt == "[REDACTED_EMAIL]"
        for event in large.events
    )


async def test_the_mark_is_no_field_of_the_event() -> None:
    preparer: Preparer = AsyncClient(sink=ScriptedSink()).preparer
    event = make_event(prompt="ann@example.com")
    preparer.prepare_now(Entry(event, 0))
    event.prompt = "bob@example.com"
    await preparer.prepare([Entry(event, 0)])  # sent again
    assert event.prompt == "[REDACTED_EMAIL]"
