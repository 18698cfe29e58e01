"""
Spans of the OpenTelemetry GenAI conventions: today's, those before v1.37, and OpenLLMetry's.

Anthropic's own spans are of today's, with a few names of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmobs.contrib._spans.flat import arguments, bare, read_json, unflatten
from llmobs.contrib._spans.kinds import (
    LANGSMITH_KIND,
    OPENLIT_ARGUMENTS,
    TRACELOOP_KIND,
    operation_of,
)
from llmobs.contrib._spans.usage import genai_usage
from llmobs.contrib._wire import openai_chat
from llmobs.contrib._wire.wire import Fields
from llmobs.recorded import semconv
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text, json_or_text
from llmobs.recorded.messages import message, messages_of, parts_of, tool_calls_of

__all__ = ["call", "step", "tool"]

Attributes = Mapping[str, Any]
SpanEvents = Sequence[Any]
"""``name``, ``attributes`` and ``timestamp`` (nanoseconds since the epoch) each."""

_STREAM: Final = (
    semconv.REQUEST_STREAM,
    semconv.IS_STREAMING,
    "llm.is_streaming",  # OpenLLMetry's before
    "langsmith.request.streaming",
)
_FIRST_TOKEN: Final = (semconv.RESPONSE_TIME_TO_FIRST_CHUNK, *semconv.TIME_TO_FIRST_CHUNK)
"""Seconds."""
_SERVICE_TIER: Final = (
    "openai.response.service_tier",
    semconv.OPENAI_SERVICE_TIER,
    "anthropic.response.service_tier",
    semconv.RESPONSE_SERVICE_TIER,
)
_NOT_PARAMS: Final = frozenset({semconv.REQUEST_MODEL, *_STREAM})
_NOT_LANGSMITH_PARAMS: Final = frozenset({"model", "messages", "input", "prompt", "stream"})


def call(attributes: Attributes, events: SpanEvents, start: int, scope: str) -> Fields:
    """
    Read a call of a model; fields of `llmobs.events.PromptCallEvent`.

    Args:
        start: When the span began, in nanoseconds since the epoch.
        scope: The name of the span's instrumentation scope.
    """
    get = attributes.get
    details: dict[str, Any] = {}
    for event in events:
        if event.name == semconv.INFERENCE_DETAILS:
            details.update(event.attributes or {})
    prompt, response = _content({**details, **attributes} if details else attributes, events)
    reasons = get(semconv.RESPONSE_FINISH_REASONS) or get("anthropic.message.stop_reason")
    streams = [attributes[name] for name in _STREAM if name in attributes]
    first = _first_token(attributes, events, start, streams)
    provider = as_text(get(semconv.PROVIDER_NAME)) or as_text(get(semconv.SYSTEM))
    if LANGSMITH_KIND in attributes:  # its own word may be "langchain"
        provider = as_text(get("langsmith.metadata.ls_provider")) or provider
    asked = _langsmith(get(semconv.PROMPT)) if LANGSMITH_KIND in attributes else {}
    fields: Fields = {
        "model": as_text(get(semconv.REQUEST_MODEL)),
        "model_version": as_text(get(semconv.RESPONSE_MODEL)),
        "operation": operation_of(get(semconv.OPERATION_NAME)),
        "provider": provider,
        "response_id": as_text(get(semconv.RESPONSE_ID)),
        "request_id": as_text(get("anthropic.request.id")),
        "finish_reason": first_reason(reasons) or _said(response),
        "http_status": get(semconv.HTTP_RESPONSE_STATUS_CODE),
        "server_address": as_text(get(semconv.SERVER_ADDRESS)),
        "service_tier": _first_text(attributes, _SERVICE_TIER),
        "stream": True if first is not None or any(v is True for v in streams) else None,
        "time_to_first_token_ms": first,
        "request_params": _params(attributes, asked),
        "prompt": prompt,
        "response": response,
        "tool_calls": tool_calls_of(response),
        **genai_usage(attributes, scope),
    }
    resent = get(semconv.HTTP_REQUEST_RESEND_COUNT)
    if type(resent) is int:
        fields["attempt"] = resent + 1
    return fields


def _first_text(attributes: Attributes, names: Sequence[str]) -> str | None:
    for name in names:  # mostly not there
        if name in attributes and (text := as_text(attributes[name])):
            return text
    return None


def first_reason(value: Any) -> str | None:
    """Return why the model stopped: a text, a list of them, or either as JSON."""
    if type(value) is str and value[:1] == '"':
        value = value.strip('"')
    found = read_json(value)
    if type(found) in (list, tuple):
        return next((reason for reason in found if as_text(reason)), None)
    return as_text(found)


def _first_token(
    attributes: Attributes, events: SpanEvents, start: int, streams: Sequence[Any]
) -> float | None:
    if any(value is False for value in streams):
        return None  # OpenLIT tells of the first token also where it is the last
    for name in _FIRST_TOKEN:
        if isinstance(first := attributes.get(name), (int, float)):
            return first * 1000
    chunk = next((e.timestamp for e in events if e.name == semconv.CONTENT_CHUNK), None)
    return None if chunk is None else max(0, chunk - start) / 1e6


def tool(attributes: Attributes) -> Fields:
    """Read the use of a tool, or a search; fields of `llmobs.events.ToolCallEvent`."""
    get = attributes.get
    if get(semconv.OPERATION_NAME) == semconv.RETRIEVAL:
        return {
            "tool_name": as_text(get(semconv.DATA_SOURCE_ID)) or "retrieval",
            "input": {"query": get(semconv.RETRIEVAL_QUERY)},
            "output": read_json(get(semconv.RETRIEVAL_DOCUMENTS)),
        }
    given, made = _beside(attributes)
    return {
        "tool_name": as_text(get(semconv.TOOL_NAME)) or as_text(get("traceloop.entity.name")),
        "tool_id": as_text(get(semconv.TOOL_CALL_ID)),
        # Pydantic AI's names before its third version.
        "input": read_json(get(semconv.TOOL_CALL_ARGUMENTS, get("tool_arguments", given))),
        "output": read_json(get(semconv.TOOL_CALL_RESULT, get("tool_response", made))),
    }


def step(attributes: Attributes) -> Fields:
    """Read what an agent did; fields of `llmobs.events.AgentStepEvent`."""
    get = attributes.get
    figures = {
        name: get(key)
        for name, key in (
            ("operation", semconv.OPERATION_NAME),
            ("provider", semconv.PROVIDER_NAME),
            ("model", semconv.REQUEST_MODEL),
        )
        if get(key)
    }
    given, made = _beside(attributes)
    # Not usage: it is the sum of the calls inside, which are events of their own.
    return {
        "step_name": next((name for key in _STEP_NAMES if (name := as_text(get(key)))), None),
        "input_data": _messages(get(semconv.INPUT_MESSAGES)) or given,
        "output_data": _messages(get(semconv.OUTPUT_MESSAGES)) or made,
        "context": figures or None,
    }


_STEP_NAMES: Final = (
    semconv.AGENT_NAME,
    semconv.WORKFLOW_NAME,
    "traceloop.entity.name",
    "agent_name",  # Pydantic AI's in its first version
)
_ALL_MESSAGES: Final = ("pydantic_ai.all_messages", "all_messages_json", "all_messages_events")


def _beside(attributes: Attributes) -> tuple[Any, Any]:
    """Return what went into a step or a tool and came of it, in words that no convention has."""
    get = attributes.get
    if TRACELOOP_KIND in attributes:
        given = read_json(get("traceloop.entity.input"))
        if type(given) is dict and "args" in given:
            given = arguments({"args": given["args"], "kwargs": given.get("kwargs", {})})
        return given, bare(get("traceloop.entity.output"))
    if LANGSMITH_KIND in attributes:
        made = read_json(get(semconv.COMPLETION))
        only = type(made) is dict and made.keys() == {"output"}
        return read_json(get(semconv.PROMPT)), made["output"] if only else made
    if OPENLIT_ARGUMENTS in attributes:
        # As Python writes them, and left so: to parse what anybody sends as Python is slow.
        given = {"args": get(OPENLIT_ARGUMENTS), "kwargs": get("function.kwargs")}
        given = {name: value for name, value in given.items() if value not in ("()", "{}")}
        return given, bare(get(semconv.OUTPUT_MESSAGES))
    messages = next((found for name in _ALL_MESSAGES if (found := _messages(get(name)))), [])
    # Pydantic AI lists all that was said; what came of it stands apart.
    before = next(
        (i for i, each in enumerate(messages) if each.get("role") == "assistant"), len(messages)
    )
    return messages[:before] or None, bare(get("final_result"))


def _langsmith(value: Any) -> Json:
    """Return the rest of a request: LangSmith keeps it whole, with its messages."""
    asked = as_object(read_json(value))
    return {name: inner for name, inner in asked.items() if name not in _NOT_LANGSMITH_PARAMS}


def _params(attributes: Attributes, asked: Json) -> Json | None:
    start = semconv.REQUEST_NAMESPACE
    found = asked | {
        name.removeprefix(start): list(value) if type(value) is tuple else value
        for name, value in attributes.items()
        if name.startswith(start) and name not in _NOT_PARAMS and value != ""
    }
    if tools := attributes.get(semconv.TOOL_DEFINITIONS):
        found["tools"] = read_json(tools)
    return found or None


# Content.


def _content(attributes: Attributes, events: SpanEvents) -> tuple[Any, list[Json]]:
    prompt = _messages(attributes.get(semconv.INPUT_MESSAGES))
    response = _messages(attributes.get(semconv.OUTPUT_MESSAGES))
    if system := as_list(read_json(attributes.get(semconv.SYSTEM_INSTRUCTIONS))):
        prompt.insert(0, message("system", parts_of(system)))
    if prompt or response:
        return prompt, response
    asked = [_openllmetry(as_object(m)) for m in unflatten(attributes, semconv.PROMPT)]
    said = [_openllmetry(as_object(m)) for m in unflatten(attributes, semconv.COMPLETION)]
    choices = [{"message": m, "finish_reason": m.get("finish_reason")} for m in said]
    for event in events:
        body = {name: read_json(value) for name, value in (event.attributes or {}).items()}
        body |= as_object(body.get(semconv.EVENT_CONTENT))
        if role := semconv.MESSAGE_EVENTS.get(event.name):
            asked.append({"role": role, **_event_body(body)})
        elif event.name == semconv.CHOICE:
            inside = as_object(body.get("message")) or _event_body(body)
            choices.append({"message": inside, "finish_reason": body.get("finish_reason")})
        elif event.name == semconv.CONTENT_PROMPT:
            asked += _plain_messages(body.get(semconv.PROMPT), "user")
        elif event.name == semconv.CONTENT_COMPLETION:
            found = _plain_messages(body.get(semconv.COMPLETION), "assistant")
            choices += [{"message": m, "finish_reason": m.get("finish_reason")} for m in found]
    given = read_json(attributes.get(semconv.PROMPT))
    made = read_json(attributes.get(semconv.COMPLETION))
    if not asked:
        asked = _plain_messages(given, "user")
    if not choices:
        choices = as_list(as_object(made).get("choices"))
    if not choices and as_object(made) != {"output": None}:
        choices = [{"message": m} for m in _plain_messages(made, "assistant")]
    prompt = openai_chat.WIRE.request({"messages": asked})["prompt"]
    if not prompt:  # what embeddings are of
        prompt = read_json(attributes.get("inputs"))
    return prompt, openai_chat.WIRE.response({"choices": choices})["response"]


def _messages(value: Any) -> list[Json]:
    """Read messages that are GenAI messages already; media are named and not kept."""
    found = messages_of(as_list(read_json(value)))
    for part in (part for each in found for part in each["parts"]):
        if type(part) is dict and part.get("type") == "tool_call":
            part["arguments"] = json_or_text(part.get("arguments"))
    return found


def _openllmetry(found: Json) -> Json:
    calls = [
        {"id": c.get("id"), "function": {"name": c.get("name"), "arguments": c.get("arguments")}}
        for c in map(as_object, as_list(found.get("tool_calls")))
    ]
    return {**found, "content": read_json(found.get("content")), "tool_calls": calls}


def _event_body(body: Json) -> Json:
    known = ("role", "content", "tool_calls", "name")
    message = {name: body[name] for name in known if body.get(name) is not None}
    return {**message, "tool_call_id": body.get("tool_call_id") or body.get("id")}


def _plain_messages(value: Any, role: str) -> list[Json]:
    if type(value) is str and value:
        return [{"role": role, "content": value}]
    if type(value) is dict:
        value = value.get("messages", [value])
    return [{"role": role, **each} for each in as_list(value) if type(each) is dict]


def _said(response: list[Json]) -> str | None:
    return next((r for each in response if (r := as_text(each.get("finish_reason")))), None)
