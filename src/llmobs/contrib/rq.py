"""
The door for rq: every job is a run, linked to the run that enqueued it.

rq has no hooks; it takes classes. Where jobs are enqueued::

    from llmobs.contrib.rq import LLMObsJob

    queue = Queue(connection=Redis(), job_class=LLMObsJob)

and the worker::

    rq worker --job-class llmobs.contrib.rq.LLMObsJob --worker-class llmobs.contrib.rq.LLMObsWorker

The names travel in the job's ``meta``. A retry is a further attempt of the same run. rq does each
job in a process that leaves by ``os._exit``: the worker's class delivers before that.
"""

from typing import Any, ClassVar, Final, Self

from rq.job import Job
from rq.worker import SimpleWorker, Worker

from llmobs.contrib._tasks import CARRIER, TaskRuns, carry, deliver
from llmobs.runtime.troubles import internal_errors

__all__ = ["LLMObsJob", "LLMObsSimpleWorker", "LLMObsWorker", "TaskRuns"]

ATTEMPT: Final = f"{CARRIER}_attempt"
"""Where a job's meta says how often it was tried."""


class LLMObsJob(Job):
    """An rq job that is a run. In a subclass, set `runs` for a client of your own."""

    runs: ClassVar[TaskRuns] = TaskRuns()

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> Self:
        """Make a job that takes the names of the current run along."""
        job = super().create(*args, **kwargs)
        with internal_errors("send a run's names along with a job"):
            job.meta = {**job.meta, CARRIER: carry(job.id)}
        return job  # type: ignore[return-value]

    def perform(self) -> Any:
        """Do the job inside its run."""
        attempt = _attempt(self)
        # rq does not count attempts; where it tries again, it stores the job with its meta.
        if isinstance(self.meta, dict):
            self.meta = {**self.meta, ATTEMPT: attempt}
        with self.runs.running(_name(self), self.id, attempt=attempt, carried=_carried(self)):
            return super().perform()


def _name(job: Job) -> str:
    return job.func_name or "job"


def _attempt(job: Job) -> int:
    before = job.meta.get(ATTEMPT) if isinstance(job.meta, dict) else None
    return before + 1 if isinstance(before, int) else 1


def _carried(job: Job) -> object:
    return job.meta.get(CARRIER) if isinstance(job.meta, dict) else None


class HorseKilledError(Exception):
    """The process that did an rq job was killed."""


class LLMObsWorker(Worker):
    """An rq worker whose processes deliver before they end."""

    job_class = LLMObsJob

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Work; what every child would have to import is imported before the first fork."""
        with internal_errors("make the client before rq forks"):
            getattr(self.job_class, "runs", LLMObsJob.runs).prepare()
        return super().work(*args, **kwargs)

    def perform_job(self, *args: Any, **kwargs: Any) -> bool:
        """Do a job; the process that was forked for it ends right after."""
        try:
            return super().perform_job(*args, **kwargs)
        finally:
            if self.is_horse:
                deliver()

    def handle_work_horse_killed(self, job: Any, retpid: Any, ret_val: Any, rusage: Any) -> None:
        """Record a job whose process was killed."""
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]
        _lose(job, f"the job's process ended with wait status {ret_val}")

    def monitor_work_horse(self, job: Any, *args: Any, **kwargs: Any) -> None:
        """Watch over a job's process; the second SIGTERM kills it, and ends this one too."""
        try:
            super().monitor_work_horse(job, *args, **kwargs)
        except SystemExit:
            _lose(job, "the worker was told twice to end")
            raise


def _lose(job: Any, why: str) -> None:
    with internal_errors("record a job whose process was killed"):
        runs = getattr(job, "runs", LLMObsJob.runs)
        runs.lost(
            HorseKilledError(why), _name(job), job.id,
            attempt=_attempt(job), carried=_carried(job),
        )  # fmt: skip


class LLMObsSimpleWorker(SimpleWorker):
    """An rq worker that does its jobs in its own process, without forking."""

    job_class = LLMObsJob
