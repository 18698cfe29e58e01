"""Tail sampling: what is kept is decided when a run is over; nothing is held for ever, nor without a bound."""

import errno
import os
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs import AsyncClient, Client, ConfigurationError
from llmobs.codec import decode
from llmobs.events import Event, PromptCallEvent, RunEvent
from llmobs.pipeline.journal import Journal
from llmobs.pipeline.locked_batch import LockedBatch
from llmobs.pipeline.sampling import is_sampled
from llmobs.pipeline.spool import Spool
from llmobs.pipeline.worker import Worker
from llmobs.policy import Rules
from tests.helpers import ScriptedSink, make_event, poll

pytestmark = pytest.mark.anyio
LONG = 3600.0


def client_of(sink: Any, tail: Any = "errors", **options: Any) -> AsyncClient:
    options = {"flush_interval_seconds": 0.001, "tail_seconds": LONG, **options}
    return AsyncClient(sink=sink, tail_sampling=tail, **options)


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(20):
        while not condition():
            await anyio.sleep(0.005)


async def pass_by(client: AsyncClient) -> None:
    """Wait until the stages have seen what was recorded, without a flush."""
    await until(lambda: not client.statistics().queue_events)
    await anyio.sleep(0.02)


def test_the_rules_are_read_in_any_order() -> None:
    assert Rules.parse("errors,slow>5s,cost>0.05,rate=0.1") == Rules(
        errors=True, slow=5.0, cost=0.05, rate=0.1
    )
    assert Rules.parse(" rate = 0.5 , Slow > 250ms") == Rules(slow=0.25, rate=0.5)
    assert Rules.parse("slow>2m").slow == 120


@pytest.mark.parametrize(
    "text", ["", "error", "slow>5", "slow<5s", "rate=1.5", "rate=x", "rate=.1,rate=.2", "cost>1..2"]
)
def test_what_is_no_rule_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"tail_sampling.*errors, slow>5s"):
        Client(sink="memory:", tail_sampling=text)


@pytest.mark.parametrize(
    ("events", "kept"),
    [
        ([{}, {"status": "error"}], True),
        ([{"latency_ms": 4999.0}], False),
        ([{"latency_ms": 5001.0}], True),
        ([{"cost_usd": 0.03}, {"cost_usd": 0.03}], True),
        ([{"cost_usd": 0.03}], False),
        ([], False),
    ],
)
def test_each_rule(events: list[dict[str, Any]], kept: bool) -> None:
    rules = Rules.parse("errors,slow>5s,cost>0.05")
    assert rules([make_event(**fields) for fields in events]) == (1.0 if kept else 0.0)


async def test_a_run_is_kept_whole_or_not_at_all_once_it_is_over() -> None:
    sink = ScriptedSink()
    async with client_of(sink) as client:
        with client.run("good") as good:
            good.log_prompt_call("p", "m", "a")
            with client.run("bad") as bad:
                bad.log_prompt_call("p", "m", "a")
                bad.log_error("boom")
            await until(lambda: len(sink.events) == 3)
            assert client.statistics().pending == 1, "the other is not over"
        await until(lambda: client.statistics().pending == 0)
        assert client.statistics().dropped == {"sampled": 2}
    assert {event.run_id for event in sink.events} == {"bad"}


async def test_what_comes_after_the_decision_follows_it() -> None:
    sink = ScriptedSink()
    async with client_of(sink) as client:
        for name in ("good", "bad"):
            with client.run(name) as run:
                run.log_prompt_call("p", "m", "a", status="error" if name == "bad" else "success")
        await until(lambda: client.statistics().pending == 0)
        for name in ("good", "bad"):
            client.log_error(name, "late")
        await until(lambda: client.statistics().pending == 0)
    assert [event.run_id for event in sink.events] == ["bad"] * 3
    assert client.statistics().dropped == {"sampled": 3}


