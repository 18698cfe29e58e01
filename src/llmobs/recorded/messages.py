"""
Messages: what prompts and answers are made of, whoever wrote them down.

A message is a dict with a ``role`` and its ``parts``, as in the OpenTelemetry GenAI conventions
(``gen-ai-input-messages.json`` and ``gen-ai-output-messages.json``, v1.41.1). Parts are ``text``,
``reasoning``, ``refusal``, ``tool_call``, ``tool_call_response``, ``blob``, ``file`` and ``uri``; what
has no name there keeps its own type, which the conventions allow.

Doors record what passes them in these words. Applications hand over messages in their provider's
words, which are recorded as given; `messages_of` reads both, and the items of OpenAI's responses.

Binary content is named by kind and size, unless the ``whole`` of it is asked for.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from llmobs.recorded.jsontext import Json, as_list, as_object, as_text, json_or_text, json_text
from llmobs.recorded.media import size_of_base64

__all__ = [
    "ITEMS",
    "blob",
    "conversation",
    "message",
    "message_of",
    "messages_of",
    "parts_of",
    "said_in",
    "text_in",
    "text_part",
    "tool_call",
    "tool_call_of",
    "tool_calls_of",
    "uri_or_blob",
]

MAX_DEPTH: Final = 16
"""Levels of messages and parts that are followed."""

ITEMS: Final = frozenset(
    {
        "message", "reasoning", "function_call", "function_call_output", "custom_tool_call",
        "custom_tool_call_output",
    }
)  # fmt: skip
"""Types of items in OpenAI's responses that are messages, or parts of one."""

_TEXTS: Final = frozenset({"text", "input_text", "output_text", "summary_text", "reasoning_text"})
_THOUGHTS: Final = frozenset({"reasoning", "thinking", "redacted_thinking"})
_CALLS: Final = frozenset(
    {"tool_call", "tool_use", "function_call", "custom_tool_call", "function"}
)
_RESULTS: Final = frozenset(
    {"tool_call_response", "tool_result", "function_call_output", "custom_tool_call_output"}
)
_MODALITIES: Final = {
    "image": "image", "document": "document", "audio": "audio", "video": "video", "file": "document",
}  # fmt: skip
_MEDIA: Final = frozenset({"image_url", "input_image", "input_audio", "input_file", *_MODALITIES})
_PARTS: Final = ITEMS | _TEXTS | _THOUGHTS | _CALLS | _RESULTS | _MEDIA | {"refusal"}
_BESIDE_CONTENT: Final = frozenset(
    {"content", "type", "name", "id", "tool_calls", "tool_call_id", "refusal", "reasoning_content"}
)
"""Members of a message that names no role; with others it is data that has a content."""
_SPOKEN: Final = frozenset({"text", "refusal"})
"""Parts that are there to be read; reasoning, tools and files are not."""


# Made of what is known.


def message(role: str, parts: list[Json], **more: Any) -> Json:
    """Return one message; members of *more* that are None are left out."""
    return {"role": role, "parts": parts, **{k: v for k, v in more.items() if v is not None}}


def text_part(text: str, kind: str = "text") -> Json:
    """Return a part that holds *text*."""
    return {"type": kind, "content": text}


def tool_call(call_id: Any, name: Any, arguments: Any) -> Json:
    """Return the part for a tool the model asked for; JSON in *arguments* is read."""
    part: Json = {"type": "tool_call"}
    if call_id not in (None, ""):
        part["id"] = str(call_id)
    part["name"] = as_text(name) or ""
    part["arguments"] = json_or_text(arguments)
    return part


def blob(modality: str, mime_type: Any, base64_text: Any, *, whole: bool = False) -> Json:
    """Return the part for binary content: what it is, and its size or the *whole* of it."""
    part: Json = {"type": "blob", "modality": modality, "content": ""}
    if as_text(mime_type):
        part["mime_type"] = mime_type
    if type(base64_text) is str:
        if whole:
            part["content"] = base64_text
        else:
            part["size"] = size_of_base64(base64_text)
    return part


