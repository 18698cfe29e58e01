"""Stages of the application's own: what they may do, and what they cannot do to the pipeline."""

import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from llmobs import AsyncClient, Client, ConfigurationError, Drop, PromptCallEvent, Stage
from llmobs.events import Event, RunEvent
from llmobs.testing import capture_events
from tests.helpers import ScriptedSink, llmobs_threads, make_event, poll

pytestmark = pytest.mark.anyio
MAIL = "ann@example.com"


def changing(**fields: Any) -> Callable[[Event], Event]:
    def change(event: Event) -> Event:
        for name, value in fields.items():
            if hasattr(event, name):
                setattr(event, name, value)
        return event

    return change


async def deliver(*stages: Any, **options: Any) -> tuple[list[Event], AsyncClient]:
    """Deliver one call in one run through *stages*."""
    sink = ScriptedSink()
    async with AsyncClient(sink=sink, stages=stages, **options) as client:
        with client.run("r") as run:
            run.log_prompt_call("p", "m", "a", 1, 2, cost_usd=1.0, metadata={"k": ["v"]})
        await client.flush(20)
    return sink.events, client


def call_of(events: list[Event]) -> PromptCallEvent:
    (call,) = [event for event in events if isinstance(event, PromptCallEvent)]
    return call


async def test_what_a_stage_writes_is_redacted() -> None:
    events, _ = await deliver(changing(prompt=MAIL))
    assert call_of(events).prompt == "[REDACTED_EMAIL]"


async def test_stages_before_redaction_see_what_was_recorded_and_those_after_it_do_not() -> None:
    seen: list[Any] = []

    def look(event: Event) -> None:
        seen.append((getattr(event, "prompt", None), getattr(event, "cost_usd", None)))

    sink = ScriptedSink()
    async with AsyncClient(sink=sink, stages=[look, Stage(look, after_redaction=True)]) as client:
        client.log_prompt_call("r", MAIL, "gpt-4o", "a", 1000, 1000)
    assert seen[0] == (MAIL, None)
    assert seen[1][0] == "[REDACTED_EMAIL]"
    assert seen[1][1] > 0


async def test_what_a_stage_after_redaction_writes_is_redacted_again_and_the_rest_once() -> None:
    times: list[str] = []

    def redactor(text: str) -> str:
        times.append(text)
        return f"<{text}>"

    events, _ = await deliver(
        Stage(changing(response=f"mail {MAIL}"), after_redaction=True), redactor=redactor
    )
    call = call_of(events)
    assert call.response == "<mail [REDACTED_EMAIL]>"
    assert call.prompt == "<p>"
    assert times.count("p") == 1


async def test_content_stays_away_whatever_a_stage_writes() -> None:
    events, _ = await deliver(
        changing(prompt=MAIL),
        Stage(changing(response="secret"), after_redaction=True),
        capture_content="metadata",
    )
    assert (call_of(events).prompt, call_of(events).response) == ("", "")


async def test_a_run_s_totals_are_of_what_stages_left() -> None:
    events, _ = await deliver(changing(tokens_input=50))
    (run,) = [event for event in events if isinstance(event, RunEvent)]
    assert run.tokens_input == 50


async def test_a_stage_drops_with_a_reason() -> None:
    def drop(event: Event) -> Event | Drop:
        return Drop("health check") if isinstance(event, PromptCallEvent) else event

    events, client = await deliver(drop)
    assert [event.event_type for event in events] == ["run"]
    assert client.statistics().dropped == {"health check": 1}


async def test_a_stage_may_put_another_event_in_the_place() -> None:
    def other(event: Event) -> Event:
        return make_event(prompt="other", run_id=event.run_id)

    events, _ = await deliver(other)
    assert [getattr(event, "prompt", None) for event in events] == ["other", "other"]


@pytest.mark.parametrize(
    "error", [ZeroDivisionError, SystemExit, KeyboardInterrupt, GeneratorExit, None]
)
@pytest.mark.parametrize("after", [False, True])
async def test_a_stage_that_fails_costs_its_change(
    error: type[BaseException] | None, after: bool
) -> None:
    def half(event: Event) -> Any:
        if isinstance(event, PromptCallEvent):
            event.prompt = "half"
            event.metadata["k"].append("half")  # type: ignore[index]
        if error is not None:
            raise error
        return "no event"

    events, client = await deliver(Stage(half, after_redaction=after), changing(response="next"))
    call = call_of(events)
    assert (call.prompt, call.metadata, call.response) == ("p", {"k": ["v"]}, "next")
    assert client.statistics().stage_failures == 2
    assert client.statistics().delivered == 2


async def test_a_stage_that_hangs_costs_its_change_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llmobs.pipeline.user_code.LIMIT_SECONDS", 0.1)
    free = threading.Event()

    def hang(event: Event) -> Event:
        free.wait(30)
        event.prompt = "too late"  # type: ignore[attr-defined]
        return event

    sink = ScriptedSink()
    try:
        async with AsyncClient(sink=sink, stages=[hang]) as client:
            for number in range(3):
                client.log_prompt_call("r", f"p{number}", "m", "a")
                await client.flush(20)
            assert [call.prompt for call in sink.events] == ["p0", "p1", "p2"]  # type: ignore[attr-defined]
            assert client.statistics().stage_failures == 3
    finally:
        free.set()


async def test_a_slow_stage_leaves_the_event_loop_free() -> None:
    def slow(event: Event) -> None:
        time.sleep(0.02)

    turns = 0
    sink = ScriptedSink()
    async with AsyncClient(sink=sink, stages=[slow], flush_interval_seconds=0.001) as client:
        for _ in range(10):
            client.log_error("r", "boom")
        with anyio.fail_after(20):
            while len(sink.events) < 10:
                turns += 1
                await anyio.sleep(0.001)
    assert turns > 10


def test_closing_ends_the_threads() -> None:
    with Client(
        sink=ScriptedSink(), stages=[lambda _: None], tail_sampling=lambda _: True
    ) as client:
        with client.run() as run:
            run.log_error("boom")
        client.flush(20)
        assert "llmobs-stages" in llmobs_threads()
    poll(lambda: not llmobs_threads(), what="no thread of ours")


def test_the_test_tools_run_them_too() -> None:
    with capture_events() as events:
        client = AsyncClient(sink="memory:", stages=[changing(prompt=MAIL), lambda _: None])
        client.log_prompt_call("r", "p", "m", "a")
    assert call_of(events).prompt == "[REDACTED_EMAIL]"


@pytest.mark.parametrize("stage", [1, "name", None])
def test_what_is_no_stage_is_refused(stage: Any) -> None:
    with pytest.raises(ConfigurationError, match="stages"):
        AsyncClient(sink="memory:", stages=[stage])


def test_async_functions_are_refused() -> None:
    async def stage(event: Event) -> Event:
        return event

    with pytest.raises(ConfigurationError, match="not an `async` one"):
        AsyncClient(sink="memory:", stages=[stage])
