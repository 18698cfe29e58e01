"""llmobs.pipeline.worker, through AsyncClient and a sink that does as it is told."""

import logging
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from llmobs import AsyncClient, DropReason, SinkState
from llmobs.errors import (
    ConfigurationError,
    DeliveryError,
    DeliveryTimeoutError,
    LLMObsError,
    SinkMisconfiguredError,
    SinkRejectedError,
    SinkTooLargeError,
    SinkUnauthorizedError,
    SinkUnavailableError,
    StoreCorruptError,
    StoreVersionError,
)
from llmobs.pipeline.health import backoff
from llmobs.pipeline.sink import Batch
from tests.helpers import ScriptedSink, make_event

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmobs.pipeline.health.backoff", lambda attempt, retry_after=None: 0.001)


def log(client: AsyncClient, count: int = 1, **fields: Any) -> list[str]:
    return [client.log_prompt_call("r", f"p{n}", "m", "a", 1, 1, 1, **fields) for n in range(count)]


async def test_events_arrive_in_order_in_batches() -> None:
    sink = ScriptedSink()
    async with AsyncClient(sink=sink, batch_size=10, flush_interval_seconds=60) as client:
        ids = log(client, 25)
        report = await client.flush()
    assert sink.ids == ids
    assert [len(batch) for batch in sink.batches] == [10, 10, 5]
    assert (report.delivered, report.pending, report.complete) == (25, 0, True)
    assert (sink.opened, sink.closed) == (1, 1)


async def test_a_full_batch_leaves_at_once_a_lone_event_after_the_interval() -> None:
    sink = ScriptedSink()
    async with AsyncClient(sink=sink, batch_size=5, flush_interval_seconds=0.1) as client:
        log(client, 5)
        with anyio.fail_after(5):
            while len(sink.events) < 5:
                await anyio.sleep(0.001)
        log(client)
        started = time.monotonic()
        with anyio.fail_after(5):
            while len(sink.events) < 6:
                await anyio.sleep(0.001)
        assert time.monotonic() - started > 0.05


async def test_leaving_the_block_delivers_what_is_queued() -> None:
    sink = ScriptedSink()
    async with AsyncClient(sink=sink, flush_interval_seconds=60) as client:
        ids = log(client, 3)
    assert sink.ids == ids
    log(client)
    assert client.statistics().dropped == {"closed": 1}


async def test_events_recorded_before_entering_are_delivered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = AsyncClient(sink=(sink := ScriptedSink()))
    ids = log(client, 2)
    assert "not running" in caplog.text
    async with client:
        pass
    assert sink.ids == ids


async def test_a_client_can_be_entered_again() -> None:
    client = AsyncClient(sink=(sink := ScriptedSink()))
    for _ in range(2):
        async with client:
            log(client)
    assert len(sink.events) == 2
    assert (sink.opened, sink.closed) == (2, 2)


async def test_closing_before_entering_does_not_spoil_the_client() -> None:
    client = AsyncClient(sink=(sink := ScriptedSink()))
    await client.aclose()
    async with client:
        log(client)
        assert (await client.flush(5)).delivered == 1
        log(client)
    assert len(sink.events) == 2


async def test_entering_twice_at_once_is_refused() -> None:
    async with AsyncClient(sink=ScriptedSink()) as client:
        with pytest.raises(RuntimeError, match="in use already"):
            await client.__aenter__()


async def test_errors_of_the_block_come_out_as_they_are() -> None:
    sink = ScriptedSink()
    with pytest.raises(ValueError, match="mine"):
        async with AsyncClient(sink=sink) as client:
            log(client)
            raise ValueError("mine")
    assert len(sink.events) == 1


async def test_a_cancelled_host_still_delivers() -> None:
    sink = ScriptedSink()
    with anyio.CancelScope() as scope:
        async with AsyncClient(sink=sink, flush_interval_seconds=60) as client:
            log(client, 3)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert len(sink.events) == 3


async def test_retriable_errors_are_retried_until_it_works() -> None:
    sink = ScriptedSink([SinkUnavailableError("down")] * 3)
    async with AsyncClient(sink=sink) as client:
        log(client, 2)
        await client.flush()
        assert client.statistics().retries == 3
    assert len(sink.events) == 2
    assert client.statistics().dropped == {}


async def test_a_deadline_bounds_each_attempt() -> None:
    class Hanging(ScriptedSink):
        async def send(self, batch: Batch) -> None:
            self.attempts += 1
            if self.attempts == 1:
                await anyio.sleep_forever()
            await super().send(batch)

    sink = Hanging()
    async with AsyncClient(sink=sink, timeout=0.05) as client:
        log(client)
        await client.flush(5)
    assert len(sink.events) == 1


