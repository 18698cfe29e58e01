"""
Messages of any provider as messages of the OpenTelemetry GenAI conventions: a role and parts.

Parts are ``text``, ``reasoning``, ``tool_call``, ``tool_call_response``, ``blob``, ``file`` and
``uri``; what has no name there keeps its own. Of pictures, sounds and documents sent along the kind
and size are kept; where they have no part of their own, `llmobs.media` sees to that, in every door.
"""

from typing import Any

from llmobs.contrib._wire.wire import Json, as_dict, as_list, as_text, json_or_text
from llmobs.media import size_of_base64

__all__ = ["blob", "message", "parts", "text_part", "tool_call", "tool_calls_of", "uri_or_blob"]


def message(role: str, parts: list[Json], **more: Any) -> Json:
    """Return one message; members of *more* that are None are left out."""
    return {"role": role, "parts": parts, **{k: v for k, v in more.items() if v is not None}}


def text_part(text: str, kind: str = "text") -> Json:
    """Return a part that holds *text*."""
    return {"type": kind, "content": text}


def tool_call(call_id: Any, name: Any, arguments: Any) -> Json:
    """Return the part for a tool the model asked for; JSON in *arguments* is read."""
    part: Json = {"type": "tool_call"}
    if as_text(call_id):
        part["id"] = call_id
    part["name"] = as_text(name) or ""
    part["arguments"] = json_or_text(arguments)
    return part


def tool_calls_of(messages: list[Json]) -> list[Json] | None:
    """Return the tools asked for in *messages*: ``id``, ``name`` and ``arguments`` of each."""
    found = [
        {key: value for key, value in part.items() if key != "type"}
        for each in messages
        for part in each["parts"]
        if part["type"] == "tool_call"
    ]
    return found or None


def blob(modality: str, mime_type: Any, base64_text: Any) -> Json:
    """Return the part for binary content: what it is and its size, never the content."""
    part: Json = {"type": "blob", "modality": modality, "content": ""}
    if as_text(mime_type):
        part["mime_type"] = mime_type
    if type(base64_text) is str:
        part["size"] = size_of_base64(base64_text)
    return part


def uri_or_blob(modality: str, url: Any) -> Json:
    """Return the part for a URL, which may hold the content itself (``data:``)."""
    if type(url) is str and url.startswith("data:"):
        head, _, data = url.partition(",")
        return blob(modality, head[5:].partition(";")[0], data)
    return {"type": "uri", "modality": modality, "uri": as_text(url) or ""}


def parts(content: Any) -> list[Json]:
    """Return the parts of a message's ``content``, a text or a list, in any provider's words."""
    if type(content) is str:
        return [text_part(content)] if content else []
    if type(content) is dict:
        return [_part(content)]
    return [
        _part(item) if type(item) is dict else text_part(str(item)) for item in as_list(content)
    ]


def _part(item: Json) -> Json:
    kind = item.get("type")
    if kind in ("text", "input_text", "output_text", "summary_text", "reasoning_text"):
        return text_part(as_text(item.get("text")) or "")
    if kind == "refusal":
        return text_part(as_text(item.get("refusal")) or "", "refusal")
    if kind in ("image_url", "input_image"):
        source = item.get("image_url")
        if source is None and as_text(item.get("file_id")):
            return {"type": "file", "modality": "image", "file_id": item["file_id"]}
        return uri_or_blob("image", source.get("url") if type(source) is dict else source)
    if kind == "input_audio":
        audio = as_dict(item.get("input_audio"))
        return blob("audio", f"audio/{as_text(audio.get('format')) or 'wav'}", audio.get("data"))
    if kind in ("file", "input_file"):
        return _file(as_dict(item.get("file")) or item)
    if kind in ("image", "document"):
        return _source(kind, item)
    if kind == "thinking":
        thought = item.get("thinking")
        if type(thought) is list:  # Mistral's
            thought = "".join(as_text(as_dict(each).get("text")) or "" for each in thought)
        return text_part(as_text(thought) or "", "reasoning")
    if kind == "redacted_thinking":
        return text_part("", "reasoning")
    if kind == "tool_use":
        return tool_call(item.get("id"), item.get("name"), item.get("input"))
    if kind == "tool_result":
        return _tool_result(item)
    return {**item, "type": as_text(kind) or "unknown"}


def _file(item: Json) -> Json:
    if as_text(item.get("file_id")):
        return {"type": "file", "modality": "document", "file_id": item["file_id"]}
    if as_text(item.get("file_url")):
        return {"type": "uri", "modality": "document", "uri": item["file_url"]}
    return uri_or_blob("document", item.get("file_data") or "data:,")


def _source(kind: str, item: Json) -> Json:
    """A picture or document of Anthropic's: ``source`` says where it is."""
    source = as_dict(item.get("source"))
    match source.get("type"):
        case "base64":
            return blob(kind, source.get("media_type"), source.get("data"))
        case "url":
            return uri_or_blob(kind, source.get("url"))
        case "file":
            return {"type": "file", "modality": kind, "file_id": source.get("file_id")}
        case "text":
            return text_part(as_text(source.get("data")) or "")
        case "content":
            inner = parts(source.get("content"))
            return {"type": kind, "parts": inner}
    return {"type": kind}


def _tool_result(item: Json) -> Json:
    part: Json = {"type": "tool_call_response", "id": item.get("tool_use_id")}
    content = item.get("content")
    part["response"] = content if type(content) is not list else _plain(parts(content))
    if item.get("is_error"):
        part["is_error"] = True
    return part


def _plain(found: list[Json]) -> Any:
    """A single text stands for itself."""
    if len(found) == 1 and found[0]["type"] == "text":
        return found[0]["content"]
    return found
