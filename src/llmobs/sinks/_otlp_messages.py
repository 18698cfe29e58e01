"""
Prompts and answers as GenAI messages: ``{role, parts}``, whatever provider's shape they came in.

Follows the JSON schemas of the GenAI conventions (``gen-ai-input-messages.json`` and
``gen-ai-output-messages.json``, v1.41.1). A part of a kind the schema does not know keeps its own
``type``, which the schema allows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from llmobs.codec import encode
from llmobs.sinks._tools import asked_tool

__all__ = ["input_messages", "output_messages"]

_TEXT = frozenset({"text", "input_text", "output_text"})
_TOOL_CALL = frozenset({"tool_use", "function_call", "tool_call", "function"})
_TOOL_RESULT = frozenset({"tool_result", "function_call_output", "tool_call_response"})


def input_messages(prompt: Any) -> list[dict[str, Any]]:
    """Return *prompt* (a text, a message, a list of either) as messages; empty if it is empty."""
    return [_message(item, "user") for item in _items(prompt)]


def output_messages(
    response: Any,
    finish_reason: str | None,
    tool_calls: Sequence[Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Return *response* as messages, with the tools the model asked for."""
    messages = [_message(item, "assistant") for item in _items(response)]
    known = {part.get("id") for message in messages for part in message["parts"]}
    more = [_tool_call(call) for call in tool_calls or ()]
    more = [part for part in more if part.get("id") is None or part["id"] not in known]
    if more:
        if not messages:
            messages = [{"role": "assistant", "parts": []}]
        messages[-1]["parts"] = [*messages[-1]["parts"], *more]
    for message in messages:
        message["finish_reason"] = message.get("finish_reason") or finish_reason or "stop"
    return messages


def _items(value: Any) -> Sequence[Any]:
    if not value:
        return ()
    return value if isinstance(value, list) else (value,)


def _message(item: Any, role: str) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        return {"role": role, "parts": _parts(item)}
    if isinstance(item.get("message"), Mapping):  # an element of OpenAI's `choices`
        message = _message(item["message"], role)
        if isinstance(item.get("finish_reason"), str):
            message["finish_reason"] = item["finish_reason"]
        return message
    if "parts" in item:  # the schema's own form
        ready = [p if _has_type(p) else _part(p) for p in _items(item["parts"])]
        return {**item, "role": str(item.get("role") or role), "parts": ready}
    if "role" not in item and "content" not in item:
        return {"role": role, "parts": [_part(item)]}
    own = str(item.get("role") or role)
    parts = _parts(item.get("content"))
    if own == "tool" and "tool_call_id" in item:
        answer = _only_text(parts)
        parts = [
            {"type": "tool_call_response", "id": str(item["tool_call_id"]), "response": answer}
        ]
    calls = item.get("tool_calls")
    if isinstance(calls, list):
        parts += [_tool_call(call) for call in calls if isinstance(call, Mapping)]
    message = {"role": own, "parts": parts}
    if isinstance(item.get("name"), str):
        message["name"] = item["name"]
    return message


def _parts(content: Any) -> list[dict[str, Any]]:
    if content is None or content in ("", []):
        return []
    return [_part(block) for block in (content if isinstance(content, list) else [content])]


def _part(block: Any) -> dict[str, Any]:
    if not isinstance(block, Mapping):
        text = block if isinstance(block, str) else encode(block).decode()
        return {"type": "text", "content": text}
    kind = block.get("type")
    if kind in _TEXT and isinstance(block.get("text"), str):
        return {"type": "text", "content": block["text"]}
    if kind in ("thinking", "reasoning") and (
        thought := block.get("thinking") or block.get("text")
    ):
        return {"type": "reasoning", "content": str(thought)}
    if kind in _TOOL_CALL:
        return _tool_call(block)
    if kind in _TOOL_RESULT:
        return _tool_result(block)
    if kind == "image_url" and (url := _url_of(block.get("image_url"))):
        return _from_url(url)
    if kind == "image" and isinstance(source := block.get("source"), Mapping):
        return _from_source(source)
    if isinstance(kind, str):
        return dict(block)
    return {"type": "text", "content": encode(block).decode()}


def _has_type(part: Any) -> bool:
    return isinstance(part, Mapping) and isinstance(part.get("type"), str)


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    tool = asked_tool(call)
    part: dict[str, Any] = {"type": "tool_call", "name": tool.name}
    if tool.id is not None:
        part["id"] = tool.id
    if tool.arguments is not None:
        part["arguments"] = tool.arguments
    return part


def _tool_result(block: Mapping[str, Any]) -> dict[str, Any]:
    answer = next((block[k] for k in ("response", "output", "content") if k in block), None)
    if isinstance(answer, list):
        answer = _only_text(_parts(answer))
    part: dict[str, Any] = {"type": "tool_call_response", "response": answer}
    for key in ("id", "call_id", "tool_use_id"):
        if block.get(key) is not None:
            part["id"] = str(block[key])
    return part


def _only_text(parts: list[dict[str, Any]]) -> Any:
    """Return the one text *parts* are, else the parts."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["content"]
    return parts


def _url_of(value: Any) -> str | None:
    url = value.get("url") if isinstance(value, Mapping) else value
    return url if isinstance(url, str) else None


def _from_url(url: str) -> dict[str, Any]:
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        mime_type = head.removeprefix("data:").removesuffix(";base64")
        return {"type": "blob", "modality": "image", "mime_type": mime_type, "content": data}
    return {"type": "uri", "modality": "image", "uri": url}


def _from_source(source: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(source.get("url"), str):
        return {"type": "uri", "modality": "image", "uri": source["url"]}
    if isinstance(source.get("file_id"), str):
        return {"type": "file", "modality": "image", "file_id": source["file_id"]}
    part = {"type": "blob", "modality": "image", "content": str(source.get("data", ""))}
    if isinstance(source.get("media_type"), str):
        part["mime_type"] = source["media_type"]
    return part
