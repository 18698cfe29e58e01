"""The spool: what cannot be delivered waits on disk, survives, and is sent once."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import Mock

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmobs import AsyncClient, Client, DeliveryError, Event
from llmobs.errors import SinkRejectedError, SinkTooLargeError, SinkUnavailableError
from llmobs.pipeline import locked_batch
from llmobs.pipeline.locked_batch import LockedBatch
from llmobs.pipeline.prepare import Redact
from llmobs.pipeline.pricing import PriceBook
from llmobs.pipeline.rewrite import rewrite_spool
from llmobs.pipeline.sink import Batch
from llmobs.pipeline.spool import LOST, Spool, rescue
from llmobs.recorded.ids import new_id
from llmobs.runtime.time_slices import TimeSlices
from llmobs.settings import Settings
from llmobs.sinks import resolve
from tests.helpers import ScriptedSink, make_event, poll

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmobs.pipeline.health.backoff", lambda attempt, retry_after=None: 0.001)


def log(client: AsyncClient, count: int = 1, prompt: str = "p") -> list[str]:
    return [client.log_prompt_call("r", f"{prompt}{n}", "m", "a", 1, 1, 1) for n in range(count)]


def down(times: int = 100_000) -> list[Exception | None]:
    return [SinkUnavailableError("down")] * times


def balance(client: AsyncClient) -> None:
    s = client.statistics()
    assert s.accepted == s.delivered + s.total_dropped + s.spooled + s.pending, s


# The files.


def test_batches_come_back_oldest_first_and_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", "http:collector", 10**6)
    events = [make_event(prompt=f"p{n}\n\ud83d") for n in range(3)]
    spool.write(events[:2])
    spool.write(events[2:])
    assert [file.events for file in spool.files()] == [2, 1]
    batch = spool.lock_oldest()
    assert batch is not None
    assert [event.event_id for event in batch.read()] == [event.event_id for event in events[:2]]
    batch.remove()
    assert [file.events for file in spool.files()] == [1]


def test_modes_are_private(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", "x", 10**6)
    spool.write([make_event()])
    assert stat.S_IMODE(spool.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(spool.files()[0].path.stat().st_mode) == 0o600


def test_the_name_of_a_batch_is_on_the_disk_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    synced: list[list[str]] = []

    def fsync(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            synced.append(os.listdir(file))

    monkeypatch.setattr(os, "fsync", fsync)
    spool.write([make_event()])
    assert synced == [[file.path.name for file in spool.files()]]
    failing = Mock(side_effect=[None, OSError("broken")])
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="broken"):
        spool.write([make_event()])
    assert len(os.listdir(spool.directory)) == 1


def test_a_relative_spool_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spool = Spool(Path("my späces"), "x", 10**6)
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    spool.write([make_event()])
    assert len(list((tmp_path / "my späces").rglob("*.jsonl"))) == 1


def test_a_batch_is_locked_by_one(tmp_path: Path) -> None:
    one, two = Spool(tmp_path, "x", 10**6), Spool(tmp_path, "x", 10**6)
    one.write([make_event()])
    first = one.lock_oldest()
    assert first is not None
    assert two.lock_oldest() is None
    first.release()
    second = two.lock_oldest()
    assert second is not None
    second.remove()
    assert one.lock_oldest() is None


def test_sinks_do_not_share(tmp_path: Path) -> None:
    Spool(tmp_path, "one", 10**6).write([make_event()])
    assert Spool(tmp_path, "two", 10**6).lock_oldest() is None


steps = st.one_of(st.integers(1, 9_000), st.just("send"))


@given(st.lists(st.tuples(st.integers(0, 1), steps), min_size=5, max_size=50))
def test_the_oldest_go_first_when_it_is_full_and_only_then(todo: list[tuple[int, Any]]) -> None:
    """Two processes write and send at will; each may add 1/64 to the cap."""
    cap = 60_000
    with TemporaryDirectory() as folder:
        spools = [Spool(Path(folder), "x", cap) for _ in range(2)]
        waiting: list[str] = []
        for who, step in todo:
            spool = spools[who]
            if step == "send":
                if batch := spool.lock_oldest():
                    waiting.remove(batch.path.name)
                    batch.remove()
                continue
            before = {file.path.name: file.size for file in spool.files()}
            gone = [file.path.name for file, _ in spool.write([make_event(prompt="x" * step)])[1]]
            after = {file.path.name: file.size for file in spool.files()}
            (name,) = after.keys() - before.keys()
            assert gone == waiting[: len(gone)]
            assert sum(after.values()) <= cap + 2 * (cap // 64)
            if gone:
                needed = sum(after.values()) + before[gone[-1]]
                assert needed > cap - cap // 64, "something went for which there was room"
            waiting = [*waiting[len(gone) :], name]
        assert sorted(waiting) == [file.path.name for file in spools[0].files()]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"sink": "sqlite:////a/llmobs.db"}, {"sink": "sqlite:////b/llmobs.db"}),
        ({"sink": "jsonl:////a/x.jsonl"}, {"sink": "jsonl:////b/x.jsonl"}),
        ({"sink": "https://k@host/one"}, {"sink": "https://k@host/two"}),
        ({"sink": "https://host/v1", "project_id": "a"}, {"sink": "https://host/v1"}),
        ({"sink": "otlp+http://host/a"}, {"sink": "otlp+http://host/b"}),
    ],
)
def test_applications_that_share_a_directory_keep_apart(
    tmp_path: Path, one: dict[str, str], other: dict[str, str]
) -> None:
    def spool(keywords: dict[str, str]) -> Spool:
        settings = Settings(spool_dir=tmp_path, **keywords)
        return Spool.of(resolve(settings.sink, settings)[0], settings)

    spool(one).write([make_event()])
    assert spool(other).lock_oldest() is None
    batch = spool({**one, "api_key": "a new one"}).lock_oldest()
    assert batch is not None
    batch.remove()


def test_writing_does_not_look_at_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    looks = []
    files = spool.files
    monkeypatch.setattr(spool, "files", lambda: looks.append(1) or files())
    for _ in range(200):
        spool.write([make_event()])
    assert len(files()) == 200
    assert len(looks) < 20


def test_a_file_that_is_not_locked_yet_may_be_swept_away_while_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[int] = []
    really_lock = locked_batch.lock

    def sweep_first(file: int, *, wait: bool) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(locked_batch, "lock", really_lock)
            if not swept and not os.fstat(file).st_size:
                rescue(spool.directory)
                swept.append(os.fstat(file).st_nlink)
        really_lock(file, wait=wait)

    spool = Spool(tmp_path, "sink", 10**6)
    with monkeypatch.context() as patch:
        patch.setattr(locked_batch, "lock", sweep_first)
        spool.write([make_event(), make_event()])
        assert swept == [0]
        swept.clear()
        done = rewrite_spool(tmp_path, lambda event: None)
    assert swept == [0]
    assert (done.removed, done.busy) == (2, 0)
    batch = spool.lock_oldest()
    assert batch is not None
    assert (batch.read(), batch.erased) == ([], 2)
    batch.release()


def test_what_a_dead_writer_left_is_swept_and_damage_is_skipped(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    spool.write([make_event(), make_event()])
    path = spool.files()[0].path
    empty = path.with_name(f".{new_id()}-1.jsonl")
    empty.touch()
    path.write_bytes(path.read_bytes()[:-40] + b"\xff\xfe garbage\n")
    batch = spool.lock_oldest()
    assert batch is not None
    assert len(batch.read()) == 1
    assert not empty.exists()
    batch.release()


def test_what_a_dead_writer_had_written_is_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    events = [make_event() for _ in range(3)]
    spool.write(events)
    (path,) = (file.path for file in spool.files())
    path.write_bytes(path.read_bytes()[:-30])
    hidden = path.rename(path.with_name(f".{path.name}"))
    with hidden.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)  # still writing
        assert spool.lock_oldest() is None and hidden.exists()
    batch = spool.lock_oldest()
    assert batch is not None
    assert (batch.path, batch.count) == (path, 3)
    assert batch.read() == events[:2]
    batch.remove()


def test_what_is_not_ours_in_the_spool_stays_and_blocks_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    spool.write([make_event()])
    name = spool.files()[0].path.name
    foreign = [".snapshot", f".{name}.bak", ".nfs0000", f"a{name}", "notes.txt", f"{name}.v2"]
    for other in foreign:
        (spool.directory / other).write_text("theirs")
    folders = [".snapshots", f".{new_id()}-1.jsonl", f".{name}.delivered=1", f"{new_id()}-1.jsonl"]
    for other in folders:
        (spool.directory / other).mkdir()
    os.utime(spool.directory / folders[2], (0, 0))  # as old as receipts that nobody fetched
    batch = spool.lock_oldest()
    assert batch is not None and batch.path.name == name
    batch.remove()
    assert spool.lock_oldest() is None
    assert sorted(os.listdir(spool.directory)) == sorted(foreign + folders)


def test_a_batch_that_cannot_be_opened_or_read_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    for _ in range(3):
        spool.write([make_event()])
    first, second, third = (file.path for file in spool.files())
    take, read = LockedBatch.acquire, LockedBatch.read

    def open_(path: Path, count: int) -> LockedBatch | None:
        if path == first:
            raise PermissionError(errno.EACCES, "Permission denied")
        return take(path, count)

    def read_(batch: LockedBatch) -> Any:
        if batch.path == second:
            raise OSError(errno.EIO, "Input/output error")
        return read(batch)

    monkeypatch.setattr(LockedBatch, "acquire", open_)
    monkeypatch.setattr(LockedBatch, "read", read_)
    batch = spool.lock_oldest()
    assert batch is not None and batch.path == third
    assert spool.left_alone == {first.name: "Permission denied", second.name: "Input/output error"}
    batch.remove()
    assert spool.lock_oldest() is None
    monkeypatch.undo()
    batch = spool.lock_oldest()
    assert batch is not None and batch.path == first


def test_a_batch_of_a_newer_llmobs_is_left_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    spool.write([make_event(), make_event()])
    spool.write([make_event()])
    newer, older = (file.path for file in spool.files())
    content = newer.read_bytes() + b'{"event_type": "dream", "event_id": "1"}\n'
    newer.write_bytes(content)
    batch = spool.lock_oldest()
    assert batch is not None and batch.path == older
    batch.remove()
    assert "another version" in spool.left_alone[newer.name]
    spool.left_alone.clear()
    assert spool.lock_oldest() is None
    assert newer.read_bytes() == content
    assert not spool.left_alone  # said once, not with every pass


def test_a_name_with_an_impossible_count_is_sent_and_removed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    spool.write([make_event()])
    path = spool.files()[0].path
    path.rename(path.with_name(f"{path.name[:36]}-{'9' * 200}.jsonl"))
    assert [file.events for file in spool.files()] == [0]
    batch = spool.lock_oldest()
    assert batch is not None and len(batch.read()) == 1
    batch.remove()
    assert os.listdir(spool.directory) == []


@pytest.mark.parametrize("receipt", [None, {"delivered": 1}])
def test_a_hard_link_in_the_spool_does_not_empty_the_other_file(
    tmp_path: Path, receipt: dict[str, int] | None
) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("not a batch")
    spool = Spool(tmp_path, "x", 10**6)
    spool.write([make_event()])
    first = spool.lock_oldest()
    assert first is not None
    first.remove()
    (spool.directory / f"{new_id()}-1.jsonl").hardlink_to(mine)
    batch = spool.lock_oldest()
    assert batch is not None and batch.read() == []
    batch.remove(receipt)
    assert spool.lock_oldest() is None
    assert mine.read_text() == "not a batch"


def test_a_receipt_that_cannot_be_true_is_not_believed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    name, _ = spool.write([make_event(), make_event()])
    spool.own.add(name)
    path = spool.directory / name
    path.rename(path.with_name(f".{name}.delivered=999999"))
    assert spool.acknowledged_by_others() == {LOST: 2}


@pytest.mark.parametrize(("mode", "lines"), [(0o700, 0), (0o750, 0), (0o755, 1), (0o777, 1)])
def test_a_spool_open_to_everyone_is_said_once(
    tmp_path: Path, mode: int, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    spool.directory.mkdir()
    spool.directory.chmod(mode)
    spool.write([make_event()])
    spool.write([make_event()])
    assert caplog.text.count("every user of this machine can open the spool") == lines


@pytest.mark.parametrize(("mode", "lines"), [(0o755, 0), (0o775, 0), (0o1777, 0), (0o777, 1)])
def test_a_place_where_anybody_may_put_a_spool_is_said_once(
    tmp_path: Path, mode: int, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(mode)
    spool = Spool(tmp_path, "x", 10**6)
    spool.write([make_event()])
    spool.write([make_event()])
    assert caplog.text.count(f"a spool of theirs in place of ours in {tmp_path} (mode") == lines


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory to another user")
def test_a_spool_of_another_user_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    spool.directory.mkdir(0o700)
    os.chown(spool.directory, 4711, 4711)
    spool.write([make_event()])
    assert f"in place of ours in {spool.directory} (mode 0700, user 4711)" in caplog.text


def in_a_child(moment: Callable[[], object]) -> Callable[[], None]:
    """Fork a child that waits after *moment*, in the child; returns what ends it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        moment()
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)

    def end() -> None:
        os.close(writer)
        os.close(reader)
        os.waitpid(pid, 0)

    return end


