"""
Events as OpenTelemetry sees them: spans for what takes time, log events for what happens.

Free of protobuf. Names follow the GenAI conventions (`llmobs.recorded.semconv`); content is written if it
is there: whether it is, ``capture_content`` and redaction decided before.
"""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from msgspec import Struct

from llmobs.codec import encode
from llmobs.events import (
    AgentStepEvent,
    AssertionFailedEvent,
    ErrorEvent,
    ErrorInfo,
    EvaluationEvent,
    Event,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    RunEvent,
    Severity,
    ToolCallEvent,
)
from llmobs.recorded import semconv as names
from llmobs.recorded.jsontext import Json
from llmobs.recorded.messages import conversation, message, messages_of, text_part

__all__ = ["Record", "SpanIds", "is_log", "span_id_of", "span_ids", "to_record"]

INTERNAL: Final = 1
SERVER: Final = 2
CLIENT: Final = 3

INFO: Final = 9
WARN: Final = 13
ERROR: Final = 17

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# Ids: always the same for the same event. Redelivery repeats spans instead of doubling them, and
# children name their parent's span before it is exported: calls leave before their run ends.


class SpanIds(NamedTuple):
    """Where a span stands. Empty parent: it is a root."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    is_remote: bool
    """Whether the parent is a span of another tracer: the caller's, or the application's own."""


def span_ids(event: Event) -> SpanIds:
    """
    Return the ids of an event's span.

    The trace is the event's ``trace_id``; without one, the run's id if that is a UUID (the same 32
    digits), else a digest of it. The parent is the step or call it happened inside; else its
    run's span, which is that of a moment wherever it was recorded; for the run itself, and for calls,
    tools and steps outside any run, the ``span_id`` they carry, which is the caller's. The attempts of one
    task share their run: the first one's span is the run's, later ones are children of it.
    """
    trace_id = _hexadecimal(event.trace_id, 16)
    remote = _hexadecimal(event.span_id, 8) if trace_id else b""
    trace_id = trace_id or _trace_of_run(event.run_id)
    if isinstance(event, RunEvent):
        span_id = _run_span(event.run_id)
        if _is_later_attempt(event):
            return SpanIds(trace_id, span_id_of(event.event_id), span_id, False)
        return SpanIds(trace_id, span_id, remote, bool(remote))
    span_id = span_id_of(event.event_id)
    if event.parent_id is not None:
        return SpanIds(trace_id, span_id, span_id_of(event.parent_id), False)
    if event.standalone and (remote or not is_log(event)):
        return SpanIds(trace_id, span_id, remote, bool(remote))
    return SpanIds(trace_id, span_id, _run_span(event.run_id), False)


def span_id_of(event_id: str) -> bytes:
    """Return the span id of an event, other than a run's, by its event id."""
    return blake2b(event_id.encode("utf-8", "replace"), digest_size=8, person=b"event").digest()


def _run_span(run_id: str) -> bytes:
    # By the run's id, not by the id of its event: that does not exist yet when its children leave.
    return blake2b(run_id.encode("utf-8", "replace"), digest_size=8, person=b"run").digest()


def _is_later_attempt(event: RunEvent) -> bool:
    known = event.metadata or {}
    attempt = known.get("attempt")
    return "task_id" in known and isinstance(attempt, int) and attempt > 1


def _trace_of_run(run_id: str) -> bytes:
    try:
        trace_id = uuid.UUID(run_id).bytes
    except ValueError:
        trace_id = b""
    if any(trace_id):
        return trace_id
    return blake2b(run_id.encode("utf-8", "replace"), digest_size=16, person=b"trace").digest()


def _hexadecimal(text: str | None, size: int) -> bytes:
    """Return the bytes of a valid W3C id, else none: a wrong one costs its link, not the event."""
    if text is None or len(text) != 2 * size:
        return b""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        return b""
    return value if len(value) == size and any(value) else b""


# Records.


class Record(Struct):
    """A span, or a log event; values of None are left out."""

    name: str
    ids: SpanIds
    start: int
    """Nanoseconds since 1970."""
    end: int
    attributes: dict[str, Any]
    kind: int = INTERNAL
    failed: bool = False
    error: ErrorInfo | None = None
    severity: int = 0
    """Of log events; 0 for spans."""
    body: str = ""
    """Of log events."""


def is_log(event: Event) -> bool:
    """Whether *event* is a moment rather than a span of time."""
    return type(event) in _MOMENTS


