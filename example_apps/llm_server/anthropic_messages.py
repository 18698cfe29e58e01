"""Anthropic messages: request to question, answer to a message or to the events of its stream.

Wire rules: Anthropic's API reference ("Messages", "Streaming messages", "Prompt caching").
"""

import json
from collections.abc import Iterator
from typing import Any

from . import tokens
from .answers import answer
from .anthropic_usage import prompt_usage
from .conversation import Answer, Event, Json, Question, Reply, Tool, Usage, joined
from .errors import WireError
from .openai_chat import output_tokens
from .words import identifier

_STOP_REASON = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tools": "tool_use",
    "refusal": "refusal",
}


def reply(body: Json, seed: str) -> Reply:
    """Answer a messages request; `seed` makes the ids of this answer."""
    question = to_question(body)
    said = answer(question)
    prompt = prompt_usage(body)
    usage = Usage(
        prompt.prompt,
        output_tokens(said),
        tokens.count(said.thinking),
        prompt.cache_read,
        prompt.cache_write,
    )
    refused = said.ending == "refusal"
    message = {
        "id": identifier("msg_01", 22, seed),
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": _blocks(said, seed),
        "stop_reason": _STOP_REASON[said.ending],
        "stop_sequence": said.stop_sequence,
        "stop_details": {"type": "refusal", "category": None, "explanation": said.text}
        if refused
        else None,
        "usage": _wire_usage(usage, body),
    }
    return Reply(list(_events(message)) if body.get("stream") else message, usage, (said,))


def count_tokens(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/messages/count_tokens`."""
    _required(body, "messages")
    usage = prompt_usage(body)
    return Reply({"input_tokens": usage.prompt}, usage)


def to_question(body: Json) -> Question:
    """Read a request; raises `WireError` 400 when a required part is missing."""
    _required(body, "messages")
    _required(body, "max_tokens")
    messages = body["messages"]
    spoken = [
        at
        for at, item in enumerate(messages)
        if item.get("role") == "user" and _text(item["content"])
    ]
    last_user = spoken[-1] if spoken else 0
    results = [
        part for item in messages[last_user:] for part in _parts(item["content"], "tool_result")
    ]
    choice = body.get("tool_choice") or {"type": "auto"}
    offered = (
        ()
        if choice["type"] == "none"
        else (item for item in body.get("tools") or () if item.get("name"))
    )
    form = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    return Question(
        text=_text(messages[last_user]["content"]),
        tools=tuple(
            Tool(item["name"], item.get("description") or "", item.get("input_schema") or {})
            for item in offered
        ),
        must_call={"any": "*", "tool": choice.get("name")}.get(choice["type"]),
        parallel=not choice.get("disable_parallel_tool_use"),
        results=tuple(_text(part.get("content")) for part in results),
        images=len(_parts(messages[last_user]["content"], "image")),
        schema=form.get("schema"),
        max_tokens=body["max_tokens"],
        stop=tuple(body.get("stop_sequences") or ()),
        thinks=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
    )


def _required(body: Json, name: str) -> None:
    if not body.get(name):
        raise WireError(400, f"{name}: Field required")


def _text(content: Any) -> str:
    return (
        content
        if isinstance(content, str)
        else joined(part.get("text", "") for part in _parts(content, "text"))
    )


def _parts(content: Any, kind: str) -> list[Json]:
    return (
        [part for part in content if part.get("type") == kind] if isinstance(content, list) else []
    )


def _blocks(said: Answer, seed: str) -> list[Json]:
    blocks: list[Json] = []
    if said.thinking:
        signature = identifier("", 88, seed, "signature")
        blocks.append({"type": "thinking", "thinking": said.thinking, "signature": signature})
    if said.text:
        blocks.append({"type": "text", "text": said.text, "citations": None})
    for place, call in enumerate(said.calls):
        call_id = identifier("toolu_01", 22, seed, place)
        blocks.append(
            {"type": "tool_use", "id": call_id, "name": call.name, "input": call.arguments}
        )
    return blocks


def _wire_usage(usage: Usage, body: Json) -> Json:
    """`input_tokens` is what was neither read from the cache nor written to it."""
    hour = '"ttl": "1h"' in json.dumps(body)
    return {
        "input_tokens": usage.prompt - usage.cache_read - usage.cache_write,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": 0 if hour else usage.cache_write,
            "ephemeral_1h_input_tokens": usage.cache_write if hour else 0,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.thinking},
        "service_tier": "standard",
    }


def _events(message: Json) -> Iterator[Event]:
    def event(name: str, *, is_token: bool = False, **fields: Any) -> Event:
        return Event({"type": name, **fields}, name, is_token=is_token)

    usage = message["usage"]
    begun = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
    }
    at_start = {key: value for key, value in usage.items() if key != "output_tokens_details"}
    yield event("message_start", message={**begun, "usage": {**at_start, "output_tokens": 1}})
    for index, block in enumerate(message["content"]):
        yield event("content_block_start", index=index, content_block=_emptied(block))
        if index == 0:
            yield event("ping")
        for delta in _deltas(block):
            yield event("content_block_delta", index=index, delta=delta, is_token=True)
        yield event("content_block_stop", index=index)
    ending = {key: message[key] for key in ("stop_reason", "stop_sequence", "stop_details")}
    totals = {
        key: value for key, value in usage.items() if key not in ("cache_creation", "service_tier")
    }
    yield event("message_delta", delta=ending, usage=totals)
    yield event("message_stop")


def _emptied(block: Json) -> Json:
    empty: dict[str, Json] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
    }
    return {**block, **empty[block["type"]]}


def _deltas(block: Json) -> Iterator[Json]:
    if block["type"] == "text":
        yield from ({"type": "text_delta", "text": piece} for piece in tokens.pieces(block["text"]))
    elif block["type"] == "thinking":
        yield from (
            {"type": "thinking_delta", "thinking": piece}
            for piece in tokens.pieces(block["thinking"])
        )
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        yield {"type": "input_json_delta", "partial_json": ""}
        for piece in tokens.pieces(json.dumps(block["input"])):
            yield {"type": "input_json_delta", "partial_json": piece}
