"""
The door for Django's tasks: every task is a run, linked to the run that enqueued it.

For the tasks of Django 6 and newer, and for the ``django-tasks`` package on older ones. The setting
names our backend in place of the one it is made from::

    TASKS = {"default": {"BACKEND": "llmobs.contrib.django_tasks.DatabaseBackend"}}

There are ``DatabaseBackend`` (of django-tasks-db), ``RQBackend`` (of django-tasks-rq) and
``ImmediateBackend``; any other one becomes ours with a class of its own::

    class TaskBackend(LLMObsBackend, TheirBackend): ...

Django's tasks have no headers: the names travel as one more argument, ``__llmobs__``, which is taken
out before the task's function sees it. So change the workers first, then what enqueues tasks.
"""

from contextvars import ContextVar
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from llmobs.contrib._tasks import ARGUMENT, TaskRuns, carry
from llmobs.runtime.troubles import internal_errors

__all__ = ["LLMObsBackend", "TaskRuns"]

# The result of the task that is about to be called: a task does not know its own id.
_started: ContextVar[Any] = ContextVar("llmobs_django_task", default=None)


def _note(task_result: Any, **_: object) -> None:
    _started.set(task_result)


class LLMObsBackend:
    """Makes a run of every task of the backend it is mixed into; set `runs` for a client of your own."""

    runs: ClassVar[TaskRuns] = TaskRuns()

    if TYPE_CHECKING:
        task_class: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.task_class = _task_class(cls.task_class)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        package = self.task_class.__base__.__module__.rpartition(".")[0]
        signals = import_module(f"{package}.signals")
        signals.task_started.connect(_note, dispatch_uid=__name__)

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Enqueue the task with the names of the current run."""
        return super().enqueue(task, args, _carrying(kwargs))  # type: ignore[misc]

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Enqueue the task with the names of the current run."""
        return await super().aenqueue(task, args, _carrying(kwargs))  # type: ignore[misc]


def _carrying(kwargs: dict[str, Any]) -> dict[str, Any]:
    if ARGUMENT not in kwargs:  # Django's `aenqueue` calls `enqueue`
        with internal_errors("send a run's names along with a task"):
            return {**kwargs, ARGUMENT: carry()}
    return kwargs


@cache
def _task_class(base: Any) -> Any:
    class LLMObsTask(base):  # type: ignore[misc]
        def call(self, *args: Any, **kwargs: Any) -> Any:
            with _running(self, kwargs.pop(ARGUMENT, None)):
                return super().call(*args, **kwargs)

        async def acall(self, *args: Any, **kwargs: Any) -> Any:
            with _running(self, kwargs.pop(ARGUMENT, None)):
                return await super().acall(*args, **kwargs)

    # Where pickle looks for it.
    LLMObsTask.__module__, LLMObsTask.__qualname__ = __name__, "LLMObsTask"
    return LLMObsTask


def _running(task: Any, carried: object) -> Any:
    result, task_id, attempt = _started.get(), None, None
    if result is not None and result.task.func is task.func:
        task_id, attempt = result.id, len(result.worker_ids) or None
        _started.set(None)
    runs = getattr(task.get_backend(), "runs", LLMObsBackend.runs)
    return runs.running(task.module_path, task_id, attempt=attempt, carried=carried)


_PACKAGE = "django.tasks" if find_spec("django.tasks") else "django_tasks"
_BACKENDS = {
    "DatabaseBackend": "django_tasks_db",
    "ImmediateBackend": f"{_PACKAGE}.backends.immediate",
    "RQBackend": "django_tasks_rq",
}


def __getattr__(name: str) -> Any:
    if name == "LLMObsTask":
        return _task_class(import_module(f"{_PACKAGE}.base").Task)
    if name not in _BACKENDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    theirs = getattr(import_module(_BACKENDS[name]), name)
    globals()[name] = ours = type(name, (LLMObsBackend, theirs), {"__module__": __name__})
    return ours
