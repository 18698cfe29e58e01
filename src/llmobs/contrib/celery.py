"""
The door for Celery: every task is a run, linked to the run that sent it.

Once, where the application is made, in the processes that send tasks and in the workers::

    from llmobs.contrib.celery import instrument

    app = Celery("shop", broker="redis://localhost")
    instrument()

A retry is a further attempt of the same run. Celery's children deliver before they end, also where
``--max-tasks-per-child`` replaces them.
"""

from typing import Any, Final
from weakref import WeakValueDictionary

from celery import signals  # type: ignore[import-untyped]
from celery.exceptions import (  # type: ignore[import-untyped]
    TaskRevokedError,
    TimeLimitExceeded,
    WorkerLostError,
)

from llmobs.client.async_client import Recording
from llmobs.contrib._tasks import CARRIER, TaskRuns, carry
from llmobs.runtime.troubles import internal_errors

__all__ = ["instrument", "uninstrument"]

_UID: Final = "llmobs.contrib.celery"
_KILLED: Final = (WorkerLostError, TimeLimitExceeded)


class _Door:
    """What listens to Celery's signals, of all applications of this process."""

    def __init__(self, runs: TaskRuns) -> None:
        self._runs = runs
        # In a worker's main process: what was sent to a child that may be killed.
        self._received: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._receivers = (
            (signals.before_task_publish, self.publish),
            (signals.worker_init, self.prepare),
            (signals.task_received, self.receive),
            (signals.task_prerun, self.begin),
            (signals.task_failure, self.fail),
            (signals.task_retry, self.retry),
            (signals.task_revoked, self.revoke),
            (signals.task_postrun, self.end),
        )

    def connect(self) -> None:
        for signal, receiver in self._receivers:
            signal.disconnect(dispatch_uid=_UID)
            signal.connect(receiver, weak=False, dispatch_uid=_UID)

    def disconnect(self) -> None:
        for signal, _ in self._receivers:
            signal.disconnect(dispatch_uid=_UID)

    # Where a task is sent.

    def publish(self, headers: Any = None, body: Any = None, **_: object) -> None:
        with internal_errors("send a run's names along with a task"):
            task_id = headers.get("id") or (body.get("id") if isinstance(body, dict) else None)
            headers[CARRIER] = carry(task_id, headers.get(CARRIER))

    # Where it runs. A retry and a failure are told between the beginning and the end.

    def begin(self, task_id: str, task: Any, **_: object) -> None:
        request = task.request
        self._runs.begin(
            task_id, task.name, task_id, attempt=request.retries + 1, carried=request.get(CARRIER)
        )

    def end(self, task_id: str, **_: object) -> None:
        self._runs.end(task_id)

    def retry(self, request: Any, reason: Any = None, **_: object) -> None:
        if isinstance(reason, BaseException):
            cause = getattr(reason, "exc", None)
            self._runs.fail(request.id, cause if isinstance(cause, BaseException) else reason)

    def fail(self, task_id: str, exception: BaseException, sender: Any, **_: object) -> None:
        if not self._runs.fail(task_id, exception) and isinstance(exception, _KILLED):
            self._lose(exception, task_id, sender.name)

    # In the main process, which forks the children and watches over them.

    def prepare(self, **_: object) -> None:
        with internal_errors("make the client before Celery forks"):
            self._runs.prepare()

    def receive(self, request: Any, **_: object) -> None:
        self._received[request.id] = request

    def revoke(self, request: Any, terminated: bool = False, sender: Any = None, **_: Any) -> None:
        if terminated:
            self._lose(TaskRevokedError("terminated"), request.id, sender.name)

    def _lose(self, error: BaseException, task_id: str, name: str) -> None:
        # A hard limit is told twice: when it is over, and when the child is gone.
        if (request := self._received.pop(task_id, None)) is None:
            return
        headers = request.request_dict
        self._runs.lost(
            error, name, task_id,
            attempt=headers.get("retries", 0) + 1, carried=headers.get(CARRIER),
        )  # fmt: skip


_door: _Door | None = None


def instrument(client: Recording | None = None, *, record_empty: bool = False) -> None:
    """
    Make every task of this process's Celery applications a run; the last call's options hold.

    Args:
        client: A client you own; by default the default client, made when the first task runs.
        record_empty: Record a run also if nothing was recorded in it and it did not fail.

    Raises:
        ConfigurationError: *client* is no client, or *record_empty* neither True nor False.
    """
    global _door
    _door = _Door(TaskRuns(client, record_empty))
    _door.connect()


def uninstrument() -> None:
    """Undo `instrument`."""
    global _door
    if _door is not None:
        _door.disconnect()
        _door = None
