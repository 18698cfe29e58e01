"""
Events as WatchLLM's server takes them, for ``POST {base_url}/events/batch``.

The server checks a whole batch with one schema and refuses it all for one value out of place, so
everything is made to fit here: optional fields are absent rather than null, counts are whole,
required texts are never empty, words outside its lists become the nearest one inside. What its
schema has no field for travels in ``response_metadata`` (calls) or ``context`` (steps, errors).
"""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from llmobs.events import (
    AgentStepEvent,
    AlertType,
    AssertionFailedEvent,
    AssertionType,
    DetectionMethod,
    ErrorEvent,
    ErrorInfo,
    EvaluationEvent,
    Event,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    RunEvent,
    Severity,
    Status,
    StepType,
    ToolCallEvent,
)
from llmobs.sinks import _watchllm_values as values

__all__ = [
    "CALL_EXTRAS",
    "COMMON_EXTRAS",
    "EMPTY",
    "EVALUATION_EXTRAS",
    "MAX_BODY_BYTES",
    "MAX_EVENTS",
    "RUN_EXTRAS",
    "to_watchllm",
    "wire_id",
]

MAX_EVENTS: Final = 100
"""Events the server takes in one batch."""
MAX_BODY_BYTES: Final = 1024 * 1024
"""Bytes its front door takes in one request."""
EMPTY: Final = "(empty)"
"""Stands for a text that is required and was not recorded."""

_ENVIRONMENTS = {
    **dict.fromkeys(("development", "dev", "local", "ci"), "development"),
    **dict.fromkeys(("production", "prod", "prd", "live"), "production"),
    **dict.fromkeys(
        ("staging", "stage", "stg", "preprod", "pre-production", "uat", "qa", "test", "testing"),
        "staging",
    ),
}
_STATUSES = {
    **{status: status for status in values.STATUSES},
    **dict.fromkeys(("ok", "completed", "succeeded"), "success"),
    **dict.fromkeys(("cancelled", "canceled", "failed", "failure"), "error"),
    "timed_out": "timeout",
}
_SCORES = ("safety_score", "hallucination_score", "confidence_score")
COMMON_EXTRAS = (
    "session_id",
    "trace_id",
    "span_id",
    "parent_id",
    "service_name",
    "metadata",
    "warnings",
    "weight",
)
CALL_EXTRAS = (
    "operation", "provider", "finish_reason", "cost_source", "tokens_cached", "tokens_cache_write",
    "tokens_reasoning", "time_to_first_token_ms", "stream", "response_id", "request_id",
    "http_status", "attempt", "service_tier", "server_address", "request_params", "errors",
    "usage",
)  # fmt: skip
_SAYS_NOTHING: Final = {"service_name": "unknown_service", "weight": 1.0}
RUN_EXTRAS = (
    "kind", "method", "route", "http_status", "events", "errors", "tokens_input", "tokens_output",
    "cost_usd", "client_run_id", "parent_run_id",
)  # fmt: skip

EVALUATION_EXTRAS = ("score", "label", "explanation", "source")


def to_watchllm(event: Event) -> dict[str, Any]:
    """Return *event* as the server takes it."""
    return {**_common(event), **_CONVERTERS[type(event)](event)}


def wire_id(event: Event) -> str:
    """Return the id *event* has on the wire: its own if that is a UUID, else one made from it."""
    try:
        return str(uuid.UUID(event.event_id))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, event.event_id))


def _common(event: Event) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "event_id": wire_id(event),
        "project_id": event.project_id or "default",
        "run_id": event.run_id or wire_id(event),
        "timestamp": _timestamp(event.timestamp),
        "env": _ENVIRONMENTS.get((event.environment or "").lower(), "development"),
        "tags": list(event.tags),
    }
    for name in ("user_id", "release"):
        if (value := getattr(event, name)) is not None:
            wire[name] = value
    if event.client is not None:
        described = {n: getattr(event.client, n) for n in ("hostname", "sdk_version", "platform")}
        wire["client"] = {n: v for n, v in described.items() if v is not None}
    return wire


def _timestamp(moment: datetime) -> str:
    # Exactly three digits and a Z: the server compares with JavaScript's toISOString().
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return f"{text.removesuffix('+00:00')}Z"


def _prompt_call(event: PromptCallEvent) -> dict[str, Any]:
    extras = _extras(event, CALL_EXTRAS, event.response_metadata)
    for name in _SCORES:
        if name in extras and not values.is_share(extras[name]):
            extras[f"given_{name}"] = extras.pop(name)
    # The server wants numbers where we know none: 0, and say so.
    unknown = [
        name
        for name in ("tokens_input", "tokens_output", "cost_usd", "latency_ms")
        if getattr(event, name) is None
    ]
    if unknown:
        extras["unknown"] = unknown
    wire = {
        "event_type": "prompt_call",
        "prompt": values.text(event.prompt) or EMPTY,
        "model": event.model or "unknown",
        "response": values.text(event.response) or EMPTY,
        "tokens_input": values.count(event.tokens_input),
        "tokens_output": values.count(event.tokens_output),
        "cost_estimate_usd": values.measure(event.cost_usd),
        **_outcome(event),
    }
    if extras:
        wire["response_metadata"] = extras
    if event.tool_calls:
        wire["tool_calls"] = values.tool_calls(event.tool_calls)
    for name in ("prompt_template_id", "model_version"):
        if (value := getattr(event, name)) is not None:
            wire[name] = value
    return wire


