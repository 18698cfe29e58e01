"""The attributes of a model call's span, by the GenAI conventions."""

from collections.abc import Mapping
from typing import Any

from llmobs import semconv as names
from llmobs.codec import encode
from llmobs.events import PromptCallEvent
from llmobs.jsontext import Json

__all__ = ["call_attributes", "finished"]

_PARAMS = {
    # What providers call it: (what the conventions call it, the type they give it).
    "temperature": (names.REQUEST_TEMPERATURE, float),
    "top_p": (names.REQUEST_TOP_P, float),
    "top_k": (names.REQUEST_TOP_K, float),
    "frequency_penalty": (names.REQUEST_FREQUENCY_PENALTY, float),
    "presence_penalty": (names.REQUEST_PRESENCE_PENALTY, float),
    "max_tokens": (names.REQUEST_MAX_TOKENS, int),
    "max_completion_tokens": (names.REQUEST_MAX_TOKENS, int),
    "max_output_tokens": (names.REQUEST_MAX_TOKENS, int),
    "seed": (names.REQUEST_SEED, int),
}
_OUTPUT_TYPES = {"json_object": "json", "json_schema": "json", "text": "text"}


def call_attributes(event: PromptCallEvent) -> dict[str, Any]:
    """Return the attributes; values of None are to be left out."""
    first = event.time_to_first_token_ms
    finish = event.finish_reason
    if finish is None and event.failed:
        finish = "error"
    given = event.prompt_messages
    made = finished(event.response_messages, finish)
    return {
        names.OPERATION_NAME: event.operation,
        names.PROVIDER_NAME: event.provider,
        names.REQUEST_MODEL: event.model or None,
        names.REQUEST_STREAM: True if event.stream else None,
        names.RESPONSE_MODEL: event.model_version,
        names.RESPONSE_ID: event.response_id,
        names.RESPONSE_FINISH_REASONS: _finish_reasons(event),
        names.RESPONSE_TIME_TO_FIRST_CHUNK: None if first is None else first / 1000,
        names.USAGE_INPUT_TOKENS: event.tokens_input,
        names.USAGE_OUTPUT_TOKENS: event.tokens_output,
        names.USAGE_CACHE_READ: event.tokens_cached,
        names.USAGE_CACHE_CREATION: event.tokens_cache_write,
        names.USAGE_CACHE_WRITE: event.tokens_cache_write,
        names.USAGE_REASONING: event.tokens_reasoning,
        **_usage_by_kind(event.usage or {}),
        names.SERVER_ADDRESS: event.server_address,
        names.HTTP_RESPONSE_STATUS_CODE: event.http_status,
        names.HTTP_REQUEST_RESEND_COUNT: (event.attempt or 1) - 1 or None,
        names.REQUEST_ID: event.request_id,
        names.SERVICE_TIER: event.service_tier,
        names.PROMPT_TEMPLATE_ID: event.prompt_template_id,
        names.COST_USD: event.cost_usd,
        names.COST_SOURCE: event.cost_source,
        names.ERRORS: event.errors or None,
        names.INPUT_MESSAGES: encode(given).decode() if given else None,
        names.OUTPUT_MESSAGES: encode(made).decode() if made else None,
        **_request_attributes(event.request_params or {}),
    }


def finished(answers: list[Json], reason: str | None) -> list[Json]:
    """Return *answers* with why each ended, which the conventions require."""
    return [
        {**each, "finish_reason": each.get("finish_reason") or reason or "stop"} for each in answers
    ]


def _usage_by_kind(usage: Mapping[str, int]) -> dict[str, int]:
    return {
        names.USAGE_BY_KIND.get(kind, names.USAGE_OTHER_PREFIX + kind): count
        for kind, count in usage.items()
    }


def _finish_reasons(event: PromptCallEvent) -> list[str] | None:
    """Return one reason per choice."""
    answers = event.response if isinstance(event.response, list) else []
    reasons = [
        str(reason)
        for answer in answers
        if isinstance(answer, Mapping) and (reason := answer.get("finish_reason"))
    ]
    return reasons or ([event.finish_reason] if event.finish_reason else None)


def _request_attributes(params: Mapping[str, Any]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for key, value in params.items():
        if key in _PARAMS and type(value) in (int, float):
            name, kind = _PARAMS[key]
            attributes[name] = kind(value)
        elif key in ("stop", "stop_sequences") and isinstance(value, str | list):
            stops = [value] if isinstance(value, str) else map(str, value)
            attributes[names.REQUEST_STOP_SEQUENCES] = list(stops)
        elif key == "n" and type(value) is int and value != 1:
            attributes[names.REQUEST_CHOICE_COUNT] = value
        elif key == "response_format" and isinstance(value, Mapping):
            attributes[names.OUTPUT_TYPE] = _OUTPUT_TYPES.get(str(value.get("type")))
        elif key == "tools" and isinstance(value, list):
            attributes[names.TOOL_DEFINITIONS] = _tool_definitions(value)
        else:
            own = value if isinstance(value, str | bool | int | float) else encode(value).decode()
            attributes[names.REQUEST_PREFIX + key] = own
    return attributes


def _tool_definitions(tools: list[Any]) -> str:
    # Names only: the conventions advise against descriptions and parameters by default.
    definitions = []
    for tool in tools:
        if isinstance(tool, Mapping):
            function = tool.get("function")
            inner = function if isinstance(function, Mapping) else tool
            kind = tool.get("type")
            definition = {"type": kind if isinstance(kind, str) else "function"}
            if isinstance(inner.get("name"), str):
                definition["name"] = inner["name"]
            definitions.append(definition)
    return encode(definitions).decode()
