"""What LangChain tells of a call of a model: before it (the request) and after (the answer)."""

from typing import Any, Final

from llmobs.contrib._langchain.messages import message
from llmobs.contrib._wire.messages import message as genai_message
from llmobs.contrib._wire.messages import text_part, tool_calls_of
from llmobs.contrib._wire.usage import anthropic_usage, openai_usage
from llmobs.contrib._wire.wire import Fields, as_dict, as_list, as_text

__all__ = ["answer", "is_content", "request"]

_PROVIDERS: Final = {
    "amazon_bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "ibm": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "moonshot": "moonshot_ai",
    "xai": "x_ai",
}
"""LangChain's ``ls_provider`` where the GenAI conventions call it otherwise."""

_NOT_PARAMS: Final = frozenset(
    {
        "_type", "model", "model_name", "model_id", "engine", "messages", "stream", "streaming",
        "max_retries", "timeout", "request_timeout", "default_request_timeout", "base_url",
    }
)  # fmt: skip


def request(serialized: Any, metadata: Any, told: dict[str, Any]) -> Fields:
    """
    Read what a model was asked: ``model``, ``provider``, ``request_params``.

    Args:
        serialized: The model, as LangChain describes it.
        metadata: LangChain's ``ls_*`` names among others.
        told: Further arguments of the callback: ``invocation_params``.
    """
    about = as_dict(metadata)
    params = as_dict(told.get("invocation_params"))
    described = as_dict(as_dict(serialized).get("kwargs"))
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
    fields: Fields = {"model": model or as_text(as_dict(serialized).get("name")) or ""}
    if provider:
        fields["provider"] = _PROVIDERS.get(provider, provider)
    if kept:
        fields["request_params"] = kept
    return fields


def is_content(token: Any, chunk: Any) -> bool:
    """Whether a piece of a stream holds a part of the answer; first ones often hold none."""
    if token:
        return True
    said = getattr(chunk, "message", None)
    if said is None:
        return False
    extra = as_dict(getattr(said, "additional_kwargs", None))
    return bool(
        getattr(said, "content", None)
        or getattr(said, "tool_call_chunks", None)
        or extra.get("reasoning_content")
    )


def answer(result: Any) -> Fields:
    """Read an ``LLMResult``; its members by the names of `llmobs.events.PromptCallEvent`."""
    generations = [each for some in as_list(getattr(result, "generations", None)) for each in some]
    output = as_dict(getattr(result, "llm_output", None))
    said = []
    fields: Fields = {}
    usage: Fields = {}
    for generation in generations:
        info = as_dict(getattr(generation, "generation_info", None))
        found = getattr(generation, "message", None)
        about = {**info, **as_dict(getattr(found, "response_metadata", None))}
        reason = _finish(about)
        if found is None:
            text = text_part(str(getattr(generation, "text", "")))
            said.append(genai_message("assistant", [text], finish_reason=reason or ""))
        else:
            said.append(message(found, finish_reason=reason or ""))
        usage = usage or _usage(getattr(found, "usage_metadata", None))
        usage = usage or _raw_usage(about.get("token_usage") or about.get("usage"))
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
    usage = usage or _raw_usage(output.get("token_usage") or output.get("usage"))
    fields["model_version"] = fields.get("model_version") or as_text(output.get("model_name"))
    fields["response_id"] = fields.get("response_id") or as_text(output.get("id"))
    fields["response"] = said
    fields["tool_calls"] = tool_calls_of(said)
    return {name: value for name, value in {**fields, **usage}.items() if value not in (None, [])}


def _finish(about: Fields) -> str | None:
    for key in ("finish_reason", "stop_reason", "done_reason", "status"):
        if reason := as_text(about.get(key)):
            return reason
    return None


def _usage(value: Any) -> Fields:
    """Read ``usage_metadata``: LangChain's own, where the input includes what was cached."""
    usage = as_dict(value)
    if not usage:
        return {}
    inside = as_dict(usage.get("input_token_details"))
    outside = as_dict(usage.get("output_token_details"))
    # langchain-anthropic sets cache_creation to 0 where it knows how long what is kept.
    written = [
        inside.get(name)
        for name in ("cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
    ]
    return {
        "tokens_input": usage.get("input_tokens"),
        "tokens_output": usage.get("output_tokens"),
        "tokens_cached": inside.get("cache_read"),
        "tokens_cache_write": (
            None
            if all(count is None for count in written)
            else sum(count or 0 for count in written)
        ),
        "tokens_reasoning": outside.get("reasoning"),
    }


def _raw_usage(value: Any) -> Fields:
    """Read what a provider told, for models that have no ``usage_metadata``."""
    usage = as_dict(value)
    if "prompt_tokens" not in usage and "cache_read_input_tokens" in usage:
        return anthropic_usage(usage)
    return openai_usage(usage)
