"""llmobs forget: afterwards no byte of a person is left, and all sums are as if they had never been."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from llmobs import AssertionFailedEvent, ErrorInfo, Event
from llmobs.codec import decode, encode
from llmobs.pipeline.spool import Spool
from llmobs.store.pieces import unpack
from llmobs.store.reader import Reader
from llmobs.store.records import RunFilter
from llmobs.store.spans import Link, What, run_event_id_of
from llmobs.store.writer import Writer
from tests.cli.conftest import CLI, parsed
from tests.store.recount import hourly_sums, recounted
from tests.support.stores import at, call, index_texts, run, write_store

ANN = "ann-4711"
SECRET = "the blue canary sings"
LONG = f"{SECRET} " + "and nobody else knows what it is all about " * 12
SHARED = "You are a helpful assistant of the shop. " * 12


def messages(text: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": SHARED}, {"role": "user", "content": text}]


def of_ann(run_id: str, seconds: float = 0) -> list[Event]:
    return [
        call(run_id, seconds, user_id=ANN, session_id="s-ann", prompt=messages(LONG), cost_usd=1.0),
        call(run_id, seconds + 1, user_id=ANN, response=SECRET, latency_ms=12.0, model=f"m-{SECRET[:8]}",
             status="error", error=ErrorInfo(SECRET)),
        AssertionFailedEvent(
            event_id=f"{run_id}-check", run_id=run_id, timestamp=at(seconds + 2), user_id=ANN,
            assertion_name=SECRET, expected=SECRET, actual=1,
        ),
        run(run_id, seconds, user_id=ANN, tags=(SECRET,), client_run_id="canary-client"),
    ]  # fmt: skip


def of_bob(run_id: str, seconds: float = 0) -> list[Event]:
    return [
        call(run_id, seconds, user_id="bob", prompt=messages("Is it raining?"), cost_usd=2.0),
        run(run_id, seconds, user_id="bob"),
    ]


EVENTS = [
    *of_ann("ann-1"),
    *of_bob("bob-1"),
    *of_ann("ann-2", 7200),
    # A job of the night for both, and a task that ann's request began.
    call("night", 100, user_id=ANN, prompt=SECRET, cost_usd=4.0, tokens_input=5),
    call("night", 101, user_id="bob", prompt="hi", cost_usd=8.0, tokens_input=7),
    run("night", 100, name="nightly"),
    call("task", 200, prompt=SECRET),
    run("task", 200, name="mail", parent_run_id="ann-1"),
]  # fmt: skip


def files_with(folder: Path, *texts: str) -> list[str]:
    """What of *texts* any file below holds, in its name too; compressed messages are looked into."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes() + path.name.encode()
            found += [f"{path.name}: {text}" for text in texts if text.encode() in data]
    for path in folder.rglob("*.db"):
        connection = sqlite3.connect(path)
        for (data,) in connection.execute("SELECT data FROM pieces"):
            content = unpack(data) or b""
            found += [f"a message: {text}" for text in texts if text.encode() in content]
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'parts'").fetchone():
            parts = [
                unpack(body) or b"" for (body,) in connection.execute("SELECT body FROM parts")
            ]
            found += [f"a part: {t}" for t in texts if any(t.encode() in part for part in parts)]
        connection.close()
    return found


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return index_texts(write_store(tmp_path / "data" / "llmobs.db", EVENTS))


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    return tmp_path / "data" / "llmobs.db.erasures.jsonl"


def spool_with(folder: Path, *batches: list[Event]) -> Spool:
    spool = Spool(folder, "https:collector", 10_000_000)
    for events in batches:
        spool.write(events)
    return spool


