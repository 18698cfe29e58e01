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

from importlib import import_module
from typing import Any, Final

from llmobs.capture.operations import AgentStep, Operation, PromptCall, ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib._agents.telling import plain, tell_call, tell_failure
from llmobs.contrib._agents.work import OpenWork
from llmobs.contrib._wire.call import CaptureContent
from llmobs.contrib._wire.openai_chat import WIRE as CHAT
from llmobs.contrib._wire.openai_responses import WIRE as RESPONSES
from llmobs.events import StepType
from llmobs.recorded.jsontext import as_list, as_object
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


class LLMObsTracingProcessor:
    """
    A ``TracingProcessor`` of the SDK, for ``agents.add_trace_processor()``.

    What happens inside a run of llmobs belongs to that; else each trace of the SDK is a run of its own,
    with its ``run`` event at the end. Nothing that goes wrong in it reaches the agents.

    Args:
        client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ValueError: *capture_content* is none of the three.
    """

    def __init__(
        self, client: Recording | None = None, *, capture_content: CaptureContent = "full"
    ) -> None:
        self._work = OpenWork("openai_agents", client, capture_content)
        self.is_on = True

    def on_trace_start(self, trace: Any) -> None:
        """Note where what happens in the trace belongs."""
        with internal_errors("begin a trace of the Agents SDK"):
            if not self.is_on:
                return
            piece = self._work.begin(trace.trace_id, run_name=trace.name)
            if piece.is_own:
                told = trace.export() or {}
                piece.tracker.session_id = told.get("group_id")
                piece.tracker.metadata = told.get("metadata") or None

    def on_trace_end(self, trace: Any) -> None:
        """Record the run, if the trace is one; what was left open in it was given up."""
        with internal_errors("end a trace of the Agents SDK"):
            self._work.end(trace.trace_id, self._ended_by(trace.trace_id), whole=True)

    def on_span_start(self, span: Any) -> None:
        """Begin a step, a tool or a call."""
        with internal_errors("begin a span of the Agents SDK"):
            parent = span.parent_id if self._work.get(span.parent_id) else span.trace_id
            if self._work.get(parent) is None:
                return
            data = span.span_data
            self._work.begin(span.span_id, lambda tracker: _operation(tracker, data), parent=parent)

    def on_span_end(self, span: Any) -> None:
        """Record the step, the tool or the call."""
        with internal_errors("record a span of the Agents SDK"):
            error = self._ended_by(span.span_id)
            self._work.end(
                span.span_id, error, tell=lambda operation: _tell(operation, span, error)
            )

    def _ended_by(self, key: str) -> BaseException | None:
        # The SDK ends its spans in `finally` and `__exit__`: what is raised there is told nowhere else.
        piece = self._work.get(key)
        return None if piece is None else piece.raised()

    def shutdown(self) -> None:
        """Do nothing: the client is its owner's to close."""

    def force_flush(self) -> None:
        """Do nothing: what has ended is with the client; flush that."""


def _operation(tracker: Tracker, data: Any) -> Operation | None:
    if data.type == "function":
        return tracker.tool_call(data.name)
    if data.type in _STEPS:
        name = getattr(data, "name", None) or data.type
        return tracker.agent_step(name, _STEPS[data.type])
    if data.type in ("response", "generation"):
        return tracker.prompt_call(model=getattr(data, "model", None) or "")
    return None


def _tell(operation: Operation, span: Any, error: BaseException | None) -> None:
    data = span.span_data
    if error is None and span.error:
        told = (span.error.get("message"), as_object(span.error.get("data")).get("error"))
        tell_failure(operation, "SpanError", ": ".join(str(each) for each in told if each))
    if isinstance(operation, PromptCall):
        _tell_call(operation, data)
    elif isinstance(operation, ToolCall):
        operation.input, operation.output = data.input, data.output
        if data.mcp_data:
            operation.add(metadata={"mcp": data.mcp_data})
    elif isinstance(operation, AgentStep):
        _tell_step(operation, data)


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
            fields = RESPONSES.response(data.response.model_dump(mode="json"))
    else:
        call.prompt = CHAT.request({"messages": data.input}).get("prompt", "")
        said = [as_object(each) for each in as_list(plain(data.output))]
        if len(said) == 1 and said[0].get("object") == "response":  # how it puts a stream together
            # Its id is made up there.
            fields = RESPONSES.response({"output": said[0].get("output")})
        elif said:
            fields = CHAT.response({"choices": [{"message": each} for each in said]})
    # A stream that was not asked for its usage has zeros here: nothing is known of it.
    if usage.get("input_tokens") and not fields.get("tokens_input"):
        fields["tokens_input"] = usage["input_tokens"]
        fields["tokens_output"] = usage.get("output_tokens")
    tell_call(call, fields)


_added: list[LLMObsTracingProcessor] = []


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Add the processor to those of the SDK; twice is harmless, the options of the last time hold.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ImportError: ``openai-agents`` is not installed.
        ValueError: *capture_content* is none of the three.
    """
    processor = LLMObsTracingProcessor(llmobs_client, capture_content=capture_content)
    add = import_module("agents.tracing").add_trace_processor
    uninstrument()
    add(processor)
    _added.append(processor)


def uninstrument() -> None:
    """Record no more; the SDK has no way to take a processor away, so it stays there and does nothing."""
    for processor in _added:
        processor.is_on = False
    _added.clear()