FORKING = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@FORKING
@pytest.mark.parametrize("during", ["lock", "write"])
def test_a_child_forked_meanwhile_does_not_hold_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    ends = []
    if during == "lock":
        spool.write([make_event()])
        batch = spool.lock_oldest()
        assert batch is not None
        # The child gives up what it inherited of the batch, which must not free it for others.
        ends.append(in_a_child(batch.release))
        assert Spool(tmp_path, "x", 10**6).lock_oldest() is None
        batch.release()
    else:
        sync = os.fsync
        monkeypatch.setattr(os, "fsync", lambda f: (ends or ends.append(in_a_child(int)), sync(f)))
        spool.write([make_event()])
    try:
        again = spool.lock_oldest()
        assert again is not None
        again.remove()
    finally:
        ends[0]()


@FORKING
def test_a_batch_whose_owner_died_is_free_though_its_child_lives(tmp_path: Path) -> None:
    Spool(tmp_path, "x", 10**6).write([make_event()])
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        batch = Spool(tmp_path, "x", 10**6).lock_oldest()
        if os.fork() == 0:
            os.close(writer)
            os.read(reader, 1)  # until the test is over
            os._exit(0)
        os._exit(batch is None)
    os.close(reader)
    try:
        assert os.waitpid(parent, 0)[1] == 0
        poll(Spool(tmp_path, "x", 10**6).lock_oldest)
    finally:
        os.close(writer)


