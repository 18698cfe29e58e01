"""llmobs store backup: whole, of one moment, while others write and are not held up."""

import json
import os
import sqlite3
import stat
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llmobs.cli.app import llmobs
from llmobs.errors import ConfigurationError, StoreCorruptError, StoreNotFoundError
from llmobs.store import backup as module
from llmobs.store.backup import back_up, is_backed_up
from llmobs.store.reader import Reader
from llmobs.store.writer import Writer
from tests.support.polling import eventually
from tests.support.stores import call, run, write_store


def cli(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(llmobs, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture
def store(tmp_path: Path) -> Path:
    events = [call(f"r{n}", n, prompt=f"{n}" * 2000) for n in range(300)]
    return write_store(tmp_path / "llmobs.db", [*events, run("r0")])


def names(directory: Path) -> set[str]:
    # Who only reads a store may not remove what SQLite puts beside it.
    return {path.name for path in directory.iterdir() if not path.name.startswith("llmobs.db-")}


def test_a_backup_is_a_store(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    made = json.loads(cli("store", "backup", str(target), "--store", str(store), "--json").stdout)
    assert made["bytes"] == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert names(tmp_path) == {"llmobs.db", "copy.db"}
    with Reader(store) as before, Reader(target) as after:
        assert after.count_events() == before.count_events() == 301
        assert after.cost() == before.cost()
        assert [e.body for e in after.events()] == [e.body for e in before.events()]
    writer = Writer(target)  # and goes on as one
    writer.write([call("new")])
    writer.close()


@pytest.mark.parametrize("writing", [True, False])
def test_it_is_on_disk_step_by_step_and_leaves_writers_their_turn(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writing: bool
) -> None:
    """Else the system writes all of it at once, and who commits meanwhile waits for that."""
    monkeypatch.setattr(module, "PAGES", 8)
    sizes: list[int] = []
    pauses: list[float] = []
    fsync = os.fsync

    def noted(file: int) -> None:
        fsync(file)
        if not stat.S_ISDIR(os.fstat(file).st_mode):
            sizes.append(os.fstat(file).st_size)

    writer = Writer(store)
    writer.write([call("r301")])
    if not writing:
        os.utime(f"{store}-wal", (1, 1))
    monkeypatch.setattr(module.os, "fsync", noted)
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    made = back_up(store, tmp_path / "copy.db")
    writer.close()
    with closing(sqlite3.connect(store)) as connection:
        (page,) = connection.execute("PRAGMA page_size").fetchone()
    assert sizes[-1] == made.bytes > 80 * page
    steps = len(sizes) - 1  # the last one is of the whole file
    assert steps >= made.bytes / page / 8
    assert len(pauses) == (steps if writing else 0)
    assert all(0 < pause <= module.MAX_PAUSE for pause in pauses)


def test_what_is_acknowledged_before_is_in_it_while_others_write(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody who writes waits for it: so many times a step, it would begin again for ever."""
    acknowledged: list[str] = []

    class Watched(module._Pace):
        """Somebody writes between any two steps."""

        def __call__(self, *step: int) -> None:
            seen = len(acknowledged)
            eventually(lambda: len(acknowledged) > seen, interval=0.001, what="a write")

    monkeypatch.setattr(module, "PAGES", 8)
    monkeypatch.setattr(module, "_Pace", Watched)
    slowest = 0.0
    ended = threading.Event()

    def write() -> None:
        nonlocal slowest
        writer = Writer(store)
        for number in range(100_000):
            event = call(f"load-{number}", number, prompt="p" * 3000)
            begun = time.monotonic()
            writer.write([event])
            slowest = max(slowest, time.monotonic() - begun)
            acknowledged.append(event.event_id)
            if ended.is_set():
                break
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(3):
            while len(acknowledged) < 20 * (number + 1):
                time.sleep(0.001)
            before = set(acknowledged)
            target = tmp_path / f"copy-{number}.db"
            back_up(store, target)
            with Reader(target) as reader:
                found = {event.decode().event_id for event in reader.events()}  # type: ignore[union-attr]
                assert before <= found
                assert reader.count_runs() == len({e.run_id for e in reader.events()})
    finally:
        ended.set()
        thread.join()
    assert slowest < 5, "SQLite's own patience is ten seconds"


def test_writers_know_of_it(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They keep their log short by waiting for who reads; for a backup they do not."""
    seen: list[bool] = []
    monkeypatch.setattr(
        module, "_see_that_it_is_sound", lambda *_: seen.append(is_backed_up(store))
    )
    assert not is_backed_up(store)
    back_up(store, tmp_path / "copy.db")
    assert seen == [True]
    assert not is_backed_up(store)
    (tmp_path / "llmobs.db-backup").touch()
    assert not is_backed_up(store), "left behind by one that was killed"
    back_up(store, tmp_path / "copy-2.db")
    assert not (tmp_path / "llmobs.db-backup").exists()


def test_the_log_is_short_again_afterwards(store: Path, tmp_path: Path) -> None:
    back_up(store, tmp_path / "copy.db")
    writer = Writer(store)
    writer.write([call("new")])
    assert writer.leave_no_trace(), "nobody reads any more"
    writer.close()


def test_what_is_there_stays_unless_told(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("mine")
    assert "--replace" in cli("store", "backup", str(target), "--store", str(store), code=1).stderr
    assert target.read_text() == "mine"
    cli("store", "backup", str(target), "--store", str(store), "--replace")
    with Reader(target) as reader:
        assert reader.count_events() == 301


@pytest.mark.parametrize(
    "name", ["llmobs.db", "llmobs.db-wal", "directory", "no/such/copy.db", "other.db"]
)
def test_where_it_cannot_be(store: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "other.db-wal").write_text("what is not in the file yet")
    before = names(tmp_path)
    with pytest.raises(ConfigurationError):
        back_up(store, tmp_path / name, replace=True)
    assert names(tmp_path) == before


def test_nothing_is_left_of_one_that_fails(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_see_that_it_is_sound", interrupt)
    with pytest.raises(KeyboardInterrupt):
        back_up(store, tmp_path / "copy.db")
    assert names(tmp_path) == {"llmobs.db"}


def test_there_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        back_up(tmp_path / "none.db", tmp_path / "copy.db")
    assert names(tmp_path) == set()


def test_a_damaged_store_is_said(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("the last good one")
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    size = store.stat().st_size
    with store.open("rb+") as file:
        file.seek(size // 2)
        file.write(os.urandom(size // 4))
    with pytest.raises(StoreCorruptError, match="damaged"):
        back_up(store, target, replace=True)
    assert target.read_text() == "the last good one"
    back_up(store, target, replace=True, check=False)


def test_what_was_written_meanwhile_is_folded_back_by_who_held_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever commits next does it, and waits for the disk."""
    path = write_store(tmp_path / "x.db", [call("r", n) for n in range(100)])
    writer = Writer(path)
    written = 0

    def write_meanwhile(*_: object) -> None:
        nonlocal written
        written += 1
        writer.write([call("meanwhile", written)])

    monkeypatch.setattr("llmobs.store.backup._Pace.__call__", write_meanwhile)
    back_up(path, tmp_path / "copy.db")
    assert written
    # Immutable: the file itself, whatever is in its log.
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as file:
        (count,) = file.execute("SELECT count(*) FROM events").fetchone()
    assert count == 100 + written
    writer.close()
