"""The sinks that need no server: sqlite, jsonl, console, memory."""

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

import llmobs
from llmobs import AsyncClient, Client, ErrorInfo, Settings
from llmobs.codec import decode
from llmobs.errors import (
    ConfigurationError,
    SinkUnavailableError,
    StoreCorruptError,
    StoreNotFoundError,
    StoreVersionError,
)
from llmobs.events import ErrorEvent, RunEvent, ToolCallEvent
from llmobs.pipeline.sink import Batch, Sink
from llmobs.sinks import resolve
from llmobs.sinks.console import ConsoleSink, describe
from llmobs.sinks.jsonl import JSONLSink
from llmobs.sinks.memory import MemorySink
from llmobs.sinks.sqlite import SQLiteSink
from llmobs.store.connect import connect_reader, connect_writer
from llmobs.store.reader import Reader
from llmobs.store.schema import VERSION
from tests.helpers import make_event
from tests.support.polling import eventually_async

pytestmark = pytest.mark.anyio


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


async def test_a_relative_path_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path)
    async with AsyncClient(sink="jsonl:///runs.jsonl sqlite:///llmobs.db") as client:
        client.log_error("r", "before")
        await client.flush()
        monkeypatch.chdir(tmp_path / "else")
        client.log_error("r", "after")
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 2
    assert list((tmp_path / "else").iterdir()) == []


async def test_every_event_is_in_the_store_as_recorded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "llmobs.db"
    async with AsyncClient(sink=f"sqlite:///{path}", service_name="shop", release="1") as client:
        with client.run("run-1", user_id="u1", name="job") as run:
            with run.agent_step("plan"):
                run.log_prompt_call("p", "gpt-4o", "a", 10, 5, 100, provider="openai", cost_usd=0.5)
            run.log_error(ValueError("boom"))
    assert rows(path, "SELECT event_type, name, status, failed FROM events ORDER BY id") == [
        ("prompt_call", "gpt-4o", "success", 0),
        ("agent_step", "plan", "success", 0),
        ("error", "ValueError", None, 1),
        ("run", "job", "success", 0),
    ]
    (run_row,) = rows(
        path,
        "SELECT run_id, name, kind, status, user_id, service_name, events, calls, errors,"
        " tokens_input, tokens_output, cost_usd FROM runs",
    )
    assert run_row == ("run-1", "job", "job", "success", "u1", "shop", 3, 1, 1, 10, 5, 0.5)
    bodies = [decode(body) for (body,) in rows(path, "SELECT body FROM bodies ORDER BY id")]
    assert [body.release for body in bodies] == ["1"] * 4
    assert isinstance(bodies[-1], RunEvent)
    assert bodies[-1].cost_usd == 0.5
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_redelivery_changes_nothing(tmp_path: Path) -> None:
    sink = SQLiteSink(tmp_path / "a.db")
    await sink.open()
    events = [make_event(tokens_input=5, tokens_output=1, cost_usd=0.25) for _ in range(200)]
    await sink.send(Batch(events))
    before = rows(tmp_path / "a.db", "SELECT * FROM runs")
    await sink.send(Batch(events))
    await sink.send(Batch([*events[:3], make_event(run_id="run-2")]))
    await sink.aclose()
    assert rows(tmp_path / "a.db", "SELECT count(*) FROM events") == [(201,)]
    assert rows(tmp_path / "a.db", "SELECT * FROM runs WHERE run_id = 'run-1'") == before
    sums = "SELECT tokens_input, tokens_output, cost_usd FROM runs WHERE run_id = 'run-1'"
    assert rows(tmp_path / "a.db", sums) == [(1000, 200, 50.0)]


async def test_runs_that_are_too_old_go_while_others_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    sink = resolve(f"sqlite:///{path}?keep_days=30", Settings())[0]
    assert isinstance(sink, SQLiteSink)
    await sink.open()
    old = datetime.now(UTC) - timedelta(days=31)
    await sink.send(Batch([make_event(run_id="old", timestamp=old, cost_usd=2.0)]))
    sink._tidy_at = 0.0
    await sink.send(Batch([make_event(run_id="new", cost_usd=1.0)]))
    await sink.aclose()
    assert rows(path, "SELECT run_id FROM runs") == [("new",)]
    with Reader(path) as reader:
        assert [group.cost_usd for group in reader.cost("all")] == [3.0]


