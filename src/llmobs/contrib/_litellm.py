"""
What LiteLLM says of a call when it is over: its standard payload for logs.

That payload is the same whoever is given it, and has releases of its own; `llmobs.contrib.litellm` is about when calls
begin and end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmobs.capture.operations import PromptCall
from llmobs.contrib._agents.telling import tell_call, tell_failure
from llmobs.contrib._wire.openai_chat import WIRE as CHAT
from llmobs.contrib._wire.openai_other import COMPLETIONS, EMBEDDINGS
from llmobs.contrib._wire.openai_responses import WIRE as RESPONSES
from llmobs.contrib._wire.wire import Wire
from llmobs.recorded.jsontext import as_object
from llmobs.recorded.providers import provider_name

__all__ = ["OPERATIONS", "function_of", "tell"]

_WIRES: Final[Mapping[str, tuple[Wire, str, str]]] = {
    "completion": (CHAT, "chat", "messages"),
    "text_completion": (COMPLETIONS, "text_completion", "prompt"),
    "responses": (RESPONSES, "chat", "input"),
    "embedding": (EMBEDDINGS, "embeddings", "input"),
}
"""By what LiteLLM calls its functions: in whose words it answers, which operation it is, where what is asked stands."""
OPERATIONS: Final = {function: operation for function, (_, operation, _) in _WIRES.items()}
"""Which operation a function of LiteLLM's is, of those that are recorded."""


def function_of(call_type: Any) -> str:
    """Return the function of LiteLLM's that made a call, the same for its asynchronous twin."""
    return str(getattr(call_type, "value", call_type)).removeprefix("a")


def tell(call: PromptCall, payload: Mapping[str, Any]) -> None:
    """Fill in *call* with a ``StandardLoggingPayload``."""
    wire, _, asked = _WIRES[function_of(payload.get("call_type"))]
    params = as_object(payload.get("model_parameters"))
    tell_call(call, wire.request({**params, asked: payload.get("messages")}))
    if payload.get("status") == "failure":
        tell_failure(call, "litellm", str(payload.get("error_str") or ""))
    elif (answer := as_object(payload.get("response"))) != {}:
        tell_call(call, wire.response(answer))
    is_cached = payload.get("cache_hit") is True
    cost = 0.0 if is_cached else payload.get("response_cost")
    if is_cached or cost:
        call.add(cost_usd=cost, cost_source="cache" if is_cached else "litellm")
    first = payload.get("completionStartTime")
    if payload.get("stream") and isinstance(first, float):
        call.add(stream=True, time_to_first_token_ms=(first - payload["startTime"]) * 1000)
    for field, value in (
        ("provider", provider_name(str(payload.get("custom_llm_provider") or ""))),
        ("tags", payload.get("request_tags")),
        ("user_id", payload.get("end_user")),
    ):
        if value:
            call.add(**{field: value})