_BARE: Final = re.compile(r"[\w+/-]{64}", re.ASCII)
"""How content begins that no URL is around: these have a scheme, and names of files are shorter."""


def uri_or_blob(modality: str, url: Any, *, whole: bool = False) -> Json:
    """Return the part for a URL, which may hold the content itself (``data:``), or be that: Jina takes bare base64."""
    if type(url) is str and url.startswith("data:"):
        head, _, data = url.partition(",")
        return blob(modality, head[5:].partition(";")[0], data, whole=whole)
    if type(url) is str and _BARE.match(url):
        return blob(modality, None, url, whole=whole)
    return {"type": "uri", "modality": modality, "uri": as_text(url) or ""}


# Read from what anybody wrote.


def conversation(value: Any) -> list[Any] | None:
    """Return the messages, as written, that *value* is or lists; None if it is something else."""
    listed = value if type(value) is list else [value]
    return listed if listed and all(map(_is_message, listed)) else None


def messages_of(value: Any, role: str = "user", *, whole: bool = False) -> list[Json]:
    """
    Return a prompt or an answer as messages; empty if it is empty.

    Args:
        value: A text, a message or a list of either; anything else becomes its JSON.
        role: Of what names none.
        whole: Whether binary content is kept.
    """
    return list(_messages(value, role, whole, 0)) if value else []


def _messages(value: Any, role: str, whole: bool, depth: int) -> Iterator[Json]:
    if type(value) is list and depth < MAX_DEPTH:
        for item in value:
            yield from _messages(item, role, whole, depth + 1)
    elif value not in (None, ""):
        yield message_of(value, role, whole=whole)


def message_of(item: Any, role: str = "user", *, whole: bool = False) -> Json:
    """Return one message, of a request or of an answer; *role* is that of one that names none."""
    if not _is_message(item):
        text = item if type(item) is str else json_text(item) if item else ""
        return message(role, _parts(text, whole, 0))
    own, kind = as_text(item.get("role")), item.get("type")
    if own is None and type(item.get("message")) is dict:  # one of OpenAI's choices
        inside = message_of(item["message"], role, whole=whole)
        reason = as_text(item.get("finish_reason"))
        return {**inside, "finish_reason": reason} if reason else inside
    if type(item.get("parts")) is list and (item["parts"] or not item.get("content")):
        return {**item, "role": own or role, "parts": _parts(item["parts"], whole, 0)}
    if own is None and kind not in (None, "message"):
        if kind in _RESULTS:
            return message("tool", _part(item, whole, 0))
        made = kind in _CALLS or kind in _THOUGHTS
        return message("assistant" if made else role, _part(item, whole, 0))
    name = as_text(item.get("name"))
    if own in ("tool", "function"):
        return message(own, [_result(item, whole, 0)], name=name)
    return message(own or role, list(_said(item, whole)), name=name)


def _is_message(item: Any) -> bool:
    if type(item) is not dict:
        return False
    kind = item.get("type")
    if kind is not None and type(kind) is not str:
        return False
    if type(item.get("role")) is str or type(item.get("parts")) is list or kind in _PARTS:
        return True
    beside = item.keys() - _BESIDE_CONTENT
    if "content" in item and not beside:
        return True
    return _is_message(item.get("message")) or (type(item.get("text")) is str and len(item) == 1)


def _said(item: Json, whole: bool) -> Iterator[Json]:
    """The parts of a chat message, in the words of OpenAI, Anthropic and everybody compatible."""
    if thought := _thought(item):
        yield text_part(thought, "reasoning")
    yield from _parts(item.get("content") or as_text(item.get("text")), whole, 0)
    yield from _parts(item.get("images"), whole, 0)  # OpenRouter, Gemini
    if refusal := as_text(item.get("refusal")):
        yield text_part(refusal, "refusal")
    if audio := as_object(item.get("audio")):
        yield blob("audio", None, audio.get("data"), whole=whole)
        if transcript := as_text(audio.get("transcript")):
            yield text_part(transcript)
    yield from (tool_call_of(as_object(call)) for call in as_list(item.get("tool_calls")))
    if call := as_object(item.get("function_call")):
        yield tool_call_of(call)


