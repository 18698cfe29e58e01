"""
What spans of the OpenAI Agents SDK say, as blocks of a run: agents, tools, calls of models.

Each kind of span has data of its own, with messages as OpenAI's wires have them.
"""

from __future__ import annotations

from typing import Any, Final

from llmobs.capture.operations import AgentStep, Operation, PromptCall, ToolCall
from llmobs.capture.tracker import Tracker
from llmobs.contrib._agents.telling import plain, tell_call, tell_failure
from llmobs.contrib._wire.openai_chat import WIRE as CHAT
from llmobs.contrib._wire.openai_responses import WIRE as RESPONSES
from llmobs.events import StepType
from llmobs.recorded.jsontext import as_list, as_object

__all__ = ["operation", "tell"]

_STEPS: Final = {
    "agent": StepType.REASONING,
    "handoff": StepType.REASONING,
    "guardrail": StepType.VALIDATION,
    "custom": StepType.REASONING,
    "mcp_tools": StepType.REASONING,
}
"""Kinds of spans that are steps; turns and tasks only group what is recorded inside them."""


def operation(tracker: Tracker, data: Any) -> Operation | None:
    """Return the block that records a span, given its data; None for what only groups what is inside."""
    if data.type == "function":
        return tracker.tool_call(data.name)
    if data.type in _STEPS:
        name = getattr(data, "name", None) or data.type
        return tracker.agent_step(name, _STEPS[data.type])
    if data.type in ("response", "generation"):
        return tracker.prompt_call(model=getattr(data, "model", None) or "")
    return None


def tell(operation: Operation, span: Any, error: BaseException | None) -> None:
    """
    Fill in a block with what its span says at its end.

    Args:
        operation: The block.
        span: Its span.
        error: What was raised through it; of that the span says less.
    """
    data = span.span_data
    if error is None and span.error:
        reasons = (span.error.get("message"), as_object(span.error.get("data")).get("error"))
        tell_failure(operation, "SpanError", ": ".join(str(each) for each in reasons if each))
    if isinstance(operation, PromptCall):
        _tell_call(operation, data)
    elif isinstance(operation, ToolCall):
        operation.input, operation.output = data.input, data.output
        if data.mcp_data:
            operation.add(metadata={"mcp": data.mcp_data})
    elif isinstance(operation, AgentStep):
        _tell_step(operation, data)


def _tell_step(step: AgentStep, data: Any) -> None:
    exported = {k: v for k, v in (data.export() or {}).items() if k not in ("type", "name")}
    if data.type == "handoff":
        step.step_name = f"handoff to {data.to_agent}"
    if data.type == "mcp_tools":
        step.step_name = f"tools of {data.server}"
    step.output_data = exported.get("data", exported)


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