def _agent_step(event: AgentStepEvent) -> dict[str, Any]:
    wire = {
        "event_type": "agent_step",
        "step_number": values.count(event.step_number),
        "step_name": event.step_name or "step",
        "step_type": values.one_of(StepType, event.step_type, StepType.REASONING),
        "input_data": values.mapping(event.input_data),
        "output_data": values.mapping(event.output_data),
        "context": _extras(event, (), event.context),
        **_outcome(event),
    }
    if event.reasoning is not None:
        wire["reasoning"] = event.reasoning
    return wire


def _tool_call(event: ToolCallEvent) -> dict[str, Any]:
    # The server knows tools only as steps of an agent.
    return {
        "event_type": "agent_step",
        "step_number": 0,
        "step_name": event.tool_name or "tool",
        "step_type": StepType.TOOL_CALL.value,
        "input_data": values.mapping(event.input),
        "output_data": values.mapping(event.output),
        "context": _extras(event, ("tool_id",), {"event_type": "tool_call"}),
        **_outcome(event),
    }


def _run(event: RunEvent) -> dict[str, Any]:
    # The server has no runs of its own: the nearest is a step that sums up the others.
    return {
        "event_type": "agent_step",
        "step_number": 0,
        "step_name": event.name or "run",
        "step_type": StepType.OUTPUT.value,
        "input_data": {},
        "output_data": {},
        "context": _extras(event, RUN_EXTRAS, {"event_type": "run"}),
        **_outcome(event),
    }


def _error(event: ErrorEvent) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "event_type": "error",
        "error": _error_info(event.error),
        "context": _extras(event, (), event.context),
    }
    if event.error.stack is not None:
        wire["stack_trace"] = event.error.stack
    return wire


def _assertion_failed(event: AssertionFailedEvent) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "event_type": "assertion_failed",
        "assertion_name": event.assertion_name or "assertion",
        "assertion_type": values.one_of(AssertionType, event.assertion_type, AssertionType.CUSTOM),
        "severity": values.one_of(Severity, event.severity, Severity.MEDIUM),
    }
    for name in ("expected", "actual"):
        if (value := getattr(event, name)) is not None:
            wire[name] = value
    return wire


def _hallucination_detected(event: HallucinationDetectedEvent) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "event_type": "hallucination_detected",
        "detection_method": values.one_of(
            DetectionMethod, event.detection_method, DetectionMethod.HEURISTIC
        ),
        "confidence_score": min(1.0, values.measure(event.confidence_score)),
        "flagged_content": event.flagged_content or EMPTY,
        "recommendations": list(event.recommendations),
    }
    if event.ground_truth is not None:
        wire["ground_truth"] = event.ground_truth
    return wire


def _evaluation(event: EvaluationEvent) -> dict[str, Any]:
    # The server has no ratings: as with runs, the nearest is a step.
    return {
        "event_type": "agent_step",
        "step_number": 0,
        "step_name": event.name or "evaluation",
        "step_type": StepType.OUTPUT.value,
        "input_data": {},
        "output_data": {},
        "latency_ms": 0,
        "status": Status.SUCCESS.value,
        "context": _extras(event, EVALUATION_EXTRAS, {"event_type": "evaluation"}),
    }


def _performance_alert(event: PerformanceAlertEvent) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "event_type": "cost_threshold_exceeded",  # it refuses its own "performance_alert"
        "alert_type": values.one_of(AlertType, event.alert_type, AlertType.LATENCY_SPIKE),
        "threshold": values.measure(event.threshold),
        "actual_value": values.measure(event.actual_value),
        "window_minutes": max(1, values.count(event.window_minutes)),
    }
    if event.affected_models:
        wire["affected_models"] = list(event.affected_models)
    return wire


_CONVERTERS: dict[type[Event], Callable[[Any], dict[str, Any]]] = {
    PromptCallEvent: _prompt_call,
    AgentStepEvent: _agent_step,
    ToolCallEvent: _tool_call,
    RunEvent: _run,
    ErrorEvent: _error,
    AssertionFailedEvent: _assertion_failed,
    HallucinationDetectedEvent: _hallucination_detected,
    EvaluationEvent: _evaluation,
    PerformanceAlertEvent: _performance_alert,
}


def _outcome(event: Any) -> dict[str, Any]:
    """Return what calls, steps and runs have in common: how long, how it ended, and why."""
    status = str(event.status).lower()
    wire: dict[str, Any] = {
        "latency_ms": values.count(event.latency_ms),
        "status": _STATUSES.get(status, "error" if event.failed else "warning"),
    }
    if event.error is not None:
        wire["error"] = _error_info(event.error)
    return wire


def _extras(
    event: Event, names: tuple[str, ...], given: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the caller's own entries, and beside them what the schema has no field for."""
    extras = dict(given) if given else {}
    for name in (*names, *COMMON_EXTRAS):
        value = getattr(event, name)
        if value is not None and value != () and value != _SAYS_NOTHING.get(name):
            extras.setdefault(name, value)
    status = getattr(event, "status", None)
    if status is not None and str(status) not in values.STATUSES:
        extras.setdefault("status", str(status))
    if event.environment is not None and event.environment not in _ENVIRONMENTS.values():
        extras.setdefault("environment", event.environment)
    if event.event_id != wire_id(event):
        extras.setdefault("event_id", event.event_id)
    return extras


def _error_info(error: ErrorInfo) -> dict[str, Any]:
    wire: dict[str, Any] = {"message": error.message or error.type or "error"}
    for name in ("type", "code", "stack", "context"):
        if (value := getattr(error, name)) is not None:
            wire[name] = value
    return wire