def test_a_batch_that_cannot_be_removed_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    spool.write([make_event()])
    batch = spool.lock_oldest()
    assert batch is not None
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", Mock(side_effect=OSError("read-only")))
        with pytest.raises(OSError, match="read-only"):
            batch.remove()
    del batch
    assert spool.lock_oldest() is None


def test_a_batch_that_was_left_lying_is_free_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    spool.write([make_event()])
    spool.lock_oldest()
    assert spool.lock_oldest() is not None


def test_a_link_in_the_spool_is_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("not a batch")
    spool = Spool(tmp_path, "x", 10**6)
    spool.write([make_event()])
    (spool.directory / spool.files()[0].path.name.replace("-1.", "-2.")).symlink_to(mine)
    (spool.directory / "00000000-0000-7000-8000-000000000000-1.jsonl").mkdir()
    batch = spool.lock_oldest()
    assert batch is not None and not batch.path.is_symlink()
    assert [file.events for file in spool.files()] == [1]
    batch.remove()
    assert spool.lock_oldest() is None
    assert mine.read_text() == "not a batch"


@pytest.mark.parametrize("damage", [b'\xff\xfe"', b'", "metadata": ' + b"[" * 100_000])
def test_no_damage_keeps_a_batch_from_being_read(tmp_path: Path, damage: bytes) -> None:
    spool = Spool(tmp_path, "x", 10**6)
    spool.write([make_event(prompt="hello"), make_event()])
    path = spool.files()[0].path
    path.write_bytes(path.read_bytes().replace(b"hello", damage))
    batch = spool.lock_oldest()
    assert batch is not None
    assert len(batch.read()) == 1
    batch.remove()


