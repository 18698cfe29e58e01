"""
Chat completions, as OpenAI and everybody compatible speaks them.

Wire rules: OpenAI API reference, "Chat"; reasoning in ``reasoning_content`` (DeepSeek, vLLM) or
``reasoning`` (Groq, OpenRouter); usage in ``x_groq`` (Groq).
"""

from typing import Any

from llmobs.contrib._wire.deltas import Message
from llmobs.contrib._wire.usage import openai_usage
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text
from llmobs.recorded.messages import message_of, tool_calls_of
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["FIM", "WIRE", "common_response", "request_params"]

_NOT_PARAMS = frozenset(
    {"messages", "input", "prompt", "suffix", "system", "instructions", "model", "stream"}
)


def request_params(body: Json) -> Json | None:
    """Return what a request sets beside its content: temperature and its like, tools, formats."""
    return {k: v for k, v in body.items() if k not in _NOT_PARAMS and v is not None} or None


def common_response(body: Json) -> Fields:
    """Read what all of OpenAI's answers have in common."""
    return {
        "response_id": as_text(body.get("id")),
        "model_version": as_text(body.get("model")),
        "service_tier": as_text(body.get("service_tier")),
        **openai_usage(body),
    }


def _request(body: Json) -> Fields:
    return {
        "model": as_text(body.get("model")),
        "stream": True if body.get("stream") is True else None,
        "prompt": [_message(as_object(item)) for item in as_list(body.get("messages"))],
        "request_params": request_params(body),
    }


def _message(item: Json) -> Json:
    """One message, of a request or of an answer."""
    return message_of({**item, "role": as_text(item.get("role")) or "assistant"})


def _response(body: Json) -> Fields:
    answers = []
    finish = None
    for choice in map(as_object, as_list(body.get("choices"))):
        reason = as_text(choice.get("finish_reason"))
        finish = finish or reason
        answers.append(
            {**_message(as_object(choice.get("message"))), "finish_reason": reason or ""}
        )
    kept = ("system_fingerprint", "prompt_filter_results", "citations", "search_results")
    return {
        **common_response(body),
        "response": answers,
        "finish_reason": finish,
        "tool_calls": tool_calls_of(answers),
        "response_metadata": {k: body[k] for k in kept if body.get(k)} or None,
    }


def _delta(choice: Json) -> Json:
    """Perplexity's chunks hold the message so far beside the delta, some servers' instead of it."""
    return as_object(choice.get("delta") if "delta" in choice else choice.get("message"))


def _is_content(data: Json) -> bool:
    for choice in as_list(data.get("choices")):
        delta = _delta(as_object(choice))
        if any(value for key, value in delta.items() if key != "role"):
            return True
    return False


_OF_THE_ANSWER = (
    "id", "model", "service_tier", "system_fingerprint", "prompt_filter_results", "citations",
    "search_results",
)  # fmt: skip
"""Members of chunks that speak of the whole answer."""


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    body: Json = {}
    messages: dict[int, Message] = {}
    reasons: dict[int, Any] = {}
    for number, data in enumerate(event.data for event in events):
        yield from now_and_then(number)
        body.update({key: data[key] for key in _OF_THE_ANSWER if data.get(key)})
        parts = [as_object(choice) for choice in as_list(data.get("choices"))]
        inside = [data, as_object(data.get("x_groq")), *parts]  # Groq; in the choice: Moonshot
        if usage := next((found["usage"] for found in inside if found.get("usage")), None):
            body["usage"] = usage
        for part in parts:
            given = part.get("index")
            index = given if type(given) is int else 0
            reasons[index] = part.get("finish_reason") or reasons.get(index)
            messages.setdefault(index, Message()).add(_delta(part))
    body["choices"] = [
        {"message": messages[index].whole(), "finish_reason": reasons[index]}
        for index in sorted(messages)
    ]
    return body, bool(reasons) and all(reasons.values())


def _fim_request(body: Json) -> Fields:
    """Mistral's "fill in the middle": texts before and behind; answered as a chat is."""
    asked = [text for name in ("prompt", "suffix") if (text := as_text(body.get(name)))]
    return {**_request(body), "prompt": asked[0] if len(asked) == 1 else asked}


WIRE = Wire(_request, _response, _assemble, _is_content)
FIM = Wire(_fim_request, _response, _assemble, _is_content)