@pytest.mark.parametrize(
    ("how", "durability"),
    [
        *((how, "memory") for how in ("flush", "close", "overflow", "time", "send")),
        *((how, "disk") for how in ("flush", "close", "overflow", "time")),
    ],
)
async def test_what_cannot_wait_is_kept(how: str, durability: str, tmp_path: Path) -> None:
    sink = ScriptedSink()
    options: dict[str, Any] = {}
    if how == "overflow":
        options = {"tail_bytes": 100_000}
    elif how == "time":
        options = {"tail_seconds": 0.05}
    if durability == "disk":
        options.update(on_disk(tmp_path))
    async with client_of(sink, **options) as client:
        run = client.run("open")
        run.log_prompt_call("p", "m", "a")
        await pass_by(client)
        if how == "flush":
            report = await client.flush()
            assert (report.delivered, report.pending) == (1, 0)
        elif how == "overflow":
            client.run("big").log_prompt_call("x" * 90_000, "m", "a")
            client.run("big").log_prompt_call("x" * 90_000, "m", "a")
            await until(lambda: sink.events)
        elif how == "time":
            await until(lambda: sink.events)
        elif how == "send":
            await client.send(make_event(run_id="sent"))
            assert [event.run_id for event in sink.events] == ["sent"]
    assert "open" in [event.run_id for event in sink.events]
    assert client.statistics().dropped == {}
    assert {event.weight for event in sink.events} == {1.0}
    assert not [*tmp_path.glob("spool/*/*")]


async def test_what_reaches_the_disk_while_its_worker_looks_there_is_delivered_at_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Worker._replay

    async def look_for_long(worker: Worker) -> None:
        await look(worker)
        await anyio.sleep(0.1)

    monkeypatch.setattr(Worker, "_replay", look_for_long)
    sink = ScriptedSink()
    async with client_of(sink, **on_disk(tmp_path)) as client:
        client.run("open").log_prompt_call("p", "m", "a")
        await pass_by(client)
    assert [event.run_id for event in sink.events] == ["open"]


async def test_what_is_held_stays_within_its_bound() -> None:
    sink = ScriptedSink()
    async with client_of(sink, tail_bytes=200_000) as client:
        for number in range(100):
            client.run(f"{number}").log_prompt_call("x" * 10_000, "m", "a")
        await until(lambda: len(sink.events) >= 80)
        await pass_by(client)
        assert client.statistics().pending <= 200_000 // 10_000
        held = {f"{n}" for n in range(100)} - {event.run_id for event in sink.events}
        assert held == {f"{n}" for n in range(100 - len(held), 100)}, "the oldest go first"


async def test_events_of_nobody_s_run_are_decided_by_the_rules_when_they_have_waited() -> None:
    sink = ScriptedSink()
    async with client_of(sink, tail_seconds=0.1) as client:
        client.log_prompt_call("good", "p", "m", "a")
        client.log_prompt_call("bad", "p", "m", "a")
        client.log_error("bad", "boom")
        await until(lambda: client.statistics().pending == 0)
        assert client.statistics().dropped == {"sampled": 1}
    assert [event.run_id for event in sink.events] == ["bad", "bad"]


async def test_the_rate_is_the_hash_of_the_run_s_id_in_every_process() -> None:
    sink = ScriptedSink()
    async with client_of(sink, "rate=0.3") as client:
        for number in range(200):
            with client.run(f"run-{number}") as run:
                run.log_prompt_call("p", "m", "a")
        await until(lambda: client.statistics().pending == 0)
    assert {event.run_id for event in sink.events} == {
        f"run-{n}" for n in range(200) if is_sampled(f"run-{n}", 0.3)
    }


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32),
    rate=st.sampled_from([0.2, 0.5]),
    sample_rate=st.sampled_from([1.0, 0.5]),
    bytes_=st.sampled_from([10_000, 10**7]),
)
def test_weighted_sums_are_unbiased(
    seed: int, rate: float, sample_rate: float, bytes_: int
) -> None:
    """Of runs, calls and cost; errors and dear ones are kept, whatever the rate."""
    dice = random.Random(seed)
    truth = {"runs": 0.0, "calls": 0.0, "cost": 0.0}

    async def live(sink: ScriptedSink) -> None:
        async with client_of(
            sink, f"errors,cost>5,rate={rate}", sample_rate=sample_rate, tail_bytes=bytes_
        ) as client:
            for _ in range(2_000):
                with client.run(f"{dice.random()}") as run:
                    cost = dice.choice([0.5, 1.0, 10.0])
                    run.log_prompt_call("p", "m", "a", cost_usd=cost)
                    truth["runs"] += 1
                    truth["calls"] += 1
                    truth["cost"] += cost
                    if dice.random() < 0.1:
                        run.log_error("boom")
            await until(lambda: client.statistics().pending == 0)

    anyio.run(live, sink := ScriptedSink())
    calls = [event for event in sink.events if isinstance(event, PromptCallEvent)]
    found = {
        "runs": sum(event.weight for event in sink.events if isinstance(event, RunEvent)),
        "calls": sum(call.weight for call in calls),
        "cost": sum(call.weight * (call.cost_usd or 0) for call in calls),
    }
    assert len(calls) < 2_000
    for name, value in truth.items():
        assert found[name] == pytest.approx(value, rel=0.25), name


