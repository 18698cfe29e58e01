"""
Record what the OpenAI Agents SDK does: agents, handoffs, guardrails, tools, calls of models.

::

    from llmobs.contrib import openai_agents

    openai_agents.instrument()

Stands on the SDK's public tracing: one processor is added to those there are, so its own export is left
as it is. Where the transport of the model's client is recorded too, each call is one event that holds
what either saw.
"""

from __future__ import annotations

import sys
from asyncio import CancelledError
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from llmobs.capture.operations import AgentStep, Operation, PromptCall, ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.client.sync_client import default_client
from llmobs.contrib._wire.openai_chat import WIRE as CHAT
from llmobs.contrib._wire.openai_responses import WIRE as RESPONSES
from llmobs.events import ErrorInfo, Status, StepType
from llmobs.runtime.context import innermost_frame
from llmobs.runtime.forks import ForkLock
from llmobs.runtime.troubles import internal_errors

__all__ = ["LLMObsTracingProcessor", "instrument", "uninstrument"]

_STEPS: Final = {
    "agent": StepType.REASONING,
    "handoff": StepType.REASONING,
    "guardrail": StepType.VALIDATION,
    "custom": StepType.REASONING,
    "mcp_tools": StepType.REASONING,
}
"""Kinds of spans that are steps; turns and tasks only group what is recorded inside them."""

_NOT_TOLD: Final = ("model", "status", "error", "warnings")
"""Of what the wire's functions read: no arguments of `PromptCall.finish`."""


@dataclass(slots=True, eq=False)
class _Open:
    """A trace or a span that has begun and not ended."""

    tracker: Tracker
    operation: Operation | None = None
    """None if it is not recorded itself."""
    event_id: str | None = None
    """The parent of what happens inside."""
    around: BaseException | None = None
    """What was being handled already when it began."""
    is_own: bool = False
    """Whether the tracker was made for it, and ends with it."""


class LLMObsTracingProcessor:
    """
    A ``TracingProcessor`` of the SDK, for ``agents.add_trace_processor()``.

    What happens inside a run of llmobs belongs to that; else each trace of the SDK is a run of its own,
    with its ``run`` event at the end. Nothing that goes wrong in it reaches the agents.

    Args:
        client: Records what happens outside any run; by default the default client.
    """

    def __init__(self, client: Recording | None = None) -> None:
        self._client = client
        self._lock = ForkLock()
        self._open: dict[
            str, dict[str, _Open]
        ] = {}  # by trace; the trace itself is under its own id
        self.is_on = True

    def on_trace_start(self, trace: Any) -> None:
        """Note where what happens in the trace belongs."""
        with internal_errors("begin a trace of the Agents SDK"):
            if not self.is_on:
                return
            frame = innermost_frame()
            if frame is not None and isinstance(frame.run, Tracker):
                entry = _Open(frame.run, event_id=frame.event_id)
            else:
                entry = _Open(Tracker(self._client or default_client()), is_own=True)
                entry.tracker.name = trace.name
                told = trace.export() or {}
                entry.tracker.session_id = told.get("group_id")
                entry.tracker.metadata = told.get("metadata") or None
            entry.around = sys.exc_info()[1]
            with self._lock:
                self._open[trace.trace_id] = {trace.trace_id: entry}

    def on_trace_end(self, trace: Any) -> None:
        """Record the run, if the trace is one; what was left open in it was given up."""
        with internal_errors("end a trace of the Agents SDK"):
            with self._lock:
                entries = self._open.pop(trace.trace_id, {})
            for entry in reversed(entries.values()):
                if entry.operation is not None:
                    entry.operation.end(CancelledError())
                if entry.is_own:
                    entry.tracker.finish(error=_ended_by(entry))

    def on_span_start(self, span: Any) -> None:
        """Begin a step, a tool or a call."""
        with internal_errors("begin a span of the Agents SDK"):
            entries = self._open.get(span.trace_id)
            if entries is None:
                return
            parent = entries.get(span.parent_id) or entries[span.trace_id]
            entry = _Open(parent.tracker, event_id=parent.event_id, around=sys.exc_info()[1])
            entry.operation = operation = self._operation(parent.tracker, span.span_data)
            if operation is not None:
                entry.event_id = operation.event_id
                frame = innermost_frame()
                if parent.event_id and (frame is None or frame.run is not parent.tracker):
                    operation.add(
                        parent_id=parent.event_id
                    )  # begun where the context does not reach
                operation.start()
                if isinstance(operation, PromptCall):
                    operation.enclose()
            with self._lock:
                entries[span.span_id] = entry

    def _operation(self, tracker: Tracker, data: Any) -> Operation | None:
        if data.type == "function":
            return tracker.tool_call(data.name)
        if data.type in _STEPS:
            name = getattr(data, "name", None) or data.type
            return tracker.agent_step(name, _STEPS[data.type])
        if data.type in ("response", "generation"):
            call = tracker.prompt_call(model=getattr(data, "model", None) or "")
            call.door = "openai_agents"
            return call
        return None

    def on_span_end(self, span: Any) -> None:
        """Record the step, the tool or the call."""
        with internal_errors("record a span of the Agents SDK"):
            with self._lock:
                entry = self._open.get(span.trace_id, {}).pop(span.span_id, None)
            if entry is None or entry.operation is None:
                return
            operation, data = entry.operation, span.span_data
            try:
                if isinstance(operation, PromptCall):
                    _tell_call(operation, data)
                elif isinstance(operation, ToolCall):
                    operation.input, operation.output = data.input, data.output
                    if data.mcp_data:
                        operation.add(metadata={"mcp": data.mcp_data})
                elif isinstance(operation, AgentStep):
                    _tell_step(operation, data)
            finally:
                error = _ended_by(entry)
                if error is None and span.error:
                    operation.status = Status.ERROR
                    words = str((span.error.get("data") or {}).get("error") or "")
                    message = ": ".join(filter(None, (span.error.get("message"), words)))
                    operation.add(error=ErrorInfo(type="SpanError", message=message))
                operation.end(error)

    def shutdown(self) -> None:
        """Do nothing: the client is its owner's to close."""

    def force_flush(self) -> None:
        """Do nothing: what has ended is with the client; flush that."""


