"""Google's interactions: the same model as `gemini`, asked and answering in steps.

Wire rules: Gemini API reference ("Interactions") and the types of the `google-genai` package.
"""

import json
from collections.abc import Iterator
from typing import Any

from . import gemini, tokens
from .conversation import Answer, Event, Json, Reply, Usage
from .words import identifier

_STATUS = {"length": "incomplete", "tools": "requires_action"}
_ROLES = {"model_output": "model", "function_call": "model", "thought": "model"}


def create(body: Json, seed: str) -> Reply:
    """Answer `POST /{version}/interactions`, plain and streamed."""
    [said], usage = gemini.answers(_as_contents(body))
    head = {
        "id": identifier("v1_", 32, seed),
        "object": "interaction",
        "model": body["model"],
        "status": _STATUS.get(said.ending, "completed"),
        "created": "2026-01-01T00:00:00Z",
        "updated": "2026-01-01T00:00:00Z",
    }
    steps = list(_steps(said, seed))
    counts = _usage(usage)
    if body.get("stream"):
        return Reply(list(_events(head, steps, counts)), usage, (said,))
    return Reply({**head, "steps": steps, "usage": counts}, usage, (said,))


def _as_contents(body: Json) -> Json:
    """The request in the words of `:generateContent`."""
    given = body.get("input") or []
    config = body.get("generation_config") or {}
    declared = [
        {
            "name": tool["name"],
            "description": tool.get("description"),
            "parametersJsonSchema": tool.get("parameters"),
        }
        for tool in body.get("tools") or ()
        if tool.get("type") == "function"
    ]
    return {
        "model": body["model"],
        "contents": list(_contents([given] if isinstance(given, str | dict) else given)),
        "systemInstruction": {"parts": [{"text": body.get("system_instruction") or ""}]},
        "tools": [{"functionDeclarations": declared}] if declared else [],
        "generationConfig": {
            "maxOutputTokens": config.get("max_output_tokens"),
            "thinkingConfig": {"includeThoughts": config.get("thinking_summaries") == "auto"},
        },
    }


def _contents(items: list[Any]) -> Iterator[Json]:
    for item in items:
        if isinstance(item, str):
            yield {"role": "user", "parts": [{"text": item}]}
        elif item.get("type") == "function_result":
            told = {"name": item.get("name"), "response": {"result": item["result"]}}
            yield {"role": "user", "parts": [{"functionResponse": told}]}
        else:
            contents = item.get("content") or [item]
            texts = [each.get("text") or "" for each in contents if each.get("type") == "text"]
            role = _ROLES.get(str(item.get("type")), "user")
            yield {"role": role, "parts": [{"text": text} for text in texts]}


def _steps(said: Answer, seed: str) -> Iterator[Json]:
    if said.thinking:
        summary = [{"type": "text", "text": said.thinking}]
        yield {"type": "thought", "signature": "c2lnbmVk", "summary": summary}
    if said.text:
        yield {"type": "model_output", "content": [{"type": "text", "text": said.text}]}
    for place, call in enumerate(said.calls):
        found = {"name": call.name, "arguments": call.arguments}
        yield {"type": "function_call", "id": identifier("", 8, seed, place), **found}


def _usage(usage: Usage) -> Json:
    return {
        "total_input_tokens": usage.prompt,
        "total_output_tokens": usage.output - usage.thinking,
        "total_thought_tokens": usage.thinking,
        "total_cached_tokens": usage.cache_read,
        "total_tool_use_tokens": 0,
        "total_tokens": usage.prompt + usage.output,
        "input_tokens_by_modality": [{"modality": "text", "tokens": usage.prompt}],
    }


def _events(head: Json, steps: list[Json], counts: Json) -> Iterator[Event]:
    def event(kind: str, *, is_token: bool = False, **more: Any) -> Event:
        return Event({"event_type": kind, **more}, kind, is_token=is_token)

    yield event("interaction.created", interaction={**head, "status": "in_progress"})
    for index, step in enumerate(steps):
        begun = {key: step[key] for key in ("type", "id", "name") if key in step}
        if "arguments" in step:
            begun["arguments"] = {}
        yield event("step.start", index=index, step=begun)
        for delta in _deltas(step):
            yield event("step.delta", is_token=True, index=index, delta=delta)
        yield event("step.stop", index=index)
    yield event("interaction.completed", interaction={**head, "usage": counts})
    yield Event("[DONE]")


def _deltas(step: Json) -> Iterator[Json]:
    if "arguments" in step:
        for piece in tokens.pieces(json.dumps(step["arguments"])):
            yield {"type": "arguments_delta", "arguments": piece}
    for each in step.get("summary") or ():
        for piece in tokens.pieces(each["text"]):
            yield {"type": "thought_summary", "content": {"type": "text", "text": piece}}
    for each in step.get("content") or ():
        for piece in tokens.pieces(each["text"]):
            yield {"type": "text", "text": piece}
