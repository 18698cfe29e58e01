"""
Spans of the OpenTelemetry GenAI conventions: today's, those before v1.37, and OpenLLMetry's.

Anthropic's own spans are of today's, with a few names of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmobs.contrib._spans.flat import read_json, unflatten
from llmobs.contrib._spans.kinds import operation_of
from llmobs.contrib._spans.usage import genai_usage
from llmobs.contrib._wire import openai_chat
from llmobs.contrib._wire.wire import Fields
from llmobs.recorded import semconv
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text
from llmobs.recorded.messages import message, messages_of, parts_of, tool_calls_of

__all__ = ["call", "step", "tool"]

Attributes = Mapping[str, Any]
SpanEvents = Sequence[Any]
"""``name``, ``attributes`` and ``timestamp`` (nanoseconds since the epoch) each."""

_NOT_PARAMS: Final = frozenset({semconv.REQUEST_MODEL, semconv.REQUEST_STREAM})


def call(attributes: Attributes, events: SpanEvents, scope: str) -> Fields:
    """
    Read a call of a model; fields of `llmobs.events.PromptCallEvent`.

    Args:
        scope: The name of the span's instrumentation scope.
    """
    get = attributes.get
    details: dict[str, Any] = {}
    for event in events:
        if event.name == semconv.INFERENCE_DETAILS:
            details.update(event.attributes or {})
    prompt, response = _content({**details, **attributes}, events)
    reasons = get(semconv.RESPONSE_FINISH_REASONS) or get("anthropic.message.stop_reason")
    first = get(semconv.RESPONSE_TIME_TO_FIRST_CHUNK)
    fields: Fields = {
        "model": as_text(get(semconv.REQUEST_MODEL)),
        "model_version": as_text(get(semconv.RESPONSE_MODEL)),
        "operation": operation_of(get(semconv.OPERATION_NAME)),
        "provider": as_text(get(semconv.PROVIDER_NAME)) or as_text(get(semconv.SYSTEM)),
        "session_id": as_text(get(semconv.CONVERSATION_ID)),
        "response_id": as_text(get(semconv.RESPONSE_ID)),
        "request_id": as_text(get("anthropic.request.id")),
        "finish_reason": first_reason(reasons) or _said(response),
        "http_status": get(semconv.HTTP_RESPONSE_STATUS_CODE),
        "server_address": as_text(get(semconv.SERVER_ADDRESS)),
        "service_tier": next(
            (
                tier
                for name in (
                    "openai.response.service_tier",
                    semconv.OPENAI_SERVICE_TIER,
                    "anthropic.response.service_tier",
                )
                if (tier := as_text(get(name)))
            ),
            None,
        ),
        "stream": True if get(semconv.REQUEST_STREAM) else None,
        "time_to_first_token_ms": first * 1000 if isinstance(first, (int, float)) else None,
        "request_params": _params(attributes),
        "prompt": prompt,
        "response": response,
        "tool_calls": tool_calls_of(response),
        **genai_usage(attributes, scope),
    }
    resent = get(semconv.HTTP_REQUEST_RESEND_COUNT)
    if type(resent) is int:
        fields["attempt"] = resent + 1
    return fields


def first_reason(value: Any) -> str | None:
    """Return why the model stopped: a text, a list of them, or either as JSON."""
    if type(value) is str and value[:1] == '"':
        value = value.strip('"')
    found = read_json(value)
    if type(found) in (list, tuple):
        return next((reason for reason in found if as_text(reason)), None)
    return as_text(found)


def tool(attributes: Attributes) -> Fields:
    """Read the use of a tool, or a search; fields of `llmobs.events.ToolCallEvent`."""
    get = attributes.get
    if get(semconv.OPERATION_NAME) == semconv.RETRIEVAL:
        return {
            "tool_name": as_text(get(semconv.DATA_SOURCE_ID)) or "retrieval",
            "input": {"query": get(semconv.RETRIEVAL_QUERY)},
            "output": read_json(get(semconv.RETRIEVAL_DOCUMENTS)),
        }
    return {
        "tool_name": as_text(get(semconv.TOOL_NAME)),
        "tool_id": as_text(get(semconv.TOOL_CALL_ID)),
        # Pydantic AI's names before its third version.
        "input": read_json(get(semconv.TOOL_CALL_ARGUMENTS, get("tool_arguments"))),
        "output": read_json(get(semconv.TOOL_CALL_RESULT, get("tool_response"))),
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
    # Not usage: it is the sum of the calls inside, which are events of their own.
    return {
        "step_name": as_text(get(semconv.AGENT_NAME)) or as_text(get(semconv.WORKFLOW_NAME)),
        "session_id": as_text(get(semconv.CONVERSATION_ID)),
        "input_data": _messages(get(semconv.INPUT_MESSAGES)) or None,
        "output_data": _messages(get(semconv.OUTPUT_MESSAGES)) or None,
        "context": figures or None,
    }


def _params(attributes: Attributes) -> Json | None:
    start = semconv.REQUEST_NAMESPACE
    found = {
        name.removeprefix(start): list(value) if type(value) is tuple else value
        for name, value in attributes.items()
        if name.startswith(start) and name not in _NOT_PARAMS
    }
    if tools := attributes.get(semconv.TOOL_DEFINITIONS):
        found["tools"] = read_json(tools)
    return found or None


# Content.


def _content(attributes: Attributes, events: SpanEvents) -> tuple[list[Json], list[Json]]:
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
    if not asked:
        asked = _plain_messages(read_json(attributes.get(semconv.PROMPT)), "user")
    if not choices:
        found = _plain_messages(read_json(attributes.get(semconv.COMPLETION)), "assistant")
        choices = [{"message": m} for m in found]
    prompt = openai_chat.WIRE.request({"messages": asked})["prompt"]
    return prompt, openai_chat.WIRE.response({"choices": choices})["response"]


def _messages(value: Any) -> list[Json]:
    """Read messages that are GenAI messages already; media are named and not kept."""
    return messages_of(as_list(read_json(value)))


def _openllmetry(found: Json) -> Json:
    calls = [
        {"id": c.get("id"), "function": {"name": c.get("name"), "arguments": c.get("arguments")}}
        for c in map(as_object, as_list(found.get("tool_calls")))
    ]
    return {**found, "content": read_json(found.get("content")), "tool_calls": calls}


def _event_body(body: Json) -> Json:
    known = ("role", "content", "tool_calls", "name")
    told = {name: body[name] for name in known if body.get(name) is not None}
    return {**told, "tool_call_id": body.get("tool_call_id") or body.get("id")}


def _plain_messages(value: Any, role: str) -> list[Json]:
    if type(value) is str and value:
        return [{"role": role, "content": value}]
    if type(value) is dict:
        value = value.get("messages", [value])
    return [{"role": role, **each} for each in as_list(value) if type(each) is dict]


def _said(response: list[Json]) -> str | None:
    return next((r for each in response if (r := as_text(each.get("finish_reason")))), None)