@pytest.mark.parametrize("option", ["keep_days=0", "keep_bytes=-1", "keep_days=x", "keep=1"])
async def test_what_cannot_be_kept_is_said(tmp_path: Path, option: str) -> None:
    with pytest.raises(ConfigurationError, match=option.partition("=")[0]):
        resolve(f"sqlite:///{tmp_path}/a.db?{option}", Settings())


WRITER = """
import asyncio, sys
from llmobs import AsyncClient
async def main():
    async with AsyncClient(sink="sqlite:///" + sys.argv[1], batch_size=20) as client:
        for number in range(500):
            client.log_prompt_call(f"run-{number % 7}", "p" * 500, "m", "a", 1, 1, 1)
            if number % 50 == 0:
                await asyncio.sleep(0)
        report = await client.flush()
    print(client.statistics().delivered)
asyncio.run(main())
"""


def test_several_processes_write_one_store_at_once(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert [process.communicate(timeout=150)[0].strip() for process in processes] == ["500"] * 3
    assert rows(path, "SELECT count(*), count(DISTINCT event_id) FROM events") == [(1500, 1500)]
    assert rows(path, "SELECT sum(events), sum(tokens_input) FROM runs") == [(1500, 1500)]


def _write_a_newer_store(path: Path) -> None:
    connect_writer(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()


async def test_a_store_of_a_newer_version_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "new.db"
    await anyio.to_thread.run_sync(_write_a_newer_store, path)
    with pytest.raises(StoreVersionError, match="upgrade llmobs"):
        await anyio.to_thread.run_sync(connect_reader, path)
    async with AsyncClient(sink=SQLiteSink(path)) as client:
        client.log_error("r", "boom")
    assert client.statistics().total_dropped == 1
    assert "upgrade llmobs" in caplog.text


async def test_a_corrupt_store_is_said_and_not_touched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "bad.db"
    path.write_bytes(b"this is not a database, but it is long enough to look at" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreCorruptError, match="move it away"):
        await anyio.to_thread.run_sync(connect_reader, path)
    async with AsyncClient(sink=SQLiteSink(path)) as client:
        client.log_error("r", "boom")
    assert client.statistics().total_dropped == 1
    assert "move it away" in caplog.text
    assert path.read_bytes() == before


async def test_a_store_mended_while_running_takes_what_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmobs.pipeline.health.UNAUTHORIZED_PAUSE", 0.05)
    path = tmp_path / "bad.db"
    path.write_bytes(b"x" * 4096)
    async with AsyncClient(sink=SQLiteSink(path)) as client:
        client.log_error("r", "boom")
        assert (await client.flush(0.05)).pending == 1
        path.unlink()
        assert (await client.flush(10)).delivered == 1
    assert rows(path, "SELECT count(*) FROM events") == [(1,)]


async def test_a_path_that_becomes_unwritable_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in ("sqlite", "jsonl"):
        caplog.clear()
        client = AsyncClient(sink=f"{kind}:///{tmp_path}/{kind}/x", shutdown_timeout=0.05)
        (tmp_path / kind).write_text("in the way")
        async with client:
            client.log_error("r", "boom")
            await eventually_async(
                lambda path=f"{tmp_path}/{kind}/x": path in caplog.text, what="a line"
            )
        assert client.statistics().dropped == {"unavailable": 1}


def test_no_store_yet_and_no_store_of_ours(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="no store at"):
        connect_reader(tmp_path / "none.db")
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(StoreNotFoundError, match="not a store of llmobs"):
        connect_reader(tmp_path / "other.db")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Any:
    """Yield a file system of 1 MB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk needs root and mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False
    ).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("scheme", ["sqlite", "jsonl"])
async def test_a_disk_that_fills_up_loses_nothing_once_there_is_room(
    tiny_disk: Path, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(b"x" * 500_000)
    path = tiny_disk / f"events.{scheme}"
    async with AsyncClient(sink=f"{scheme}:///{path}", batch_size=50, timeout=5) as client:
        ids = [client.log_prompt_call("r", "p" * 2_000, "m", "a") for _ in range(250)]
        report = await client.flush(0.5)
        assert report.pending > 0
        await eventually_async(
            lambda: "full" in caplog.text or "No space" in caplog.text, timeout=60
        )
        ballast.unlink()
        (tiny_disk / "more").write_bytes(b"")
        await client.flush(0.1)
        subprocess.run(["mount", "-o", "remount,size=64m", tiny_disk], check=True)
        await client.flush(20)
    assert client.statistics().delivered == 250
    assert client.statistics().dropped == {}
    if scheme == "jsonl":
        found = [decode(line).event_id for line in path.read_bytes().splitlines()]
    else:
        found = [row[0] for row in rows(path, "SELECT event_id FROM events")]
    assert sorted(set(found)) == sorted(ids)


async def test_hostile_values_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with AsyncClient(sink=f"sqlite:///{path}", redact_pii=False) as client:
        client.log_prompt_call(
            "r\ud83d", "\ud83d" * 3, "m\udc00", {"x": float("nan")}, user_id="\ud800"
        )
        client.log_prompt_call("r'; DROP TABLE events;--", "p", "m\x00n", "a", tokens_input=2**62)
        client.log_prompt_call("r", "x" * 20_000_000, "m", "a")
    assert client.statistics().delivered == 3
    assert rows(path, "SELECT count(*) FROM events") == [(3,)]
    ((body,),) = rows(path, "SELECT body FROM bodies ORDER BY id DESC LIMIT 1")
    assert 1_048_576 < len(body) < 1_050_000  # `capture_bytes`
    assert "characters left out" in body


async def test_jsonl_appends_whole_lines_and_follows_rotation(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    async with AsyncClient(sink=f"jsonl:///{path}") as client:
        client.log_prompt_call("r", "line\nbreak", "m", "é")
        await client.flush()
        path.rename(tmp_path / "old.jsonl")
        client.log_error("r", "second")
    for name, kind in (("old.jsonl", "prompt_call"), ("runs.jsonl", "error")):
        (line,) = (tmp_path / name).read_text().splitlines()
        assert json.loads(line)["event_type"] == kind
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_memory_keeps_each_event_once() -> None:
    sink = MemorySink()
    event = make_event()
    await sink.send(Batch([event]))
    await sink.send(Batch([event, make_event()]))
    assert len(sink.events) == 2


async def test_console_writes_a_line_per_event() -> None:
    lines: list[str] = []
    sink = ConsoleSink(lines.append)
    base = {
        "event_id": "e",
        "run_id": "0123456789-run-1",
        "timestamp": datetime(2026, 1, 1, tzinfo=UTC),
    }
    await sink.send(
        Batch(
            [
                make_event(model="gpt-4o", tokens_input=3, latency_ms=12.3, cost_usd=0.5),
                ToolCallEvent(**base, tool_name="search", status="error"),
                ErrorEvent(**base, error=ErrorInfo(message="bad\nthing", type="ValueError")),
                RunEvent(**base, name="POST /chat", events=3),
            ]
        )
    )
    assert "gpt-4o  3+0 tokens  12 ms  $0.500000" in lines[0]
    assert lines[1] == "00:00:00.000  456789-run-1  tool_call  search  error"
    assert lines[2].endswith("error  ValueError: bad thing")
    assert lines[3].endswith("run  POST /chat  3 events")
    assert describe(make_event())


def test_console_writes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with Client(sink="console:") as client:
        client.log_error("r", "boom")
    assert "error: boom" in capfd.readouterr().err


class ThirdParty(MemorySink):
    @classmethod
    def from_url(cls, url: str, settings: Any) -> "ThirdParty":
        sink = cls()
        sink.name = f"{url}|{settings.service_name}"
        return sink


def test_third_parties_add_schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("theirs", "tests.sinks.test_embedded:ThirdParty", "llmobs.sinks")

    class Found(list[EntryPoint]):
        names = {"theirs"}

    monkeypatch.setattr(
        "importlib.metadata.entry_points",
        lambda group, name=None: Found([point] if name in (None, "theirs") else []),
    )
    (sink,) = resolve("theirs://x", Settings(service_name="shop"))
    assert sink.name == "theirs://x|shop"


def test_sinks_of_one_name_are_told_apart() -> None:
    sinks = resolve("memory: memory: console:", Settings())
    assert [sink.name for sink in sinks] == ["memory", "memory#2", "console"]
    assert all(isinstance(sink, Sink) for sink in sinks)


@pytest.mark.parametrize("sink", [SQLiteSink("x.db"), JSONLSink("x"), ConsoleSink(), MemorySink()])
async def test_closing_without_opening_and_twice_is_fine(sink: Sink) -> None:
    await sink.aclose()
    await sink.aclose()


def test_the_writers_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailableError, match=str(tmp_path)):
        connect_writer(tmp_path)
    assert llmobs.SinkUnavailableError.retriable
