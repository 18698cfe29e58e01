"""
The door for procrastinate: every job is a run, linked to the run that deferred it.

Once, where the application is made, in the processes that defer jobs and in the workers::

    from llmobs.contrib.procrastinate import instrument

    app = App(connector=PsycopgConnector(...))
    instrument(app)

procrastinate's jobs have no headers: the names travel as one more argument, ``__llmobs__``, which the
worker takes out before the task sees it. So change the workers first, then what defers jobs. A retry
is a further attempt of the same run.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from procrastinate import App, JobContext
from procrastinate.jobs import Job
from procrastinate.manager import JobManager

from llmobs.client.async_client import Recording
from llmobs.contrib._tasks import ARGUMENT, TaskRuns, carry
from llmobs.runtime.troubles import internal_errors

__all__ = ["instrument"]


class _CarryingJobManager(JobManager):
    """Adds the carrier to the jobs that are deferred; the worker's middleware takes it out."""

    async def batch_defer_jobs_async(self, jobs: list[Job], *args: Any, **kwargs: Any) -> list[Job]:
        return await super().batch_defer_jobs_async(_carrying(jobs), *args, **kwargs)

    def batch_defer_jobs(self, jobs: list[Job], *args: Any, **kwargs: Any) -> list[Job]:
        return super().batch_defer_jobs(_carrying(jobs), *args, **kwargs)

    async def defer_periodic_job(self, job: Job, *args: Any, **kwargs: Any) -> int | None:
        return await super().defer_periodic_job(_carrying([job])[0], *args, **kwargs)


def _carrying(jobs: list[Job]) -> list[Job]:
    with internal_errors("send a run's names along with a job"):
        return [job.evolve(task_kwargs={**job.task_kwargs, ARGUMENT: carry()}) for job in jobs]
    return jobs


def instrument(app: App, *, client: Recording | None = None, record_empty: bool = False) -> None:
    """
    Make every job of *app* a run.

    Args:
        app: The application; ``app.with_connector()`` makes another one.
        client: A client you own; by default the default client, made when the first job runs.
        record_empty: Record a run also if nothing was recorded in it and it did not fail.

    Raises:
        ConfigurationError: *client* is no client, or *record_empty* neither True nor False.
    """
    runs = TaskRuns(client, record_empty)

    async def run_job(call_next: Callable[[], Awaitable[Any]], context: JobContext, _: Any) -> Any:
        job = context.job
        carried = job.task_kwargs.pop(ARGUMENT, None)
        attempt = job.attempts + 1
        with runs.running(job.task_name, job.id, attempt=attempt, carried=carried):
            return await call_next()

    run_job.llmobs = True  # type: ignore[attr-defined]
    app.job_manager = _CarryingJobManager(app.job_manager.connector)
    others = app.worker_defaults.get("worker_middleware") or []
    others = [each for each in others if not hasattr(each, "llmobs")]
    app.worker_defaults["worker_middleware"] = [run_job, *others]