# The pipeline.


async def test_a_dead_sink_sends_events_to_disk_and_they_come_back(tmp_path: Path) -> None:
    sink = ScriptedSink(down(10))
    async with AsyncClient(sink=sink, spool_dir=tmp_path, flush_interval_seconds=0.001) as client:
        ids = log(client, 20)
        report = await client.flush(5)
        balance(client)
        assert report.pending == 0
        with anyio.fail_after(10):
            while client.statistics().delivered < 20:
                await anyio.sleep(0.005)
                balance(client)
        assert (await client.flush(5)).complete
    assert sorted(set(sink.ids)) == sorted(ids)
    assert client.statistics().spooled == 0


@pytest.mark.parametrize("all_of_it", [True, False])
async def test_what_is_erased_on_disk_is_accounted_for(tmp_path: Path, all_of_it: bool) -> None:
    sink = ScriptedSink(down())
    async with AsyncClient(sink=sink, spool_dir=tmp_path, flush_interval_seconds=0.001) as client:
        ids = log(client, 3)
        await client.flush(5)

        def change(event: Event) -> Event | None:
            return None if all_of_it or event.event_id == ids[1] else event

        removed = 0
        with anyio.fail_after(10):  # while the client tries one, it is locked
            while removed < (3 if all_of_it else 1):
                removed += (await anyio.to_thread.run_sync(rewrite_spool, tmp_path, change)).removed
        sink.script.clear()
        log(client)
        with anyio.fail_after(10):
            while client.statistics().delivered + client.statistics().total_dropped < 4:
                await anyio.sleep(0.005)
        assert client.statistics().dropped == {"erased": removed}
        balance(client)
    assert len(sink.ids) == 4 - removed and ids[1] not in sink.ids


