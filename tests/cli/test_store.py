"""llmobs store: info, prune, compact, rebuild; and what the new columns add to the other commands."""

import json
import sqlite3
from pathlib import Path

import pytest

from llmobs.store.reader import Reader
from tests.cli.conftest import CLI
from tests.support.stores import at, call, run, write_store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(
        tmp_path / "llmobs.db",
        [
            call("first", 0, cost_usd=1.0, user_id="ann", session_id="s1", latency_ms=100.0),
            run("first", 0, name="POST /chat", tags=("beta", "eu"), user_id="ann", session_id="s1"),
            call("second", 3600, cost_usd=2.0, user_id="bob", service_name="shop", release="2"),
            run("second", 3600, name="job", parent_run_id="first", tags=("eu",), user_id="bob"),
            call("third", 7200, cost_usd=4.0),
        ],
    )


def runs_of(cli: CLI, *options: str) -> list[str]:
    return [found["run_id"] for found in json.loads(cli("runs", "--json", *options).stdout)]


def costs(cli: CLI, *options: str) -> dict[str | None, float]:
    groups = json.loads(cli("cost", "--json", *options).stdout)["groups"]
    return {group["key"]: group["cost_usd"] for group in groups}


def test_filters(cli: CLI, store: Path) -> None:
    assert runs_of(cli, "--tag", "eu") == ["second", "first"]
    assert runs_of(cli, "--tag", "e") == []
    assert runs_of(cli, "--session", "s1") == ["first"]
    assert runs_of(cli, "--parent", "first") == ["second"]
    assert runs_of(cli, "--until", at(3600).isoformat()) == ["first"]
    assert runs_of(cli, "--since", at(1).isoformat(), "--until", at(7200).isoformat()) == ["second"]


def test_cost_by_what_only_calls_know(cli: CLI, store: Path) -> None:
    assert costs(cli, "--by", "user") == {None: 4.0, "bob": 2.0, "ann": 1.0}
    assert costs(cli, "--by", "session") == {None: 6.0, "s1": 1.0}
    assert costs(cli, "--by", "tag") == {None: 4.0, "eu": 3.0, "beta": 1.0}
    assert costs(cli, "--by", "service") == {None: 5.0, "shop": 2.0}
    assert costs(cli, "--by", "release") == {None: 5.0, "2": 2.0}
    assert costs(cli, "--tag", "beta") == {"gpt-4o": 1.0}
    assert costs(cli, "--by", "day", "--user", "ann") == {"2026-11-21": 1.0}
    total = json.loads(cli("cost", "--by", "tag", "--json").stdout)["total"]
    assert (total["cost_usd"], total["calls"]) == (7.0, 3)


def test_parents_and_children(cli: CLI, store: Path) -> None:
    parent = cli("show", "first").stdout
    assert "child runs\n  second  job  success" in parent
    assert "parent run first" in cli("show", "second").stdout
    shown = json.loads(cli("show", "first", "--json").stdout)
    assert [child["run_id"] for child in shown["children"]] == ["second"]


def test_info(cli: CLI, store: Path) -> None:
    said = cli("store", "info").stdout
    assert "schema 3, pages of 16 KB" in said
    assert "3, from 2026-11-21 12:00:00 to 2026-11-21 14:00:00 UTC" in said
    found = json.loads(cli("store", "info", "--json").stdout)
    assert (found["runs"], found["events"], found["hours"], found["to_adopt"]) == (3, 5, 3, 0)


def test_prune_keeps_costs_and_rebuild_does_not(cli: CLI, store: Path) -> None:
    connection = sqlite3.connect(store)
    connection.execute("UPDATE runs SET ended = started + 9e15 WHERE run_id = 'third'")
    connection.commit()
    connection.close()
    assert cli("store", "prune", "--older-than", "1h", "--dry-run").stdout == "2 runs would go\n"
    assert cli("store", "prune", "--older-than", "1h").stdout == "2 runs removed\n"
    assert runs_of(cli) == ["third"]
    assert costs(cli) == {"gpt-4o": 7.0}
    assert cli("store", "rebuild").stdout == "3 hours counted again\n"
    assert costs(cli) == {"gpt-4o": 4.0}


def test_prune_by_size(cli: CLI, tmp_path: Path) -> None:
    events = [call(f"r{n:03}", n, prompt="p" * 20_000) for n in range(200)]
    path = write_store(tmp_path / "llmobs.db", events)
    before = path.stat().st_size
    cli("store", "prune", "--larger-than", "2MB")
    with Reader(path) as reader:
        info = reader.info()
        left = reader.runs(1000)
    assert info.bytes - info.free_bytes <= 2_000_000
    assert info.bytes < before - 1_000_000, (
        "the file system has it back, once the log is in the file"
    )
    assert 20 < len(left) < 200
    assert left[0].run_id == "r199"


def test_compact_gives_free_space_back(cli: CLI, tmp_path: Path) -> None:
    path = write_store(
        tmp_path / "llmobs.db", [call(f"r{n}", n, prompt="p" * 9_000) for n in range(50)]
    )
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM bodies")
    connection.commit()
    connection.close()
    before = path.stat().st_size
    assert "before" in cli("store", "compact").stdout
    assert path.stat().st_size < before / 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["prune"],
        ["prune", "--older-than", "soon"],
        ["prune", "--larger-than", "big"],
        ["prune", "--larger-than", "1GB", "--dry-run"],
    ],
)
def test_what_makes_no_sense_is_said(cli: CLI, store: Path, arguments: list[str]) -> None:
    cli("store", *arguments, code=2)


def test_there_is_no_store(cli: CLI, tmp_path: Path) -> None:
    for command in ("info", "compact", "rebuild"):
        assert "there is no store" in cli("store", command, code=3).stderr
    assert list(tmp_path.iterdir()) == []
