"""Spans of OpenInference (Arize), as its instrumentations of some thirty libraries write them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmobs.contrib._spans.flat import read_json, unflatten
from llmobs.contrib._spans.genai import first_reason
from llmobs.contrib._spans.kinds import INFERENCE_KIND, INFERENCE_MODEL
from llmobs.contrib._spans.usage import inference_usage
from llmobs.contrib._wire import openai_chat
from llmobs.contrib._wire.wire import Fields
from llmobs.recorded.jsontext import Json, as_object, as_text
from llmobs.recorded.messages import tool_calls_of, uri_or_blob

__all__ = ["call", "step", "tool"]

Attributes = Mapping[str, Any]

_FIRST_TOKEN: Final = "First Token Stream Event"  # noqa: S105 - the name of an event
_NOT_PARAMS: Final = frozenset({"model", "stream", "messages", "input"})


def call(attributes: Attributes, events: Sequence[Any], start: int, given: Attributes) -> Fields:
    """
    Read a call of a model; fields of `llmobs.events.PromptCallEvent`.

    Args:
        start: When the span began, in nanoseconds since the epoch.
        given: The attributes it began with: there the model's name is that of the one asked.
    """
    get = attributes.get
    params = as_object(read_json(get("llm.invocation_parameters")))
    request = as_object(read_json(get("input.value")))
    answered = as_object(read_json(get("output.value")))
    embeds = str(get(INFERENCE_KIND)).upper() == "EMBEDDING"
    finish = first_reason(get("llm.finish_reason"))
    said = [_message(each) for each in unflatten(attributes, "llm.output_messages")]
    response = openai_chat.WIRE.response(
        {"choices": [{"message": m, "finish_reason": finish} for m in said]}
    )["response"]
    calls = tool_calls_of(response)
    asked = [_message(each) for each in unflatten(attributes, "llm.input_messages")]
    prompt: Any = openai_chat.WIRE.request({"messages": asked})["prompt"]
    if not prompt:
        texts = [
            as_object(each).get("embedding", {})
            for each in unflatten(attributes, "embedding.embeddings")
        ]
        prompt = [t for each in texts if (t := as_text(as_object(each).get("text")))]
        prompt = prompt or request.get("input") or get("input.value") or ""
    if not response and not embeds:
        response = [] if answered else get("output.value") or []
    tools = [
        read_json(as_object(as_object(each).get("tool")).get("json_schema"))
        for each in unflatten(attributes, "llm.tools")
    ]
    kept = {name: value for name, value in params.items() if name not in _NOT_PARAMS}
    first = next((e.timestamp for e in events if e.name == _FIRST_TOKEN), None)
    asked_model = (
        as_text(params.get("model"))
        or as_text(request.get("model"))
        or as_text(given.get(INFERENCE_MODEL))
    )
    answered_model = as_text(get(INFERENCE_MODEL)) or as_text(get("embedding.model_name"))
    return {
        "model": asked_model or answered_model,
        "model_version": answered_model,
        "operation": "embeddings" if embeds else "chat",
        "provider": as_text(get("llm.provider")) or as_text(get("llm.system")),
        "response_id": as_text(answered.get("id")),
        "service_tier": as_text(answered.get("service_tier")),
        "finish_reason": finish,
        "stream": True if params.get("stream") is True else None,
        "time_to_first_token_ms": None if first is None else (first - start) / 1e6,
        "request_params": {**kept, **({"tools": tools} if tools else {})} or None,
        "prompt": prompt,
        "response": response,
        "tool_calls": calls,
        **inference_usage(attributes, answered),
    }


def tool(attributes: Attributes) -> Fields:
    """Read the use of a tool, or a search; fields of `llmobs.events.ToolCallEvent`."""
    get = attributes.get
    found = [
        {
            name.removeprefix("document."): read_json(value)
            for name, value in _spell(as_object(each).get("document"), "document").items()
        }
        for prefix in ("retrieval.documents", "reranker.output_documents")
        for each in unflatten(attributes, prefix)
    ]
    given = read_json(get("input.value"))
    if given is None:
        given = _unless_schema(read_json(get("tool.parameters")))
    return {
        "tool_name": as_text(get("tool.name")),
        "tool_id": as_text(get("tool.id")) or as_text(get("tool_call.id")),
        "input": given,
        "output": found or read_json(get("output.value")),
    }


def step(attributes: Attributes) -> Fields:
    """Read a chain or an agent; fields of `llmobs.events.AgentStepEvent`."""
    get = attributes.get
    return {
        "step_name": as_text(get("agent.name")) or as_text(get("graph.node.id")),
        "input_data": read_json(get("input.value")),
        "output_data": read_json(get("output.value")),
    }


def _spell(value: Any, prefix: str) -> Json:
    return {f"{prefix}.{name}": inner for name, inner in as_object(value).items()}


def _message(value: Any) -> Json:
    """Return a message as OpenAI's wire has it."""
    found = as_object(as_object(value).get("message"))
    calls = [as_object(as_object(each).get("tool_call")) for each in _list(found.get("tool_calls"))]
    content: Any = found.get("content")
    if contents := _list(found.get("contents")):
        said = [_content(as_object(as_object(each).get("message_content"))) for each in contents]
        content = [part for part in said if part is not None]
    role = as_text(found.get("role")) or "assistant"
    return {
        "role": "assistant" if role in ("model", "agent") else role,
        "content": content,
        "name": found.get("name"),
        "tool_call_id": found.get("tool_call_id"),
        "tool_calls": calls,
    }


def _content(part: Json) -> Json | None:
    kind, text = as_text(part.get("type")) or "text", as_text(part.get("text")) or ""
    if kind in ("image", "audio", "video", "document"):
        inside = as_object(as_object(part.get(kind)).get(kind))
        if kind == "document" and as_text(inside.get("content")):
            return {"type": "text", "text": inside["content"]}
        return uri_or_blob(kind, inside.get("url"))
    if kind == "reasoning":
        return {"type": "thinking", "thinking": text}
    if kind == "tool_use":  # among the message's tool calls too
        return None
    return {"type": "text", "text": text}


def _unless_schema(value: Any) -> Any:
    """Return *value*, unless it says what arguments a tool takes instead of which it was given."""
    if type(value) is not dict:
        return value
    if "properties" in value or "$schema" in value or "$defs" in value:
        return None
    described = value and all("type" in as_object(inner) for inner in value.values())
    return None if described else value


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else []
