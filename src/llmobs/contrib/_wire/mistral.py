"""
What Mistral has beside chat completions: conversations and text recognition (API reference, "Beta
Conversations" and "OCR", and the types of its SDK). Its agents' and its fim's completions are chats.

OpenAI keeps conversations at the same path, where no model answers: a request to Mistral's has
``inputs``.
"""

from typing import Any, Final

from llmobs.contrib._wire.openai_chat import Message
from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.usage import mistral_usage
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_count, as_list, as_object, as_text
from llmobs.recorded.messages import message, message_of, text_part, tool_call, tool_calls_of
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["CONVERSATIONS", "OCR"]


def _request(body: Json) -> Fields:
    given = body.get("inputs")
    prompt: list[Json] = []
    if instructions := as_text(body.get("instructions")):
        prompt.append(message("system", [text_part(instructions)]))
    if type(given) is str:
        prompt.append(message("user", [text_part(given)]))
    prompt += [_entry(as_object(item), "user") for item in as_list(given)]
    return {
        "model": as_text(body.get("model")),
        "stream": True if body.get("stream") is True else None,
        "prompt": prompt,
        "request_params": request_params({k: v for k, v in body.items() if k != "inputs"}),
    }


def _entry(item: Json, role: str) -> Json:
    kind = as_text(item.get("type")) or ""
    if kind == "function.call":
        part = tool_call(item.get("tool_call_id"), item.get("name"), item.get("arguments"))
        return message("assistant", [part])
    if kind == "function.result":
        return message_of(
            {"role": "tool", "id": item.get("tool_call_id"), "content": item.get("result")}
        )
    if kind in ("tool.execution", "agent.handoff"):
        part = {"type": "server_tool_call", "name": as_text(item.get("name")) or kind}
        return message("assistant", [{**part, "server_tool_call": item}])
    own = as_text(item.get("role")) or role
    return message_of({"role": own, "content": item.get("content")})


def _response(body: Json) -> Fields:
    outputs = [as_object(item) for item in as_list(body.get("outputs"))]
    said = [part for item in outputs for part in _entry(item, "assistant")["parts"]]
    calls = any(item.get("type") == "function.call" for item in outputs)
    ended = body.get("object") == "conversation.response"
    finish = ("tool_calls" if calls else "stop") if ended else None
    answers = [message("assistant", said, finish_reason=finish or "")] if said else []
    models = (as_text(item.get("model")) for item in outputs)
    kept = {"conversation": body.get("conversation_id"), "guardrails": body.get("guardrails")}
    agent = next((found for item in outputs if (found := as_text(item.get("agent_id")))), None)
    return {
        "response_id": next((str(item["id"]) for item in outputs if item.get("id")), None),
        "model_version": next(filter(None, models), None),
        "response": answers,
        "finish_reason": finish,
        "tool_calls": tool_calls_of(answers),
        "session_id": as_text(body.get("conversation_id")),
        "response_metadata": {k: v for k, v in {**kept, "agent_id": agent}.items() if v} or None,
        **mistral_usage(body),
    }


_KINDS: Final = frozenset({"message.output", "function.call", "tool.execution", "agent.handoff"})


def _is_content(data: Json) -> bool:
    return data.get("type") in ("message.output.delta", "function.call.delta")


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    body: Json = {}
    items: dict[Any, Json] = {}
    contents: dict[Any, Message] = {}
    ended = False
    for number, data in enumerate(event.data for event in events):
        yield from now_and_then(number)
        kind = as_text(data.get("type")) or ""
        entry, _, step = kind.rpartition(".")
        if kind == "conversation.response.started":
            body["conversation_id"] = data.get("conversation_id")
        elif kind == "conversation.response.done":
            body |= {"usage": data.get("usage"), "object": "conversation.response"}
            ended = True
        elif entry in _KINDS:
            place = (as_count(data.get("output_index")), as_text(data.get("id")))
            item = items.setdefault(place, {"type": entry})
            for name, value in data.items():
                if name == "arguments" and step == "delta":
                    item[name] = (as_text(item.get(name)) or "") + (as_text(value) or "")
                elif name not in ("type", "content") and value is not None:
                    item[name] = value
            if "content" in data:
                value = data["content"]
                piece = [value] if type(value) is dict else value
                contents.setdefault(place, Message()).add({"content": piece})
    for place, found in contents.items():
        items[place]["content"] = found.whole()["content"]
    return {**body, "outputs": list(items.values())}, ended


def _ocr_request(body: Json) -> Fields:
    document = as_object(body.get("document"))
    url = document.get("document_url") or document.get("image_url")
    kind = {"type": "image_url", "image_url": url}
    if document.get("type") != "image_url":
        kind = {"type": "document", "url": url} if url else {"type": "file", **document}
    return {
        "model": as_text(body.get("model")),
        "prompt": [message_of({"role": "user", "content": [kind]})] if document else [],
        "request_params": request_params({k: v for k, v in body.items() if k != "document"}),
    }


def _ocr_response(body: Json) -> Fields:
    pages = [as_object(page) for page in as_list(body.get("pages"))]
    parts = [text_part(as_text(page.get("markdown")) or "") for page in pages]
    if annotation := as_text(body.get("document_annotation")):
        parts.append(text_part(annotation))
    return {
        "model_version": as_text(body.get("model")),
        "response": [message("assistant", parts, finish_reason="stop")] if parts else [],
        "finish_reason": "stop" if parts else None,
        **mistral_usage(body),
    }


CONVERSATIONS = Wire(_request, _response, _assemble, _is_content, mark=b'"inputs"')
OCR = Wire(_ocr_request, _ocr_response)
