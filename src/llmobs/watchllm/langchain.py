"""``WatchLLMCallbackHandler``: `llmobs.contrib.langchain` under one run id, for a `WatchLLMClient`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib._langchain.runs import RunContext
from llmobs.contrib.langchain import LLMObsCallbackHandler
from llmobs.events import Event
from llmobs.pipeline.intake import Complete, Make
from llmobs.pipeline.statistics import DropReason
from llmobs.recorded.ids import new_id
from llmobs.runtime.context import Run

__all__ = ["WatchLLMCallbackHandler", "create_callback_handler"]

HIDDEN: Final = "[REDACTED]"
"""Stands for what is not to be recorded."""

_PROMPTS: Final[Mapping[str, Any]] = {
    "prompt": HIDDEN,
    "input": {"input": HIDDEN},
    "input_data": {"input": HIDDEN},
    "request_params": None,
}
_RESPONSES: Final[Mapping[str, Any]] = {
    "response": HIDDEN,
    "output": {"output": HIDDEN},
    "output_data": {"output": HIDDEN},
    "tool_calls": None,
}


class WatchLLMCallbackHandler(LLMObsCallbackHandler):
    """
    Records what LangChain does (chains, calls of models, tools, retrievers) under one run.

    Args:
        client: The client to record with.
        run_id: The run everything belongs to; a new one by default.
        user_id: On whose behalf.
        tags: Carried by all events.
        metadata: Carried by all events.
        log_prompts: False: ``[REDACTED]`` in place of prompts, and of the inputs of chains and tools.
        log_responses: False: the same in place of answers, and of outputs.
    """

    def __init__(
        self,
        client: Recording,
        run_id: str | None = None,
        user_id: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        log_prompts: bool = True,
        log_responses: bool = True,
    ) -> None:
        super().__init__(client)
        self.client = client
        self.run_id = run_id or new_id()
        self.user_id = user_id
        self.tags = list(tags or ())
        self.metadata = dict(metadata or {})
        self.log_prompts = log_prompts
        self.log_responses = log_responses
        hidden = {**({} if log_prompts else _PROMPTS), **({} if log_responses else _RESPONSES)}
        self._run = Tracker(_Recorder(client, self.metadata, hidden), self.run_id)
        self._run.standalone = True  # no event of the run itself is sent
        self._run.user_id = user_id
        self._run.tags = tuple(self.tags)

    def _where(self, parent_run_id: UUID | None) -> RunContext:
        context = super()._where(parent_run_id)
        if context.parent is None:
            # Ours instead of one of its own, which would send an event of the run at its end.
            context.tracker, context.frame, context.is_own = self._run, None, False
        return context


def create_callback_handler(client: Recording, **kwargs: Any) -> WatchLLMCallbackHandler:
    """
    Return ``WatchLLMCallbackHandler(client, **kwargs)``.

    Args:
        client: The client to record with.
        kwargs: Further parameters of `WatchLLMCallbackHandler`.
    """
    return WatchLLMCallbackHandler(client, **kwargs)


class _Recorder:
    """The client, with something added to each event and something hidden."""

    def __init__(
        self, client: Recording, metadata: Mapping[str, Any], hidden: Mapping[str, Any]
    ) -> None:
        self.enabled = client.enabled
        self.capture_bytes = client.capture_bytes
        self._client = client
        self._metadata = metadata
        self._hidden = hidden

    def record(
        self,
        event: Event,
        run: Run | None,
        size: int,
        failed: bool,
        complete: Complete | None = None,
    ) -> None:
        """Take in *event*; what is to be hidden goes once the event is complete."""
        if self._metadata or self._hidden:
            complete = self._change if complete is None else self._change_after(complete)
        self._client.record(event, run, size, failed, complete)

    def record_later(
        self, make: Make, run: Run, size: int, failed: bool, complete: Complete
    ) -> None:
        """As `record`, at once."""
        self.record(make(), run, size, failed, complete)

    def _change_after(self, complete: Complete) -> Complete:
        def then(event: Event) -> Iterator[None]:
            try:
                yield from complete(event) or ()
            finally:
                self._change(event)

        return then

    def _change(self, event: Event) -> None:
        for name, stand_in in self._hidden.items():
            if getattr(event, name, None):
                setattr(event, name, stand_in)
        if self._metadata:
            own: Any = event.metadata
            if type(own) is bytes:  # packed by capture
                own = msgspec.json.decode(own)
            event.metadata = {**self._metadata, **(own or {})}

    def refuse(self, event: Event, run: Run | None, reason: DropReason) -> None:
        """Count an event that is not to be delivered."""
        self._client.refuse(event, run, reason)

    def expect(self) -> None:
        """Look after what waits for the end of a call."""
        self._client.expect()

    def __getattr__(self, name: str) -> Any:
        # Captures ask a run's client for its settings.
        return getattr(self._client, name)
