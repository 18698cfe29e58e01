"""Blocks that time themselves: one call of a model, one step of an agent, one use of a tool."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Never, Self, TypeVar

from llmobs.capture.building import as_given, build
from llmobs.capture.joining import sightings
from llmobs.capture.log import Log
from llmobs.capture.sighting import Sighting, lock
from llmobs.codec import snapshot
from llmobs.events import AgentStepEvent, Event, PromptCallEvent, Status, ToolCallEvent
from llmobs.pipeline.intake import Complete
from llmobs.recorded.ids import new_id
from llmobs.recorded.messages import text_in
from llmobs.runtime.context import (
    Frame,
    current_frame,
    innermost_frame,
    inside,
    leave_operation,
    set_frame,
)

__all__ = [
    "AgentStep",
    "Operation",
    "PromptCall",
    "SeveralCalls",
    "ToolCall",
    "call_fields",
    "common_fields",
    "sighting_around",
    "status_of",
]


E = TypeVar("E", bound=Event)


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
    complete: Complete | None = None
    """What a door does to its event in the pipeline, in steps."""
    run: Log
    """The run it belongs to."""

    def __init__(self, tracker: Log, fields: dict[str, Any]) -> None:
        self.run = tracker
        self._fields = as_given(fields) if fields else {}
        self.outer: Frame | None = None
        self.ended = False
        self.event_id = new_id()
        self.start_time = time.perf_counter()
        """When it began, by ``time.perf_counter``."""
        self._clock: float = time.time()
        self._warnings: tuple[str, ...] = ()

    def start(self) -> Self:
        """Begin: the clock runs from here, and events recorded from here are its children."""
        self.outer = outer = current_frame()
        around = innermost_frame() if inside else outer
        if around is not None and around.run is self.run and around.event_id is not None:
            self._fields.setdefault("parent_id", around.event_id)
        set_frame(self)
        sightings.opened(self)
        self._clock = time.time()
        self.start_time = time.perf_counter()
        return self

    def end(self, error: BaseException | None = None) -> str:
        """Record it, once; *error* is what ended it, if it failed. Returns the event id."""
        if self.ended:
            return self.event_id
        self.ended = True
        sightings.ended(self)
        latency_ms = (time.perf_counter() - self.start_time) * 1000
        self.left = True
        self.outer = leave_operation(self)
        # What is current where it ends says nothing about where it began.
        self._fields.setdefault("parent_id", "")
        if error is not None:
            self.status = status_of(error)
        if self.run.client.enabled:
            self._write(
                {
                    "latency_ms": latency_ms,
                    "status": self.status,
                    "error": error,
                    **self._fields,
                    "event_id": self.event_id,
                    "timestamp": self._clock,
                }
            )
        return self.event_id

    def _cut(self, why: str) -> None:
        """Record it as far as it is known, although it goes on: *why* belongs into its warnings."""
        if not self.ended:
            self._warnings = (why,)
            self.status = Status.CANCELLED
            self.end()

    def add(self, **fields: Any) -> None:
        """Add fields of its event, as they are now; those set before are replaced."""
        self._fields.update(as_given(fields))

    def _write(self, values: dict[str, Any]) -> None:
        """Record its event, with *values* beside its own."""
        raise NotImplementedError

    def _build(self, kind: type[E], values: dict[str, Any]) -> tuple[E, int, bool]:
        event, size, failed = build(kind, self.run.run_id, values)
        if self._warnings:
            event.warnings = (*event.warnings, *self._warnings)
        return event, size, failed

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end(error)


class PromptCall(Operation):
    """One call of a model. Fill in the answer with :meth:`finish`, or by setting attributes."""

    door = "block"
    """Who tells of it; see `llmobs.capture.sighting.Sighting`."""
    on_cancelled: Callable[[], object] | None = None
    """Called when another door saw it cancelled, for doors that may never be told of its end."""
    _sighting: Sighting | None = None
    _is_told = False
    response: Any = ""
    """The answer: text, or a list of messages."""
    tokens_input: int | None = None
    """Tokens of the prompt, cached ones included; None while unknown."""
    tokens_output: int | None = None
    """Tokens of the answer, reasoning included; None while unknown."""

    def __init__(self, tracker: Log, *, model: str, prompt: Any, fields: dict[str, Any]) -> None:
        super().__init__(tracker, fields)
        self.model = model
        self.prompt = snapshot(prompt)  # what the block changes later is not what was given

    @property
    def prompt_text(self) -> str:
        """The text of what is asked; see `llmobs.events.PromptCallEvent`."""
        return text_in(snapshot(self.prompt))

    @property
    def response_text(self) -> str:
        """The text of the answer told so far; see `llmobs.events.PromptCallEvent`."""
        return text_in(snapshot(self.response))

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
        prompt_template_id: str | None = None,
        model_version: str | None = None,
        response_metadata: Mapping[str, Any] | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
        operation: str | None = None,
        provider: str | None = None,
        finish_reason: str | None = None,
        cost_usd: float | None = None,
        tokens_cached: int | None = None,
        tokens_cache_write: int | None = None,
        tokens_reasoning: int | None = None,
        usage: Mapping[str, int] | None = None,
        time_to_first_token_ms: float | None = None,
        stream: bool | None = None,
        response_id: str | None = None,
        request_id: str | None = None,
        http_status: int | None = None,
        service_tier: str | None = None,
        server_address: str | None = None,
        request_params: Mapping[str, Any] | None = None,
        prompt_embedding: Sequence[float] | None = None,
        response_embedding: Sequence[float] | None = None,
        errors: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
        parent_id: str | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        session_id: str | None = None,
        service_name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **unknown: Never,
    ) -> None:
        """
        Fill in the answer; the call is recorded when the block ends.

        Args:
            response: Text, or a list of messages.
            tokens_input: Tokens of the prompt, cached ones included.
            tokens_output: Tokens of the answer, reasoning included.
            prompt_template_id: Your id of the prompt's template. This and what follows are fields of
                `llmobs.events.PromptCallEvent`; None changes nothing that was told before.
            unknown: What is no field is kept in the event's warnings.
        """
        self.response = snapshot(response)
        self.tokens_input = tokens_input
        self.tokens_output = tokens_output
        further = call_fields(
            (
                prompt_template_id, model_version, response_metadata, tool_calls, operation,
                provider, finish_reason, cost_usd, tokens_cached, tokens_cache_write,
                tokens_reasoning, usage, time_to_first_token_ms, stream, response_id, request_id,
                http_status, service_tier, server_address, request_params, prompt_embedding,
                response_embedding, errors, tags, user_id, release, parent_id, trace_id, span_id,
                session_id, service_name, metadata,
            ),
            unknown,
        )  # fmt: skip
        self._fields.update(as_given(further))

    def enclose(self, sighting: Sighting | None = None) -> Sighting | None:
        """
        Return what this tells of the call that begins inside it; None if it is over.

        Args:
            sighting: What another door sees of that call.
        """
        with lock:
            mine = self._sighting
            if mine is not None or self._is_told:
                return mine
            self._sighting = mine = _OfBlock(
                self.door, self.run, event_id=self.event_id, started=self.start_time
            )
            mine.completes = self.complete
            mine.model = self.model
            mine.on_cancelled = self.on_cancelled
        sightings.begin(mine, sighting_around(self.outer, mine) if self.door != "block" else None)
        return mine

    def _write(self, values: dict[str, Any]) -> None:
        values = {
            "prompt": self.prompt,
            "model": self.model,
            "response": self.response,
            "tokens_input": self.tokens_input,
            "tokens_output": self.tokens_output,
            **values,
        }
        event, size, failed = self._build(PromptCallEvent, values)
        with lock:
            self._is_told = True
            sighting = self._sighting
        if sighting is None:
            self.run.record(event, size=size, failed=failed, complete=self.complete)
        else:
            sightings.end(sighting, event, size, failed)


class _OfBlock(Sighting):
    """What a block sees of a call."""

    completes: Complete | None

    def limit(self, event: PromptCallEvent) -> None:
        """Do to the call, whoever told of it, what the block's door does to its events."""
        if self.completes is not None:
            for _ in self.completes(event) or ():
                pass


