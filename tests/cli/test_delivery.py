"""llmobs check and llmobs spool: is it deliverable, and what waits."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmobs.cli.app import app
from llmobs.pipeline.spool import Spool
from llmobs.settings import Settings
from llmobs.sinks import resolve
from tests.helpers import make_event
from tests.support.scripted_server import Reply, ScriptedServer


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.stdout, done.stderr


def test_check_delivers_one_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "llmobs.db"
    monkeypatch.setenv("LLMOBS_SINK", f"sqlite:///{path} jsonl:///{tmp_path}/runs.jsonl")
    code, out, _ = run("check")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["ok", "ok"]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM events").fetchall() == [("llmobs-check",)]
    connection.close()
    assert "llmobs-check" in (tmp_path / "runs.jsonl").read_text()


def test_check_explains_each_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    sinks = f"memory: sqlite:///{tmp_path}/file/x.db gopher://s3cret@host/x"
    code, out, _ = run("check", "--sink", sinks, "--timeout", "0.3", "--json")
    good, bad, unknown = json.loads(out)["sinks"]
    assert code == 1
    assert (good["delivered"], bad["delivered"], unknown["delivered"]) == (True, False, False)
    assert "is not a directory" in bad["problem"]
    assert "path" in bad["advice"]
    assert "known schemes are" in unknown["problem"]
    assert "s3cret" not in out


def test_check_prints_advice(tmp_path: Path) -> None:
    code, out, _ = run("check", "--sink", f"jsonl:///{tmp_path}/none/x.jsonl", "--timeout", "0.3")
    assert code == 1
    assert out.startswith("failed  jsonl:///")
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
        code, out, _ = run("check", "--sink", f"http://s3cret@{server.address}/v1")
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


def test_spool_says_what_keeps_it_from_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOBS_SINK", f"jsonl:///{tmp_path}/none/x.jsonl")
    settings = Settings(spool_dir=tmp_path / "spool")
    Spool.of(resolve(settings.sink, settings)[0], settings).write([make_event()])
    code, out, err = run("spool", "--dir", str(tmp_path / "spool"), "--send", "--timeout", "0.5")
    assert code == 1
    assert "cannot append" in err
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
    assert run("check")[0] == 0
    code, out, _ = run("export", "-o", "-")
    assert code == 0
    assert json.loads(out)["model"] == "llmobs-check"
    assert not (tmp_path / "-").exists()
