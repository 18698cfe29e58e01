"""What frameworks tell of a piece of work, as its block has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmobs.capture.operations import AgentStep, Operation, PromptCall, ToolCall
from llmobs.codec import snapshot
from llmobs.contrib._wire.openai_chat import WIRE as CHAT
from llmobs.events import ErrorInfo, Status
from llmobs.recorded.jsontext import as_object
from llmobs.recorded.media import without_media

__all__ = ["plain", "tell_answer", "tell_call", "tell_failure", "tell_result"]

_NOT_TOLD: Final = ("model", "status", "error", "warnings")
"""Of what the wires' functions read: told by the framework."""
_ATTRIBUTES: Final = ("prompt", "response", "tokens_input", "tokens_output")
"""Of `PromptCall`; all others are fields of its event."""


def plain(value: Any) -> Any:
    """Return any value as it is now, with kind and size in place of pictures."""
    return without_media(snapshot(value))


def tell_call(call: PromptCall, fields: dict[str, Any]) -> None:
    """Fill in *call* with what a wire's functions have read of a request or an answer."""
    call.model = call.model or str(fields.get("model") or fields.get("model_version") or "")
    for name, value in fields.items():
        if value is None or name in _NOT_TOLD:
            continue
        if name in _ATTRIBUTES:
            setattr(call, name, without_media(value))
        else:
            call.add(**{name: without_media(value)})


def tell_answer(call: PromptCall, message: Mapping[str, Any], raw: Any) -> None:
    """
    Fill in *call* with an answer.

    Args:
        call: What was answered.
        message: The answer, as OpenAI's chat completions have one.
        raw: What the provider's SDK gave the framework, with figures if it is in OpenAI's words, too.
    """
    raw = raw.model_dump(mode="json") if hasattr(raw, "model_dump") else as_object(raw)
    ending = next((as_object(each) for each in raw.get("choices") or ()), {}).get("finish_reason")
    choice = {"message": message, "finish_reason": ending}
    tell_call(call, CHAT.response({**raw, "choices": [choice]}))


def tell_result(operation: Operation | None, result: Any) -> None:
    """Fill in *operation* with what came of it, if it is a tool or a step."""
    if isinstance(operation, ToolCall):
        operation.output = plain(result)
    elif isinstance(operation, AgentStep):
        operation.output_data = plain(result)


def tell_failure(operation: Operation, kind: str, message: str) -> None:
    """
    Record *operation* as failed, for frameworks that tell of errors in words.

    Args:
        operation: What failed.
        kind: What the error is called.
        message: The words.
    """
    operation.status = Status.ERROR
    operation.add(error=ErrorInfo(type=kind, message=message))
