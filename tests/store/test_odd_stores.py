"""Readers survive whatever stands in a store: values of the wrong type, broken text, damage."""

import random
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs.errors import LLMObsError
from llmobs.events import PromptCallEvent
from llmobs.store.reader import Reader
from llmobs.store.records import RunFilter
from tests.support.stores import call, run, write_store

HUGE = 1.7e18


def read_everything(path: Path) -> list[Any]:
    """Call every method of the reader; returns the runs."""
    everywhere = RunFilter(failed=False, since=datetime(1, 1, 2, tzinfo=UTC))
    with Reader(path) as reader:
        runs = reader.runs(100)
        for one in runs:
            assert one.duration_ms is not None and one.failed in (True, False)
            assert one.started.astimezone(UTC) and one.ended.astimezone(UTC)
            assert type(one.run_id) is str
            for name in ("events", "calls", "errors", "tokens_input", "tokens_output", "unpriced"):
                assert type(getattr(one, name)) is int
            for name in ("latency_ms", "cost_usd"):
                assert type(getattr(one, name)) in (int, float, type(None))
            with suppress(LookupError):
                reader.run(one.run_id)
            reader.runs(5, before=(one.started, one.run_id))
        reader.runs(100, where=everywhere)
        reader.count_runs()
        for by in ("model", "day", "route", "tag"):
            for group in reader.cost(by):  # type: ignore[arg-type]
                assert type(group.key) in (str, type(None))
                assert type(group.tokens_input) is int and type(group.failed) is int
                assert type(group.cost_usd) in (int, float, type(None))
        assert reader.info().runs >= 0
        for event in [*reader.latest(100), *reader.tail(0), *reader.events()]:
            event.decode()
            assert type(event.body) is str and type(event.run_id) is str
    return runs


def test_large_figures_are_read(tmp_path: Path) -> None:
    path = write_store(
        tmp_path / "x.db",
        [
            call("r1", latency_ms=HUGE, tokens_input=2**63 - 1, cost_usd=1e308),
            call("r1", latency_ms=1.0, tokens_input=2**63 - 1, cost_usd=1e308),
            run("r1", latency_ms=HUGE),
            call("r2", tokens_input=7),
            call("r2", tokens_input=0, latency_ms=1.7e308),
            PromptCallEvent(
                event_id="early", run_id="r3", timestamp=datetime(1, 1, 1, tzinfo=UTC), model="m"
            ),
            PromptCallEvent(
                event_id="late",
                run_id="r4",
                timestamp=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
                latency_ms=HUGE,
            ),
        ],
    )
    runs = {one.run_id: one for one in read_everything(path)}
    assert set(runs) == {"r1", "r2", "r3", "r4"}
    assert runs["r1"].duration_ms == HUGE
    assert (runs["r2"].tokens_input, runs["r1"].tokens_input >= 2**63 - 1) == (7, True)
    assert (runs["r3"].started.year, runs["r4"].ended.year) == (1, 9999)


values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=8).filter(str.isprintable),
    st.binary(max_size=8),
    st.sampled_from([HUGE, -HUGE, "", b"", "1e999", "2026-01-01", "[" * 3000, '{"kind":' * 900]),
)
NUMBERS = count()
NEVER_NULL = {"event_id", "run_id", "event_type", "timestamp", "failed", "body"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    events = [call("r1"), run("r1", tags=("a",)), call("r2"), run("r2")]
    return write_store(tmp_path_factory.mktemp("whole") / "x.db", events)


@settings(max_examples=80)
@given(data=st.data())
def test_any_value_in_any_column_is_survived(whole: Path, data: st.DataObject) -> None:
    # Each time another: a connection to the one before that is closed late removes the log by its name.
    path = whole.with_name(f"odd-{next(NUMBERS)}.db")
    shutil.copyfile(whole, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in ("events", "runs", "bodies", "rollups", "store"):
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for name in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=6)):
                with suppress(sqlite3.IntegrityError):  # what SQLite itself refuses
                    which = {"events": "id = 1", "bodies": "id = 1", "runs": "run_id = 'r1'"}
                    connection.execute(
                        f"UPDATE {table} SET {name} = ? WHERE {which.get(table, 'true')}",
                        [data.draw(values)],
                    )
    runs = read_everything(path)
    assert "r2" in {one.run_id for one in runs}


@pytest.mark.parametrize("column", ["run_id", "name", "user_id", "body", "event_type"])
def test_broken_utf_8_is_survived(tmp_path: Path, column: str) -> None:
    path = write_store(tmp_path / "x.db", [call("r1"), run("r1"), call("r2")])
    connection = sqlite3.connect(path, isolation_level=None)
    tables = {"body": ("bodies",), "event_type": ("events",)}.get(column, ("events", "runs"))
    for table in tables:
        which = "id <= 2" if table == "bodies" else "run_id = 'r1'"
        connection.execute(f"UPDATE {table} SET {column} = CAST(x'ff4142' AS TEXT) WHERE {which}")
    connection.close()
    assert len(read_everything(path)) == 2


def test_damaged_bytes_are_survived_or_told(tmp_path: Path) -> None:
    path = write_store(
        tmp_path / "x.db", [call(f"r{n}", n, prompt="p" * 500) for n in range(60)] + [run("r1")]
    )
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    whole = path.read_bytes()
    chance = random.Random(7)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 1, 4, 64])):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        with suppress(LLMObsError):
            read_everything(path)
