"""
The door for dramatiq: every message is a run, linked to the run that sent it.

Where the broker is made, in the processes that send messages and in the workers::

    from llmobs.contrib.dramatiq import LLMObsMiddleware

    broker = RedisBroker(url="redis://localhost")
    broker.add_middleware(LLMObsMiddleware())

A retry is a further attempt of the same run.
"""

from typing import Any

from dramatiq.middleware import Middleware

from llmobs.client.async_client import Recording
from llmobs.contrib._tasks import CARRIER, TaskRuns, carry
from llmobs.runtime.troubles import internal_errors

__all__ = ["LLMObsMiddleware"]


class LLMObsMiddleware(Middleware):
    """
    Gives every message a run.

    Args:
        client: A client you own; by default the default client, made when the first message runs.
        record_empty: Record a run also if nothing was recorded in it and it did not fail.

    Raises:
        ConfigurationError: *client* is no client, or *record_empty* neither True nor False.
    """

    def __init__(self, client: Recording | None = None, *, record_empty: bool = False) -> None:
        self._runs = TaskRuns(client, record_empty)

    def before_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        """Send the names of the current run along."""
        with internal_errors("send a run's names along with a message"):
            options = message.options
            options[CARRIER] = carry(message.message_id, options.get(CARRIER))

    def before_process_message(self, broker: Any, message: Any) -> None:
        """Open the run."""
        retries = message.options.get("retries", 0)
        self._runs.begin(
            message.message_id,
            message.actor_name,
            message.message_id,
            attempt=retries + 1 if isinstance(retries, int) else None,
            carried=message.options.get(CARRIER),
        )

    def after_process_message(
        self,
        broker: Any,
        message: Any,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """Record the run."""
        target = message.options.get("pipe_target")
        if exception is None and isinstance(target, dict):
            # The next of a pipeline is enqueued after this, when the run is no longer current.
            with internal_errors("send a run's names along with a pipeline"):
                options = target.setdefault("options", {})
                options[CARRIER] = carry(target.get("message_id"), options.get(CARRIER))
        self._runs.end(message.message_id, exception)

    def after_skip_message(self, broker: Any, message: Any) -> None:
        """Close the run of a message that another middleware skipped."""
        self._runs.end(message.message_id)
