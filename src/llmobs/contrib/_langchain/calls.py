"""What LangChain tells of a call of a model: before it (the request) and after (the answer)."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from llmobs.contrib._langchain.messages import message
from llmobs.contrib._wire.usage import anthropic_usage, openai_usage
from llmobs.contrib._wire.wire import Fields
from llmobs.recorded.jsontext import as_count, as_list, as_object, as_text
from llmobs.recorded.messages import message as genai_message
from llmobs.recorded.messages import text_part, tool_calls_of
from llmobs.recorded.providers import provider_name

__all__ = ["answer", "is_content", "request"]

CACHE: Final = "cache"
"""``cost_source`` of an answer that came from the application's own cache."""

_NOT_PARAMS: Final = frozenset(
    {
        "_type", "model", "model_name", "model_id", "engine", "messages", "stream", "streaming",
        "max_retries", "timeout", "request_timeout", "default_request_timeout", "base_url",
    }
)  # fmt: skip


def request(serialized: Any, kwargs: Mapping[str, Any]) -> Fields:
    """
    Read what a model was asked: ``model``, ``provider``, ``request_params``.

    Args:
        serialized: The model, as LangChain describes it.
        kwargs: Further arguments of the callback: ``invocation_params``, ``metadata`` with LangChain's ``ls_*`` names.
    """
    about = as_object(kwargs.get("metadata"))
    params = as_object(kwargs.get("invocation_params"))
    described = as_object(as_object(serialized).get("kwargs"))
    model = ""
    for source in (params, {"model": about.get("ls_model_name")}, described):
        for key in ("model", "model_name", "model_id", "azure_deployment", "engine"):
            model = model or as_text(source.get(key)) or ""
    provider = as_text(about.get("ls_provider"))
    kept = {
        key: value
        for key, value in params.items()
        if key not in _NOT_PARAMS and value is not None and "key" not in key.lower()
    }
    fields: Fields = {"model": model or as_text(as_object(serialized).get("name")) or ""}
    if provider:
        fields["provider"] = provider_name(provider)
    if host := _host(described) or _host(params):
        fields["server_address"] = host
    if kept:
        fields["request_params"] = kept
    return fields


def _host(described: Fields) -> str | None:
    """Return where the model is asked, if it is not at its provider's own address."""
    for key in ("openai_api_base", "anthropic_api_url", "azure_endpoint", "base_url"):
        if url := as_text(described.get(key)):
            with suppress(ValueError):
                return urlsplit(url).hostname
    return None


def is_content(token: Any, chunk: Any) -> bool:
    """Whether a piece of a stream holds a part of the answer; first ones often hold none."""
    if token:
        return True
    said = getattr(chunk, "message", None)
    if said is None:
        return False
    extra = as_object(getattr(said, "additional_kwargs", None))
    return bool(
        getattr(said, "content", None)
        or getattr(said, "tool_call_chunks", None)
        or extra.get("reasoning_content")
    )


def answer(result: Any) -> Fields:
    """Read an ``LLMResult``; its members by the names of `llmobs.events.PromptCallEvent`."""
    generations = [each for some in as_list(getattr(result, "generations", None)) for each in some]
    output = as_object(getattr(result, "llm_output", None))
    said = []
    fields: Fields = {}
    usage: Fields = {}
    cached: Fields = {}
    for generation in generations:
        info = as_object(getattr(generation, "generation_info", None))
        found = getattr(generation, "message", None)
        about = {**info, **as_object(getattr(found, "response_metadata", None))}
        reason = _finish(about)
        if found is None:
            text = text_part(str(getattr(generation, "text", "")))
            said.append(genai_message("assistant", [text], finish_reason=reason or ""))
        else:
            said.append(message(found, finish_reason=reason or ""))
        reported = _raw_usage(about.get("token_usage") or about.get("usage"), about)
        counted = getattr(found, "usage_metadata", None)
        usage = usage or _merged(_usage(counted), reported)
        if as_object(counted).get("total_cost") == 0:
            # How LangChain marks what came from its cache (`BaseChatModel._convert_cached_generations`).
            cached = {"cost_usd": 0.0, "cost_source": CACHE}
        # LangChain numbers what has no id of the provider's with one of its own.
        own = as_text(getattr(found, "id", None)) or ""
        fields = {
            "finish_reason": reason,
            "model_version": as_text(about.get("model_name")) or as_text(about.get("model")),
            "response_id": as_text(about.get("id"))
            or (None if own.startswith(("run-", "lc_")) else own or None),
            "service_tier": as_text(about.get("service_tier")),
            **{name: value for name, value in fields.items() if value is not None},
        }
    reported = _raw_usage(output.get("token_usage") or output.get("usage"), output)
    usage = _merged(usage, reported)
    fields["model_version"] = fields.get("model_version") or as_text(output.get("model_name"))
    fields["response_id"] = fields.get("response_id") or as_text(output.get("id"))
    fields["response"] = said
    fields["tool_calls"] = tool_calls_of(said)
    found = {**fields, **usage, **cached}
    return {name: value for name, value in found.items() if value not in (None, [])}


def _finish(about: Fields) -> str | None:
    for key in ("finish_reason", "stop_reason", "done_reason", "status"):
        if reason := as_text(about.get(key)):
            return reason
    return None


def _usage(value: Any) -> Fields:
    """Read ``usage_metadata``: LangChain's own, where the input includes what was cached."""
    usage = as_object(value)
    if not usage:
        return {}
    inside = as_object(usage.get("input_token_details"))
    outside = as_object(usage.get("output_token_details"))
    taken = as_count(usage.get("input_tokens"))
    cached = as_count(inside.get("cache_read"))
    # langchain-anthropic sets cache_creation to 0 where it knows how long what is kept.
    written = [
        as_count(inside.get(name))
        for name in ("cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
    ]
    all_written = None if written == [None] * 3 else sum(each or 0 for each in written)
    if taken is not None and (cached or 0) + (all_written or 0) > taken:
        taken += (cached or 0) + (all_written or 0)  # an integration that counts as Anthropic does
    more = {
        "cache_write_5m_tokens": written[1],
        "cache_write_1h_tokens": written[2],
        **{
            f"{direction}_{kind}_tokens": as_count(details.get(kind))
            for direction, details in (("input", inside), ("output", outside))
            for kind in ("text", "audio", "image", "video")
        },
    }
    return {
        "tokens_input": taken,
        "tokens_output": as_count(usage.get("output_tokens")),
        "tokens_cached": cached,
        "tokens_cache_write": all_written,
        "tokens_reasoning": as_count(outside.get("reasoning")),
        "usage": {name: found for name, found in more.items() if found} or None,
    }


def _raw_usage(value: Any, about: Fields) -> Fields:
    """Read what a provider told."""
    usage = as_object(value)
    if "prompt_tokens" not in usage and "cache_read_input_tokens" in usage:
        return anthropic_usage(usage)
    model = about.get("model_name") or about.get("model")
    return openai_usage({"usage": usage, "model": model})


def _merged(usage: Fields, reported: Fields) -> Fields:
    """
    Return *usage*, LangChain's figures, and of the provider's own what it leaves out.

    Not the other way round: of a stream LangChain adds up what every chunk told.
    """
    if not usage:
        return reported
    more = {**(reported.get("usage") or {}), **(usage.get("usage") or {})}
    cost: Fields = {
        name: reported[name] for name in ("cost_usd", "cost_source") if name in reported
    }
    return {**cost, **usage, "usage": more or None}