def _ended_by(entry: _Open) -> BaseException | None:
    # The SDK ends its spans in `finally` and `__exit__`: what is raised there is told nowhere else.
    error = sys.exc_info()[1]
    return None if error is entry.around else error


def _tell_step(step: AgentStep, data: Any) -> None:
    told = {k: v for k, v in (data.export() or {}).items() if k not in ("type", "name")}
    if data.type == "handoff":
        step.step_name = f"handoff to {data.to_agent}"
    if data.type == "mcp_tools":
        step.step_name = f"tools of {data.server}"
    step.output_data = told.get("data", told)


def _tell_call(call: PromptCall, data: Any) -> None:
    fields: dict[str, Any] = {}
    usage = data.usage or {}
    if data.type == "response":
        call.prompt = RESPONSES.request({"input": data.input}).get("prompt", "")
        if data.response is not None:
            fields = _answer(data.response.model_dump(mode="json"))
    else:
        call.prompt = CHAT.request({"messages": data.input}).get("prompt", "")
        said = list(data.output or ())
        if len(said) == 1 and said[0].get("object") == "response":  # how it puts a stream together
            # Its id is made up there.
            fields = _answer({"output": said[0].get("output")})
        elif said:
            fields = CHAT.response({"choices": [{"message": each} for each in said]})
    call.model = call.model or str(fields.get("model_version") or "")
    # A stream that was not asked for its usage has zeros here: nothing is known of it.
    if usage.get("input_tokens") and not fields.get("tokens_input"):
        fields["tokens_input"] = usage["input_tokens"]
        fields["tokens_output"] = usage.get("output_tokens")
    call.finish(**{k: v for k, v in fields.items() if k not in _NOT_TOLD})


def _answer(body: dict[str, Any]) -> dict[str, Any]:
    return dict(RESPONSES.response(body))


_added: list[LLMObsTracingProcessor] = []


def instrument(*, llmobs_client: Recording | None = None) -> None:
    """
    Add the processor to those of the SDK; twice is harmless, the options of the last time hold.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.

    Raises:
        ImportError: ``openai-agents`` is not installed.
    """
    uninstrument()
    processor = LLMObsTracingProcessor(llmobs_client)
    import_module("agents").add_trace_processor(processor)
    _added.append(processor)


def uninstrument() -> None:
    """Record no more; the SDK has no way to take a processor away, so it stays there and does nothing."""
    for processor in _added:
        processor.is_on = False
    _added.clear()
