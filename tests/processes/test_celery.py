"""Celery's workers end in ways of their own: what their tasks recorded is in the store."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from celery import Celery

from tests.processes.celery_queue import use_folder
from tests.processes.running import ROOT, SECONDS, started
from tests.support.arrivals import Arrivals, Note
from tests.support.polling import eventually

pytestmark = pytest.mark.timeout(60)

PREFORK = ("--pool", "prefork", "--concurrency", "2")
MANY = [(whose, 33) for whose in ("module", "own", "default") for _ in range(10)]
"""Tasks: whose client records how many events."""
LONG = [("module", 495, 30.0), ("default", 495, 30.0)]
"""They record, then work on for longer than the test waits."""

HERE = """
from pathlib import Path

from celery.signals import task_postrun
from shop import app
from tests.processes.celery_queue import use_folder

use_folder(app, Path("queue"))


@task_postrun.connect
def note(task_id, **details):
    Path(f"{task_id}.done").touch()
"""


def count(folder: Path) -> int:
    ledger = folder / "ledger"
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


@contextmanager
def worker(folder: Path, app: str, *options: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Celery worker whose events leave at its end, or never."""
    command = ["celery", "--app", app, "worker", *options, "--loglevel", "WARNING"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    env = {
        "LLMOBS_FLUSH_INTERVAL_SECONDS": "60",
        "TEST_QUEUE": str(folder / "queue"),
        "TEST_PRICED": "1",
        **env,
    }
    with started(command, folder, **env) as process:
        yield process


def run_tasks(
    folder: Path, tasks: list[tuple[object, ...]], end: signal.Signals, *options: str, **env: str
) -> tuple[int, Arrivals]:
    """Let a worker do *tasks*, which record 990 events; end it, and return its exit code and them."""
    queue = folder / "queue"
    queue.mkdir()
    with use_folder(Celery("sender"), queue) as sender:
        for task in tasks:
            sender.send_task("record", task)
    with worker(folder, "tests.processes.celery_app", *options, **env) as process:
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
    note_row: Note,
) -> None:
    ended, got = run_tasks(tmp_path, tasks, end, *options)
    note_row(f"celery, {name}", ended, got)
    errors = (tmp_path / "stderr").read_text()
    assert ended == code, errors
    assert len(got.recorded) >= 1000  # children may have last words
    assert not got.lost, errors
    assert set(got.stored) == got.recorded, "something was stored that nobody recorded"


def test_without_celerys_signal_the_children_lose_theirs(tmp_path: Path, note_row: Note) -> None:
    """If this delivered, the tests above would prove nothing."""
    ended, got = run_tasks(tmp_path, MANY, signal.SIGTERM, *PREFORK, TEST_WRONG="yes")
    note_row("wrong: celery, prefork, without its signal", ended, got)
    assert got.arrived == 10  # the parent's own


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "lose-nothing.md").read_text()
    (example,) = re.findall(r"```python\n(# shop.py.*?)```", page, re.DOTALL)
    (tmp_path / "shop.py").write_text(example)
    (tmp_path / "shop_here.py").write_text(HERE)
    queue = tmp_path / "queue"
    queue.mkdir()
    with use_folder(Celery("sender"), queue) as sender:
        tasks = [sender.send_task("shop.summarise", ["a text"]).id for _ in range(2)]
    with worker(tmp_path, "shop_here", *PREFORK) as process:
        # Done, not only taken: Celery gives back what no child has begun.
        eventually(lambda: len(list(tmp_path.glob("*.done"))) == 2, timeout=SECONDS, what="tasks")
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)
    got = Arrivals.read(tmp_path / "ledger", tmp_path / "llmobs.db")
    assert sorted(got.stored.values()) == sorted(
        (task, kind) for task in tasks for kind in ("prompt_call", "run")
    ), (tmp_path / "stderr").read_text()