def call_fields(further: tuple[Any, ...], unknown: Mapping[str, Any]) -> dict[str, Any]:
    """Return by name what of *further*, the optional parameters of a block in their order, was given."""
    # Most are not: to ask each is a fifth of what a dict of all costs.
    (
        prompt_template_id, model_version, response_metadata, tool_calls, operation, provider,
        finish_reason, cost_usd, tokens_cached, tokens_cache_write, tokens_reasoning, usage,
        time_to_first_token_ms, stream, response_id, request_id, http_status, service_tier,
        server_address, request_params, prompt_embedding, response_embedding, errors, tags,
        user_id, release, parent_id, trace_id, span_id, session_id, service_name, metadata,
    ) = further  # fmt: skip
    given = dict(unknown)
    if prompt_template_id is not None:
        given["prompt_template_id"] = prompt_template_id
    if model_version is not None:
        given["model_version"] = model_version
    if response_metadata is not None:
        given["response_metadata"] = response_metadata
    if tool_calls is not None:
        given["tool_calls"] = tool_calls
    if operation is not None:
        given["operation"] = operation
    if provider is not None:
        given["provider"] = provider
    if finish_reason is not None:
        given["finish_reason"] = finish_reason
    if cost_usd is not None:
        given["cost_usd"] = cost_usd
    if tokens_cached is not None:
        given["tokens_cached"] = tokens_cached
    if tokens_cache_write is not None:
        given["tokens_cache_write"] = tokens_cache_write
    if tokens_reasoning is not None:
        given["tokens_reasoning"] = tokens_reasoning
    if usage is not None:
        given["usage"] = usage
    if time_to_first_token_ms is not None:
        given["time_to_first_token_ms"] = time_to_first_token_ms
    if stream is not None:
        given["stream"] = stream
    if response_id is not None:
        given["response_id"] = response_id
    if request_id is not None:
        given["request_id"] = request_id
    if http_status is not None:
        given["http_status"] = http_status
    if service_tier is not None:
        given["service_tier"] = service_tier
    if server_address is not None:
        given["server_address"] = server_address
    if request_params is not None:
        given["request_params"] = request_params
    if prompt_embedding is not None:
        given["prompt_embedding"] = prompt_embedding
    if response_embedding is not None:
        given["response_embedding"] = response_embedding
    if errors is not None:
        given["errors"] = errors
    if tags is not None:
        given["tags"] = tags
    if user_id is not None:
        given["user_id"] = user_id
    if release is not None:
        given["release"] = release
    if parent_id is not None:
        given["parent_id"] = parent_id
    if trace_id is not None:
        given["trace_id"] = trace_id
    if span_id is not None:
        given["span_id"] = span_id
    if session_id is not None:
        given["session_id"] = session_id
    if service_name is not None:
        given["service_name"] = service_name
    if metadata is not None:
        given["metadata"] = metadata
    return given


