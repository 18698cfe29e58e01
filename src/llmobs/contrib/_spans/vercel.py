"""Spans of the Vercel AI SDK: ``ai.*``, beside the GenAI names of before v1.37."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from llmobs.contrib._spans.flat import bare, listed, read_json
from llmobs.contrib._spans.kinds import VERCEL_OPERATION
from llmobs.contrib._wire.wire import Fields
from llmobs.recorded import semconv
from llmobs.recorded.jsontext import Json, as_count, as_list, as_object, as_text
from llmobs.recorded.messages import message, messages_of, text_part, tool_call, tool_calls_of

__all__ = ["call", "step", "tool"]

Attributes = Mapping[str, Any]

_SETTINGS: Final = "ai.settings."


def call(attributes: Attributes, genai: Fields) -> Fields:
    """
    Read ``doGenerate``, ``doStream`` or ``doEmbed``; fields of `llmobs.events.PromptCallEvent`.

    Args:
        genai: What the GenAI names among the attributes say.
    """
    get = attributes.get
    operation = str(get(VERCEL_OPERATION))
    embeds = operation.endswith(".doEmbed")
    stream = operation.endswith(".doStream")
    response = [] if embeds else _answer(attributes)
    values = listed(get("ai.values")) or ([get("ai.value")] if "ai.value" in attributes else [])
    first = get("ai.response.msToFirstChunk") if stream else None
    usage = {name: value for name, value in _usage(attributes).items() if value is not None}
    provider = as_text(get("ai.model.provider")) or genai.get("provider") or ""
    return {
        **genai,
        "model": as_text(get("ai.model.id")) or genai.get("model"),
        "model_version": as_text(get("ai.response.model")) or genai.get("model_version"),
        "operation": semconv.EMBEDDINGS if embeds else semconv.CHAT,
        # ``openai.chat``, ``google.generative-ai``: the provider, and which of its interfaces.
        "provider": provider.partition(".")[0],
        "response_id": as_text(get("ai.response.id")) or genai.get("response_id"),
        "finish_reason": as_text(get("ai.response.finishReason")) or genai.get("finish_reason"),
        "stream": stream or None,
        "time_to_first_token_ms": float(first) if isinstance(first, (int, float)) else None,
        "prompt": [bare(each) for each in values]
        if embeds
        else [_message(each) for each in as_list(read_json(get("ai.prompt.messages")))],
        "response": response,
        "tool_calls": tool_calls_of(response),
        "request_params": _params(attributes, genai),
        **usage,
    }


def tool(attributes: Attributes) -> Fields:
    """Read ``ai.toolCall`` or ``ai.rerank.doRerank``; fields of `llmobs.events.ToolCallEvent`."""
    get = attributes.get
    if "ai.toolCall.name" not in attributes:
        return {
            "tool_name": "rerank",
            "input": [bare(each) for each in listed(get("ai.documents"))],
            "output": [bare(each) for each in listed(get("ai.ranking"))],
        }
    return {
        "tool_name": as_text(get("ai.toolCall.name")),
        "tool_id": as_text(get("ai.toolCall.id")),
        "input": read_json(get("ai.toolCall.args")),
        "output": bare(get("ai.toolCall.result")),
    }


def step(attributes: Attributes) -> Fields:
    """Read what surrounds the calls, ``ai.generateText`` and the like; without its sums of usage."""
    get = attributes.get
    made = _answer(attributes)
    operation = as_text(get(VERCEL_OPERATION)) or ""
    return {
        "step_name": as_text(get("ai.telemetry.functionId")) or operation.removeprefix("ai."),
        "input_data": read_json(get("ai.prompt")),
        "output_data": as_text(get("ai.response.text")) or made,
        "context": {"operation": operation.removeprefix("ai.")} if operation else None,
    }


def _params(attributes: Attributes, genai: Fields) -> Json | None:
    settings = {
        name.removeprefix(_SETTINGS): value
        for name, value in attributes.items()
        if name.startswith(_SETTINGS) and name != f"{_SETTINGS}maxRetries"
    }
    found = settings | (genai.get("request_params") or {})
    if tools := listed(attributes.get("ai.prompt.tools")):
        found["tools"] = [read_json(each) for each in tools]
        found["tool_choice"] = read_json(attributes.get("ai.prompt.toolChoice"))
    return {name: value for name, value in found.items() if value is not None} or None


def _usage(attributes: Attributes) -> Fields:
    def read(*names: str) -> int | None:
        return next(
            (
                n
                for name in names
                if (n := as_count(attributes.get(f"ai.usage.{name}"))) is not None
            ),
            None,
        )

    return {
        "tokens_input": read("inputTokens", "promptTokens", "tokens"),
        "tokens_output": read("outputTokens", "completionTokens"),
        "tokens_cached": read("inputTokenDetails.cacheReadTokens", "cachedInputTokens"),
        "tokens_cache_write": read("inputTokenDetails.cacheWriteTokens"),
        "tokens_reasoning": read("outputTokenDetails.reasoningTokens", "reasoningTokens"),
    }


# Content.


def _answer(attributes: Attributes) -> list[Json]:
    get = attributes.get
    parts: list[Json] = []
    if thought := as_text(get("ai.response.reasoning")):
        parts.append(text_part(thought, "reasoning"))
    if said := as_text(get("ai.response.text")) or as_text(get("ai.response.object")):
        parts.append(text_part(said))
    for each in map(as_object, as_list(read_json(get("ai.response.toolCalls")))):
        given = each.get("input", each.get("args"))
        parts.append(tool_call(each.get("toolCallId"), each.get("toolName"), given))
    finish = as_text(get("ai.response.finishReason"))
    return [message("assistant", parts, finish_reason=finish)] if parts else []


def _message(value: Any) -> Json:
    found = as_object(value)
    role = as_text(found.get("role")) or "user"
    content = found.get("content")
    if type(content) is str:
        return message(role, [text_part(content)])
    parts = [part for each in as_list(content) for part in _part(as_object(each))]
    return message(role, parts)


def _part(part: Json) -> Iterator[Json]:
    kind = part.get("type")
    if kind == "tool-call":
        given = part.get("input", part.get("args"))
        yield tool_call(part.get("toolCallId"), part.get("toolName"), given)
    elif kind == "tool-result":
        made = part.get("output", part.get("result"))
        if type(made) is dict and made.keys() >= {"type", "value"}:
            made = made["value"]
        yield {"type": "tool_call_response", "id": part.get("toolCallId"), "response": made}
    else:
        for each in messages_of([{"role": "user", "content": [_as_known(part)]}]):
            yield from each["parts"]


def _as_known(part: Json) -> Json:
    """Return a part of a message in words that `messages_of` reads."""
    kind = as_text(part.get("type")) or "text"
    if kind not in ("image", "file"):
        return part
    media = as_text(part.get("mediaType")) or as_text(part.get("mimeType")) or ""
    data = as_text(part.get("image")) or as_text(part.get("data")) or ""
    if not data.startswith(("http://", "https://", "data:")):
        data = f"data:{media or 'application/octet-stream'};base64,{data}"
    if kind == "image" or media.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": data}}
    return {"type": "input_file", "file_url": data}
