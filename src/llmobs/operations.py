"""Blocks that time themselves: one call of a model, one step of an agent, one use of a tool."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, Unpack

from llmobs.context import Frame, current_frame, innermost_frame, inside, leave_operation, set_frame
from llmobs.events import Event, Status
from llmobs.fields import PromptCallFields
from llmobs.ids import new_id

if TYPE_CHECKING:
    from llmobs.tracker import Tracker

__all__ = [
    "AgentStep",
    "Captured",
    "Operation",
    "PromptCall",
    "SeveralCalls",
    "ToolCall",
    "status_of",
]


class Operation:
    """
    A block inside a run. It becomes the parent of what is recorded inside, measures its own time,
    and records the exception that ends it, cancellation included, without holding it up.

    Where no ``with`` fits, call :meth:`start` and :meth:`end`.
    """

    status: Status | str = Status.SUCCESS
    """How it ended; set it to record a failure that raised nothing."""
    is_run = False
    left: bool = False
    """Whether it is current nowhere any more: it has ended, or a door knows that its work is done."""
    ended: bool
    """Whether it is over."""
    run: Tracker
    """The run it belongs to."""

    def __init__(self, tracker: Tracker, fields: dict[str, Any]) -> None:
        self.run = self._tracker = tracker
        self._fields = fields
        self.outer: Frame | None = None
        self.ended = False
        self.event_id = new_id()
        self.start_time = time.perf_counter()
        self.timestamp = datetime.now(UTC)

    def start(self) -> Self:
        """Begin: the clock runs from here, and events recorded from here are its children."""
        self.outer = outer = current_frame()
        around = innermost_frame() if inside else outer
        if around is not None and around.run is self._tracker and around.event_id is not None:
            self._fields.setdefault("parent_id", around.event_id)
        set_frame(self)
        self.timestamp = datetime.now(UTC)
        self.start_time = time.perf_counter()
        return self

    def end(self, error: BaseException | None = None) -> str:
        """Record it, once; *error* is what ended it, if it failed. Returns the event id."""
        if self.ended:
            return self.event_id
        self.ended = True
        latency_ms = (time.perf_counter() - self.start_time) * 1000
        self.left = True
        self.outer = leave_operation(self)
        # What is current where it ends says nothing about where it began.
        self._fields.setdefault("parent_id", "")
        if error is not None:
            self.status = status_of(error)
        if self._tracker.client.enabled:
            self._fields.update(event_id=self.event_id, timestamp=self.timestamp)
            self._write(latency_ms, error)
        return self.event_id

    def add(self, **fields: Any) -> None:
        """Add fields of its event; those set before are replaced."""
        self._fields.update(fields)

    def _write(self, latency_ms: float, error: BaseException | None) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end(error)


class Captured(Protocol):
    """What a door that captures has seen of a call that a block records too: one call, one event."""

    done: bool
    """Whether it has ended."""
    failed: bool
    size: int
    """Estimated bytes of what :meth:`fill` holds on to."""

    def settle(self, write: Callable[[Any], object]) -> None:
        """Call *write* with this, now or once the answer has ended: the block has."""

    def separate(self) -> None:
        """Record it as an event of its own: the block has another call now."""

    def fill(self, event: Event) -> None:
        """Add what was seen to the event of the block; runs in the pipeline."""


class PromptCall(Operation):
    """One call of a model. Fill in the answer with :meth:`finish`, or by setting attributes."""

    captured: Captured | None = None
    """Set by a door that sees the call too; the event holds what either knows."""
    on_cancelled: Callable[[], object] | None = None
    """Called when such a door saw it cancelled, for doors that may never be told of its end."""
    response: Any = ""
    tokens_input: int | None = None
    tokens_output: int | None = None

    def __init__(
        self, tracker: Tracker, *, model: str, prompt: Any, fields: dict[str, Any]
    ) -> None:
        super().__init__(tracker, fields)
        self.model = model
        self.prompt = prompt

    def first_token(self) -> None:
        """Note that the first piece of a streamed answer came; later calls change nothing."""
        self._fields.setdefault(
            "time_to_first_token_ms", (time.perf_counter() - self.start_time) * 1000
        )
        self._fields.setdefault("stream", True)

    def finish(
        self,
        *,
        response: Any = "",
        tokens_input: int | None = None,
        tokens_output: int | None = None,
        **fields: Unpack[PromptCallFields],
    ) -> None:
        """
        Fill in the answer; the call is recorded when the block ends.

        Args:
            response: Text, or a list of messages.
            tokens_input: Tokens of the prompt, cached ones included.
            tokens_output: Tokens of the answer, reasoning included.
            fields: See `llmobs.events.PromptCallEvent`.
        """
        self.response = response
        self.tokens_input = tokens_input
        self.tokens_output = tokens_output
        self._fields.update(fields)

    def told(self, error: BaseException | None = None) -> tuple[dict[str, Any], float]:
        """
        End it without recording it, for a door whose call is part of another event.

        Returns the fields it would have recorded, and the milliseconds it took.
        """
        self.ended = True
        if error is not None:
            self.status = status_of(error)
        values = {
            "prompt": self.prompt,
            "model": self.model,
            "response": self.response,
            "tokens_input": self.tokens_input,
            "tokens_output": self.tokens_output,
        }
        return {**self._fields, **values}, (time.perf_counter() - self.start_time) * 1000

    def _write(self, latency_ms: float, error: BaseException | None) -> None:
        if self.captured is None:
            self._log(latency_ms, error)
            return

        def write(captured: Captured) -> None:
            self._fields["captured"] = captured
            self._log(latency_ms, error)

        self.captured.settle(write)

    def _log(self, latency_ms: float, error: BaseException | None) -> None:
        own = {
            "prompt": self.prompt,
            "model": self.model,
            "response": self.response,
            "tokens_input": self.tokens_input,
            "tokens_output": self.tokens_output,
            "latency_ms": latency_ms,
            "status": self.status,
            "error": error,
        }
        self._tracker.log_prompt_call(**{**own, **self._fields})


class SeveralCalls:
    """
    A frame around several calls made at once, for a door that cannot tell which is which.

    What another door sees of them, it records as if this were not there, and says so in `seen`.
    """

    is_run = False
    left = False

    def __init__(self, tracker: Tracker, outer: Frame | None, event_id: str | None) -> None:
        self.run = tracker
        self.outer = outer
        self.event_id = event_id
        """The parent of the calls."""
        self.seen = 0
        """Calls that another door records."""


class AgentStep(Operation):
    """One step of an agent; set :attr:`output_data` before it ends."""

    output_data: Any = None
    reasoning: str | None = None
    context: dict[str, Any] | None = None

    def __init__(
        self,
        tracker: Tracker,
        *,
        step_name: str,
        step_type: str,
        input_data: Any,
        step_number: int | None,
        fields: dict[str, Any],
    ) -> None:
        super().__init__(tracker, fields)
        self.step_name = step_name
        self.step_type = step_type
        self.input_data = input_data
        if step_number is None:
            step_number = tracker.steps = tracker.steps + 1
        self.step_number = step_number

    def _write(self, latency_ms: float, error: BaseException | None) -> None:
        own = {
            "step_number": self.step_number,
            "step_name": self.step_name,
            "step_type": self.step_type,
            "input_data": self.input_data,
            "output_data": self.output_data,
            "latency_ms": latency_ms,
            "status": self.status,
            "reasoning": self.reasoning,
            "context": self.context,
            "error": error,
        }
        self._tracker.log_agent_step(**{**own, **self._fields})


class ToolCall(Operation):
    """One execution of a tool; set :attr:`output` before it ends."""

    output: Any = None

    def __init__(
        self,
        tracker: Tracker,
        *,
        tool_name: str,
        input: Any,
        tool_id: str | None,
        fields: dict[str, Any],
    ) -> None:
        super().__init__(tracker, fields)
        self.tool_name = tool_name
        self.input = input
        self.tool_id = tool_id

    def _write(self, latency_ms: float, error: BaseException | None) -> None:
        own = {
            "tool_name": self.tool_name,
            "input": self.input,
            "output": self.output,
            "latency_ms": latency_ms,
            "status": self.status,
            "error": error,
            "tool_id": self.tool_id,
        }
        self._tracker.log_tool_call(**{**own, **self._fields})


def status_of(error: BaseException) -> Status:
    """Return the status that an exception ends an operation with."""
    if isinstance(error, TimeoutError):
        return Status.TIMEOUT
    # CancelledError, trio.Cancelled, GeneratorExit, KeyboardInterrupt: somebody stopped it.
    return Status.ERROR if isinstance(error, Exception) else Status.CANCELLED
