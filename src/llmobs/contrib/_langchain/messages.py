"""
LangChain's messages as messages of the OpenTelemetry GenAI conventions.

Reads the public attributes of ``langchain_core.messages`` alone, so that messages of any release
(and look-alikes) pass.
"""

from collections.abc import Iterable
from typing import Any, Final

from llmobs.codec import snapshot
from llmobs.contrib._wire.messages import blob, parts, text_part, tool_call
from llmobs.contrib._wire.messages import message as genai_message
from llmobs.contrib._wire.wire import Json, as_dict, as_list, as_text
from llmobs.media import without_media

__all__ = ["documents", "message", "messages", "plain"]

_ROLES: Final = {"human": "user", "ai": "assistant", "function": "tool"}
_MODALITIES: Final = {"image": "image", "audio": "audio", "video": "video", "file": "document"}


def messages(found: Iterable[Any]) -> list[Json]:
    """Return *found*, messages of LangChain, as GenAI messages."""
    return [message(each) for each in found]


def message(found: Any, **more: Any) -> Json:
    """Return one GenAI message, without its pictures; *more* are further members of it."""
    light: Json = without_media(_message(found, **more))
    return light


def _message(found: Any, **more: Any) -> Json:
    kind = str(getattr(found, "type", "user")).removesuffix("MessageChunk").lower()
    role = getattr(found, "role", None) or _ROLES.get(kind, kind)
    content = getattr(found, "content", "")
    if kind == "tool":
        answer: Json = {
            "type": "tool_call_response",
            "id": getattr(found, "tool_call_id", None),
            "response": content if type(content) is str else _plain_text(_parts(content, set())),
        }
        if getattr(found, "status", "success") == "error":
            answer["is_error"] = True
        return genai_message("tool", [answer], name=as_text(getattr(found, "name", None)), **more)
    calls = as_list(getattr(found, "tool_calls", None))
    asked = {as_dict(call).get("id") for call in calls}
    extra = as_dict(getattr(found, "additional_kwargs", None))
    said: list[Json] = []
    if thought := as_text(extra.get("reasoning_content")):
        said.append(text_part(thought, "reasoning"))
    said += _parts(content, asked)
    if refusal := as_text(extra.get("refusal")):
        said.append(text_part(refusal, "refusal"))
    for call in map(as_dict, calls):
        said.append(tool_call(call.get("id"), call.get("name"), call.get("args")))
    for call in map(as_dict, as_list(getattr(found, "invalid_tool_calls", None))):
        said.append(tool_call(call.get("id"), call.get("name"), call.get("args")))
    return genai_message(role, said, name=as_text(getattr(found, "name", None)), **more)


def _parts(content: Any, asked: set[Any]) -> list[Json]:
    """Return the parts of a content; tools that ``tool_calls`` names are not said twice."""
    found: list[Json] = []
    for block in content if type(content) is list else [content]:
        kind = as_dict(block).get("type")
        if kind in ("tool_use", "tool_call", "function_call", "input_json_delta"):
            named = {block.get("id"), block.get("call_id")} - {None}
            if kind == "input_json_delta" or not named or named & asked:
                continue
        found += _block(block) if type(block) is dict else parts(block)
    return found


def _block(block: Json) -> list[Json]:
    kind = block.get("type")
    if kind == "reasoning":
        thought = as_text(block.get("reasoning")) or ""
        for summary in map(as_dict, as_list(block.get("summary"))):
            thought += as_text(summary.get("text")) or ""
        return [text_part(thought, "reasoning")]
    if kind == "text":
        return [text_part(as_text(block.get("text")) or "")]
    if kind == "tool_call":
        return [tool_call(block.get("id"), block.get("name"), block.get("args"))]
    modality = _MODALITIES.get(str(kind))
    if modality is not None:
        if as_text(block.get("base64")) or block.get("source_type") == "base64":
            data = block.get("base64") or block.get("data")
            return [blob(modality, block.get("mime_type"), data)]
        if as_text(block.get("url")):
            return parts([{"type": "image_url", "image_url": {"url": block["url"]}}])
        if as_text(block.get("file_id")):
            return [{"type": "file", "modality": modality, "file_id": block["file_id"]}]
    return parts([block])


def _plain_text(found: list[Json]) -> Any:
    if all(part.get("type") == "text" for part in found):
        return "".join(part["content"] for part in found)
    return found


def documents(found: Any) -> list[Json]:
    """Return what a retriever found: content, id and metadata of each document."""
    listed: list[Json] = []
    for document in found if isinstance(found, (list, tuple)) else [found]:
        entry: Json = {"content": getattr(document, "page_content", document)}
        for name in ("id", "metadata"):
            if value := getattr(document, name, None):
                entry[name] = value
        listed.append(without_media(snapshot(entry)))
    return listed


_DEPTH: Final = 6


def plain(value: Any) -> Any:
    """
    Return inputs and outputs of chains with the messages and documents in them made plain, and with
    kind and size in place of pictures.
    """
    return without_media(snapshot(_plain(value, 0)))


def _plain(value: Any, depth: int) -> Any:
    if depth > _DEPTH or value is None or type(value) in (str, int, float, bool):
        return value
    if type(value) is dict:
        return {str(key): _plain(inner, depth + 1) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return [_plain(inner, depth + 1) for inner in value]
    if hasattr(value, "page_content"):
        return documents(value)[0]
    if hasattr(value, "content") and hasattr(value, "type"):
        return message(value)
    to_messages: Any = getattr(value, "to_messages", None)  # a PromptValue
    if to_messages is not None:
        return messages(to_messages())
    if hasattr(value, "update") and hasattr(value, "goto"):  # LangGraph's Command
        said = {name: getattr(value, name, None) for name in ("update", "resume", "goto", "graph")}
        kept = {name: inner for name, inner in said.items() if inner is not None and inner != ()}
        return _plain(kept, depth + 1)
    if hasattr(value, "node") and hasattr(value, "arg"):  # LangGraph's Send
        return {"node": value.node, "arg": _plain(value.arg, depth + 1)}
    if type(value).__name__ == "Interrupt" and hasattr(value, "value"):
        return {"value": _plain(value.value, depth + 1), "id": getattr(value, "id", None)}
    return value