async def test_flush_reports_what_is_on_disk(tmp_path: Path) -> None:
    async with AsyncClient(
        sink=ScriptedSink(down()), spool_dir=tmp_path, flush_interval_seconds=0.001
    ) as client:
        log(client, 5)
        report = await client.flush(10)
        assert (report.spooled, report.pending, report.delivered) == (5, 0, 0)
        log(client, 3)
        assert (await client.flush(10)).spooled == 3
        balance(client)


async def test_a_sink_that_is_down_for_long_makes_few_files(tmp_path: Path) -> None:
    async with AsyncClient(
        sink=ScriptedSink(down()), spool_dir=tmp_path, flush_interval_seconds=60
    ) as client:
        log(client)
        await client.flush(10)
        for _ in range(50):
            log(client)
            await anyio.sleep(0.001)  # each event alone, as at a low rate
        assert len(list(tmp_path.rglob("*.jsonl"))) <= 2
        assert (await client.flush(10)).pending == 0
        assert client.statistics().spooled == 51
        balance(client)


async def test_the_next_start_sends_what_the_last_left(tmp_path: Path) -> None:
    async with AsyncClient(
        sink=ScriptedSink(down()), spool_dir=tmp_path, shutdown_timeout=0.1
    ) as client:
        ids = log(client, 5, prompt="mail ann@example.com ")
    assert client.statistics().spooled == 5
    assert b"ann@example.com" not in b"".join(p.read_bytes() for p in tmp_path.rglob("*.jsonl"))
    sink = ScriptedSink()
    async with AsyncClient(sink=sink, spool_dir=tmp_path) as client:
        with anyio.fail_after(10):
            while len(sink.ids) < 5:
                await anyio.sleep(0.005)
    assert sorted(sink.ids) == sorted(ids)
    assert client.statistics().replayed == 5
    assert (client.statistics().accepted, client.statistics().delivered) == (0, 0)
    assert list(tmp_path.rglob("*.jsonl")) == []


