"""
The door for arq: every job is a run, linked to the run that enqueued it.

In the worker, and where the pool is made that jobs are enqueued with::

    from llmobs.contrib.arq import instrument, job_serializer

    @instrument
    class WorkerSettings:
        functions = [summarise]

    pool = await create_pool(RedisSettings(), job_serializer=job_serializer())

arq's jobs have no headers: the names travel beside the arguments in what the serializer makes of a
job, where workers without llmobs ignore them. A retry is a further attempt of the same run.
"""

import functools
import pickle
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from arq.worker import Retry, func

from llmobs.client.async_client import Recording
from llmobs.contrib._tasks import CARRIER, TaskRuns, carry
from llmobs.runtime.troubles import internal_errors

__all__ = ["instrument", "job_serializer"]

Serializer = Callable[[dict[str, Any]], bytes]
Deserializer = Callable[[bytes], dict[str, Any]]

# arq reads a job in the asyncio task that then runs it.
_carried: ContextVar[object] = ContextVar("llmobs_arq_carrier", default=None)


def job_serializer(serializer: Serializer = pickle.dumps) -> Serializer:
    """
    Return *serializer* so that it sends the names of the current run along with a job.

    Args:
        serializer: What you give arq as ``job_serializer``; pickle by default, as arq does.
    """

    def serialize(value: dict[str, Any]) -> bytes:
        if _is_job(value):
            with internal_errors("send a run's names along with a job"):
                value = {**value, CARRIER: carry()}
        return serializer(value)

    return serialize


def _is_job(value: object) -> bool:
    return isinstance(value, dict) and "f" in value and "r" not in value  # a result has both


def _deserializer(deserializer: Deserializer) -> Deserializer:
    def deserialize(data: bytes) -> dict[str, Any]:
        value = deserializer(data)
        if _is_job(value):
            _carried.set(value.get(CARRIER))
        return value

    return deserialize


def instrument(
    settings: Any = None, *, client: Recording | None = None, record_empty: bool = False
) -> Any:
    """
    Make every job of a worker a run: a decorator of its ``WorkerSettings``, bare or with options.

    Args:
        settings: The class; its functions, cron jobs and serializers are wrapped in place.
        client: A client you own; by default the default client, made when the first job runs.
        record_empty: Record a run also if nothing was recorded in it and it did not fail.

    Raises:
        ConfigurationError: *client* is no client, or *record_empty* neither True nor False.
    """
    runs = TaskRuns(client, record_empty)

    def decorate(cls: Any) -> Any:
        cls.functions = [_wrapped(runs, func(each)) for each in getattr(cls, "functions", ())]
        if cron_jobs := getattr(cls, "cron_jobs", None):
            cls.cron_jobs = [_wrapped(runs, each) for each in cron_jobs]
        # Kept out of the class's methods: arq calls them as plain functions.
        serializer = getattr(cls, "job_serializer", None) or pickle.dumps
        deserializer = getattr(cls, "job_deserializer", None) or pickle.loads
        cls.job_serializer = staticmethod(job_serializer(serializer))
        cls.job_deserializer = staticmethod(_deserializer(deserializer))
        return cls

    return decorate if settings is None else decorate(settings)


def _wrapped(runs: TaskRuns, job: Any) -> Any:
    """Return an arq ``Function`` or ``CronJob`` whose coroutine runs inside its run."""
    coroutine, name = job.coroutine, job.name
    coroutine = getattr(coroutine, "llmobs_wrapped", coroutine)  # twice is harmless

    @functools.wraps(coroutine)
    async def run(ctx: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        carried, attempt = _carried.get(), ctx.get("job_try")
        with runs.running(name, ctx.get("job_id"), attempt=attempt, carried=carried) as key:
            try:
                return await coroutine(ctx, *args, **kwargs)
            except Retry as retry:
                if retry.__cause__ is not None:
                    runs.fail(key, retry.__cause__)
                raise

    run.llmobs_wrapped = coroutine  # type: ignore[attr-defined]
    return replace(job, coroutine=run)
