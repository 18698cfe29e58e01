"""The ends of processes, with a spool: what cannot leave is on disk, and leaves once later."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from llmobs.cli.app import llmobs
from llmobs.pipeline.spool import LockedBatch, batches_in
from tests.processes import destinations
from tests.processes.running import end, running, wait_for_family
from tests.processes.test_destinations import ENDS, SOME
from tests.support.arrivals import Note
from tests.support.kafka_handle import Kafka
from tests.support.polling import eventually
from tests.support.ports import free_ports
from tests.support.scripted_server import ScriptedServer


def on_disk(folder: Path) -> list[str]:
    """Return the ids of all events in the spool."""
    found = []
    for file in [file for sink in folder.glob("spool/*") for file in batches_in(sink)]:
        batch = LockedBatch.acquire(file.path, file.events)
        if batch is not None:  # nobody is sending it
            found += [event.event_id for event in batch.read()]
            batch.release()
    return found


def environment(folder: Path, sink: str) -> dict[str, str]:
    return {
        "LLMOBS_SINK": sink,
        "LLMOBS_SPOOL_DIR": str(folder / "spool"),
        "LLMOBS_FLUSH_INTERVAL_SECONDS": "60",
        "LLMOBS_SHUTDOWN_TIMEOUT": "1",
    }


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `llmobs spool` in one more process, this one; return how many events wait after it."""

    def run(env: dict[str, str], *options: str) -> int:
        for variable, value in env.items():
            monkeypatch.setenv(variable, value)
        done = CliRunner().invoke(llmobs, ["spool", "--json", *options])
        assert done.exit_code == 0, done.output
        return sum(sink["events"] for sink in json.loads(done.stdout)["sinks"])

    return run


@pytest.mark.parametrize(("name", "code"), ENDS.items())
def test_what_cannot_leave_waits_on_disk_and_leaves_once(
    name: str, code: int, tmp_path: Path, note_row: Note, command: Callable[..., int]
) -> None:
    (port,) = free_ports(1)
    env = environment(tmp_path, f"http://127.0.0.1:{port}/v1?wire=native")
    with running(name, tmp_path, **env) as process:
        ended = end(name, process)
    errors = (tmp_path / "stderr").read_text()
    recorded = (tmp_path / "ledger").read_text().split()
    waiting = on_disk(tmp_path)
    told = command(env)
    with ScriptedServer(port=port) as server:
        left = command(env, "--send")
        arrived = destinations.native_ids(server)
    note_row(f"http away, then spool --send: {name}", ended, f"{len(arrived)}/{len(recorded)}")
    assert ended == code, errors
    assert len(recorded) == 1000, errors
    assert Counter(waiting) == Counter(recorded), errors
    assert (told, left, on_disk(tmp_path)) == (1000, 0, [])
    assert Counter(arrived) == Counter(recorded)


@pytest.mark.parametrize("name", ["normal_exit", "fork_after_use"])
def test_the_same_with_kafka(
    name: str, kafka: Kafka, tmp_path: Path, note_row: Note, command: Callable[..., int]
) -> None:
    target = destinations.kafka(kafka)
    (port,) = free_ports(1)
    env = environment(tmp_path, target.url.replace(",".join(kafka.bootstrap), f"127.0.0.1:{port}"))
    with running(name, tmp_path, **env) as process:
        ended = wait_for_family(process)
    recorded = (tmp_path / "ledger").read_text().split()
    waiting = on_disk(tmp_path)
    left = command({**env, "LLMOBS_SINK": target.url}, "--send")
    arrived = target.arrived()
    note_row(f"kafka away, then spool --send: {name}", ended, f"{len(arrived)}/{len(recorded)}")
    assert Counter(waiting) == Counter(recorded), (tmp_path / "stderr").read_text()
    assert left == 0
    assert Counter(arrived) == Counter(recorded)


@pytest.mark.parametrize("name", SOME)
def test_what_is_written_ahead_arrives_once(name: str, tmp_path: Path, note_row: Note) -> None:
    with destinations.http() as target:
        env = {**environment(tmp_path, target.url), "LLMOBS_DURABILITY": "disk"}
        with running(name, tmp_path, **env) as process:
            ended = end(name, process)
        arrived = target.arrived()
    recorded = (tmp_path / "ledger").read_text().split()
    note_row(f"http, durability=disk: {name}", ended, f"{len(arrived)}/{len(recorded)}")
    assert ended == ENDS[name]
    assert len(recorded) == 1000
    assert Counter(arrived) == Counter(recorded), (tmp_path / "stderr").read_text()
    assert on_disk(tmp_path) == []


def test_what_is_written_ahead_survives_a_signal_nobody_handles(
    tmp_path: Path, note_row: Note, command: Callable[..., int]
) -> None:
    (port,) = free_ports(1)
    env = environment(tmp_path, f"http://127.0.0.1:{port}/v1?wire=native")
    name = "sigterm_without_the_helper"
    with running(name, tmp_path, **env, LLMOBS_DURABILITY="disk") as process:
        eventually(lambda: len(on_disk(tmp_path)) == 1000, what="everything on disk")
        ended = end(name, process)
    recorded = (tmp_path / "ledger").read_text().split()
    with ScriptedServer(port=port) as server:
        left = command(env, "--send")
        arrived = destinations.native_ids(server)
    note_row(f"http away, durability=disk: {name}", ended, f"{len(arrived)}/{len(recorded)}")
    assert left == 0
    assert Counter(arrived) == Counter(recorded)