class Slow(ScriptedSink):
    async def send(self, batch: Batch) -> None:
        await anyio.sleep(0.01)
        await super().send(batch)


def _leave_behind(directory: Path, batches: int) -> None:
    spool = Spool(directory, "scripted", 10**8)
    for _ in range(batches):
        spool.write([make_event()])


async def test_a_backlog_does_not_hold_up_what_is_recorded_meanwhile(tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(_leave_behind, tmp_path, 100)
    async with AsyncClient(
        sink=Slow(), spool_dir=tmp_path, max_queue_events=50, batch_size=10
    ) as client:
        while (statistics := client.statistics()).delivered < 150:
            log(client, 40 - statistics.queue_events)  # there is always a batch that is due
            await anyio.sleep(0.002)
        assert statistics.dropped == {}
        assert 0 < statistics.replayed < 100
        report = await client.flush(10)
        assert report.pending == 0 and client.statistics().replayed < 100
        with anyio.fail_after(20):
            while client.statistics().replayed < 100:
                await anyio.sleep(0.01)


@pytest.mark.parametrize("always_due", [False, True])
async def test_steady_traffic_does_not_keep_a_backlog_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, always_due: bool
) -> None:
    monkeypatch.setattr("llmobs.pipeline.worker.REPLAY_SECONDS", 0.1)
    async with AsyncClient(
        sink=Slow(),
        spool_dir=tmp_path,
        flush_interval_seconds=0.05,
        batch_size=1 if always_due else 512,
    ) as client:
        log(client)
        await client.flush(5)
        await anyio.to_thread.run_sync(_leave_behind, tmp_path, 5)
        with anyio.fail_after(10):
            while client.statistics().replayed < 5:
                while client.statistics().queue_events < 20:
                    log(client)
                await anyio.sleep(0.001)


async def test_a_sink_that_asks_for_a_long_pause_is_down_at_once(tmp_path: Path) -> None:
    sink = ScriptedSink([SinkUnavailableError("busy", retry_after=60)] * 2)
    async with AsyncClient(
        sink=sink, spool_dir=tmp_path, batch_size=1, flush_interval_seconds=0.001
    ) as client:
        log(client)
        with anyio.fail_after(10):
            while not client.statistics().spooled:
                await anyio.sleep(0)
                assert sink.attempts <= 1


async def test_a_shutdown_deadline_leaves_the_rest_on_disk(tmp_path: Path) -> None:
    class Frozen(ScriptedSink):
        async def send(self, batch: Batch) -> None:
            await anyio.sleep_forever()

    async with AsyncClient(sink=Frozen(), spool_dir=tmp_path, shutdown_timeout=0.05) as client:
        log(client, 7)
    assert client.statistics().spooled == 7
    balance(client)


async def test_closing_from_several_tasks_keeps_everything_once(tmp_path: Path) -> None:
    class Frozen(ScriptedSink):
        async def send(self, batch: Batch) -> None:
            await anyio.sleep_forever()

    async with AsyncClient(
        sink=Frozen(), spool_dir=tmp_path, shutdown_timeout=0.05, batch_size=2
    ) as client:
        log(client, 9)
        async with anyio.create_task_group() as group:
            group.start_soon(client.aclose)
            group.start_soon(client.aclose)
        with anyio.fail_after(5):  # there is nothing to wait for any more
            assert (await client.flush(60)).pending == 0
    assert client.statistics().spooled == 9
    spool = Spool(tmp_path, "scripted", 10**6)
    files = await anyio.to_thread.run_sync(lambda: list(spool.files()))
    assert sum(file.events for file in files) == 9


