"""llmobs check and llmobs spool: is it deliverable, and what waits."""

import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from llmobs.cli.app import llmobs
from llmobs.codec import encode
from llmobs.pipeline.journal import Journal
from llmobs.pipeline.spool import Spool
from llmobs.settings import Settings
from llmobs.sinks import resolve
from llmobs.store.writer import Writer
from tests.helpers import make_event
from tests.support.ports import free_ports
from tests.support.scripted_server import Reply, ScriptedServer


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(llmobs, arguments)
    return done.exit_code, done.stdout, done.stderr


def test_check_delivers_one_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "llmobs.db"
    monkeypatch.setenv("LLMOBS_SINK", f"sqlite:///{path} jsonl:///{tmp_path}/runs.jsonl")
    code, out, _ = run("check")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["ok", "ok"]


def test_check_leaves_nothing_where_it_can_be_taken_back(tmp_path: Path) -> None:
    ours = make_event()
    writer = Writer(tmp_path / "llmobs.db")
    writer.write([ours])
    writer.close()
    (tmp_path / "runs.jsonl").write_bytes(encode(ours) + b"\n")
    url = f"sqlite:///{tmp_path}/llmobs.db jsonl:///{tmp_path}/runs.jsonl memory:"
    code, out, _ = run("check", "--sink", url, "--json")
    assert code == 0
    sqlite, jsonl, memory = json.loads(out)["sinks"]
    assert sqlite["event_id"] is jsonl["event_id"] is None
    assert len(memory["event_id"]) == 36
    with sqlite3.connect(tmp_path / "llmobs.db") as connection:
        assert connection.execute("SELECT run_id FROM events").fetchall() == [(ours.run_id,)]
        assert connection.execute("SELECT run_id FROM runs").fetchall() == [(ours.run_id,)]
    connection.close()
    assert (tmp_path / "runs.jsonl").read_bytes() == encode(ours) + b"\n"
    code, out, _ = run("check", "--sink", "memory:")
    assert "delivered in" in out and "as event 0" in out


def test_check_explains_each_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    sinks = f"memory: sqlite:///{tmp_path}/file/x.db gopher://s3cret@host/x"
    code, out, _ = run("check", "--sink", sinks, "--timeout", "0.3", "--json")
    good, bad, unknown = json.loads(out)["sinks"]
    assert code == 1
    assert (good["delivered"], bad["delivered"], unknown["delivered"]) == (True, False, False)
    assert "is not a directory" in bad["problem"]
    assert "Correct the setting" in bad["advice"]
    assert "known schemes are" in unknown["problem"]
    assert "s3cret" not in out


def test_check_prints_advice(tmp_path: Path) -> None:
    [port] = free_ports(1)
    code, out, _ = run("check", "--sink", f"http://127.0.0.1:{port}/v1", "--timeout", "0.3")
    assert code == 1
    assert out.startswith("failed  http://127.0.0.1:")
    assert "Is the address right" in out


def test_check_sends_its_event_whatever_the_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOBS_SAMPLE_RATE", "0")
    code, out, _ = run("check", "--sink", "memory:")
    assert (code, out.split()[0]) == (0, "ok")


def test_check_does_not_call_ok_what_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOBS_ENABLED", "false")
    code, out, err = run("check", "--sink", "memory:")
    assert (code, out) == (1, "")
    assert "LLMOBS_ENABLED" in err


def test_check_says_what_a_refused_key_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server:
        server.otherwise = Reply(401, b'{"error":"who are you, s3cret?"}')
        code, out, _ = run(
            "check", "--sink", f"http://s3cret@{server.address}/v1", "--timeout", "3"
        )
    assert code == 1
    assert "HTTP 401: who are you, ***?" in out
    assert "LLMOBS_API_KEY" in out


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_spool_lists_and_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enabled: str
) -> None:
    monkeypatch.setenv("LLMOBS_ENABLED", enabled)
    monkeypatch.setenv("LLMOBS_SINK", f"sqlite:///{tmp_path}/llmobs.db")
    monkeypatch.setenv("LLMOBS_SPOOL_DIR", str(tmp_path / "spool"))
    settings = Settings()
    spool = Spool.of(resolve(settings.sink, settings)[0], settings)
    spool.write([make_event(), make_event()])
    spool.write([make_event()])
    code, out, _ = run("spool")
    assert code == 0
    assert out.splitlines()[1].split()[:3] == ["sqlite:llmobs.db", "3", "2"]
    code, out, _ = run("spool", "--send", "--json")
    assert code == 0
    assert json.loads(out)["sinks"][0]["events"] == 0
    with sqlite3.connect(tmp_path / "llmobs.db") as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (3,)
    connection.close()


def test_spool_lists_what_a_killed_process_held_for_a_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOBS_SPOOL_DIR", str(tmp_path / "spool"))
    spool = Spool.of(resolve(Settings().sink, Settings())[0], Settings())
    held = [make_event() for _ in range(3)]
    dead, alive = Journal(spool), Journal(spool)
    dead.update(held, [])
    dead.update([], [held[1].event_id])
    dead.close()  # as the system does for who is killed
    alive.update([make_event()], [])
    _, out, _ = run("spool", "--json")
    sinks = json.loads(out)["sinks"]
    assert [(one["batches"], one["events"]) for one in sinks] == [(1, 2)]
    alive.close()


def test_spool_says_what_keeps_it_from_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [port] = free_ports(1)
    monkeypatch.setenv("LLMOBS_SINK", f"http://127.0.0.1:{port}/v1")
    settings = Settings(spool_dir=tmp_path / "spool")
    Spool.of(resolve(settings.sink, settings)[0], settings).write([make_event()])
    code, out, err = run("spool", "--dir", str(tmp_path / "spool"), "--send", "--timeout", "0.5")
    assert code == 1
    assert "not everything could be sent: ConnectError" in err
    assert out.splitlines()[1].split()[1] == "1"


def test_spool_without_one() -> None:
    code, _, err = run("spool")
    assert code == 1
    assert "LLMOBS_SPOOL_DIR" in err


def test_spool_shows_what_waits_for_sinks_that_are_not_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOBS_SINK", f"sqlite:///{tmp_path}/llmobs.db")
    Spool(tmp_path / "spool", "http:collector", 10**6).write([make_event()])
    code, out, _ = run("spool", "--dir", str(tmp_path / "spool"), "--json")
    assert code == 0
    other = json.loads(out)["sinks"][1]
    assert (other["sink"][:14], other["events"]) == ("http-collector", 1)
    assert other["sink"].endswith("(of another sink or project)")
    code, _, err = run("spool", "--dir", str(tmp_path / "spool"), "--send", "--timeout", "1")
    assert code == 1
    assert "LLMOBS_SINK does not name" in err


def test_export_to_a_dash_is_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOBS_SINK", "sqlite:///llmobs.db")
    writer = Writer(tmp_path / "llmobs.db")
    writer.write([make_event(model="m")])
    writer.close()
    code, out, _ = run("export", "-o", "-")
    assert code == 0
    assert json.loads(out)["model"] == "m"
    assert not (tmp_path / "-").exists()
