"""llmobs.testing: what users test their applications with."""

import time

import pytest

import llmobs
from llmobs import PromptCallEvent
from llmobs.testing import CapturedEvents, capture_events
from tests.helpers import llmobs_threads, make_event


def test_the_fixture_collects_prepared_events(llmobs_events: CapturedEvents) -> None:
    client = llmobs.Client(service_name="shop")
    with client.run("run-1") as run:
        run.log_prompt_call("write to ann@example.com", "gpt-4o", "done", 3, 4, 5)
    call = llmobs_events.of(PromptCallEvent)[0]
    assert call.prompt == "write to [REDACTED_EMAIL]"
    assert call.service_name == "shop"
    assert [event.event_type for event in llmobs_events.in_run("run-1")] == ["prompt_call", "run"]
    assert client.statistics().accepted == 0


def test_a_client_that_is_off_records_nothing(llmobs_events: CapturedEvents) -> None:
    assert llmobs.Client(enabled=False).log_error("run-1", "boom")
    assert llmobs_events == []


@pytest.mark.parametrize("sink", ["memory:", "memory: memory:", "http://127.0.0.1:9/v1"])
def test_send_returns_at_once_and_starts_no_thread(
    llmobs_events: CapturedEvents, sink: str
) -> None:
    client = llmobs.Client(sink=sink, timeout=5)
    started = time.monotonic()
    client.send(make_event(prompt="ann@example.com"))
    assert time.monotonic() - started < 4
    assert [call.prompt for call in llmobs_events.of(PromptCallEvent)] == ["[REDACTED_EMAIL]"]
    assert llmobs_threads() == []


@pytest.mark.anyio
async def test_send_of_an_async_client(llmobs_events: CapturedEvents) -> None:
    await llmobs.AsyncClient(sink="memory: memory:", timeout=5).send(make_event())
    assert len(llmobs_events) == 1
    await llmobs.AsyncClient(sink="memory:", enabled=False).send(make_event())
    assert len(llmobs_events) == 1


def test_what_began_inside_is_collected_there_and_nowhere_else() -> None:
    with llmobs.Client(sink="memory:") as client, client.run("long") as long:
        before = long.prompt_call(model="m", prompt="began before")
        with before:
            with capture_events() as events:
                client.run("left open").prompt_call(model="m", prompt="began inside").__enter__()
            with capture_events() as later:
                pass
            (call,) = events.of(PromptCallEvent)
            assert call.prompt == "began inside"
            assert call.warnings[-1].startswith(
                "what is recorded was no longer collected at its end"
            )
            assert later == []
        assert client.statistics().accepted == 1  # the one that began before