def test_nothing_of_a_person_is_left_and_nothing_else_is_gone(
    cli: CLI, store: Path, protocol: Path, tmp_path: Path
) -> None:
    other = write_store(
        tmp_path / "never.db",
        [event for event in EVENTS if event.user_id != ANN and event.run_id != "task"],
    )
    assert "llmobs.db-text: canary" in files_with(store.parent, "canary")
    done = parsed(cli("forget", "--user", ANN, "--store", store, "--json"))
    assert (done["runs"], done["shared_runs"], done["events"]) == (3, 1, 11)
    assert done["traces_overwritten"] is True
    # Open beside it: the log must be empty now, not only when the last one closes it.
    assert files_with(store.parent, ANN, SECRET, SECRET[:8], "canary", "ann-1", "ann-2") == []
    assert hourly_sums(store) == recounted(store) == hourly_sums(other)
    with Reader(store) as after, Reader(other) as never:
        assert after.runs(100) == never.runs(100)
        assert [e.body for e in after.events()] == [e.body for e in never.events()]
        assert SHARED.strip()[:20] in next(e.body for e in after.events())
    line = json.loads(protocol.read_text())
    assert line == done and line["by"] == "user" and len(line["selector"]) == 32
    assert protocol.stat().st_mode & 0o777 == 0o600


def test_while_somebody_else_has_it_open_and_writes(cli: CLI, store: Path) -> None:
    writer = Writer(store)
    writer.write(of_bob("bob-2"))
    reader = Reader(store)
    reader.runs()
    cli("forget", "--user", ANN, "--store", store, "--yes")
    assert files_with(store.parent, ANN, SECRET) == []
    writer.write(of_bob("bob-3"))
    assert {one.run_id for one in reader.runs()} == {"bob-1", "bob-2", "bob-3", "night"}
    reader.close()
    writer.close()


def test_a_shared_run_keeps_how_it_ended(cli: CLI, tmp_path: Path) -> None:
    """Whoever the run's own event names."""
    (tmp_path / "data").mkdir()
    path = write_store(
        tmp_path / "data" / "x.db",
        [
            call("r", user_id=ANN, prompt=SECRET, cost_usd=1.0),
            call("r", user_id="bob", cost_usd=2.0),
            run("r", user_id=ANN, session_id=SECRET, tags=(SECRET,), metadata={"a": SECRET}),
        ],
    )
    done = parsed(cli("forget", "--user", ANN, "--store", path, "--json"))
    assert (done["runs"], done["shared_runs"], done["events"]) == (0, 1, 1)
    assert files_with(tmp_path, ANN, SECRET) == []
    with Reader(path) as reader:
        (left,) = reader.runs()
    assert (left.status, left.user_id, left.calls, left.cost_usd) == ("success", "bob", 1, 2.0)


WRITES = """
import sys, time
from pathlib import Path
from llmobs.store.writer import Writer
from tests.cli.test_forget import of_ann, of_bob
writer, number = Writer(Path(sys.argv[1])), 0
print("writing", flush=True)
while not Path(sys.argv[2]).exists():
    writer.write([*of_bob(f"other-{number}"), *(of_ann(f"hers-{number}") if number % 5 == 0 else [])])
    number += 1
    time.sleep(0.001)
writer.close()
print(number)
"""


