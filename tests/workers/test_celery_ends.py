"""Celery's workers end in ways of their own: what tasks recorded arrives without the door, too."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from celery import Celery

from tests.processes.running import started
from tests.support.arrivals import Arrivals, Note
from tests.support.polling import eventually
from tests.workers.queues import SECONDS

PREFORK = ("--pool", "prefork", "--concurrency", "2")
MANY = [(whose, 33) for whose in ("module", "own", "default") for _ in range(10)]
"""Tasks: whose client records how many events."""
LONG = [("module", 495, 30.0), ("default", 495, 30.0)]
"""They record, then work on for longer than the test waits."""


def count(folder: Path) -> int:
    ledger = folder / "ledger"
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


@contextmanager
def worker(folder: Path, redis: str, *options: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Celery worker whose events leave at its end, or never."""
    app = "tests.workers.apps.celery_ends"
    command = ["celery", "--app", app, "worker", *options, "--loglevel", "WARNING"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    env = {
        "LLMOBS_FLUSH_INTERVAL_SECONDS": "60",
        "TEST_REDIS": redis,
        **env,
    }
    with started(command, folder, **env) as process:
        yield process


def run_tasks(
    folder: Path,
    redis: str,
    tasks: list[tuple[object, ...]],
    end: signal.Signals,
    *options: str,
    **env: str,
) -> tuple[int, Arrivals]:
    """Let a worker do *tasks*, which record 990 events; end it, and return its exit code and them."""
    with Celery("sender", broker=redis, set_as_current=False) as sender:
        for task in tasks:
            sender.send_task("record", task)
    with worker(folder, redis, *options, **env) as process:
        eventually(lambda: count(folder) >= 1000, timeout=SECONDS, what="all tasks' records")
        process.send_signal(end)
        ended = process.wait(SECONDS)
    return ended, Arrivals.read(folder / "ledger", folder / "llmobs.db")


@pytest.mark.parametrize(
    ("name", "tasks", "end", "options", "code"),
    [
        ("prefork, SIGTERM", MANY, signal.SIGTERM, PREFORK, 0),
        ("prefork, children replaced", MANY, signal.SIGTERM, (*PREFORK, "--max-tasks-per-child", "8"), 0),
        ("prefork, SIGQUIT in tasks", LONG, signal.SIGQUIT, PREFORK, 0),
        ("solo, SIGTERM", MANY, signal.SIGTERM, ("--pool", "solo"), 0),
        ("threads, SIGTERM", MANY, signal.SIGTERM, ("--pool", "threads", "--concurrency", "2"), 0),
    ],
)  # fmt: skip
def test_everything_that_tasks_recorded_arrives(
    name: str,
    tasks: list[tuple[object, ...]],
    end: signal.Signals,
    options: tuple[str, ...],
    code: int,
    tmp_path: Path,
    redis: str,
    note_row: Note,
) -> None:
    ended, got = run_tasks(tmp_path, redis, tasks, end, *options)
    note_row("celery without the door", name, ended, got)
    errors = (tmp_path / "stderr").read_text()
    assert ended == code, errors
    assert len(got.recorded) >= 1000  # children may have last words
    assert not got.lost, errors
    assert set(got.stored) == got.recorded, "something was stored that nobody recorded"


def test_without_celerys_signal_the_children_lose_theirs(
    tmp_path: Path, redis: str, note_row: Note
) -> None:
    """If this delivered, the tests above would prove nothing."""
    ended, got = run_tasks(tmp_path, redis, MANY, signal.SIGTERM, *PREFORK, TEST_WRONG="yes")
    note_row("wrong: celery", "prefork, without its signal", ended, got)
    assert got.arrived == 10  # the parent's own
