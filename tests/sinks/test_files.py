"""Where files are made, what happens when they go while we write, and who else may read them."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from llmobs import AsyncClient, Client, ConfigurationError
from llmobs.codec import decode
from llmobs.sinks.sqlite import SQLiteSink
from llmobs.store.reader import Reader
from llmobs.store.writer import Writer
from tests.support.polling import eventually_async

pytestmark = pytest.mark.anyio

SCHEMES = ("sqlite", "jsonl")


def sink_in(scheme: str, path: Path) -> str:
    return f"{scheme}:///{path}"


def stored(scheme: str, path: Path) -> list[str]:
    if scheme == "jsonl":
        return [decode(line).event_id for line in path.read_bytes().splitlines()]
    with Reader(path) as reader:
        return [event.event_id for found in reader.events() if (event := found.decode())]


# Building a client.


@pytest.mark.parametrize("scheme", SCHEMES)
def test_missing_directories_are_made_with_the_first_event_not_before(
    tmp_path: Path, scheme: str
) -> None:
    path = tmp_path / "a" / "b" / "file"
    with Client(sink=sink_in(scheme, path)) as client:
        assert list(tmp_path.iterdir()) == []
        event_id = client.log_error("r", "boom")
    assert stored(scheme, path) == [event_id]
    assert path.stat().st_mode & 0o777 == 0o600


def _a_file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("in the way")
    return tmp_path / "file" / "x"


def _a_directory(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def _a_link_to_nothing(tmp_path: Path) -> Path:
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    return tmp_path / "link"


def _below_a_link_to_nothing(tmp_path: Path) -> Path:
    return _a_link_to_nothing(tmp_path) / "x"


def _a_name_too_long(tmp_path: Path) -> Path:
    return tmp_path / ("x" * 300)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("place", "words"),
    [
        (_a_file, "is not a directory"),
        (_a_directory, "is a directory"),
        (_a_link_to_nothing, "link to nothing"),
        (_below_a_link_to_nothing, "is not a directory"),
        (_a_name_too_long, "too long"),
    ],
)
def test_a_path_that_cannot_be_written_is_said_when_the_client_is_built(
    tmp_path: Path, scheme: str, place: Callable[[Path], Path], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        Client(sink=sink_in(scheme, place(tmp_path)))
    assert str(tmp_path) in str(caught.value)
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_directory_of_somebody_else_is_said(
    tmp_path: Path, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root, as whom tests may run, may write everywhere.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigurationError, match="cannot be written by this user"):
        Client(sink=sink_in(scheme, tmp_path / "new" / "x"))


@pytest.mark.parametrize("place", [_a_file, _below_a_link_to_nothing])
def test_a_spool_that_cannot_be_written_is_said(
    tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    with pytest.raises(
        ConfigurationError, match=r"spool_dir \(LLMOBS_SPOOL_DIR\).*not a directory"
    ):
        Client(sink="memory:", spool_dir=place(tmp_path))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_slash_too_few_is_said(
    tmp_path: Path, scheme: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (f"tmp/{tmp_path.name}.x", f"no-such-place/{tmp_path.name}", f"{tmp_path.name}.x"):
        with Client(sink=f"{scheme}:///{path}") as client:
            client.log_error("r", "boom")
        assert (tmp_path / path).exists()
    (said,) = [r.getMessage() for r in caplog.records]
    assert f"{tmp_path}/tmp/{tmp_path.name}.x" in said
    assert f"{scheme}:////tmp/{tmp_path.name}.x" in said


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_link_laid_out_later_is_not_followed(
    tmp_path: Path, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x"
    client = AsyncClient(sink=sink_in(scheme, path), shutdown_timeout=0.05)
    path.symlink_to(tmp_path / "victim")
    async with client:
        client.log_error("r", "boom")
        await eventually_async(lambda: str(path) in caplog.text, timeout=60, what="a line")
    assert client.statistics().dropped == {"unavailable": 1}
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_link_to_a_file_is_followed(tmp_path: Path, scheme: str) -> None:
    (tmp_path / "volume").touch(mode=0o600)
    (tmp_path / "x").symlink_to(tmp_path / "volume")
    async with AsyncClient(sink=sink_in(scheme, tmp_path / "x")) as client:
        event_id = client.log_error("r", "boom")
    assert stored(scheme, tmp_path / "volume") == [event_id]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("mode", "is_said"), [(0o644, True), (0o606, True), (0o640, False)])
async def test_a_file_open_to_everyone_is_said_once(
    tmp_path: Path, scheme: str, mode: int, is_said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x"
    path.touch()
    path.chmod(mode)
    for _ in range(2):
        async with AsyncClient(sink=sink_in(scheme, path)) as client:
            client.log_error("r", "boom")
            await client.flush()
            client.log_error("r", "boom")
    assert caplog.text.count("every user of this machine") == is_said
    assert path.stat().st_mode & 0o777 == mode


# A store that goes away.


def _deleted(path: Path) -> None:
    for beside in path.parent.glob(f"{path.name}*"):
        beside.unlink()


def _only_the_file_deleted(path: Path) -> None:
    path.unlink()


def _moved(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def _folder_moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def _replaced(path: Path) -> None:
    other = path.with_name("other.db")
    with Client(sink=f"sqlite:///{other}") as client:
        client.log_error("r", "of the other")
    other.replace(path)


def _copied_over(path: Path) -> None:
    other = path.with_name("copy.db")
    shutil.copy(path, other)
    other.replace(path)


@pytest.mark.parametrize(
    "change",
    [_deleted, _only_the_file_deleted, _moved, _folder_moved, _replaced, _copied_over],
)
async def test_a_store_that_goes_away_is_noticed(
    tmp_path: Path, change: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "folder" / "llmobs.db"
    async with AsyncClient(sink=SQLiteSink(path)) as client:
        before = [client.log_error("r", "before") for _ in range(3)]
        await client.flush()
        await anyio.to_thread.run_sync(change, path)
        after = []
        for number in range(20):
            after.append(client.log_error("r", f"after {number}"))
            assert (await client.flush()).delivered == 1
        assert set(after) <= set(stored("sqlite", path))
    assert set(after) <= set(stored("sqlite", path))
    for place in (path.with_name("moved.db"), tmp_path / "moved" / "llmobs.db"):
        if place.exists():  # what was moved is whole, without the log that may have stayed behind
            alone = shutil.copy(place, tmp_path / "alone.db")
            assert stored("sqlite", Path(alone)) == before
    assert caplog.text.count("was deleted, moved or replaced") == 1
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


async def test_a_store_that_goes_away_while_it_is_written_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "llmobs.db"
    sink = SQLiteSink(path)
    async with AsyncClient(sink=sink) as client:
        client.log_error("r", "before")
        await client.flush()
        writer: Any = sink._writer
        write = writer._write

        def written_then_deleted(*args: Any) -> Any:
            monkeypatch.undo()
            refused = write(*args)
            _deleted(path)
            return refused

        monkeypatch.setattr(writer, "_write", written_then_deleted)
        event_id = client.log_error("r", "after")
        assert (await client.flush()).delivered == 1
    assert stored("sqlite", path) == [event_id]


async def test_a_file_system_without_lasting_inodes_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "llmobs.db"
    numbers = iter(range(1000))
    monkeypatch.setattr(Writer, "_found", lambda _: (1, next(numbers)))
    async with AsyncClient(sink=SQLiteSink(path)) as client:
        ids = [client.log_error("r", "boom") for _ in range(3)]
        assert (await client.flush()).delivered == 3
        ids.append(client.log_error("r", "boom"))
    assert sorted(stored("sqlite", path)) == sorted(ids)


def test_a_working_directory_that_is_gone_is_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for url in ("sqlite:///llmobs.db", "jsonl:///tmp/runs.jsonl"):
        with pytest.raises(ConfigurationError, match="No such file"):
            Client(sink=url)
