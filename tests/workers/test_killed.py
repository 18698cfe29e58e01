"""Workers that are killed: what a disk holds arrives later, and who watches says what may be lost."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from celery import Celery

import llmobs
from tests.support.arrivals import Arrivals, Note
from tests.workers.queues import (
    ARQ,
    CELERY,
    DJANGO,
    DRAMATIQ,
    PROCRASTINATE,
    RQ,
    SECONDS,
    TASKIQ,
    Queue,
    Site,
)
from tests.workers.test_runs import run_events, site

__all__ = ["site"]

pytestmark = pytest.mark.timeout(300)

FORKS = ("--worker-class", "llmobs.contrib.rq.LLMObsWorker")
PREFORK = ("--pool", "prefork", "--concurrency", "1")
KILLED = [
    (CELERY, PREFORK),
    (DRAMATIQ, ("--processes", "1", "--threads", "1")),
    (TASKIQ, ("--workers", "1")),
    (ARQ, ()),
    (RQ, FORKS),
    (DJANGO, ()),
    (PROCRASTINATE, ()),
]


def arrivals(site: Site) -> Arrivals:
    return Arrivals.read(site.folder / "ledger", site.folder / "llmobs.db")


def wait_for_task(site: Site) -> int:
    """Wait until a task has recorded and works on; return its process."""
    site.wait_for(lambda: site.done, "a task that works on")
    return int(site.done[0].removeprefix("long "))


def on_disk(site: Site, spool: Path) -> bool:
    """Tell whether all that was noted is in the spool or in the store."""
    held = b"".join(path.read_bytes() for path in spool.rglob("*.jsonl"))
    return all(each.encode() in held for each in arrivals(site).lost)


@pytest.mark.parametrize(("queue", "options"), KILLED, ids=[str(queue) for queue, _ in KILLED])
def test_the_disk_keeps_what_a_killed_worker_recorded(
    site: Site, queue: Queue, options: tuple[str, ...], note_row: Note
) -> None:
    spool = site.folder / "spool"
    disk = {"LLMOBS_DURABILITY": "disk", "LLMOBS_SPOOL_DIR": str(spool)}
    site.send("long")
    with site.worker(*options, **disk) as process:
        pid = wait_for_task(site)
        site.wait_for(lambda: on_disk(site, spool), "the spool")
        os.killpg(process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # rq's children are in groups of their own
        code = process.wait(SECONDS)
    sink = f"sqlite:///{site.folder / 'llmobs.db'}"
    with llmobs.Client(sink=sink, spool_dir=spool) as client:
        client.log_error("the next process", "and its first event")
        site.wait_for(lambda: client.flush() and not arrivals(site).lost, "the replay")
    got = arrivals(site)
    note_row(queue.name, "SIGKILL, durability=disk", code, got)
    assert len(got.recorded) == 2  # the sender's, and the task's


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def revoke(site: Site, pid: int) -> None:
    """End the task that runs in process *pid*, by Celery's remote control."""
    with Celery(broker=site.broker, set_as_current=False) as app:
        app.conf.result_backend = site.broker
        (tasks,) = app.control.inspect(timeout=10).active().values()
        app.control.revoke(tasks[0]["id"], terminate=True)
    site.wait_for(lambda: is_gone(pid), "the end of its process")


LOST = [
    (CELERY, "hard limit", (*PREFORK, "--time-limit", "1"), "TimeLimitExceeded"),
    (CELERY, "child killed", PREFORK, "WorkerLostError"),
    (CELERY, "revoked", PREFORK, "TaskRevokedError"),
    (RQ, "child killed", FORKS, "HorseKilledError"),
    (RQ, "second SIGTERM", FORKS, "HorseKilledError"),
]


@pytest.mark.parametrize(
    ("queue", "how", "options", "error"), LOST, ids=[f"{q} {h}" for q, h, _, _ in LOST]
)
def test_who_watches_says_what_may_be_lost(
    site: Site, queue: Queue, how: str, options: tuple[str, ...], error: str, note_row: Note
) -> None:
    site.send("long")
    with site.worker(*options) as process:
        pid = wait_for_task(site)
        if how == "child killed":
            os.kill(pid, signal.SIGKILL)
        if how == "revoked":
            revoke(site, pid)
        elif queue is CELERY:  # rq's worker says so on its way out, too
            said = ("Hard time limit", "WorkerLost")
            site.wait_for(lambda: any(words in site.errors for words in said), "the notice")
        process.send_signal(signal.SIGTERM)
        if how == "second SIGTERM":
            time.sleep(1.5)  # one within a second is taken for the same
            process.send_signal(signal.SIGTERM)
        code = process.wait(SECONDS)
    got = arrivals(site)
    note_row(queue.name, f"{how}, memory only", code, got)
    if how in (
        "child killed",
        "second SIGTERM",
    ):  # a hard limit sends SIGTERM first: what was recorded may arrive
        assert len(got.lost) == 1
    runs = [run for run in run_events(site.folder) if run["run_id"] != "request-1"]
    (run,) = [run for run in runs if "lost" in run["metadata"]]
    assert run["error"]["type"].endswith(error)
    assert (run["parent_run_id"], run["user_id"]) == ("request-1", "u1")
    assert run["metadata"].keys() == {"task_id", "attempt", "lost"}


@pytest.mark.parametrize("queue", [ARQ], ids=str)
def test_arq_cancels_at_once_and_the_cancelled_attempt_arrives(
    site: Site, queue: Queue, note_row: Note
) -> None:
    site.send("long")
    with site.worker() as process:
        wait_for_task(site)
        process.send_signal(signal.SIGTERM)
        code = process.wait(SECONDS)
    got = arrivals(site)
    note_row("arq", "SIGTERM in a job", code, got)
    assert not got.lost
    assert run_events(site.folder)[-1]["status"] == "cancelled"


def test_celerys_cold_shutdown_delivers(redis: str, tmp_path: Path, note_row: Note) -> None:
    site = Site(CELERY, tmp_path, redis)
    site.send("long")
    with site.worker(*PREFORK) as process:
        wait_for_task(site)
        process.send_signal(signal.SIGQUIT)
        code = process.wait(SECONDS)
    got = arrivals(site)
    note_row("celery", "SIGQUIT in a task (cold)", code, got)
    assert not got.lost, site.errors


def test_procrastinate_gives_up_on_a_job_in_time(
    postgres: str, tmp_path: Path, note_row: Note
) -> None:
    site = Site(PROCRASTINATE, tmp_path, postgres)
    site.send("long")
    with site.worker("--shutdown-graceful-timeout", "0.5") as process:
        wait_for_task(site)
        process.send_signal(signal.SIGTERM)
        code = process.wait(SECONDS)
    got = arrivals(site)
    note_row("procrastinate", "SIGTERM in a job", code, got)
    assert not got.lost, site.errors
    assert run_events(tmp_path)[-1]["status"] == "cancelled"
