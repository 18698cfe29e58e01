"""A store of an older llmobs: read as it is, changed in a moment, adopted in steps, written by both."""

import sqlite3
import time
from functools import partial
from pathlib import Path

import pytest

from llmobs.codec import decode
from llmobs.errors import SinkUnavailableError, StoreVersionError
from llmobs.store import schema
from llmobs.store.connect import BUSY_SECONDS
from llmobs.store.reader import Reader
from llmobs.store.records import RetentionPolicy, RunFilter
from llmobs.store.writer import Writer
from tests.store.recount import hourly_sums, recounted
from tests.support.stores import call, run, write_store

DUMP = Path(__file__).parent.parent / "data" / "store_2.sql"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "llmobs.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(DUMP.read_text())
    connection.close()
    return path


def seen(path: Path) -> list[object]:
    """What a reader says of everything that this version and the one before both know."""
    with Reader(path) as reader:
        runs = [
            (r.run_id, r.started, r.ended, r.name, r.status, r.user_id, r.events, r.calls, r.errors)
            for r in reader.runs(100)
        ]
        events = [(event.id, event.body) for event in reader.events()]
        costs = [
            (by, g.key, g.calls, g.failed, g.tokens_input, g.cost_usd, g.unpriced, g.latency_p50_ms)
            for by in ("model", "route", "day", "user")
            for g in reader.cost(by)  # type: ignore[arg-type]
        ]
        return [runs, events, costs, reader.run("run-1").events]


def adopt_all(path: Path) -> None:
    writer = Writer(path)
    while writer.adopt():
        pass
    writer.close()


