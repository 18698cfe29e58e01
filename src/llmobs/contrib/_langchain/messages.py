"""
LangChain's messages as messages of the OpenTelemetry GenAI conventions.

Reads the public attributes of ``langchain_core.messages`` alone, so that messages of any release
(and look-alikes) pass.
"""

from collections.abc import Iterable
from typing import Any, Final

from llmobs.codec import snapshot
from llmobs.recorded.jsontext import Json, as_list, as_object
from llmobs.recorded.media import without_media
from llmobs.recorded.messages import message_of

__all__ = ["documents", "message", "messages", "plain"]

_ROLES: Final = {"human": "user", "ai": "assistant", "function": "tool"}


def messages(found: Iterable[Any]) -> list[Json]:
    """Return *found*, messages of LangChain, as GenAI messages."""
    return [message(each) for each in found]


def message(found: Any, **more: Any) -> Json:
    """Return one GenAI message, without its pictures; *more* are further members of it."""
    light: Json = without_media(_message(found, **more))
    return light


def _message(found: Any, **more: Any) -> Json:
    kind = str(getattr(found, "type", "user")).removesuffix("MessageChunk").lower()
    calls = as_list(getattr(found, "tool_calls", None))
    extra = as_object(getattr(found, "additional_kwargs", None))
    said = {
        "role": "tool" if kind == "tool" else _role(found, kind),
        "name": getattr(found, "name", None),
        "content": _content(getattr(found, "content", ""), calls),
        "reasoning_content": extra.get("reasoning_content"),
        "refusal": extra.get("refusal"),
        "tool_calls": calls + as_list(getattr(found, "invalid_tool_calls", None)),
        "tool_call_id": getattr(found, "tool_call_id", None),
        "is_error": getattr(found, "status", "success") == "error",
    }
    return {**message_of(said), **more}


def _role(found: Any, kind: str) -> str:
    return str(getattr(found, "role", None) or _ROLES.get(kind, kind))


def _content(content: Any, calls: list[Any]) -> Any:
    """Return a content without the calls of tools that ``tool_calls`` names too."""
    if type(content) is not list:
        return content
    asked = {as_object(call).get("id") for call in calls}
    return [block for block in content if not _is_known_call(as_object(block), asked)]


def _is_known_call(block: Json, asked: set[Any]) -> bool:
    kind = block.get("type")
    if kind not in ("tool_use", "tool_call", "function_call", "input_json_delta"):
        return False
    named = {block.get("id"), block.get("call_id")} - {None}
    return kind == "input_json_delta" or not named or bool(named & asked)


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