def test_while_another_process_writes(cli: CLI, store: Path, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    other = subprocess.Popen(
        [sys.executable, "-c", WRITES, str(store), str(stop)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert other.stdout is not None and other.stdout.readline() == "writing\n"
    try:
        first = parsed(cli("forget", "--user", ANN, "--store", store, "--json"))
        assert first["runs"] >= 3
    finally:
        stop.touch()
        written = int(other.communicate(timeout=60)[0])
    parsed(cli("forget", "--user", ANN, "--store", store, "--json"))
    assert files_with(store.parent, ANN, SECRET, "hers-") == []
    assert hourly_sums(store) == recounted(store)
    with Reader(store) as reader:
        assert reader.count_runs() == written + 2  # bob's, and the one of the night


def test_a_reader_in_the_way_is_said(
    cli: CLI, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmobs.store.upkeep.BUSY_SECONDS", 0.05)
    application = Writer(store)  # else the last one to close it empties the log
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM runs").fetchone()
    result = cli("forget", "--user", ANN, "--store", store, code=1)
    assert "run this again" in result.stdout
    other.close()
    assert files_with(store.parent, ANN) != []
    assert parsed(cli("forget", "--user", ANN, "--store", store, "--json"))["traces_overwritten"]
    assert files_with(store.parent, ANN, SECRET) == []
    application.close()


def test_a_dry_run_changes_nothing(cli: CLI, store: Path, protocol: Path) -> None:
    before = store.read_bytes()
    done = parsed(cli("forget", "--user", ANN, "--store", store, "--dry-run", "--json"))
    assert (done["runs"], done["shared_runs"], done["events"]) == (3, 1, 11)
    assert store.read_bytes() == before and not protocol.exists()


@pytest.mark.parametrize(
    ("option", "value", "runs"), [("--session", "s-ann", 2), ("--run", "bob-1", 1)]
)
def test_sessions_and_runs(cli: CLI, store: Path, option: str, value: str, runs: int) -> None:
    assert parsed(cli("forget", option, value, "--store", store, "--json"))["runs"] == runs
    assert files_with(store.parent, value) == []
    assert hourly_sums(store) == recounted(store)


def test_what_waits_on_disk_goes_too(cli: CLI, store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool = spool_with(
        folder,
        [*of_ann("ann-3"), *of_bob("bob-3")],
        [call("ann-3", 9, prompt=SECRET)],  # says itself nothing of whose it is
        of_bob("bob-4"),
    )
    result = cli("forget", "--user", ANN, "--store", store, "--spool", folder)
    assert "5 events erased" in result.stdout
    assert files_with(folder, ANN, SECRET, "ann-3") == []
    left = [
        decode(line).run_id
        for file in spool.files()
        for line in file.path.read_bytes().splitlines()
        if line[:1] == b"{"
    ]
    assert left == ["bob-3"] * 2 + ["bob-4"] * 2


def test_the_owner_of_a_batch_can_account_for_what_was_erased(
    cli: CLI, store: Path, tmp_path: Path
) -> None:
    spool = spool_with(tmp_path / "spool", [*of_ann("ann-3"), *of_bob("bob-3")])
    cli("forget", "--user", ANN, "--store", store, "--spool", tmp_path / "spool")
    batch = spool.lock_oldest()
    assert batch is not None
    assert [event.run_id for event in batch.read()] == ["bob-3"] * 2
    assert (batch.count, batch.erased) == (6, 4)
    batch.release()


def test_a_batch_that_is_being_sent_is_named(cli: CLI, store: Path, tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", of_ann("ann-3"))
    (batch,) = spool.files()
    code = "import fcntl,os,sys; f=os.open(sys.argv[1],os.O_RDWR); fcntl.flock(f,2); print(1,flush=True); input()"
    sender = subprocess.Popen(
        [sys.executable, "-c", code, str(batch.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert sender.stdout is not None and sender.stdout.readline()
    try:
        done = parsed(
            cli("forget", "--user", ANN, "--store", store, "--spool", tmp_path / "spool", "--json")
        )
        assert any("1 file of the spool in use" in words for words in done["still_to_come"])
    finally:
        sender.communicate(b"\n", timeout=30)
    cli("forget", "--user", ANN, "--store", store, "--spool", tmp_path / "spool")
    assert files_with(tmp_path / "spool", ANN, SECRET) == []


def test_lines_crossed_out_by_a_dead_process_go(cli: CLI, store: Path, tmp_path: Path) -> None:
    spool = spool_with(tmp_path / "spool", of_bob("bob-3"))
    (batch,) = spool.files()
    batch.path.write_bytes(b"#" + encode(of_ann("ann-3")[0])[1:] + b"\n" + batch.path.read_bytes())
    cli("forget", "--user", ANN, "--store", store, "--spool", tmp_path / "spool")
    assert files_with(tmp_path / "spool", ANN, SECRET) == []


def test_what_is_out_of_reach_is_named_without_secrets(
    cli: CLI, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "LLMOBS_SINK", f"sqlite:///{store} https://s3cr3t@collector.example/v1 kafka://b1/t"
    )
    said = cli("forget", "--user", ANN).stdout
    assert "collector.example" in said and "kafka://b1/t" in said and "backups" in said
    assert "s3cr3t" not in said and ANN not in said


def test_an_id_of_any_characters(cli: CLI, store: Path) -> None:
    for name in ("\ud800x", "it's 100%", "ü"):
        write_store(store, [call("odd", user_id=name)])
        assert parsed(cli("forget", "--user", name, "--store", store, "--json"))["runs"] == 1


def test_an_id_that_redaction_takes_out_is_explained(cli: CLI, store: Path) -> None:
    done = parsed(cli("forget", "--user", "ann@example.com", "--store", store, "--json"))
    assert any("redaction takes out" in words for words in done["still_to_come"])


@pytest.mark.parametrize("arguments", [[], ["--user", "a", "--run", "b"], ["--user", ""]])
def test_what_makes_no_sense_is_said(cli: CLI, store: Path, arguments: list[str]) -> None:
    cli("forget", "--store", store, *arguments, code=2)


def test_without_a_protocol_nothing_goes(cli: CLI, store: Path, tmp_path: Path) -> None:
    before = store.read_bytes()
    (tmp_path / "file").touch()
    result = cli(
        "forget", "--user", ANN, "--store", store, "--protocol", tmp_path / "file" / "p", code=1
    )
    assert "file" in result.stderr and store.read_bytes() == before


def test_there_is_no_store(cli: CLI) -> None:
    cli("forget", "--user", ANN, "--store", "nowhere.db", code=3)


def test_a_store_of_an_older_llmobs(cli: CLI, tmp_path: Path) -> None:
    """Bodies in rows, small pages: brought into form, then as any other."""
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "old.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript((Path(__file__).parents[1] / "data" / "store_2.sql").read_text())
    connection.execute(
        "UPDATE events SET user_id = ?, body = json_set(body, '$.user_id', ?)", (ANN, ANN)
    )
    connection.execute("UPDATE runs SET user_id = ?", (ANN,))
    connection.commit()
    runs = [run_id for (run_id,) in connection.execute("SELECT run_id FROM runs")]
    connection.close()
    dry = parsed(cli("forget", "--user", ANN, "--store", path, "--dry-run", "--json"))
    done = parsed(cli("forget", "--user", ANN, "--store", path, "--json"))
    assert dry["runs"] == done["runs"] == len(runs) > 2
    assert files_with(tmp_path, ANN, "gpt-4o") == []
    assert hourly_sums(path) == {}


def test_what_a_trace_told_that_waits_for_more_goes_too(cli: CLI, store: Path) -> None:
    """A collector keeps what spans told until an event tells it; no row says whose it is."""
    told = [run("wait", user_id=ANN, name=SECRET), run("others", user_id="bob")]
    writer = Writer(store)
    for event in told:
        span = f"{len(event.run_id):016x}"
        event.event_id = run_event_id_of(event.run_id, span)
        link = Link(
            run_id=event.run_id, span_id=span, what=What.NOTHING, event_id=event.event_id, rank=3
        )
        writer.write([event], links=[link])
    writer.close()
    with Reader(store) as reader:
        assert sorted(run_id for run_id, _ in reader.parts()) == ["others", "wait"]
        assert reader.count_events(RunFilter(run_id="wait")) == 0
    done = parsed(cli("forget", "--user", ANN, "--store", store, "--json"))
    assert done["runs"] == 4
    with Reader(store) as reader:
        assert [run_id for run_id, _ in reader.parts()] == ["others"]
    assert files_with(store.parent, ANN, SECRET) == []


# JSON lines, and what a file that is replaced leaves.


def test_a_person_is_erased_from_a_file_of_json_lines(cli: CLI, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    never = [event for event in EVENTS if event.user_id != ANN and event.run_id != "task"]
    # A run's own event may come before the one that says whose the run is that began it.
    path.write_bytes(
        b"".join(encode(event) + b"\n" for event in [*reversed(EVENTS)]) + b"no event\n"
    )
    path.chmod(0o640)
    dry = parsed(cli("forget", "--user", ANN, "--store", path, "--dry-run", "--json"))
    done = parsed(cli("forget", "--user", ANN, "--store", path, "--json"))
    for each in (dry, done):
        assert (each["runs"], each["shared_runs"], each["events"]) == (3, 1, 11)
    assert done["traces_overwritten"] is True and dry["traces_overwritten"] is None
    assert any("1 line of events.jsonl" in words for words in done["still_to_come"])
    assert files_with(tmp_path, ANN, SECRET, "ann-1") == []
    assert path.read_bytes().splitlines() == [*map(encode, reversed(never)), b"no event"]
    assert path.stat().st_mode & 0o777 == 0o640
    path.write_bytes(encode(of_ann("a")[0]) + b"\n")
    assert parsed(cli("forget", "--user", ANN, "--store", path, "--json"))["events"] == 1
    assert path.read_bytes() == b""  # and still no database
    assert parsed(cli("forget", "--user", ANN, "--store", path, "--json"))["events"] == 0


def test_what_the_spool_says_of_a_run_holds_for_the_file(cli: CLI, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(
        encode(call("r", prompt=SECRET)) + b"\n" + encode(call("s", user_id="bob")) + b"\n"
    )
    spool_with(
        tmp_path / "spool", [run("r", user_id=ANN), call("s", 1, user_id=ANN, prompt=SECRET)]
    )
    cli("forget", "--user", ANN, "--store", path, "--spool", tmp_path / "spool")
    assert files_with(path.parent, ANN, SECRET) == []
    assert [decode(line).run_id for line in path.read_bytes().splitlines()] == ["s"]


APPENDS = """
import sys, asyncio
from pathlib import Path
from llmobs.pipeline.sink import Batch
from llmobs.sinks.jsonl import JSONLSink
from tests.cli.test_forget import of_ann, of_bob
async def main():
    sink, number = JSONLSink(sys.argv[1]), 0
    await sink.open()
    print("writing", flush=True)
    while not Path(sys.argv[2]).exists():
        events = [*of_bob(f"other-{number}"), *(of_ann(f"hers-{number}") if number % 5 == 0 else [])]
        await sink.send(Batch(events))
        number += 1
        await asyncio.sleep(0.003)
    await sink.aclose()
    print(number)
asyncio.run(main())
"""


def test_while_a_sink_appends_no_line_of_others_is_lost(cli: CLI, tmp_path: Path) -> None:
    path, stop = tmp_path / "events.jsonl", tmp_path / "stop"
    other = subprocess.Popen(
        [sys.executable, "-c", APPENDS, str(path), str(stop)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert other.stdout is not None and other.stdout.readline() == "writing\n"
    try:
        for _ in range(5):
            cli("forget", "--user", ANN, "--store", path)
    finally:
        stop.touch()
        written = int(other.communicate(timeout=60)[0])
    cli("forget", "--user", ANN, "--store", path)
    runs = [decode(line).run_id for line in path.read_bytes().splitlines()]
    assert runs == [f"other-{number}" for number in range(written) for _ in range(2)]


@pytest.mark.parametrize("what", ["file", "spool"])
def test_what_was_replaced_is_overwritten_where_it_lay(cli: CLI, tmp_path: Path, what: str) -> None:
    """Looked at by who had it open before; another name of it is somebody's, and said."""
    spool = spool_with(tmp_path / "spool", of_ann("ann-3"))
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(encode(event) + b"\n" for event in EVENTS))
    old = path if what == "file" else spool.files()[0].path
    with old.open("rb") as file:
        cli("forget", "--user", ANN, "--store", path, "--spool", tmp_path / "spool")
        file.seek(0)
        assert file.read() == b""
    path.write_bytes(b"".join(encode(event) + b"\n" for event in EVENTS))
    spool.write(of_ann("ann-3"))
    (tmp_path / "spool2").mkdir()
    old = path if what == "file" else spool.files()[-1].path
    (tmp_path / "spool2" / "link").hardlink_to(old)
    result = cli(
        "forget", "--user", ANN, "--store", path, "--spool", tmp_path / "spool",
        code=1 if what == "file" else 0,
    )  # fmt: skip
    assert "another name" in " ".join(result.stdout.split())
    assert SECRET in (tmp_path / "spool2" / "link").read_text()


def test_what_a_killed_command_left_is_in_nobodys_way(cli: CLI, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(encode(of_ann("a")[0]) + b"\n")
    (tmp_path / ".events.jsonl.new").write_text(SECRET)
    cli("forget", "--user", ANN, "--store", path)
    assert files_with(tmp_path, ANN, SECRET) == [] and not (tmp_path / ".events.jsonl.new").exists()