async def test_spill_keeps_everything_while_the_sink_hangs(tmp_path: Path) -> None:
    release = anyio.Event()

    class Hanging(ScriptedSink):
        async def send(self, batch: Batch) -> None:
            await release.wait()
            await super().send(batch)

    sink = Hanging()
    async with AsyncClient(
        sink=sink,
        spool_dir=tmp_path,
        overflow="spill",
        max_queue_events=200,
        batch_size=20,
        timeout=60,
    ) as client:
        for _ in range(100):
            log(client, 20)
            await anyio.sleep(0)
            with anyio.fail_after(10):
                while client.statistics().queue_events > 150:
                    await anyio.sleep(0.001)
            balance(client)
        assert client.statistics().spooled > 1_000
        release.set()
        with anyio.fail_after(20):
            while client.statistics().delivered < 2_000:
                await anyio.sleep(0.01)
        balance(client)
    assert client.statistics().dropped == {}
    assert len(set(sink.ids)) == 2_000


async def test_write_ahead_puts_events_on_disk_first(tmp_path: Path) -> None:
    sink = ScriptedSink()
    async with AsyncClient(
        sink=sink, spool_dir=tmp_path, durability="disk", flush_interval_seconds=60
    ) as client:
        ids = log(client, 30)
        report = await client.flush(10)
        assert (report.delivered, report.spooled) == (30, 0)
        balance(client)
    assert sorted(sink.ids) == sorted(ids)
    assert list(tmp_path.rglob("*.jsonl")) == []


def test_the_first_events_do_not_wait_in_memory_for_the_price_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[threading.Thread] = []
    monkeypatch.setattr(PriceBook, "load", lambda _: loaded.append(threading.current_thread()))
    with Client(sink="memory:", spool_dir=tmp_path, durability="disk") as client:
        assert loaded == [threading.current_thread()]
        client.log_prompt_call("r", "p", "m", "a", 1, 1)
        assert client.flush().complete
    assert len(loaded) == 1
    with Client(sink="memory:", spool_dir=tmp_path):
        assert len(loaded) == 1


async def test_closing_waits_for_what_is_on_its_way_to_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redact = Redact.run
    begun = anyio.Event()

    async def slowly(self: Redact, entries: Any, slices: TimeSlices) -> None:
        begun.set()
        await anyio.sleep(0.1)
        await redact(self, entries, slices)

    monkeypatch.setattr(Redact, "run", slowly)
    sink = ScriptedSink()
    async with AsyncClient(sink=sink, spool_dir=tmp_path, durability="disk") as client:
        ids = log(client, 3)
        await begun.wait()
    assert sink.ids == ids
    assert list(tmp_path.rglob("*.jsonl")) == []


async def test_refusals_and_splits_work_from_disk_too(tmp_path: Path) -> None:
    class Picky(ScriptedSink):
        async def send(self, batch: Batch) -> None:
            if self.script:
                raise self.script.pop()  # type: ignore[misc]
            if len(batch) > 2:
                raise SinkTooLargeError("too many")
            bad = {e.event_id: "no" for e in batch.events if getattr(e, "prompt", "") == "p3"}
            if bad:
                raise SinkRejectedError("bad", events=bad)
            await super().send(batch)

    sink = Picky(down(5))
    async with AsyncClient(sink=sink, spool_dir=tmp_path, flush_interval_seconds=0.001) as client:
        log(client, 8)
        with anyio.fail_after(10):
            while client.statistics().delivered < 7:
                await anyio.sleep(0.005)
        await client.flush(5)
        balance(client)
    assert len(sink.ids) == 7
    assert client.statistics().dropped == {"rejected": 1}


async def test_send_says_that_its_event_is_on_disk(tmp_path: Path) -> None:
    async with AsyncClient(sink=ScriptedSink(down()), spool_dir=tmp_path) as client:
        with pytest.raises(DeliveryError, match="kept on disk"):
            await client.send(make_event(), timeout=10)
        balance(client)


