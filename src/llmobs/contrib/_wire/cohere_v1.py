"""
Cohere's first chat (API reference, "Chat (V1)", and the types of its SDK): one message beside its history.

A stream is lines of JSON; its last, ``stream-end``, holds the whole answer, though not always on Bedrock.
"""

from typing import Any, Final

from llmobs.contrib._wire.cohere import named
from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.usage import cohere_usage
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text
from llmobs.recorded.messages import message, text_part, tool_call, tool_calls_of
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["CHAT"]

_ROLES: Final = {"CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool", "USER": "user"}
_CONTENT: Final = frozenset({"message", "chat_history", "preamble", "tool_results"})


def _parts(item: Json, text: str) -> list[Json]:
    said = as_text(item.get(text))
    calls = map(as_object, as_list(item.get("tool_calls")))
    return [
        *([text_part(said)] if said else []),
        *(tool_call(None, call.get("name"), call.get("parameters")) for call in calls),
        *(
            {"type": "tool_call_response", "response": result}
            for result in as_list(item.get("tool_results"))
        ),
    ]


def _request(body: Json) -> Fields:
    prompt = []
    if preamble := as_text(body.get("preamble")):
        prompt.append(message("system", [text_part(preamble)]))
    for item in map(as_object, as_list(body.get("chat_history"))):
        role = as_text(item.get("role")) or "USER"
        prompt.append(message(_ROLES.get(role, role), _parts(item, "message")))
    asked = {"message": body.get("message"), "tool_results": body.get("tool_results")}
    prompt.append(message("tool" if asked["tool_results"] else "user", _parts(asked, "message")))
    rest = {key: value for key, value in body.items() if key not in _CONTENT}
    return {
        "model": as_text(body.get("model")),
        "stream": True if body.get("stream") is True else None,
        "prompt": prompt,
        "request_params": request_params(named(rest)),
    }


def _response(body: Json) -> Fields:
    reason = as_text(body.get("finish_reason"))
    said = _parts({**body, "tool_results": None}, "text")
    answers = [message("assistant", said, finish_reason=reason or "")] if said or reason else []
    kept = ("citations", "search_queries", "search_results", "is_search_required")
    return {
        "response_id": as_text(body.get("response_id")) or as_text(body.get("generation_id")),
        "response": answers,
        "finish_reason": reason,
        "tool_calls": tool_calls_of(answers),
        "response_metadata": {key: body[key] for key in kept if body.get(key)} or None,
        **cohere_usage(body),
    }


def _is_content(data: Json) -> bool:
    return data.get("event_type") in (
        "text-generation",
        "tool-calls-chunk",
        "tool-calls-generation",
    )


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    body: Json = {}
    texts: list[str] = []
    for number, data in enumerate(event.data for event in events):
        yield from now_and_then(number)
        kind = data.get("event_type")
        if kind == "stream-end":
            whole: Any = data.get("response")
            said = {"text": "".join(texts), **as_object(whole)}
            return {**body, **said, "finish_reason": data.get("finish_reason")}, True
        if kind == "stream-start":
            body["generation_id"] = data.get("generation_id")
        elif kind == "text-generation":
            texts.append(as_text(data.get("text")) or "")
        elif kind == "tool-calls-generation":
            body["tool_calls"] = data.get("tool_calls")
    return {**body, "text": "".join(texts)}, False


CHAT = Wire(_request, _response, _assemble, _is_content)
