"""
Events as OpenTelemetry sees them: spans for what takes time, log events for what happens.

Free of protobuf. Names follow the GenAI conventions (`llmobs.semconv`); content is written if it
is there: whether it is, ``capture_content`` and redaction decided before.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from llmobs import semconv as names
from llmobs.codec import encode
from llmobs.events import (
    AgentStepEvent,
    AssertionFailedEvent,
    ErrorEvent,
    ErrorInfo,
    Event,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    RunEvent,
    Severity,
    ToolCallEvent,
)
from llmobs.jsontext import Json
from llmobs.messages import conversation, message, messages_of, text_part
from llmobs.sinks._otlp_calls import call_attributes, finished
from llmobs.sinks._otlp_ids import SpanIds, span_ids

__all__ = ["Record", "is_log", "to_record"]

INTERNAL: Final = 1
SERVER: Final = 2
CLIENT: Final = 3

WARN: Final = 13
ERROR: Final = 17

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    record.attributes |= call_attributes(event)
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
        names.OUTPUT_MESSAGES: _json(finished(made, None) or None),
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
    _flatten(record.attributes, names.ERROR_CONTEXT_PREFIX, event.error.context)


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


_MOMENTS: dict[type[Event], Callable[[Any, Record], None]] = {
    ErrorEvent: _error,
    AssertionFailedEvent: _assertion_failed,
    HallucinationDetectedEvent: _hallucination_detected,
    PerformanceAlertEvent: _performance_alert,
}
_FILLERS: dict[type[Event], Callable[[Any, Record], None]] = {
    PromptCallEvent: _prompt_call,
    ToolCallEvent: _tool_call,
    AgentStepEvent: _agent_step,
    RunEvent: _run,
    **_MOMENTS,
}