def _thought(item: Json) -> str | None:
    """Reasoning beside the content, in the words of whoever sends it."""
    for name in ("reasoning_content", "reasoning"):
        if thought := as_text(item.get(name)):
            return thought
    details = map(as_object, as_list(item.get("reasoning_details")))
    return "".join(as_text(d.get("text")) or as_text(d.get("summary")) or "" for d in details)


def parts_of(content: Any, *, whole: bool = False) -> list[Json]:
    """Return the parts of a message's ``content``, a text or a list, in any provider's words."""
    return _parts(content, whole, 0)


def _parts(content: Any, whole: bool, depth: int) -> list[Json]:
    if content is None or content in ("", []):
        return []
    if type(content) is list and depth < MAX_DEPTH:
        return [part for item in content for part in _part(item, whole, depth + 1)]
    return _part(content, whole, depth)


def _part(item: Any, whole: bool, depth: int) -> list[Json]:
    """The parts that *item* is: mostly one; a thought may be several."""
    if type(item) is not dict:
        return [text_part(item if type(item) is str else json_text(item))]
    kind = as_text(item.get("type"))
    if kind in _TEXTS or (kind is None and type(item.get("text")) is str):  # Gemini names no type
        return [text_part(as_text(item.get("text")) or as_text(item.get("content")) or "")]
    if kind == "refusal":
        return [text_part(as_text(item.get("refusal")) or as_text(item.get("content")) or "", kind)]
    if kind in _THOUGHTS:
        return [text_part(thought, "reasoning") for thought in _thoughts(item, whole, depth)]
    if kind in _CALLS:
        return [tool_call_of(item)]
    if kind in _RESULTS:
        return [_result(item, whole, depth)]
    if kind in _MEDIA and "modality" not in item:
        return _media(str(kind), item, whole, depth)
    if kind == "blob" and not whole:
        content = as_text(item.get("content"))
        size = {} if content is None else {"size": size_of_base64(content)}
        return [{**item, "content": "", **size}]
    return [{**item, "type": kind or "unknown"}]


def _thoughts(item: Json, whole: bool, depth: int) -> list[str]:
    for name in ("thinking", "reasoning", "content", "text"):
        if thought := as_text(item.get(name)):
            return [thought]
    if type(item.get("thinking")) is list:  # Mistral's
        return ["".join(as_text(as_object(each).get("text")) or "" for each in item["thinking"])]
    for name in ("content", "summary"):
        if found := _parts(item.get(name), whole, depth + 1):
            return [part.get("content") or "" for part in found]
    return [] if "summary" in item else [""]  # sealed: only the provider can read it


def tool_call_of(call: Json) -> Json:
    """
    Return the part for a tool the model asked for, in the words of OpenAI (``function`` with its
    ``arguments`` as JSON text, or ``custom``), of Anthropic (``input``), of LangChain (``args``), of
    WatchLLM (``tool_name``, ``input``) or in ours.
    """
    if call.get("type") == "tool_call" and "arguments" in call:  # ours already
        return {"name": "", **call}
    inner = as_object(call.get("function"))
    custom = as_object(call.get("custom"))
    name = call.get("tool_name") or call.get("name") or inner.get("name") or custom.get("name")
    call_id = call.get("tool_id") or call.get("call_id") or call.get("id")
    given = (call.get("input"), call.get("arguments"), call.get("args"), inner.get("arguments"))
    part = tool_call(call_id, name, next((each for each in given if each is not None), None))
    # The input of a custom tool is free text, even where it happens to be JSON.
    if custom:
        part["arguments"] = custom.get("input")
    elif call.get("type") == "custom_tool_call":
        part["arguments"] = call.get("input")
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


