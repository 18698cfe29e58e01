"""
A call of a model as a command for curl, to be run again by whoever reads it.

All that was recorded is hostile, and this is made to be pasted into a shell. So recorded text stands
in one place alone: in JSON of plain ASCII, in which what shells look for is escaped, in a here-document
that no shell looks into. Where the key goes is decided by this file and by who runs the command, never by
a recorded address.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from llmobs.codec import encode
from llmobs.events import PromptCallEvent
from llmobs.recorded.jsontext import json_text

__all__ = ["curl_of"]

END: Final = "LLMOBS"
"""Ends the here-document; every line of JSON begins with a bracket, a quote or a space."""


class _Api(NamedTuple):
    base: str
    key: str


_APIS: Final[Mapping[str, _Api]] = {
    "anthropic": _Api("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "deepseek": _Api("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "groq": _Api("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral_ai": _Api("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "openai": _Api("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "openrouter": _Api("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "together": _Api("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "x_ai": _Api("https://api.x.ai/v1", "XAI_API_KEY"),
}
_OTHER: Final = _Api("$BASE_URL", "API_KEY")
"""Of everybody else: whoever runs the command knows."""


def curl_of(call: PromptCallEvent) -> str | None:
    """
    Return the command that asks the same of the same model; None for a call that it cannot say.

    The key is a variable, and so is the address of a provider that is not among the few known here.
    Pictures and what was redacted or cut are as they are recorded.
    """
    path, body = _request(call)
    if not path:
        return None
    api = _APIS.get(call.provider or "", _OTHER)
    headers = [f"Authorization: Bearer ${api.key}"]
    if path == _MESSAGES:
        headers = [f"x-api-key: ${api.key}", "anthropic-version: 2023-06-01"]
    lines = [
        f'curl "{api.base}{path}" \\',
        *(f'  -H "{header}" \\' for header in (*headers, "content-type: application/json")),
        f"  --data-binary @- <<'{END}'",
        _json(body),
        END,
    ]
    return "\n".join(lines) + "\n"


# In strings alone: JSON itself has none of them.
_LOOKED_FOR: Final = re.compile("[^\n -~]|['!`$]")


def _json(value: Any) -> str:
    """Return JSON in lines in which no shell finds anything, history expansion included."""
    text = msgspec.json.format(encode(value), indent=2).decode("utf-8", "replace")
    return _LOOKED_FOR.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


_MESSAGES: Final = "/messages"


def _request(call: PromptCallEvent) -> tuple[str, dict[str, Any]]:
    """Return where a call goes and what it says; an empty path for one that is not known."""
    params = call.request_params if isinstance(call.request_params, dict) else {}
    body: dict[str, Any] = {**params, "model": call.model}
    if call.stream:
        body["stream"] = True
    said = call.prompt_messages
    match call.operation:
        case "embeddings":
            return "/embeddings", {**body, "input": call.prompt_text}
        case "text_completion":
            return "/completions", {**body, "prompt": call.prompt_text}
        case "chat" if call.provider == "anthropic":
            system = "\n".join(_text(each) for each in said if each["role"] == "system")
            more = {"system": system} if system else {}
            messages = [_anthropic(each) for each in said if each["role"] != "system"]
            return _MESSAGES, {"max_tokens": 1024, **body, **more, "messages": messages}
        case "chat" if (call.response_id or "").startswith("resp_"):
            return "/responses", {**body, "input": [item for each in said for item in _items(each)]}
        case "chat":
            messages = [message for each in said for message in _openai(each)]
            return "/chat/completions", {**body, "messages": messages}
    return "", {}


def _text(message: Mapping[str, Any]) -> str:
    return "\n".join(filter(None, map(_words, message["parts"])))


def _words(part: Mapping[str, Any]) -> str:
    """Return the text of a part; of a picture and the like, its kind."""
    kind, content = part.get("type"), part.get("content")
    if kind in ("text", "refusal") and isinstance(content, str):
        return content
    return "" if kind in ("tool_call", "tool_call_response", "reasoning") else f"[{kind}]"


def _of(message: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    return [part for part in message["parts"] if part.get("type") == kind]


def _openai(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": part.get("id"), "content": _result(part)}
        for part in _of(message, "tool_call_response")
    ]
    calls = [
        {
            "id": part.get("id"),
            "type": "function",
            "function": {"name": part.get("name"), "arguments": json_text(part.get("arguments"))},
        }
        for part in _of(message, "tool_call")
    ]
    said = _text(message)
    if calls:
        return [*results, {"role": message["role"], "content": said, "tool_calls": calls}]
    return (
        [*results, {"role": message["role"], "content": said}] if said or not results else results
    )


def _items(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a message as OpenAI's responses take it."""
    said = _text(message)
    items: list[dict[str, Any]] = [{"role": message["role"], "content": said}] if said else []
    for part in _of(message, "tool_call"):
        call = {"type": "function_call", "call_id": part.get("id"), "name": part.get("name")}
        items.append({**call, "arguments": json_text(part.get("arguments"))})
    for part in _of(message, "tool_call_response"):
        made = {"type": "function_call_output", "call_id": part.get("id")}
        items.append({**made, "output": _result(part)})
    return items


def _anthropic(message: Mapping[str, Any]) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = []
    for part in message["parts"]:
        kind = part.get("type")
        if kind == "tool_call":
            given = part.get("arguments")
            given = given if isinstance(given, dict) else {"input": given}
            use = {"type": "tool_use", "id": part.get("id"), "name": part.get("name")}
            blocks.append({**use, "input": given})
        elif kind == "tool_call_response":
            made = {"type": "tool_result", "tool_use_id": part.get("id")}
            blocks.append({**made, "content": _result(part)})
        elif words := _words(part):
            blocks.append({"type": "text", "text": words})
    role = "assistant" if message["role"] == "assistant" else "user"
    return {"role": role, "content": blocks}


def _result(part: Mapping[str, Any]) -> str:
    value = part.get("response", part.get("result"))
    return value if isinstance(value, str) else json_text(value)