def test_it_reads_the_same_before_while_and_after(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = seen(old)
    assert len(before[1]) == 19 and before[2]  # type: ignore[arg-type]
    monkeypatch.setattr("llmobs.store.upkeep.ROWS", 4)
    writer = Writer(old)
    assert seen(old) == before
    steps = 0
    while writer.adopt():
        steps += 1
        assert seen(old) == before
    writer.close()
    assert steps == 4
    assert seen(old) == before
    connection = sqlite3.connect(old)
    assert connection.execute("SELECT count(*) FROM events WHERE body <> ''").fetchone() == (0,)
    assert connection.execute(
        "SELECT count(*) FROM store WHERE name = 'rows_before'"
    ).fetchone() == (0,)
    connection.close()


def test_what_older_versions_had_no_column_for_is_found_out(old: Path) -> None:
    adopt_all(old)
    assert hourly_sums(old) == recounted(old) != {}
    with Reader(old) as reader:
        runs = {r.run_id: r for r in reader.runs()}
        assert runs["run-0"].tags == ("beta", "t0")
        assert {r.run_id for r in reader.runs(where=RunFilter(tag="t1"))} == {"run-1"}
        assert (runs["run-3"].outcome, runs["alone"].outcome) == ("cut off", None)
        assert [group.key for group in reader.cost("release")] == ["1.2.0"]
        assert reader.info().to_adopt == 0
        assert reader.info().pieces > 0
        tokens = reader.cost("provider")[0]
        assert (tokens.tokens_cached, tokens.tokens_reasoning) == (48, 24)


def test_old_and_new_write_side_by_side(old: Path) -> None:
    """As during a rolling restart: the older one's statement, on its own connection, all the while."""
    late = call("run-9", 5, cost_usd=0.5, latency_ms=10.0)
    twice = call("run-9", 6)
    own = run("run-9", 5, name="POST /late")

    def write_as_before(connection: sqlite3.Connection, *events: object) -> None:
        for event in events:
            connection.execute(
                "INSERT INTO events (event_id, run_id, event_type, timestamp, name, failed,"
                " status, latency_ms, cost_usd, body) VALUES (?, ?, ?, ?, ?, 0, 'success', ?, ?, ?)"
                " ON CONFLICT (event_id) DO NOTHING",
                as_before(event),
            )

    older = sqlite3.connect(old, isolation_level=None, timeout=10)
    write_as_before(older, call("run-8", 1))
    writer = Writer(old)
    write_as_before(older, late)
    writer.write([twice, call("run-9", 7)])
    while writer.adopt():
        pass
    write_as_before(older, own, twice)  # the run's own event, and one that is there already
    writer.write([late])
    with Reader(old) as reader:
        assert reader.info().to_adopt == 1
        assert [g.calls for g in reader.cost("route") if g.key == "POST /late"] == [3]
    assert writer.adopt() is False
    with Reader(old) as reader:
        assert [g.calls for g in reader.cost("route") if g.key == "POST /late"] == [3]
        (found,) = reader.runs(where=RunFilter(run_id="run-9"))
        assert (found.calls, found.events, found.name, found.cost_usd) == (3, 3, "POST /late", 0.5)
    writer.close()
    older.close()
    assert hourly_sums(old) == recounted(old)


def as_before(event: object) -> tuple[object, ...]:
    from llmobs.codec import encode
    from llmobs.store.rows import row_of

    row = row_of(event, 0, 0)  # type: ignore[arg-type]
    body = encode(event).decode()
    return (
        row.event_id, row.run_id, row.event_type, row.timestamp, row.name, row.latency_ms,
        row.cost_usd, body,
    )  # fmt: skip


def test_a_row_counted_by_rebuild_is_not_counted_again_when_adopted(old: Path) -> None:
    writer = Writer(old)
    for _ in writer.rebuild():
        pass
    connection = sqlite3.connect(old)
    connection.execute("UPDATE events SET body = (SELECT body FROM bodies WHERE id = events.id)")
    connection.execute("INSERT INTO store VALUES ('rows_before', 1)")
    connection.commit()
    connection.close()
    while writer.adopt():
        pass
    writer.close()
    assert hourly_sums(old) == recounted(old)


def test_a_body_that_cannot_be_read_stays_as_it_is(old: Path) -> None:
    connection = sqlite3.connect(old)
    connection.execute('UPDATE events SET body = \'{"event_type": "later"}\' WHERE id = 3')
    connection.commit()
    connection.close()
    before = seen(old)
    adopt_all(old)
    assert seen(old)[:2] == before[:2]


def test_a_writer_leaves_a_store_that_became_newer_alone(tmp_path: Path) -> None:
    path = write_store(tmp_path / "llmobs.db", [call("r1")])
    writer = Writer(path)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.commit()
    with pytest.raises(StoreVersionError):
        writer.write([call("r2")])
    connection.execute(f"PRAGMA user_version = {schema.VERSION}")
    connection.commit()
    connection.close()
    writer.write([call("r2")])
    writer.close()
    with Reader(path) as reader:
        assert reader.count_events() == 2


def test_compacting_gives_an_old_store_the_form_of_a_new_one(old: Path) -> None:
    before = seen(old)
    writer = Writer(old)
    writer.compact()
    writer.close()
    assert seen(old) == before
    connection = sqlite3.connect(old)
    found = [
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_size", "auto_vacuum", "journal_mode", "integrity_check")
    ]
    connection.close()
    assert found == [16_384, 2, "wal", "ok"]
    assert all(decode(body) for _, body in before[1])  # type: ignore[misc,attr-defined]


def test_a_step_is_bounded_by_bytes_too(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmobs.store.upkeep.BYTES", 1)
    writer = Writer(old)
    steps = 1
    while writer.adopt():
        steps += 1
    writer.close()
    assert steps == 20  # a row each, and none


def test_a_step_of_tidiness_does_not_wait_for_who_writes(old: Path) -> None:
    writer = Writer(old)
    other = sqlite3.connect(old, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    for step in (writer.adopt, partial(writer.prune, RetentionPolicy(bytes=1))):
        with pytest.raises(SinkUnavailableError, match="locked"):
            step(wait=False)
    assert time.monotonic() - begun < BUSY_SECONDS / 2
    other.execute("ROLLBACK")
    other.close()
    adopted = writer.adopt(wait=False)
    writer.close()
    assert not adopted