async def test_errors_and_slow_ones_weigh_one() -> None:
    sink = ScriptedSink()
    async with client_of(sink, "errors,slow>1s,rate=0.1") as client:
        with client.run() as run:
            run.log_error("boom")
        with client.run() as run:
            run.log_prompt_call("p", "m", "a", latency_ms=2000)
        await until(lambda: client.statistics().pending == 0)
    assert {event.weight for event in sink.events} == {1.0}
    assert len(sink.events) == 4


async def test_a_function_decides_from_the_finished_events_of_a_run() -> None:
    seen: list[list[str]] = []

    def judge(events: Sequence[Event]) -> bool | float:
        seen.append([event.event_type for event in events])
        assert all("@" not in str(getattr(event, "prompt", "")) for event in events)
        return any(event.run_id == "keep" for event in events)

    sink = ScriptedSink()
    async with client_of(sink, judge) as client:
        for name in ("keep", "drop"):
            with client.run(name) as run:
                run.log_prompt_call("mail ann@example.com", "m", "a")
        await until(lambda: client.statistics().pending == 0)
    assert [event.run_id for event in sink.events] == ["keep", "keep"]
    assert seen == [["prompt_call", "run"]] * 2


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, GeneratorExit])
async def test_a_function_that_fails_keeps_the_run(error: type[BaseException]) -> None:
    from llmobs.runtime.troubles import raise_internal_errors

    def judge(events: Sequence[Event]) -> bool:
        raise error

    raise_internal_errors(False)
    try:
        sink = ScriptedSink()
        async with client_of(sink, judge) as client:
            with client.run() as run:
                run.log_error("boom")
            await until(lambda: len(sink.events) == 2)
    finally:
        raise_internal_errors(True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("durability", ["memory", "disk"])
def test_a_forked_child_holds_nothing(durability: str, tmp_path: Path) -> None:
    sink = tmp_path / "events.jsonl"
    options: dict[str, Any] = on_disk(tmp_path) if durability == "disk" else {}
    client = Client(sink=f"jsonl:///{sink}", tail_sampling="errors", tail_seconds=LONG, **options)
    run = client.run("parent's")
    run.log_prompt_call("p", "m", "a")
    poll(lambda: client.statistics().pending and not client.statistics().queue_events)
    if durability == "disk":
        poll(lambda: journal(tmp_path) == ["parent's"])
    child = os.fork()
    if not child:
        status = 1
        try:
            mine = client.statistics()
            client.close()
            status = int(mine.pending + client.statistics().delivered)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for file in tmp_path.glob("spool/*/.*"):
        assert LockedBatch.acquire(file, 0) is None, "the parent has lost its lock"
    client.close()
    assert sink.read_text().count("parent's") == 1


def on_disk(folder: Path) -> dict[str, Any]:
    return {"durability": "disk", "spool_dir": folder / "spool"}


def journal(folder: Path) -> list[str]:
    """The runs of which events are held on disk."""
    lines: list[bytes] = []
    for file in folder.glob("spool/*/.*.jsonl"):
        with suppress(FileNotFoundError):  # just now
            lines += file.read_bytes().splitlines()
    return [decode(line).run_id for line in lines if line.endswith(b"}") and line[:1] != b"#"]


async def test_what_is_held_is_on_disk_until_it_is_decided(tmp_path: Path) -> None:
    sink = ScriptedSink()
    async with client_of(sink, **on_disk(tmp_path)) as client:
        with client.run("good") as good, client.run("bad") as bad:
            for _ in range(3):
                good.log_prompt_call("p", "m", "a")
            bad.log_error("boom")
            await until(lambda: sorted(journal(tmp_path)) == ["bad"] + ["good"] * 3)
            assert client.statistics().pending == 4
            assert client.statistics().spooled == 0
        await until(lambda: client.statistics().dropped == {"sampled": 4} and len(sink.events) == 2)
        await until(lambda: not [*tmp_path.glob("spool/*/*")])
        with client.run("short") as short:
            short.log_prompt_call("p", "m", "a")
        await until(lambda: client.statistics().pending == 0)
        client.run("open").log_prompt_call("p", "m", "a")
        await until(lambda: journal(tmp_path) == ["open"])
    assert [event.run_id for event in sink.events] == ["bad", "bad", "open"]
    assert not [*tmp_path.glob("spool/*/*")]


async def test_a_long_run_does_not_keep_others_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is written anew where most of it is crossed out."""
    monkeypatch.setattr("llmobs.pipeline.journal.FILE_BYTES", 30_000)
    sink = ScriptedSink()
    async with client_of(sink, **on_disk(tmp_path)) as client:
        client.run("open").log_prompt_call("p", "m", "a")
        for number in range(10):
            with client.run(f"{number}") as run:
                for _ in range(20):
                    run.log_prompt_call("x" * 2000, "m", "a")
                await until(lambda: journal(tmp_path).count(run.run_id) == 20)
            await until(lambda: journal(tmp_path) == ["open"])
        assert sum(file.stat().st_size for file in tmp_path.glob("spool/*/.*")) < 100_000
        assert client.statistics().dropped == {"sampled": 10 * 21}
    assert [event.run_id for event in sink.events] == ["open"]
    assert not [*tmp_path.glob("spool/*/*")]


async def test_a_disk_that_refuses_leaves_what_is_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = Spool.create
    full = True

    def create(self: Spool, events: int) -> tuple[Path, int]:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, events)

    monkeypatch.setattr(Spool, "create", create)
    monkeypatch.setattr("llmobs.pipeline.disk_writer.RETRY_SECONDS", 0.01)
    sink = ScriptedSink()
    async with client_of(sink, **on_disk(tmp_path)) as client:
        with client.run("good") as good, client.run("bad") as bad:
            good.log_prompt_call("p", "m", "a")
            bad.log_error("boom")
            await until(lambda: "No space left" in caplog.text)
            good.log_prompt_call("p", "m", "a")
            full = False
            await until(lambda: sorted(journal(tmp_path)) == ["bad", "good", "good"])
        await until(lambda: len(sink.events) == 2 and client.statistics().pending == 0)
    assert client.statistics().dropped == {"sampled": 3}
    assert not [*tmp_path.glob("spool/*/*")]


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.lists(st.integers(0, 30), max_size=8), st.sets(st.integers(0, 30))),
        max_size=12,
    ),
    small=st.sampled_from([1, 2000]),
)
def test_a_journal_holds_what_was_written_and_not_decided(
    steps: list[tuple[list[int], set[int]]], small: int
) -> None:
    """Whatever is written twice, decided unseen, and however often files are begun."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("llmobs.pipeline.journal.FILE_BYTES", small)
        book = Journal(Spool(Path(folder) / "spool", "sink", 10**6))
        held: set[str] = set()
        for written, decided in steps:
            book.update(
                [make_event(event_id=f"{n}", run_id=f"{n}", prompt="x" * 40 * n) for n in written],
                [f"{n}" for n in decided],
            )
            held = (held - {f"{n}" for n in decided}) | {f"{n}" for n in written}
            assert sorted(journal(Path(folder))) == sorted(held)
        book.close()


async def test_leaving_and_entering_again_keeps_what_was_held() -> None:
    sink = ScriptedSink()
    client = client_of(sink)
    async with client:
        client.run("first").log_prompt_call("p", "m", "a")
    async with client:
        with client.run("second") as run:
            run.log_error("boom")
    assert [event.run_id for event in sink.events] == ["first", "second", "second"]
