"""The write-ahead log stays short, and nobody who reads or writes is told to wait."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from llmobs.recorded.ids import new_id
from llmobs.store import writer as module
from llmobs.store.connect import CACHE_BYTES, LOG_BYTES, connect_writer
from llmobs.store.reader import Reader
from llmobs.store.writer import Writer
from tests.helpers import make_event
from tests.support.polling import eventually

MAX_LOG = 2_000_000


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "MAX_LOG", MAX_LOG)
    return tmp_path / "llmobs.db"


def some(count: int) -> list[object]:
    rng = Random(1)
    return [make_event(event_id=new_id(), prompt=rng.randbytes(5_000).hex()) for _ in range(count)]


def log_bytes(store: Path) -> int:
    return store.with_name("llmobs.db-wal").stat().st_size


def test_it_stays_short_though_somebody_always_reads(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that read in turn, so that there is no instant without one."""
    monkeypatch.setattr(module, "TRIM_SECONDS", 30.0)  # on a busy machine they need more than 1.5
    writer = Writer(store)
    writer.write(some(1))  # type: ignore[arg-type]
    ended = threading.Event()
    troubles: list[Exception] = []
    reads = [0, 0]
    turn = threading.Barrier(2)

    def read(number: int) -> None:
        try:
            with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
                while not ended.is_set():
                    connection.execute("BEGIN")
                    connection.execute("SELECT count(*) FROM events").fetchone()
                    reads[number] += 1
                    turn.wait(5)  # the other one has begun before this one ends
                    connection.execute("COMMIT")
        except threading.BrokenBarrierError:
            pass
        except Exception as error:
            troubles.append(error)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: min(reads) > 2, what="readers")
        longest = 0
        for _ in range(40):  # 20 MB
            writer.write(some(50))  # type: ignore[arg-type]
            longest = max(longest, log_bytes(store))
    finally:
        ended.set()
        turn.abort()
        for thread in threads:
            thread.join(10)
    writer.close()
    assert not troubles
    assert longest < MAX_LOG + 4_000_000, longest


def test_who_reads_for_long_is_not_waited_for_and_named(
    store: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRIM_SECONDS", 0.01)
    monkeypatch.setattr(module, "AFTER_TRIM_SECONDS", 0.0)
    writer = Writer(store)
    writer.write(some(1))  # type: ignore[arg-type]
    with closing(sqlite3.connect(store)) as slow:
        slow.execute("BEGIN")
        slow.execute("SELECT count(*) FROM events").fetchone()
        for _ in range(20):
            writer.write(some(50))  # type: ignore[arg-type]
        assert "somebody has been reading" in caplog.text
        slow.execute("COMMIT")
    for _ in range(3):
        writer.write(some(10))  # type: ignore[arg-type]
    assert log_bytes(store) <= LOG_BYTES  # cut short when it began anew
    writer.close()


def test_reading_all_events_keeps_nothing_open(store: Path) -> None:
    """Who exports slowly holds up no log: between two pages nothing is read."""
    writer = Writer(store)
    writer.write(some(250))  # type: ignore[arg-type]
    with Reader(store) as reader:
        events = reader.events()
        next(events)
        writer.write(some(50))  # type: ignore[arg-type]
        with closing(sqlite3.connect(store)) as other:
            other.execute("PRAGMA busy_timeout = 0")
            (is_busy, _, _) = other.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        assert not is_busy
        assert 1 + sum(1 for _ in events) == 250  # those that were there when it began
    writer.close()


@pytest.mark.parametrize(("durable", "level"), [(False, 1), (True, 2)])
def test_the_disk_is_waited_for_where_that_is_promised(
    store: Path, durable: bool, level: int
) -> None:
    with closing(connect_writer(store, durable=durable)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)


@pytest.mark.parametrize(("durable", "kilobytes"), [(False, 2_000), (True, CACHE_BYTES // 1024)])
def test_pages_are_kept_in_memory_by_a_collector_alone(
    store: Path, durable: bool, kilobytes: int
) -> None:
    with closing(connect_writer(store, durable=durable)) as connection:
        assert connection.execute("PRAGMA cache_size").fetchone() == (-kilobytes,)