def common_fields(further: tuple[Any, ...], unknown: Mapping[str, Any]) -> dict[str, Any]:
    """As `call_fields`, of blocks that are no call of a model."""
    return call_fields((*_NO_CALL, *further), unknown)


_NO_CALL = (None,) * 23


def sighting_around(frame: Frame | None, sighting: Sighting) -> Sighting | None:
    """Return what *frame* sees of the call that *sighting* sees inside it, if it is about calls."""
    enclose = getattr(frame, "enclose", None)
    return None if enclose is None else enclose(sighting)


class SeveralCalls:
    """
    A frame around several calls made at once, for a door that cannot tell which is which.

    What another door sees of them is not inside one of them: `llmobs.capture.joining` finds out which.
    """

    is_run = False
    left = False

    def __init__(self, tracker: Log, outer: Frame | None, event_id: str | None) -> None:
        self.run = tracker
        self.outer = outer
        self.event_id = event_id
        """The parent of the calls."""


class AgentStep(Operation):
    """One step of an agent; set :attr:`output_data` before it ends."""

    output_data: Any = None
    reasoning: str | None = None
    context: dict[str, Any] | None = None

    def __init__(
        self,
        tracker: Log,
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
        self.input_data = snapshot(input_data)
        if step_number is None:
            step_number = tracker.steps = tracker.steps + 1
        self.step_number = step_number

    def _write(self, values: dict[str, Any]) -> None:
        values = {
            "step_number": self.step_number,
            "step_name": self.step_name,
            "step_type": self.step_type,
            "input_data": self.input_data,
            "output_data": self.output_data,
            "reasoning": self.reasoning,
            "context": self.context,
            **values,
        }
        number = self.step_number
        self.run.steps = max(self.run.steps, number) if type(number) is int else self.run.steps
        event, size, failed = self._build(AgentStepEvent, values)
        self.run.record(event, size=size, failed=failed, complete=self.complete)


class ToolCall(Operation):
    """One execution of a tool; set :attr:`output` before it ends."""

    output: Any = None

    def __init__(
        self,
        tracker: Log,
        *,
        tool_name: str,
        input: Any,
        tool_id: str | None,
        fields: dict[str, Any],
    ) -> None:
        super().__init__(tracker, fields)
        self.tool_name = tool_name
        self.input = snapshot(input)
        self.tool_id = tool_id

    def _write(self, values: dict[str, Any]) -> None:
        values = {
            "tool_name": self.tool_name,
            "input": self.input,
            "output": self.output,
            "tool_id": self.tool_id,
            **values,
        }
        event, size, failed = self._build(ToolCallEvent, values)
        self.run.record(event, size=size, failed=failed, complete=self.complete)


def status_of(error: BaseException) -> Status:
    """Return the status that an exception ends an operation with."""
    kind = type(error)  # `isinstance` would also ask what the error says its class is
    if issubclass(kind, TimeoutError):
        return Status.TIMEOUT
    # CancelledError, trio.Cancelled, GeneratorExit, KeyboardInterrupt: somebody stopped it.
    return Status.ERROR if issubclass(kind, Exception) else Status.CANCELLED
