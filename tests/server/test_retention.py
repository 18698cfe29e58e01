"""What a collector removes: whole runs, in the background, through the thread that writes."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from llmobs.errors import ConfigurationError, SinkUnavailableError
from llmobs.server import retention as module
from llmobs.server.collector import Collector
from llmobs.server.retention import Retention
from llmobs.settings import Settings
from llmobs.store.engine import WritesStore, writer_of
from llmobs.store.reader import Reader
from tests.support.stores import START, call, run, write_store


def seconds(**age: float) -> float:
    """So long ago, as `tests.support.stores` counts."""
    return (datetime.now(UTC) - timedelta(**age) - START).total_seconds()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    old = [call(f"old-{n}", seconds(days=40), cost_usd=1.0, prompt="p" * 9_000) for n in range(120)]
    new = [call(f"new-{n}", seconds(minutes=5), cost_usd=1.0) for n in range(5)]
    # It began long ago and ended today: it goes as a whole, or not at all.
    long = [call("long", seconds(days=40)), run("long", seconds(minutes=1))]
    return write_store(tmp_path / "llmobs.db", [*old, *new, *long])


def tend(store: Path, **limits: object) -> None:
    """A collector with *limits*, until it has nothing to remove, while events come in."""
    collector = Collector(writer_of(store, durable=True), Settings())
    taken = anyio.run(lambda: _tend(collector, **limits))
    with Reader(store) as reader:
        assert sum(e.run_id.startswith("load-") for e in reader.events()) == taken


async def _tend(collector: Collector, **limits: object) -> int:
    resting = anyio.Event()
    taken = 0

    async def sleep(seconds: float) -> None:
        if seconds >= module.REST_SECONDS:
            resting.set()
            await anyio.sleep_forever()
        await anyio.sleep(seconds)

    class _AnyIO:
        pass

    fake = _AnyIO()
    fake.sleep = sleep  # type: ignore[attr-defined]
    await collector.open()
    try:
        with pytest.MonkeyPatch.context() as patch, anyio.fail_after(60):
            patch.setattr(module, "anyio", fake)
            async with anyio.create_task_group() as group:
                group.start_soon(Retention(collector.upkeep, **limits).run)  # type: ignore[arg-type]
                while not resting.is_set():
                    assert await collector.store([call(f"load-{taken}", seconds(minutes=1))]) == {}
                    taken += 1
                group.cancel_scope.cancel()
    finally:
        await collector.aclose()
    return taken


def runs(store: Path) -> set[str]:
    with Reader(store) as reader:
        return {found.run_id for found in reader.runs(1000) if not found.run_id.startswith("load-")}


def test_what_is_too_old_goes(store: Path) -> None:
    tend(store, retain=timedelta(days=30))
    assert runs(store) == {"long", *(f"new-{n}" for n in range(5))}
    with Reader(store) as reader:
        assert reader.count_events() - len(reader.runs(1000)) >= 1, (
            "the long one has both its events"
        )
        assert sum(group.cost_usd or 0 for group in reader.cost()) == 125, "sums stay"


def test_what_is_too_much_goes(store: Path) -> None:
    size = store.stat().st_size
    assert size > 1_200_000
    tend(store, max_bytes=1_000_000)
    left = runs(store)
    assert {f"new-{n}" for n in range(5)} <= left
    assert 0 < sum(name.startswith("old") for name in left) < 120
    with Reader(store) as reader:
        info = reader.info()
    assert info.bytes - info.free_bytes <= 1_100_000


def test_it_removes_for_as_long_as_it_waited_while_others_stored(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would take one small step between two transactions of others, and never keep up."""
    monkeypatch.setattr("llmobs.store.upkeep.EVENTS", 2)
    monkeypatch.setattr(module, "MOST_SECONDS", 30.0)
    writer = writer_of(store)()
    retention = Retention(lambda step: None, max_bytes=1_000_000)  # type: ignore[arg-type, return-value]
    rest = retention._turn(time.monotonic() + 30, writer)  # it had not to wait
    assert rest != module.REST_SECONDS  # there is more
    assert rest > 0
    before = len(runs(store))
    assert before >= 120
    assert retention._turn(time.monotonic() - 30, writer) == module.REST_SECONDS  # that is all
    assert 0 < len(runs(store)) < before - 10
    writer.close()


def test_all_stays_where_nothing_is_said(store: Path) -> None:
    tend(store)
    assert len(runs(store)) == 126


def test_trouble_ends_nothing(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    troubles = iter([SinkUnavailableError("locked"), ZeroDivisionError("ours")])
    steps = 0

    async def main() -> None:
        done = anyio.Event()

        async def upkeep(step: object) -> bool:
            nonlocal steps
            steps += 1
            for error in troubles:
                raise error
            done.set()
            return False

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "REST_SECONDS", 0.001)
            async with anyio.create_task_group() as group:
                group.start_soon(Retention(upkeep).run)
                with anyio.fail_after(10):
                    await done.wait()
                group.cancel_scope.cancel()

    anyio.run(main)
    assert steps >= 3
    assert [record.message for record in caplog.records if "look after" in record.message] != []


def test_a_step_that_fails_is_told_to_who_asked(store: Path) -> None:
    collector = Collector(writer_of(store, durable=True), Settings())

    async def main() -> None:
        await collector.open()

        def fail(writer: WritesStore) -> bool:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await collector.upkeep(fail)
        assert await collector.upkeep(lambda writer: True)
        assert await collector.check() is None
        await collector.aclose()

    anyio.run(main)


@pytest.mark.parametrize("limits", [{"retain": timedelta()}, {"max_bytes": 5}, {"max_bytes": 0}])
def test_limits_that_would_keep_nothing(limits: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"--retain|--max-size"):
        Retention(lambda step: None, **limits)  # type: ignore[arg-type, return-value]