def to_record(event: Event) -> Record:
    """Return *event* as a span or log event."""
    start = _nanoseconds(event.timestamp)
    latency = getattr(event, "latency_ms", None) or 0
    record = Record(
        name="",
        ids=span_ids(event),
        start=start,
        end=start + round(latency * 1_000_000),
        attributes=_common(event),
        failed=event.failed,
        error=getattr(event, "error", None),
    )
    if record.error is not None:
        record.attributes[names.ERROR_CODE] = record.error.code
        _flatten(record.attributes, names.ERROR_CONTEXT_PREFIX, record.error.context)
    if event.failed and not is_log(event):
        kind = record.error and (record.error.type or record.error.code)
        record.attributes[names.ERROR_TYPE] = kind or str(getattr(event, "status", "error"))
    _FILLERS[type(event)](event, record)
    return record


def _nanoseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    past = moment - _EPOCH
    microseconds = (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds
    return max(0, microseconds * 1000)


def _common(event: Event) -> dict[str, Any]:
    status = getattr(event, "status", None)
    attributes: dict[str, Any] = {
        names.EVENT_ID: event.event_id,
        names.RUN_ID: event.run_id,
        names.CONVERSATION_ID: event.session_id,
        names.SESSION_ID: event.session_id,
        names.USER_ID: event.user_id,
        names.STATUS: None if status is None else str(status),
        names.TAGS: event.tags or None,
        names.WARNINGS: event.warnings or None,
        names.WEIGHT: None if event.weight == 1 else event.weight,
    }
    _flatten(attributes, names.METADATA_PREFIX, event.metadata)
    return attributes


def _flatten(attributes: dict[str, Any], prefix: str, values: Mapping[str, Any] | None) -> None:
    for key, value in (values or {}).items():
        attributes[prefix + key] = _json(value) if isinstance(value, dict | list) else value


def _json(value: Any) -> str | None:
    """Return a value as text: spans carry structured content as JSON."""
    if value is None or isinstance(value, str):
        return value
    return encode(value).decode()


def _prompt_call(event: PromptCallEvent, record: Record) -> None:
    record.name = f"{event.operation} {event.model}".rstrip()
    record.kind = CLIENT
    record.attributes |= _call_attributes(event)
    _flatten(record.attributes, names.RESPONSE_METADATA_PREFIX, event.response_metadata)


def _tool_call(event: ToolCallEvent, record: Record) -> None:
    record.name = f"{names.EXECUTE_TOOL} {event.tool_name}".rstrip()
    record.attributes |= {
        names.OPERATION_NAME: names.EXECUTE_TOOL,
        names.TOOL_NAME: event.tool_name,
        names.TOOL_CALL_ID: event.tool_id,
        names.TOOL_CALL_ARGUMENTS: _json(event.input),
        names.TOOL_CALL_RESULT: _json(event.output),
    }


def _agent_step(event: AgentStepEvent, record: Record) -> None:
    record.name = f"{names.INVOKE_AGENT} {event.step_name}".rstrip()
    given = _messages(event.given, "user")
    made = _messages(event.made, "assistant")
    if event.reasoning:
        made = made or [message("assistant", [])]
        made[0]["parts"] = [text_part(event.reasoning, "reasoning"), *made[0]["parts"]]
    record.attributes |= {
        names.OPERATION_NAME: names.INVOKE_AGENT,
        names.AGENT_NAME: event.step_name,
        names.STEP_NUMBER: event.step_number,
        names.STEP_TYPE: str(event.step_type),
        names.INPUT_MESSAGES: _json(given or None),
        names.OUTPUT_MESSAGES: _json(_finished(made, None) or None),
    }
    _flatten(record.attributes, names.CONTEXT_PREFIX, event.context)


def _messages(value: Any, role: str) -> list[Json]:
    return messages_of(value if conversation(value) else _json(value), role, whole=True)


def _run(event: RunEvent, record: Record) -> None:
    record.name = event.name or "run"
    record.kind = SERVER if event.kind in ("http", "websocket") else INTERNAL
    record.attributes |= {
        names.RUN_KIND: event.kind,
        names.RUN_CLIENT_ID: event.client_run_id,
        names.RUN_PARENT_ID: event.parent_run_id,
        names.HTTP_REQUEST_METHOD: event.method,
        names.HTTP_ROUTE: event.route,
        names.HTTP_RESPONSE_STATUS_CODE: event.http_status,
        names.RUN_EVENTS: event.events,
        names.RUN_ERRORS: event.errors,
        names.RUN_TOKENS_INPUT: event.tokens_input,
        names.RUN_TOKENS_OUTPUT: event.tokens_output,
        names.RUN_COST_USD: event.cost_usd,
    }


def _error(event: ErrorEvent, record: Record) -> None:
    record.name = names.EXCEPTION
    record.severity = ERROR
    record.body = event.error.message
    record.attributes |= {
        names.ERROR_TYPE: event.error.type or event.error.code or "error",
        names.EXCEPTION_TYPE: event.error.type,
        names.EXCEPTION_MESSAGE: event.error.message,
        names.EXCEPTION_STACKTRACE: event.error.stack,
    }
    _flatten(record.attributes, names.CONTEXT_PREFIX, event.context)


def _assertion_failed(event: AssertionFailedEvent, record: Record) -> None:
    record.name = names.EVALUATION_RESULT
    record.severity = ERROR if event.severity in (Severity.HIGH, Severity.CRITICAL) else WARN
    record.body = f"assertion failed: {event.assertion_name}"
    record.failed = True
    record.attributes |= {
        names.EVALUATION_NAME: event.assertion_name,
        names.EVALUATION_SCORE_LABEL: "fail",
        names.ASSERTION_TYPE: str(event.assertion_type),
        names.ASSERTION_EXPECTED: _json(event.expected),
        names.ASSERTION_ACTUAL: _json(event.actual),
        names.SEVERITY: str(event.severity),
    }


def _hallucination_detected(event: HallucinationDetectedEvent, record: Record) -> None:
    record.name = names.EVALUATION_RESULT
    record.severity = WARN
    record.body = "hallucination detected"
    record.attributes |= {
        names.EVALUATION_NAME: "hallucination",
        names.EVALUATION_SCORE_LABEL: "detected",
        names.EVALUATION_SCORE_VALUE: event.confidence_score,
        names.EVALUATION_EXPLANATION: event.flagged_content or None,
        names.DETECTION_METHOD: str(event.detection_method),
        names.GROUND_TRUTH: event.ground_truth,
        names.RECOMMENDATIONS: event.recommendations or None,
    }


def _evaluation(event: EvaluationEvent, record: Record) -> None:
    record.name = names.EVALUATION_RESULT
    record.severity = INFO
    record.body = f"evaluation: {event.name}"
    record.attributes |= {
        names.EVALUATION_NAME: event.name or "evaluation",
        names.EVALUATION_SCORE_VALUE: event.score,
        names.EVALUATION_SCORE_LABEL: event.label,
        names.EVALUATION_EXPLANATION: event.explanation,
        names.EVALUATION_SOURCE: str(event.source),
    }


def _performance_alert(event: PerformanceAlertEvent, record: Record) -> None:
    record.name = names.PERFORMANCE_ALERT
    record.severity = WARN
    record.body = f"{event.alert_type}: {event.actual_value} passes {event.threshold}"
    record.attributes |= {
        names.ALERT_TYPE: str(event.alert_type),
        names.ALERT_THRESHOLD: event.threshold,
        names.ALERT_ACTUAL: event.actual_value,
        names.ALERT_WINDOW_MINUTES: event.window_minutes,
        names.ALERT_MODELS: event.affected_models or None,
    }


# The attributes of calls of models.

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


def _call_attributes(event: PromptCallEvent) -> dict[str, Any]:
    """Return the attributes; values of None are to be left out."""
    first = event.time_to_first_token_ms
    finish = event.finish_reason
    if finish is None and event.failed:
        finish = "error"
    given = event.prompt_messages
    made = _finished(event.response_messages, finish)
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


def _finished(answers: list[Json], reason: str | None) -> list[Json]:
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


_MOMENTS: dict[type[Event], Callable[[Any, Record], None]] = {
    ErrorEvent: _error,
    AssertionFailedEvent: _assertion_failed,
    HallucinationDetectedEvent: _hallucination_detected,
    EvaluationEvent: _evaluation,
    PerformanceAlertEvent: _performance_alert,
}
_FILLERS: dict[type[Event], Callable[[Any, Record], None]] = {
    PromptCallEvent: _prompt_call,
    ToolCallEvent: _tool_call,
    AgentStepEvent: _agent_step,
    RunEvent: _run,
    **_MOMENTS,
}
