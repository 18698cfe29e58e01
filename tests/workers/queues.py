"""The queues: how their tasks are sent and their workers started."""

import fcntl
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.processes.running import ROOT, started
from tests.support.polling import eventually

RECORDS = 10
"""How many of the tasks just record."""
APPS = "tests.workers.apps"
SECONDS = 90.0
"""For a worker on a busy machine to start, or to end."""


@dataclass(frozen=True)
class Queue:
    """One library."""

    name: str
    sender: str
    """The module under `APPS` that sends tasks."""
    worker: tuple[str, ...]
    """What follows ``python -m`` to start a worker; ``REDIS`` stands for the broker's URL."""
    prepare: tuple[str, ...] = ()
    """What must run before."""
    broker: str = "redis"
    """``redis``, ``postgres``, or nothing."""
    retries: bool = True
    packages: tuple[str, ...] = ()
    """What it cannot share with the other libraries."""
    env: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


CELERY = Queue(
    "celery", "celery_app", (
        "celery", "--app", f"{APPS}.celery_app", "worker", "--loglevel", "WARNING",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ),
)  # fmt: skip
DRAMATIQ = Queue("dramatiq", "dramatiq_app", ("dramatiq", f"{APPS}.dramatiq_app"))
TASKIQ = Queue("taskiq", "taskiq_app", ("taskiq", "worker", f"{APPS}.taskiq_app:broker"))
ARQ = Queue(
    "arq",
    "arq_app",
    ("arq", f"{APPS}.arq_app.WorkerSettings"),
    packages=("redis[hiredis]<6",),  # with newer ones it does not end on SIGTERM
)
RQ = Queue(
    "rq", "rq_app",
    ("rq.cli", "worker", "--url", "REDIS", "--job-class", "llmobs.contrib.rq.LLMObsJob"),
)  # fmt: skip
DJANGO = Queue(
    "django_tasks",
    "django_send",
    ("django", "db_worker", "--interval", "0.1", "--no-startup-delay", "--no-reload"),
    prepare=("django", "migrate", "--verbosity", "0"),
    broker="",
    retries=False,
    env={"DJANGO_SETTINGS_MODULE": f"{APPS}.django_site.settings"},
)
DJANGO_RQ = Queue(
    "django_tasks on rq",
    "django_send",
    (
        "django", "rqworker", "--job-class", "django_tasks_rq.Job",
        "--worker-class", "llmobs.contrib.rq.LLMObsWorker",
    ),
    retries=False,
    packages=(
        # django-rq asks for a scheduler that nobody here starts.
        "--no-deps", "django-tasks-rq==0.12.0", "django-rq==4.2.0", "rq-scheduler==0.14.0",
        "crontab==1.0.5", "freezegun==1.5.5",
    ),
    env={"DJANGO_SETTINGS_MODULE": f"{APPS}.django_rq_site"},
)  # fmt: skip
DJANGO_AT_ONCE = Queue(
    "django_tasks at once", "django_send", (), broker="", retries=False,
    env={"DJANGO_SETTINGS_MODULE": f"{APPS}.django_at_once_site"},
)  # fmt: skip
PROCRASTINATE = Queue(
    "procrastinate",
    "procrastinate_app",
    ("procrastinate", "--app", f"{APPS}.procrastinate_app.app", "worker"),
    prepare=("procrastinate", "--app", f"{APPS}.procrastinate_app.app", "schema", "--apply"),
    broker="postgres",
)


def _installed(queue: Queue) -> Path:
    folder = ROOT / ".cache" / "workers" / queue.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
            subprocess.run([*install, *queue.packages], check=True, timeout=SECONDS)
            (folder / "installed").touch()
    return folder


class Site:
    """A queue in use: its folder, its broker."""

    def __init__(self, queue: Queue, folder: Path, broker: str) -> None:
        self.queue, self.folder, self.broker = queue, folder, broker
        self._env = {
            "TEST_FOLDER": str(folder),
            "TEST_REDIS": broker,
            "TEST_POSTGRES": broker,
            "LLMOBS_FLUSH_INTERVAL_SECONDS": "60",  # what arrives, arrives at the end
            **queue.env,
        }
        if queue.packages:
            self._env["PYTHONPATH"] = f"{_installed(queue)}:{ROOT}"
        if queue.prepare:
            self._run(queue.prepare)

    def _run(self, command: tuple[str, ...]) -> None:
        with started(command, self.folder, **self._env) as process:
            assert process.wait(SECONDS) == 0, self.errors

    def send(self, *names: str) -> None:
        """Send tasks from a process of their own, inside a run called ``request-1``."""
        self._run((f"{APPS}.{self.queue.sender}", *names))

    @contextmanager
    def worker(self, *options: str, **env: str) -> Iterator[subprocess.Popen[str]]:
        """Run a worker."""
        command = [self.broker if word == "REDIS" else word for word in self.queue.worker]
        with started([*command, *options], self.folder, **self._env, **env) as process:
            yield process

    @property
    def done(self) -> list[str]:
        """The tasks that came to their end, and ``long PID`` for those that began to wait."""
        file = self.folder / "done"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def errors(self) -> str:
        return (self.folder / "stderr").read_text()

    def wait_for(self, probe: Callable[[], object], what: str) -> None:
        try:
            eventually(probe, timeout=SECONDS, interval=0.1, what=what)
        except TimeoutError as error:
            raise AssertionError(f"{error}: {self.done}\n{self.errors}") from None

    def work(self, count: int, *options: str, end: signal.Signals = signal.SIGTERM) -> int:
        """Run a worker until *count* tasks are done, end it, and return its exit code."""
        with self.worker(*options) as process:
            self.wait_for(lambda: len(self.done) >= count, f"{count} tasks")
            process.send_signal(end)
            return process.wait(SECONDS)
