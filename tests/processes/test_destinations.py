"""The ends of processes, with sinks that leave the machine: everything arrives, and once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.processes import destinations
from tests.processes.destinations import Destination
from tests.processes.running import SECONDS, end, running, started
from tests.support.arrivals import Note

ENDS = {
    "normal_exit": 0,
    "unhandled_exception": 1,
    "fork_after_use": 0,
    "forks_under_load": 0,
    "multiprocessing_fork": 0,
    "sigterm": -15,
}
SOME = ["normal_exit", "fork_after_use", "sigterm"]
"""Where all of them would prove little more."""
SINKS = ["http", "watchllm", "otlp", "kafka"]
CASES = [(sink, name) for sink in SINKS for name in ENDS] + [("sqlite http", name) for name in SOME]


@pytest.fixture
def targets(
    sinks: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[list[Destination]]:
    """One sink, or several at once."""
    with ExitStack() as stack:
        found = []
        for name in sinks.split():
            if name == "kafka":
                found.append(destinations.kafka(request.getfixturevalue("kafka")))
            elif name == "sqlite":
                found.append(destinations.sqlite(tmp_path / "llmobs.db"))
            else:
                found.append(stack.enter_context(getattr(destinations, name)()))
        yield found


@pytest.mark.parametrize(("sinks", "name"), CASES)
def test_everything_recorded_arrives_once(
    sinks: str, name: str, targets: list[Destination], tmp_path: Path, note_row: Note
) -> None:
    urls = " ".join(target.url for target in targets)
    env = {"LLMOBS_SINK": urls, "LLMOBS_FLUSH_INTERVAL_SECONDS": "60"}
    with running(name, tmp_path, **env) as process:
        ended = end(name, process)
    errors = (tmp_path / "stderr").read_text()
    recorded = (tmp_path / "ledger").read_text().split()
    arrived = [target.arrived() for target in targets]
    note_row(
        f"{sinks}: {name}", ended, " + ".join(f"{len(ids)}/{len(recorded)}" for ids in arrived)
    )
    assert ended == ENDS[name], errors
    assert len(recorded) == 1000, errors
    for ids in arrived:
        assert Counter(ids) == Counter(recorded), errors
    assert "llmobs:" not in errors


@pytest.mark.parametrize("sinks", ["sqlite", "http", "otlp", "kafka"])
def test_a_fork_waits_for_what_our_threads_import(
    targets: list[Destination], tmp_path: Path
) -> None:
    env = {"LLMOBS_SINK": targets[0].url, "LLMOBS_SPOOL_DIR": str(tmp_path / "spool")}
    with started(["tests.processes.imports"], tmp_path, **env) as process:
        imports, _ = process.communicate(timeout=SECONDS)
    assert "guarded" in imports, (tmp_path / "stderr").read_text()
    assert [line for line in imports.splitlines() if line.startswith("OPEN")] == []
