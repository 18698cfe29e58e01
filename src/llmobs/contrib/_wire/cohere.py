"""
Cohere's chat and embed (API reference, "Chat (V2)", "Embed (V2)", and the types of its SDK).

A stream's events name what they are in ``type``; ``message-end`` holds the reason and the usage.
Rerank, which others speak alike, is in `rerank`.
"""

from typing import Any, Final

from llmobs.contrib._wire.openai_chat import chat_message, chat_request
from llmobs.contrib._wire.openai_other import vector_figures
from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.rerank import document
from llmobs.contrib._wire.usage import cohere_usage
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_count, as_list, as_object, as_text
from llmobs.recorded.messages import messages_of, text_part, tool_calls_of
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["CHAT", "EMBED", "named"]


def named(params: Json) -> Json:
    """Return *params* with the conventions' names for those that Cohere calls by a letter."""
    return {_LETTERS.get(key, key): value for key, value in params.items()}


_LETTERS: Final[dict[str, str]] = {"k": "top_k", "p": "top_p"}


def _request(body: Json) -> Fields:
    fields = chat_request(named({k: v for k, v in body.items() if k != "documents"}), _message)
    if documents := as_list(body.get("documents")):  # what the answer is to be made of
        found = [as_object(each).get("data", each) for each in documents]
        fields["prompt"].insert(0, {"role": "user", "parts": list(map(document, found))})
    return fields


def _message(item: Json) -> Json:
    said = chat_message(item)
    if plan := as_text(item.get("tool_plan")):  # what it thinks before it asks for tools
        said["parts"].insert(0, text_part(plan, "reasoning"))
    return said


def _response(body: Json) -> Fields:
    message = as_object(body.get("message"))
    reason = as_text(body.get("finish_reason"))
    answers = [{**_message(message), "finish_reason": reason or ""}] if message else []
    citations = as_list(message.get("citations"))
    return {
        "response_id": as_text(body.get("id")),
        "response": answers,
        "finish_reason": reason,
        "tool_calls": tool_calls_of(answers),
        "response_metadata": {"citations": citations} if citations else None,
        **cohere_usage(body),
    }


def _delta(data: Json) -> Json:
    return as_object(as_object(data.get("delta")).get("message"))


_CONTENT: Final = frozenset({"content-delta", "tool-plan-delta", "tool-call-start"})


def _is_content(data: Json) -> bool:
    return data.get("type") in _CONTENT


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    body: Json = {}
    message: Json = {"role": "assistant"}
    contents: dict[Any, dict[str, list[str]]] = {}
    calls: dict[Any, Json] = {}
    plan: list[str] = []
    citations: list[Any] = []
    ended = False
    for number, data in enumerate(event.data for event in events):
        yield from now_and_then(number)
        kind, delta = data.get("type"), _delta(data)
        index = as_count(data.get("index")) or 0
        if kind == "message-start":
            body["id"] = data.get("id")
            message["role"] = as_text(delta.get("role")) or "assistant"
        elif kind in ("content-start", "content-delta"):
            for name, text in as_object(delta.get("content")).items():
                if name != "type" and type(text) is str:
                    contents.setdefault(index, {}).setdefault(name, []).append(text)
        elif kind == "tool-plan-delta":
            plan.append(as_text(delta.get("tool_plan")) or "")
        elif kind in ("tool-call-start", "tool-call-delta"):
            _add(calls.setdefault(index, {"arguments": []}), as_object(delta.get("tool_calls")))
        elif kind == "citation-start":
            citations.append(delta.get("citations"))
        elif kind == "message-end":
            body.update(as_object(data.get("delta")))
            ended = True
    message["content"] = [
        {"type": name, name: "".join(pieces)}
        for found in contents.values()
        for name, pieces in found.items()
        if any(pieces)
    ]
    message |= {"tool_plan": "".join(plan), "citations": citations}
    message["tool_calls"] = [{**c, "arguments": "".join(c["arguments"])} for c in calls.values()]
    return {**body, "message": message}, ended


def _add(call: Json, piece: Json) -> None:
    said = as_object(piece.get("function"))
    call["id"] = piece.get("id") or call.get("id")
    call["name"] = as_text(said.get("name")) or call.get("name")
    call["arguments"].append(as_text(said.get("arguments")) or "")


_EMBEDDED: Final = ("texts", "images", "inputs")


def _embed_request(body: Json) -> Fields:
    prompt: list[Any] = [text for text in as_list(body.get("texts")) if type(text) is str]
    for url in as_list(body.get("images")):
        prompt += messages_of([{"type": "image_url", "image_url": url}])
    for item in map(as_object, as_list(body.get("inputs"))):
        prompt += messages_of([{"role": "user", "content": item.get("content")}])
    params = {key: value for key, value in body.items() if key not in _EMBEDDED}
    return {
        "model": as_text(body.get("model")),
        "prompt": prompt,
        "request_params": request_params(params),
    }


def _embed_response(body: Json) -> Fields:
    # Version 1 lists the vectors, version 2 lists them by their type.
    given = body.get("embeddings")
    kinds = [as_list(each) for each in as_object(given).values()] or [as_list(given)]
    vectors = next((found for found in kinds if found), [])
    return {
        "response_id": as_text(body.get("id")),
        "response_metadata": vector_figures(vectors),
        **cohere_usage(body),
    }


CHAT = Wire(_request, _response, _assemble, _is_content)
EMBED = Wire(_embed_request, _embed_response)
