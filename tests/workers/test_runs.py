"""Every queue's tasks are runs, linked to the one that sent them, and arrive however the worker ends."""

import json
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from llmobs.store.engine import open_reader
from tests.support.arrivals import Arrivals, Note
from tests.workers.queues import (
    ARQ,
    CELERY,
    DJANGO,
    DJANGO_AT_ONCE,
    DJANGO_RQ,
    DRAMATIQ,
    PROCRASTINATE,
    RECORDS,
    RQ,
    TASKIQ,
    Queue,
    Site,
)

pytestmark = pytest.mark.timeout(300)

WAYS = [
    (CELERY, "prefork, SIGTERM", ("--pool", "prefork", "--concurrency", "2")),
    (CELERY, "threads, SIGTERM", ("--pool", "threads", "--concurrency", "2")),
    (CELERY, "max_tasks_per_child=1", ("--concurrency", "2", "--max-tasks-per-child", "1")),
    (DRAMATIQ, "prefork and threads, SIGTERM", ("--processes", "2", "--threads", "2")),
    (TASKIQ, "prefork and threads, SIGTERM", ("--workers", "2")),
    (TASKIQ, "max_tasks_per_child=1", ("--workers", "2", "--max-tasks-per-child", "1")),
    (ARQ, "one process, SIGTERM", ()),
    (RQ, "a fork per job, SIGTERM", ("--worker-class", "llmobs.contrib.rq.LLMObsWorker")),
    (RQ, "no fork, SIGTERM", ("--worker-class", "llmobs.contrib.rq.LLMObsSimpleWorker")),
    (DJANGO, "one process, SIGTERM", ()),
    (DJANGO_RQ, "a fork per job, SIGTERM", ()),
    (PROCRASTINATE, "one process and threads, SIGTERM", ("--concurrency", "2")),
]


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    queue: Queue = request.getfixturevalue("queue")
    broker = request.getfixturevalue(queue.broker) if queue.broker else ""
    return Site(queue, tmp_path, broker)


def run_events(folder: Path) -> list[dict[str, Any]]:
    """Return the runs' own events, in the order of their beginning."""
    with open_reader(folder / "llmobs.db") as reader:
        events = [json.loads(event.body) for event in reader.events(types=["run"])]
    return sorted(events, key=itemgetter("timestamp"))


@pytest.mark.parametrize(("queue", "how", "options"), WAYS, ids=[f"{q} {h}" for q, h, _ in WAYS])
def test_tasks_are_linked_runs_and_all_arrive(
    site: Site, queue: Queue, how: str, options: tuple[str, ...], note_row: Note
) -> None:
    site.send("all")
    code = site.work(RECORDS + (2 if queue.retries else 1), *options)
    got = Arrivals.read(site.folder / "ledger", site.folder / "llmobs.db")
    note_row(queue.name, how, code, got)
    assert code == 0, site.errors
    assert not got.lost, site.errors
    runs = [run for run in run_events(site.folder) if run["run_id"] != "request-1"]
    for run in runs:
        assert (run["parent_run_id"], run["user_id"], run["session_id"]) == (
            "request-1",
            "u1",
            "s1",
        )
    by_task = {name: [r for r in runs if r["name"].endswith(name)] for name in ("record", "broken")}
    assert len({run["run_id"] for run in by_task["record"]}) == len(by_task["record"]) == RECORDS
    assert all(got.stored[event][0] != "run" for event in got.recorded)
    (broken,) = by_task["broken"]
    assert (broken["status"], broken["error"]["type"]) == ("error", "ValueError")
    if queue.retries:
        first, second = [run for run in runs if run["name"].endswith("flaky")]
        assert first["run_id"] == second["run_id"]
        assert (first["status"], first["error"]["type"]) == ("error", "OSError")
        assert "error" not in second
        assert [run["metadata"]["attempt"] for run in (first, second)] == [1, 2]


def test_django_tasks_at_once_are_runs_inside_the_one_that_enqueued_them(tmp_path: Path) -> None:
    site = Site(DJANGO_AT_ONCE, tmp_path, "")
    site.send("record", "broken")
    got = Arrivals.read(site.folder / "ledger", site.folder / "llmobs.db")
    assert not got.lost, site.errors
    runs = [run for run in run_events(site.folder) if run["run_id"] != "request-1"]
    assert [run["name"].rpartition(".")[2] for run in runs] == ["record", "broken"]
    for run in runs:
        assert (run["parent_run_id"], run["user_id"], run["events"]) == (
            "request-1",
            "u1",
            3 if run["name"].endswith("record") else 1,
        )
    assert runs[1]["error"]["type"] == "ValueError"


def test_the_tasks_of_a_pipeline_follow_from_one_another(
    redis: str, tmp_path: Path, note_row: Note
) -> None:
    site = Site(DRAMATIQ, tmp_path, redis)
    site.send("pipeline")
    code = site.work(2, "--processes", "1", "--threads", "2")
    got = Arrivals.read(site.folder / "ledger", site.folder / "llmobs.db")
    note_row("dramatiq", "a pipeline, SIGTERM", code, got)
    assert not got.lost, site.errors
    runs = {run["name"]: run for run in run_events(site.folder)}
    assert runs["before"]["parent_run_id"] == "request-1"
    assert runs["after"]["parent_run_id"] == runs["before"]["run_id"]
    for run in (runs["before"], runs["after"]):
        assert (run["user_id"], run["session_id"], run["events"]) == ("u1", "s1", 1)
