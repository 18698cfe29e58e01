"""
The door for taskiq: every task is a run, linked to the run that sent it.

Where the broker is made, in the processes that send tasks and in the workers::

    from llmobs.contrib.taskiq import LLMObsMiddleware

    broker = ListQueueBroker("redis://localhost").with_middlewares(LLMObsMiddleware())

A retry is a further attempt of the same run. Plain functions in a pool of processes
(``--use-process-pool``) run outside their task's run: taskiq hands them nothing of it.
"""

from typing import TYPE_CHECKING, Any

from taskiq.abc.middleware import TaskiqMiddleware
from taskiq.exceptions import NoResultError

from llmobs.client.async_client import Recording
from llmobs.contrib._tasks import CARRIER, TaskRuns, carry
from llmobs.runtime.troubles import internal_errors

if TYPE_CHECKING:
    from taskiq.message import TaskiqMessage
    from taskiq.result import TaskiqResult

__all__ = ["LLMObsMiddleware"]


class LLMObsMiddleware(TaskiqMiddleware):
    """
    Gives every task a run.

    Args:
        client: A client you own; by default the default client, made when the first task runs.
        record_empty: Record a run also if nothing was recorded in it and it did not fail.

    Raises:
        ConfigurationError: *client* is no client, or *record_empty* neither True nor False.
    """

    def __init__(self, client: Recording | None = None, *, record_empty: bool = False) -> None:
        super().__init__()
        self._runs = TaskRuns(client, record_empty)

    def pre_send(self, message: "TaskiqMessage") -> "TaskiqMessage":
        """Send the names of the current run along."""
        with internal_errors("send a run's names along with a task"):
            labels = message.labels
            labels[CARRIER] = carry(message.task_id, labels.get(CARRIER))
        return message

    def pre_execute(self, message: "TaskiqMessage") -> "TaskiqMessage":
        """Open the run."""
        self._runs.begin(
            message.task_id,
            message.task_name,
            message.task_id,
            attempt=_attempt(message.labels.get("_retries")),
            carried=message.labels.get(CARRIER),
        )
        return message

    def on_error(
        self, message: "TaskiqMessage", result: "TaskiqResult[Any]", exception: BaseException
    ) -> None:
        """Note what ended the task."""
        if not isinstance(exception, NoResultError):  # a task that wants no result stored
            self._runs.fail(message.task_id, exception)

    def post_execute(self, message: "TaskiqMessage", result: "TaskiqResult[Any]") -> None:
        """Record the run."""
        self._runs.end(message.task_id)


def _attempt(retries: object) -> int | None:
    try:
        return int(retries or 0) + 1  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        return None
