"""Whatever a store has become, every command says one thing about it and ends."""

import random
import sqlite3
from pathlib import Path

import pytest

from llmobs.errors import StoreError
from llmobs.store.reader import Reader
from tests.cli.conftest import CLI
from tests.support.stores import call, run, write_store

COMMANDS = (["runs"], ["show", "last"], ["tail", "--no-follow"], ["cost"], ["export"])
WORDS = {0, 1, 3, 4}
"""Exit codes that say what is wrong; anything else is a crash."""


def damage(path: Path, *statements: str) -> Path:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


def say(cli_result: object) -> None:
    code = cli_result.exit_code  # type: ignore[attr-defined]
    output = cli_result.output  # type: ignore[attr-defined]
    assert "Traceback (most recent" not in output
    assert code in WORDS, (code, output)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET tokens_input = 'many', cost_usd = x'00ff', latency_ms = 'slow'",
        "UPDATE runs SET started = 'yesterday', tokens_input = x'00', latency_ms = 'x'",
        "UPDATE runs SET started = 9223372036854775807, ended = -9223372036854775807",
        "UPDATE events SET timestamp = 9223372036854775807, latency_ms = 1.7e308",
        "UPDATE bodies SET body = replace(hex(zeroblob(2000)), '0', '[')",
        "UPDATE bodies SET body = x'ff00fe'",
        "UPDATE bodies SET body = '{\"prompt\": [\x01AAAAAAAAAAA]}'",
        "UPDATE rollups SET sums = CAST(zeroblob(180) || x'0600ffff0000ffff' AS BLOB), hour = 'noon'",
        "UPDATE events SET run_id = CAST(x'72ff' AS TEXT)",
        "UPDATE runs SET run_id = CAST(x'72ff' AS TEXT), name = x'fffe' WHERE run_id = 'run-chat'",
        "DROP TABLE runs",
        "ALTER TABLE bodies RENAME COLUMN body TO other",
    ],
)
def test_rows_that_make_no_sense(
    invoke: CLI, store: Path, command: list[str], statement: str
) -> None:
    damage(store, statement)
    say(invoke(*command))


@pytest.mark.parametrize("command", COMMANDS)
def test_some_rows_do_not_hide_the_others(invoke: CLI, tmp_path: Path, command: list[str]) -> None:
    path = write_store(tmp_path / "llmobs.db", [call("good", model="gpt-4o"), call("bad", 1)])
    damage(
        path,
        "UPDATE events SET latency_ms = 'x', tokens_input = 'y' WHERE run_id = 'bad'",
        "UPDATE bodies SET body = x'ff' WHERE id = 2",
        "UPDATE runs SET latency_ms = 1.7e18, ended = 'z' WHERE run_id = 'bad'",
    )
    result = invoke(*(["show", "good"] if command[0] == "show" else command))
    assert result.exit_code == 0
    assert "good" in result.stdout or "gpt-4o" in result.stdout


@pytest.mark.parametrize("seed", range(30))
def test_flipped_bytes(invoke: CLI, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    events = [call(f"run-{n % 7}", n, tokens_input=n) for n in range(60)]
    path = write_store(tmp_path / "llmobs.db", [*events, run("run-1")])
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 8, 64])):
        data[chance.randrange(100, len(data))] = chance.randrange(256)
    path.write_bytes(data)
    for command in COMMANDS:
        say(invoke(*command))


def test_a_query_that_never_ends_is_given_up(tmp_path: Path) -> None:
    path = write_store(tmp_path / "llmobs.db", [call("r")])
    damage(
        path,
        "DROP TABLE runs",
        "CREATE VIEW runs AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n)"
        " SELECT 'r' AS run_id, 1 AS started, 1 AS ended, '' AS name, '' AS kind, '' AS status,"
        " 1 AS http_status, 1 AS latency_ms, '' AS project_id, '' AS service_name,"
        " '' AS environment, '' AS user_id, '' AS session_id, '' AS client_run_id, 1 AS events,"
        " 1 AS calls, 1 AS errors, 1 AS tokens_input, 1 AS tokens_output, 1 AS cost_usd FROM n",
    )
    with (
        Reader(path, time_limit=0.2) as reader,
        pytest.raises(StoreError, match="and was given up"),
    ):
        reader.count_runs()