async def test_refused_events_are_dropped_and_the_rest_is_sent_again() -> None:
    class Refusing(ScriptedSink):
        async def send(self, batch: Batch) -> None:
            bad = {
                e.event_id: "no" for e in batch.events if getattr(e, "prompt", "") in ("p1", "p3")
            }
            if bad:
                raise SinkRejectedError("some are bad", events=bad)
            await super().send(batch)

    sink = Refusing()
    async with AsyncClient(sink=sink) as client:
        ids = log(client, 5)
    assert sink.ids == [ids[0], ids[2], ids[4]]
    assert client.statistics().dropped == {"rejected": 2}


async def test_a_sink_may_keep_what_it_did_not_name() -> None:
    class Partial(ScriptedSink):
        async def send(self, batch: Batch) -> None:
            self.batches.append(list(batch.events[1:]))
            raise SinkRejectedError(
                "one is bad", events={batch.events[0].event_id: "no"}, delivered=True
            )

    sink = Partial()
    async with AsyncClient(sink=sink) as client:
        log(client, 5)
    assert len(sink.events) == 4
    statistics = client.statistics()
    assert (statistics.delivered, statistics.dropped) == (4, {"rejected": 1})


@pytest.mark.parametrize("named", [{}, {"unknown": "no"}])
async def test_a_refusal_that_names_nobody_drops_the_batch(named: dict[str, str]) -> None:
    sink = ScriptedSink([SinkRejectedError("never", events=named)])
    async with AsyncClient(sink=sink) as client:
        log(client, 5)
    assert sink.events == []
    assert client.statistics().dropped == {"rejected": 5}


async def test_too_large_batches_are_split_down_to_the_one_event() -> None:
    class Narrow(ScriptedSink):
        async def send(self, batch: Batch) -> None:
            if len(batch) > 2 or any(getattr(e, "prompt", "") == "p4" for e in batch.events):
                raise SinkTooLargeError("too large")
            await super().send(batch)

    sink = Narrow()
    async with AsyncClient(sink=sink) as client:
        ids = log(client, 9)
    assert sink.ids == [one for number, one in enumerate(ids) if number != 4]
    assert client.statistics().dropped == {"too_large": 1}


async def test_a_wrong_key_is_said_once_and_the_events_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = ScriptedSink([SinkUnauthorizedError("key refused")] * 100)
    async with AsyncClient(sink=sink, flush_interval_seconds=0.001) as client:
        for _ in range(3):
            log(client)
            await client.flush(0.02)
        statistics = client.statistics()
        assert statistics.state == SinkState.UNAUTHORIZED
        assert statistics.last_error == "key refused"
        assert statistics.pending == 3
    assert client.statistics().dropped == {"unauthorized": 3}
    assert caplog.text.count("key refused") == 2  # when it happened, and at the end


@pytest.mark.parametrize(
    "error",
    [
        StoreVersionError("newer"),
        SinkUnauthorizedError("no"),
        SinkMisconfiguredError("HTTP 404; is the URL right?"),
    ],
)
async def test_closing_does_not_wait_for_what_only_somebody_can_mend(
    error: LLMObsError, caplog: pytest.LogCaptureFixture
) -> None:
    sink = ScriptedSink([error] * 100)
    started = time.monotonic()
    async with AsyncClient(sink=sink, shutdown_timeout=30) as client:
        log(client)
    assert time.monotonic() - started < 5
    assert client.statistics().total_dropped == 1
    said = caplog.records[-1].getMessage()
    assert "does not wait for what only a hand can mend" in said and "30" not in said


HOSTILE = "\x1b[31mred\x1b[0m\r\n2026-11-29 CRITICAL forged line\u2028\u202ebackwards\x07"