async def test_an_unwritable_spool_falls_back_to_memory_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = ScriptedSink(down(8))
    client = AsyncClient(sink=sink, spool_dir=tmp_path / "file", flush_interval_seconds=0.001)
    (tmp_path / "file").write_text("in the way")
    async with client:
        ids = log(client, 10)
        with anyio.fail_after(20):
            while client.statistics().delivered < 10:
                await anyio.sleep(0.01)
                balance(client)
    assert sorted(sink.ids) == sorted(ids)
    assert caplog.text.count("cannot write to the spool") == 1


async def test_what_a_slow_disk_took_too_late_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmobs.pipeline.disk_writer.DISK_SECONDS", 0.05)
    write, waits = Spool.write, [threading.Event()]

    def slow(spool: Spool, events: Any) -> Any:
        if waits:
            waits.pop().wait(0.5)
        return write(spool, events)

    monkeypatch.setattr(Spool, "write", slow)
    sink = ScriptedSink(down(6))
    async with AsyncClient(sink=sink, spool_dir=tmp_path, flush_interval_seconds=0.001) as client:
        log(client, 5)
        with anyio.fail_after(10):
            while client.statistics().delivered < 5 or list(tmp_path.rglob("*.jsonl")):
                await anyio.sleep(0.01)
                await client.flush(0.1)
                balance(client)
        statistics = client.statistics()
    assert (statistics.delivered, statistics.spooled, statistics.pending) == (5, 0, 0)


async def test_two_clients_share_a_spool_and_each_event_arrives_once(tmp_path: Path) -> None:
    async with AsyncClient(sink=ScriptedSink(down()), spool_dir=tmp_path, batch_size=5) as dead:
        ids = log(dead, 200)
        await dead.flush(10)
    one, two = ScriptedSink(), ScriptedSink()
    async with AsyncClient(sink=one, spool_dir=tmp_path), AsyncClient(sink=two, spool_dir=tmp_path):
        with anyio.fail_after(20):
            while len(one.ids) + len(two.ids) < 200:
                await anyio.sleep(0.01)
    assert sorted(one.ids + two.ids) == sorted(ids)


KILLED = """
import sys, threading, time
import llmobs
from llmobs.errors import SinkUnavailableError
class Down:
    name, max_batch_events, max_batch_bytes = "scripted", None, None
    async def open(self): ...
    async def send(self, batch): raise SinkUnavailableError("down")
    async def aclose(self): ...
client = llmobs.Client(sink=Down(), spool_dir=sys.argv[1], durability="disk", batch_size=50)
number = 0
while True:
    client.log_prompt_call("r", str(number), "m", "a")
    number += 1
    print(number, time.time(), flush=True)
    time.sleep(0.0005)
"""


@pytest.mark.parametrize("wait", [0.35, 0.6, 0.81])
def test_kill_9_loses_at_most_the_last_moment_and_corrupts_nothing(
    tmp_path: Path, wait: float
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        poll(lambda: list(tmp_path.rglob("*.jsonl")), 20)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(wait)
    finally:
        os.kill(process.pid, signal.SIGKILL)
    assert process.stdout is not None
    lines: list[list[str]] = [line.split() for line in process.stdout.read().splitlines()]
    process.wait()
    process.stdout.close()
    lines = [line for line in lines if len(line) == 2 and "." in line[1]]
    last = float(lines[-1][1])
    due = [int(number) for number, when in lines if float(when) < last - 0.5]

    async def replay() -> set[int]:
        sink = ScriptedSink()
        async with AsyncClient(sink=sink, spool_dir=tmp_path) as client:
            with anyio.move_on_after(10):
                while client.statistics().replayed < len(due) or list(tmp_path.rglob("*.jsonl")):
                    await anyio.sleep(0.01)
        assert len(sink.ids) == len(set(sink.ids))
        return {int(event.prompt) for event in sink.events}  # type: ignore[attr-defined]

    found: set[Any] = anyio.run(replay)
    # The promise is 100 ms; the machine that runs the suite may stall for longer than that.
    assert set(range(len(due))) <= found
