"""Calls of models as Logfire writes them: ``request_data`` and ``response_data``, beside GenAI names."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from llmobs.contrib._spans.flat import read_json
from llmobs.contrib._spans.kinds import LOGFIRE_KIND, LOGFIRE_REQUEST
from llmobs.contrib._wire.usage import anthropic_usage, openai_usage
from llmobs.contrib._wire.wire import Fields
from llmobs.recorded import semconv
from llmobs.recorded.jsontext import Json, as_object, as_text
from llmobs.recorded.messages import message, messages_of, parts_of, tool_calls_of

__all__ = ["call"]

_CONTENT = frozenset({"model", "stream", "messages", "input", "prompt", "system", "stream_options"})


_LONGEST: Final = 1e7
"""Seconds that a call can take."""


def call(attributes: Mapping[str, Any], start: int, genai: Fields) -> Fields:
    """
    Read a call; fields of `llmobs.events.PromptCallEvent`.

    Args:
        start: When the span began, in nanoseconds since the epoch.
        genai: What the GenAI names among the attributes say.
    """
    request = as_object(read_json(attributes.get(LOGFIRE_REQUEST)))
    answer = as_object(read_json(attributes.get("response_data")))
    prompt = genai.get("prompt") or _asked(request)
    response = genai.get("response") or _answered(answer)
    params = {name: value for name, value in request.items() if name not in _CONTENT}
    embeds = "embed" in str(attributes.get("logfire.msg_template")).lower()
    fields: Fields = {
        **genai,
        "model": genai.get("model") or as_text(request.get("model")),
        "operation": genai.get("operation") or (semconv.EMBEDDINGS if embeds else semconv.CHAT),
        "prompt": prompt,
        "response": [] if embeds else response,
        "tool_calls": tool_calls_of(response) if type(response) is list else None,
        "request_params": {**params, **(genai.get("request_params") or {})} or None,
        "stream": True if request.get("stream") is True else None,
    }
    # The provider's own counts tell more than the convention's.
    reported = read_json(attributes.get(semconv.USAGE_RAW)) or answer.get("usage")
    usage = _usage(as_object(reported))
    fields |= {name: value for name, value in usage.items() if value is not None}
    taken = attributes.get("duration")
    if (
        attributes.get(LOGFIRE_KIND) == "log"
        and isinstance(taken, (int, float))
        and 0 <= taken < _LONGEST
    ):
        fields |= {
            "stream": True,  # it is written when the stream is over
            "timestamp": datetime.fromtimestamp(start / 1e9 - taken, UTC),
            "latency_ms": taken * 1000.0,
        }
    return fields


def _usage(reported: Json) -> Fields:
    if "prompt_tokens" in reported or "input_tokens_details" in reported:
        return openai_usage({"usage": reported})
    return anthropic_usage(reported) if "input_tokens" in reported else {}


def _asked(request: Json) -> Any:
    asked = request.get("messages", request.get("input", request.get("prompt")))
    if type(asked) is not list or not all(type(each) is dict for each in asked):
        return asked
    system = request.get("system")
    before = [message("system", parts_of(system))] if system else []
    return [*before, *messages_of(asked)]


def _answered(answer: Json) -> Any:
    found = answer.get("message")
    if type(found) is dict:
        return messages_of([found], "assistant")
    return (
        as_text(found)
        or as_text(answer.get("combined_chunk_content"))
        or as_text(answer.get("text"))
    )
