"""What agents and models are asked and answer, in the types of ``google-genai``, a package of its own."""

from __future__ import annotations

from typing import Any, Final

from llmobs.capture.operations import PromptCall
from llmobs.capture.tracker import Tracker
from llmobs.contrib._agents.telling import plain, tell_call
from llmobs.contrib._wire.gemini import WIRE as GEMINI
from llmobs.recorded.jsontext import Json

__all__ = ["call_of", "said", "tell"]

_DROPPED: Final[Json] = {"__all__": {"inline_data": {"data"}, "thought_signature": True}}
"""Of the parts of a message: what is not kept, and would only be encoded."""


def said(content: Any) -> Any:
    """Return a ``Content`` as it is now, if there is one."""
    if content is None:
        return None
    # Not as JSON: what tools give and return may be anything.
    return plain(content.model_dump(by_alias=True, exclude_none=True, exclude={"parts": _DROPPED}))


def call_of(tracker: Tracker, request: Any) -> PromptCall:
    """Return the block that records an ``LlmRequest``."""
    call = tracker.prompt_call(model=str(request.model or ""))
    system = request.config.system_instruction if request.config else None
    system = {"parts": [{"text": system}]} if isinstance(system, str) else said(system)
    contents = [said(each) for each in request.contents]
    tell_call(call, GEMINI.request({"systemInstruction": system, "contents": contents}))
    return call


def tell(call: PromptCall, response: Any) -> None:
    """Fill in *call* with an ``LlmResponse``."""
    usage, reason = response.usage_metadata, response.finish_reason
    candidate = {
        "content": said(response.content),
        "finishReason": getattr(reason, "name", reason) or response.error_code,
    }
    body: Json = {"candidates": [candidate], "modelVersion": response.model_version}
    if usage is not None:
        body["usageMetadata"] = usage.model_dump(by_alias=True, exclude_none=True, mode="json")
    tell_call(call, GEMINI.response(body))
