"""The promise: accepted = delivered + dropped + spooled + pending, whatever happens."""

import threading
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import llmobs
from llmobs import AsyncClient, Drop, Statistics
from llmobs.errors import (
    SinkRejectedError,
    SinkTooLargeError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)
from llmobs.events import Event
from llmobs.pipeline.sink import Batch
from llmobs.pipeline.spool import batches_in
from tests.helpers import ScriptedSink

OUTCOMES = (
    "ok",
    "ok",
    "ok",
    "down",
    "too_large",
    "reject_some",
    "reject_all",
    "crash",
    "slow",
    "key",
)


class WhimsicalSink(ScriptedSink):
    """Treats each attempt as the next outcome says; afterwards, takes everything."""

    def __init__(self, outcomes: list[str], name: str = "whimsical") -> None:
        super().__init__(name=name)
        self.outcomes = list(outcomes)

    async def send(self, batch: Batch) -> None:
        outcome = self.outcomes.pop(0) if self.outcomes else "ok"
        await anyio.sleep(0)
        if outcome == "down":
            raise SinkUnavailableError("down")
        if outcome == "key":
            raise SinkUnauthorizedError("key")
        if outcome == "too_large":
            raise SinkTooLargeError("too large")
        if outcome == "reject_some":
            some = {event.event_id: "no" for event in batch.events[::2]}
            raise SinkRejectedError("some", events=some)
        if outcome == "reject_all":
            raise SinkRejectedError("all")
        if outcome == "crash":
            raise ZeroDivisionError("bug")
        if outcome == "slow":
            await anyio.sleep(0.2)
        await super().send(batch)


def balance(statistics: Statistics) -> None:
    """Per sink and in sum."""
    for each in (statistics, *statistics.sinks.values()):
        assert each.accepted == (
            each.delivered + each.total_dropped + each.spooled + each.pending
        ), statistics


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmobs.pipeline.health.backoff", lambda attempt, retry_after=None: 0.0)
    monkeypatch.setattr("llmobs.pipeline.health.UNAUTHORIZED_PAUSE", 0.001)


def drop_some(event: Event) -> Event | Drop:
    return Drop("unwanted") if event.event_id[-1] in "02468ace" else event


def fail_at_some(event: Event) -> Event:
    if event.event_id[-1] in "02468ace":
        raise ZeroDivisionError("bug")
    return event


scenarios = st.fixed_dictionaries(
    {
        "sinks": st.lists(st.lists(st.sampled_from(OUTCOMES), max_size=12), min_size=1, max_size=3),
        "bursts": st.lists(st.integers(0, 40), min_size=1, max_size=5),
        "overflow": st.sampled_from(["drop_oldest", "drop_newest", "block"]),
        "max_queue_events": st.integers(1, 60),
        "batch_size": st.integers(1, 20),
        "sample_rate": st.sampled_from([1.0, 0.5]),
        "errors": st.integers(1, 5),
        "flush": st.booleans(),
        "stage": st.sampled_from([None, drop_some, fail_at_some]),
        "tail_sampling": st.sampled_from([None, "errors,rate=0.5"]),
        "cancel": st.booleans(),
        "shutdown_timeout": st.sampled_from([0.0, 0.1, 5.0]),
    }
)


async def live_through(
    scenario: dict[str, Any], **options: Any
) -> tuple[Statistics, list[WhimsicalSink], int]:
    sinks = [
        WhimsicalSink(outcomes, name=f"sink{n}") for n, outcomes in enumerate(scenario["sinks"])
    ]
    recorded = 0
    client = AsyncClient(
        sink=sinks,
        flush_interval_seconds=0.001,
        timeout=0.05,
        **options,
        stages=[scenario["stage"]] if scenario["stage"] else [],
        **{
            name: scenario[name]
            for name in (
                "overflow",
                "max_queue_events",
                "batch_size",
                "sample_rate",
                "tail_sampling",
                "shutdown_timeout",
            )
        },
    )
    with anyio.CancelScope() as scope:
        async with client:
            for number, burst in enumerate(scenario["bursts"]):
                for event in range(burst):
                    recorded += 1
                    if event % scenario["errors"] == 0:
                        client.log_error(f"run-{number}", "boom")
                    else:
                        client.log_prompt_call(f"run-{number}", "p", "m", "a")
                with client.run(f"over-{number}") as run:
                    recorded += 2 * (burst > 0)
                    for _ in range(burst and 1):
                        run.log_prompt_call("p", "m", "a")
                balance(client.statistics())
                await anyio.sleep(0)
                if scenario["flush"]:
                    await client.flush(0.02)
                balance(client.statistics())
            if scenario["cancel"]:
                scope.cancel()
    return client.statistics(), sinks, recorded


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(scenarios)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_every_event_is_accounted_for(backend: str, scenario: dict[str, Any]) -> None:
    statistics, sinks, recorded = anyio.run(live_through, scenario, backend=backend)
    balance(statistics)
    assert statistics.accepted == recorded * len(sinks)
    assert statistics.pending == 0
    each = statistics.sinks or {sinks[0].name: statistics}
    for sink, outcomes in zip(sinks, scenario["sinks"], strict=True):
        mine = each[sink.name]
        assert mine.accepted == recorded
        assert len(sink.ids) == len(set(sink.ids))
        assert len(sink.ids) >= mine.delivered
        healthy = not outcomes and scenario["shutdown_timeout"] > 1
        if healthy and scenario["sample_rate"] == 1:
            assert set(mine.dropped) <= {"queue_full", "sampled", "unwanted"}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(scenarios, st.sampled_from([1024, 10**6]), st.sampled_from([0.001, 60.0]))
def test_what_is_held_for_a_decision_on_disk_is_accounted_for_once(
    scenario: dict[str, Any], tail_bytes: int, tail_seconds: float
) -> None:
    """Nothing stays in a journal; what was delivered or sampled out is in no batch."""
    scenario["tail_sampling"] = "errors,rate=0.5"
    with TemporaryDirectory() as folder:
        options: dict[str, Any] = {"durability": "disk", "spool_dir": folder}
        options.update(tail_bytes=tail_bytes, tail_seconds=tail_seconds)
        statistics, sinks, recorded = anyio.run(partial(live_through, scenario, **options))
        balance(statistics)
        assert statistics.accepted == recorded * len(sinks)
        assert statistics.pending == 0
        assert not [*Path(folder).glob("*/.*")]
        on_disk = [file for each in Path(folder).iterdir() for file in batches_in(each)]
        assert sum(file.events for file in on_disk) == statistics.spooled


def test_threads_recording_while_the_client_closes_lose_nothing() -> None:
    sink = WhimsicalSink(["slow", "down", "too_large", "ok", "down"])
    client = llmobs.Client(
        sink=sink, flush_interval_seconds=0.001, batch_size=50, timeout=2, max_queue_events=100_000
    )
    recorded: list[str] = []

    def work() -> None:
        for _ in range(2_000):
            recorded.append(client.log_prompt_call("r", "p", "m", "a"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    client.flush()
    balance(client.statistics())
    for thread in threads[:2]:
        thread.join()
    client.close()
    for thread in threads[2:]:
        thread.join()
    statistics = client.statistics()
    balance(statistics)
    assert statistics.accepted == len(recorded) == 8_000
    assert statistics.pending == 0
    assert set(statistics.dropped) <= {"closed"}
    assert len(sink.ids) == len(set(sink.ids)) == statistics.delivered