@pytest.mark.parametrize(
    "error",
    [
        SinkUnavailableError(HOSTILE),
        SinkUnauthorizedError(HOSTILE),
        SinkRejectedError(HOSTILE),
        SinkRejectedError("no", events={"the-id": HOSTILE}),
        SinkTooLargeError(HOSTILE),
        StoreCorruptError(HOSTILE),
        ConfigurationError(HOSTILE),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_words_of_others_reach_log_and_statistics_in_one_printable_line(
    error: LLMObsError, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str | None] = []
    sink = ScriptedSink([error] * 100)
    async with AsyncClient(sink=sink, shutdown_timeout=0.05) as client:
        event = make_event(event_id="the-id")
        client.record(event, None, 0, False, done=lambda reason, words: heard.append(words))
        await client.flush(0.05)
        heard.append(client.statistics().last_error)
    said = [record.getMessage() for record in caplog.records] + [words or "" for words in heard]
    assert any("red" in line and "forged line" in line for line in said)
    assert [line for line in said if not line.isprintable()] == []


@pytest.mark.parametrize(("seconds", "when"), [(0.0, "at once"), (2.5, "in 2.5 s")])
async def test_the_line_about_a_failure_says_what_there_is(
    seconds: float, when: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmobs.pipeline.health.backoff", lambda attempt, retry_after=None: seconds)
    sink = ScriptedSink([SinkUnavailableError("away")])
    async with AsyncClient(sink=sink, flush_interval_seconds=0.001) as client:
        log(client)
        with anyio.fail_after(10):
            while "delivery failed" not in caplog.text:
                await anyio.sleep(0.01)
    assert f"llmobs: scripted: delivery failed: away; 1 events wait, next attempt {when}" in [
        record.getMessage() for record in caplog.records
    ]


async def test_a_sink_that_crashes_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    sink = ScriptedSink([ZeroDivisionError("bug")] * 3)
    async with AsyncClient(sink=sink, batch_size=2) as client:
        ids = log(client, 4)
        assert (await client.flush()).complete
    assert sink.ids == ids
    assert "ZeroDivisionError: bug" in caplog.text


@pytest.mark.parametrize("spool", [False, True])
async def test_an_event_that_crashes_the_sink_is_lost_alone(spool: bool, tmp_path: Path) -> None:
    class Allergic(ScriptedSink):
        async def send(self, batch: Batch) -> None:
            if any(event.model == "poison" for event in batch.events):  # type: ignore[attr-defined]
                raise ZeroDivisionError("bug")
            await super().send(batch)

    sink = Allergic()
    settings: Any = {"spool_dir": tmp_path, "durability": "disk"} if spool else {}
    async with AsyncClient(sink=sink, **settings) as client:
        ids = log(client, 30)
        client.log_prompt_call("r", "p", "poison", "a")
        ids += log(client, 30)
        await client.flush()
        assert client.statistics().dropped == {"internal": 1}
    assert sorted(sink.ids) == sorted(ids)


async def test_the_shutdown_deadline_counts_what_is_left(caplog: pytest.LogCaptureFixture) -> None:
    class Frozen(ScriptedSink):
        async def send(self, batch: Batch) -> None:
            await anyio.sleep_forever()

    started = time.monotonic()
    async with AsyncClient(sink=Frozen(), shutdown_timeout=0.1) as client:
        log(client, 3)
    assert time.monotonic() - started < 5
    assert client.statistics().dropped == {"shutdown": 3}
    assert "3 events were not delivered" in caplog.text


async def test_a_sink_down_at_shutdown_is_the_reason_counted() -> None:
    sink = ScriptedSink([SinkUnavailableError("down")] * 10_000)
    async with AsyncClient(sink=sink, shutdown_timeout=0.1) as client:
        log(client, 3)
    assert client.statistics().dropped == {"unavailable": 3}


async def test_flush_gives_up_at_its_deadline_and_keeps_the_events() -> None:
    sink = ScriptedSink([SinkUnavailableError("down")] * 10_000)
    async with AsyncClient(sink=sink, shutdown_timeout=0.05) as client:
        log(client, 3)
        report = await client.flush(0.05)
        assert (report.delivered, report.pending, report.complete) == (0, 3, False)


async def test_flushes_without_end_do_not_storm_a_sink_that_asked_for_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llmobs.pipeline.health.backoff", backoff)
    sink = ScriptedSink([SinkUnavailableError("busy", retry_after=30)] * 10_000)
    async with AsyncClient(sink=sink, shutdown_timeout=0.01) as client:
        for _ in range(50):
            log(client)
            await client.flush(0.005)
        assert sink.attempts <= 2


async def test_flush_waits_for_what_was_recorded_before_it_only() -> None:
    sink = ScriptedSink()
    async with AsyncClient(sink=sink, flush_interval_seconds=60) as client:
        ids = log(client, 3)
        await client.flush()
        assert set(ids) <= set(sink.ids)
        assert (await client.flush()).delivered == 0


async def test_flush_cuts_a_long_pause_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmobs.pipeline.health.backoff", lambda attempt, retry_after=None: 60.0)
    sink = ScriptedSink([SinkUnavailableError("down")])
    async with AsyncClient(sink=sink, flush_interval_seconds=0.001) as client:
        log(client)
        with anyio.fail_after(5):
            while client.statistics().state != SinkState.RETRYING:
                await anyio.sleep(0.001)
        assert (await client.flush(5)).delivered == 1


async def test_several_sinks_each_get_everything_and_a_dead_one_holds_up_nobody() -> None:
    dead = ScriptedSink([SinkUnavailableError("down")] * 100_000, name="dead")
    good = ScriptedSink(name="good")
    async with AsyncClient(sink=[dead, good], shutdown_timeout=0.05) as client:
        ids = log(client, 3)
        await client.flush(0.05)
        assert good.ids == ids
        statistics = client.statistics()
        assert statistics.sinks["good"].delivered == 3
        assert statistics.sinks["dead"].pending == 3
        assert (statistics.accepted, statistics.delivered, statistics.pending) == (6, 3, 3)
    assert client.statistics().sinks["dead"].dropped == {"unavailable": 3}


async def test_sampling_keeps_or_drops_whole_runs() -> None:
    sink = ScriptedSink()
    async with AsyncClient(sink=sink, sample_rate=0.5) as client:
        for number in range(200):
            with client.run(f"run-{number}") as run:
                run.log_error("one")
                run.log_error("two")
    per_run: dict[str, int] = {}
    for event in sink.events:
        per_run[event.run_id] = per_run.get(event.run_id, 0) + 1
    assert set(per_run.values()) == {3}
    assert 60 < len(per_run) < 140
    statistics = client.statistics()
    assert statistics.accepted == 600
    assert statistics.dropped == {"sampled": 600 - statistics.delivered}


async def test_errors_are_kept_when_asked() -> None:
    sink = ScriptedSink()
    async with AsyncClient(
        sink=sink, tail_sampling="errors", tail_seconds=0.01, flush_interval_seconds=0.001
    ) as client:
        log(client, 5)
        client.log_error("r1", "boom")
        client.log_prompt_call("r2", "p", "m", "a", error="bad")
        with anyio.fail_after(20):
            while client.statistics().pending:
                await anyio.sleep(0.005)
    assert [str(event.event_type) for event in sink.events] == ["error", "prompt_call"]


async def test_send_waits_for_delivery_and_shares_batches() -> None:
    sink = ScriptedSink([SinkUnavailableError("down")])
    async with AsyncClient(sink=sink, flush_interval_seconds=60) as client:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(client.send, make_event())
        assert len(sink.events) == 20
        assert sink.attempts < 10


async def test_send_says_why_it_failed() -> None:
    sink = ScriptedSink([SinkRejectedError("the model is unknown")])
    async with AsyncClient(sink=sink) as client:
        with pytest.raises(DeliveryError, match="the model is unknown") as caught:
            await client.send(make_event())
        assert caught.value.reason == DropReason.REJECTED
        await client.send(make_event())


async def test_send_gives_up_at_its_deadline_and_the_event_stays_queued() -> None:
    sink = ScriptedSink([SinkUnavailableError("down")] * 100_000)
    async with AsyncClient(sink=sink, shutdown_timeout=0.01) as client:
        with pytest.raises(DeliveryTimeoutError):
            await client.send(make_event(), timeout=0.05)
        assert client.statistics().pending == 1
        sink.script.clear()
    assert len(sink.events) == 1 or client.statistics().total_dropped == 1


async def test_disabled_means_nothing_at_all(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "llmobs"):
        async with AsyncClient(enabled=False, sink="kafka://nowhere/x") as client:
            assert log(client, 3)
            await client.send(make_event())
            assert (await client.flush()).complete
    assert client.statistics().accepted == 0
    assert caplog.records == []


async def test_troubles_are_logged_once_per_interval(caplog: pytest.LogCaptureFixture) -> None:
    sink = ScriptedSink([SinkUnavailableError("down")] * 50)
    async with AsyncClient(sink=sink) as client:
        log(client)
        await client.flush()
    assert sum("delivery failed" in record.message for record in caplog.records) == 1


async def test_the_next_batch_is_prepared_while_the_sink_has_the_one_before() -> None:
    first, second = make_event(), make_event()

    class Waits(ScriptedSink):
        async def send(self, batch: Batch) -> None:
            with anyio.fail_after(5):
                while batch.events[0] is first and second.client is None:
                    await anyio.sleep(0.001)
            await super().send(batch)

    sink = Waits()
    async with AsyncClient(sink=sink, batch_size=1) as client:
        client.record(first, None, 0, False)
        client.record(second, None, 0, False)
        await client.flush()
    assert sink.ids == [first.event_id, second.event_id]


async def test_a_batch_prepared_ahead_waits_its_turn_when_the_sink_goes_down(tmp_path: Any) -> None:
    sink = ScriptedSink([SinkUnavailableError("down")] * 4)
    async with AsyncClient(sink=sink, batch_size=1, spool_dir=tmp_path) as client:
        ids = log(client, 3)
        with anyio.fail_after(10):
            while client.statistics().delivered != 3:
                await anyio.sleep(0.01)
        statistics = client.statistics()
    assert sorted(sink.ids) == sorted(ids)
    assert (statistics.accepted, statistics.dropped, statistics.pending) == (3, {}, 0)
