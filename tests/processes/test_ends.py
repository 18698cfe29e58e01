"""Every way a process can end: what it recorded is in the store."""

import signal
from pathlib import Path

import httpx2
import msgspec
import pytest

from tests.processes.running import SECONDS, end, running, started, stop, wait_for_family
from tests.support.arrivals import Arrivals, Note
from tests.support.polling import eventually
from tests.support.ports import free_ports

ENDS = {
    "normal_exit": 0,
    "normal_exit_before_the_first_batch": 0,
    "closed": 0,
    "sys_exit": 3,
    "unhandled_exception": 1,
    "dropped_client": 0,
    "first_event_at_exit": 0,
    "daemon_threads": 0,
    "thread_that_outlives_main": 0,
    "thread_pool": 0,
    "fork_before_use": 0,
    "fork_after_use": 0,
    "forks_under_load": 0,
    "multiprocessing_fork": 0,
    "multiprocessing_spawn": 0,
    "process_pool": 0,
    "multiprocessing_pool": 0,
    "fork_while_a_signal_waits_for_delivery": 0,
    "two_writers": 0,
    "host_name_at_exit": 0,
}
LOOK_FOR_PRICES = {"normal_exit", "fork_after_use", "process_pool", "first_event_at_exit"}


def arrivals(folder: Path) -> Arrivals:
    return Arrivals.read(folder / "ledger", folder / "llmobs.db")


@pytest.mark.parametrize(("name", "code"), ENDS.items())
def test_everything_recorded_arrives(name: str, code: int, tmp_path: Path, note_row: Note) -> None:
    # Some end while a thread of theirs looks for a price.
    priced = {"TEST_LOOKS_FOR_PRICES": "1"} if name in LOOK_FOR_PRICES else {}
    with running(name, tmp_path, **priced) as process:
        ended = wait_for_family(process)
    got = arrivals(tmp_path)
    note_row(name, ended, got)
    errors = (tmp_path / "stderr").read_text()
    assert ended == code, errors
    assert len(got.recorded) == (10 if "first_batch" in name else 1000), errors
    assert not got.lost, errors
    assert set(got.stored) == got.recorded, "something was stored that nobody recorded"
    assert "llmobs:" not in errors


@pytest.mark.parametrize("name", ["normal_exit", "fork_after_use", "two_writers"])
def test_a_jsonl_file_gets_everything_too(name: str, tmp_path: Path, note_row: Note) -> None:
    path = tmp_path / "events.jsonl"
    with running(name, tmp_path, LLMOBS_SINK=f"jsonl:///{path}") as process:
        ended = wait_for_family(process)
    written = [msgspec.json.decode(line)["event_id"] for line in path.read_bytes().splitlines()]
    recorded = (tmp_path / "ledger").read_text().split()
    note_row(f"{name}, jsonl", ended, f"{len(written)}/{len(recorded)}")
    assert len(recorded) == 1000
    assert sorted(written) == sorted(recorded)


def test_sigterm_with_the_helper(tmp_path: Path, note_row: Note) -> None:
    with running("sigterm", tmp_path, LLMOBS_FLUSH_INTERVAL_SECONDS="60") as process:
        ended = stop(process)
    got = arrivals(tmp_path)
    note_row("sigterm", ended, got)
    assert ended == -signal.SIGTERM
    assert len(got.recorded) == 1000
    assert not got.lost


def test_sigterm_in_a_busy_loop(tmp_path: Path, note_row: Note) -> None:
    with running("sigterm_in_a_busy_loop", tmp_path) as process:
        ended = stop(process)
    got = arrivals(tmp_path)
    note_row("sigterm_in_a_busy_loop", ended, got)
    assert ended == 5
    # The signal may come between recording an event and noting it, never the other way round.
    assert not got.lost


@pytest.mark.parametrize(
    "name", ["sigterm_without_the_helper", "fork_after_use_wrong", "host_name_at_exit_wrong"]
)
def test_the_obvious_wrong_way_loses_events(name: str, tmp_path: Path, note_row: Note) -> None:
    """If these delivered, the tests above would prove nothing."""
    env = {"LLMOBS_FLUSH_INTERVAL_SECONDS": "60", "LLMOBS_SHUTDOWN_TIMEOUT": "2"}
    with running(name, tmp_path, **env) as process:
        ended = end(name, process)
    got = arrivals(tmp_path)
    note_row(f"wrong: {name}", ended, got)
    assert len(got.recorded) == 1000
    assert got.lost


def test_gunicorn_with_sync_workers_and_preload(tmp_path: Path, note_row: Note) -> None:
    (port,) = free_ports(1)
    command = ["gunicorn", "tests.processes.wsgi:app", "--preload", "--workers", "2"]
    command += ["--bind", f"127.0.0.1:{port}", "--no-control-socket"]
    with (
        started(command, tmp_path, LLMOBS_FLUSH_INTERVAL_SECONDS="60") as process,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as client,
    ):

        def answers() -> bool:
            try:
                return client.get("/").text == "ok"
            except httpx2.HTTPError:
                return False

        eventually(answers, timeout=20, what="gunicorn answers")
        for _ in range(98):
            assert client.get("/").text == "ok"
        process.send_signal(signal.SIGTERM)
        ended = process.wait(SECONDS)
    got = arrivals(tmp_path)
    note_row("gunicorn, sync workers, --preload", ended, got)
    assert len(got.recorded) == 10 + 99 * 10
    assert not got.lost, (tmp_path / "stderr").read_text()
