"""Spans of Langfuse's SDKs: ``langfuse.observation.*``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from llmobs.contrib._spans.flat import arguments, bare, read_json
from llmobs.contrib._spans.kinds import LANGFUSE_KIND
from llmobs.contrib._wire.usage import anthropic_usage, openai_usage
from llmobs.contrib._wire.wire import Fields
from llmobs.recorded import semconv
from llmobs.recorded.jsontext import Json, as_count, as_list, as_object, as_text
from llmobs.recorded.messages import conversation, messages_of, tool_calls_of

__all__ = ["call", "step", "tool"]

Attributes = Mapping[str, Any]

_OBSERVATION: Final = "langfuse.observation."


def call(attributes: Attributes, start: int) -> Fields:
    """
    Read a generation or an embedding; fields of `llmobs.events.PromptCallEvent`.

    Args:
        start: When the span began, in nanoseconds since the epoch.
    """

    def said(name: str) -> Any:
        return read_json(attributes.get(f"{_OBSERVATION}{name}"))

    embeds = attributes.get(LANGFUSE_KIND) == "embedding"
    given, made = said("input"), said("output")
    asked: Any = as_object(given).get("messages", given)
    params = {k: v for k, v in as_object(said("model.parameters")).items() if v != "Infinity"}
    if tools := as_list(as_object(given).get("tools")):
        params["tools"] = tools
    if embeds:  # of the answer it says how many vectors there are
        made = None
    messages = messages_of(made, "assistant") if conversation(made) else []
    first = _first_token(attributes.get(f"{_OBSERVATION}completion_start_time"), start)
    return {
        "model": as_text(attributes.get(f"{_OBSERVATION}model.name")),
        "operation": semconv.EMBEDDINGS if embeds else semconv.CHAT,
        "prompt": messages_of(asked) if conversation(asked) and not embeds else asked,
        "response": messages or made,
        "tool_calls": tool_calls_of(messages),
        "request_params": params or None,
        "finish_reason": as_text(bare(attributes.get(f"{_OBSERVATION}metadata.finish_reason"))),
        "prompt_template_id": as_text(attributes.get(f"{_OBSERVATION}prompt.name")),
        "stream": True if first is not None else None,
        "time_to_first_token_ms": first,
        **_usage(as_object(said("usage_details"))),
        **_cost(as_object(said("cost_details"))),
    }


def tool(attributes: Attributes) -> Fields:
    """Read the use of a tool, or a search; fields of `llmobs.events.ToolCallEvent`."""
    return {
        "input": arguments(read_json(attributes.get(f"{_OBSERVATION}input"))),
        "output": read_json(attributes.get(f"{_OBSERVATION}output")),
    }


def step(attributes: Attributes) -> Fields:
    """Read any other observation; fields of `llmobs.events.AgentStepEvent`."""
    level = as_text(attributes.get(f"{_OBSERVATION}level"))
    kind = as_text(attributes.get(LANGFUSE_KIND))
    return {
        "input_data": arguments(read_json(attributes.get(f"{_OBSERVATION}input"))),
        "output_data": read_json(attributes.get(f"{_OBSERVATION}output")),
        "context": {
            name: value
            for name, value in (
                ("type", None if kind == "span" else kind),
                ("level", None if level == "DEFAULT" else level),
                ("message", attributes.get(f"{_OBSERVATION}status_message")),
            )
            if value
        },
    }


def _first_token(value: Any, start: int) -> float | None:
    try:
        first = datetime.fromisoformat(str(value).strip('"'))
        return max(0.0, first.timestamp() * 1000 - start / 1e6)
    except ValueError:
        return None


def _usage(reported: Json) -> Fields:
    """
    Bring counts to the inclusive rule.

    The provider's own words may be handed over, which have rules of their own. In Langfuse's, what
    begins with ``input_`` is beside ``input``, and so for the output; unless the total says otherwise.
    """
    if "prompt_tokens" in reported:
        return openai_usage({"usage": reported})
    if "input_tokens" in reported:
        beside = any(name.startswith("cache_") for name in reported)
        return anthropic_usage(reported) if beside else openai_usage({"usage": reported})
    taken, given = as_count(reported.get("input")), as_count(reported.get("output"))
    parts = {name: count for name, value in reported.items() if (count := as_count(value))}
    cached = _first(parts, "input_cached_tokens", "input_cache_read", "cache_read_input_tokens")
    written = _first(
        parts, "input_cache_creation", "input_cache_write", "cache_creation_input_tokens"
    )
    reasoning = _first(parts, "output_reasoning_tokens", "output_reasoning")
    if parts.get("total") != (taken or 0) + (given or 0):
        beside_input = sum(n for name, n in parts.items() if name.startswith(("input_", "cache_")))
        beside_output = sum(n for name, n in parts.items() if name.startswith("output_"))
        taken = taken + beside_input if taken is not None else beside_input or None
        given = given + beside_output if given is not None else beside_output or None
    return {
        "tokens_input": taken,
        "tokens_output": given,
        "tokens_cached": cached,
        "tokens_cache_write": written,
        "tokens_reasoning": reasoning,
    }


def _first(counts: Json, *names: str) -> int | None:
    return next((counts[name] for name in names if name in counts), None)


def _cost(reported: Json) -> Fields:
    """Return the cost that the application told; its own wrappers write zeros where they know none."""
    total = reported.get("total")
    if total is None:
        total = sum(value for value in reported.values() if type(value) in (int, float))
    return {"cost_usd": float(total), "cost_source": "caller"} if _is_amount(total) else {}


def _is_amount(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")