def _result(item: Json, whole: bool, depth: int) -> Json:
    """What a tool returned; texts stand for themselves."""
    part: Json = {"type": "tool_call_response"}
    if item.get("type") == "tool_call_response":  # ours already
        part.update((name, value) for name, value in item.items() if name != "result")
    for name in ("tool_call_id", "call_id", "tool_use_id", "id"):
        if item.get(name) not in (None, ""):
            part["id"] = str(item[name])
            break
    names = ("response", "output", "content", "result")  # the last is Pydantic AI's
    answer = next((item[name] for name in names if item.get(name) is not None), None)
    if type(answer) is list:
        found = _parts(answer, whole, depth + 1)
        is_text = found and all(each["type"] == "text" for each in found)
        answer = "".join(each["content"] for each in found) if is_text else found
    part["response"] = answer
    if item.get("is_error"):
        part["is_error"] = True
    return part


def _media(kind: str, item: Json, whole: bool, depth: int) -> list[Json]:
    """A picture, a sound or a document, or where it is."""
    if kind == "input_audio":
        audio = as_object(item.get("input_audio"))
        named = f"audio/{as_text(audio.get('format')) or 'wav'}"
        return [blob("audio", named, audio.get("data"), whole=whole)]
    modality = _MODALITIES.get(kind.removeprefix("input_"), "image")
    source = as_object(item.get("source"))
    if kind == "document" and source.get("type") == "text":  # Anthropic's
        return [text_part(as_text(source.get("data")) or "")]
    if kind == "document" and source.get("type") == "content":
        return [{"type": kind, "parts": _parts(source.get("content"), whole, depth + 1)}]
    for place in (source, as_object(item.get("file")), item):
        if data := place.get("data") or place.get("base64"):
            mime_type = place.get("media_type") or place.get("mime_type")
            return [blob(modality, mime_type, data, whole=whole)]
        for name in ("url", "image_url", "file_url", "file_data"):
            url = place.get(name)
            url = url.get("url") if type(url) is dict else url
            if as_text(url):
                return [uri_or_blob(modality, url, whole=whole)]
        if as_text(place.get("file_id")):
            return [{"type": "file", "modality": modality, "file_id": place["file_id"]}]
        if as_text(place.get("uri")):
            return [{"type": "uri", "modality": modality, "uri": place["uri"]}]
    return [{"type": kind}] if source else [{**item, "type": kind}]


# Told to people.


def text_in(value: Any) -> str:
    """
    Return the text in a prompt or an answer: itself, or that of its messages, a line for each part.

    Roles, reasoning, calls of tools and their results, pictures and sounds are left out; a value
    without any text is the empty one.
    """
    return "\n".join(_texts(value, 0))


def _texts(value: Any, depth: int) -> Iterator[str]:
    if type(value) is list and depth < MAX_DEPTH:
        for item in value:
            yield from _texts(item, depth + 1)
    elif type(value) is str or _is_message(value):
        parts = message_of(value)["parts"]
        yield from (p["content"] for p in parts if p["type"] in _SPOKEN and p.get("content"))


def said_in(found: Json, between: str = " ") -> str:
    """Return what one message, of any form, says, shows and asks for; *between* its parts."""
    return between.join(words for part in message_of(found)["parts"] if (words := _words(part)))


def _words(part: Json) -> str:
    match part.get("type"):
        case "text" | "reasoning" | "refusal":
            return str(part.get("content") or "")
        case "tool_call":
            return f"{part.get('name') or 'tool'}({_plain(part.get('arguments'))})"
        case "tool_call_response":
            return _plain(part.get("response"))
        case "uri" | "file" | "blob":
            where = part.get("uri") or part.get("file_id")
            what = part.get("mime_type") or part.get("modality") or part["type"]
            size = part.get("size") or size_of_base64(str(part.get("content") or ""))
            return f"[{what}, {where}]" if where else f"[{what}, {size} bytes]"
    return json_text(part)


def _plain(value: Any) -> str:
    return value if type(value) is str else "" if value is None else json_text(value)
