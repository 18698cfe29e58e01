"""
WatchLLM's events as ours: the way back of `llmobs.sinks._watchllm`.

What our own client sent in ``response_metadata`` or ``context``, because the schema has no field for
it, comes back into its field, if it fits there; what others put there stays as it is.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from llmobs.codec import fields_of
from llmobs.events import (
    AgentStepEvent,
    AssertionFailedEvent,
    ClientInfo,
    ErrorEvent,
    ErrorInfo,
    EvaluationEvent,
    Event,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    RunEvent,
    ToolCallEvent,
)
from llmobs.sinks._watchllm import (
    CALL_EXTRAS,
    COMMON_EXTRAS,
    EMPTY,
    EVALUATION_EXTRAS,
    RUN_EXTRAS,
    wire_id,
)

__all__ = ["from_watchllm"]

Wire = dict[str, Any]

_OWN: Final = ("status", "environment")
"""What the wire has a word for, and our client another."""


def from_watchllm(wire: Wire) -> Event:
    """Return the event that *wire*, which has passed the rules, is."""
    event = _READERS[wire["event_type"]](wire)
    if event.environment is None:
        event.environment = wire["env"]
    return event


def _common(wire: Wire) -> dict[str, Any]:
    client = wire.get("client")
    return {
        "event_id": wire["event_id"],
        "run_id": wire["run_id"],
        "timestamp": datetime.fromisoformat(wire["timestamp"]),
        "project_id": wire["project_id"],
        "user_id": wire.get("user_id"),
        "release": wire.get("release"),
        "tags": tuple(wire["tags"]),
        "client": ClientInfo(**client) if client else None,
    }


def _outcome(wire: Wire) -> dict[str, Any]:
    error = wire.get("error")
    return {
        "latency_ms": wire["latency_ms"],
        "status": wire["status"],
        "error": ErrorInfo(**error) if error else None,
    }


def _prompt_call(wire: Wire) -> Event:
    extras = dict(wire.get("response_metadata") or {})
    tools = wire.get("tool_calls")
    event = PromptCallEvent(
        **_common(wire),
        **_outcome(wire),
        prompt=None if wire["prompt"] == EMPTY else wire["prompt"],
        model=wire["model"],
        response=None if wire["response"] == EMPTY else wire["response"],
        tokens_input=int(wire["tokens_input"]),
        tokens_output=int(wire["tokens_output"]),
        cost_usd=wire["cost_estimate_usd"],
        cost_source="caller",
        prompt_template_id=wire.get("prompt_template_id"),
        model_version=wire.get("model_version"),
        tool_calls=[_tool(tool) for tool in tools] if tools else None,
    )
    unknown = extras.get("unknown")
    if isinstance(unknown, list) and all(name in _COUNTED for name in unknown):
        del extras["unknown"]
        for name in unknown:
            setattr(event, name, None)
        if event.cost_usd is None:
            event.cost_source = None
    event.response_metadata = _take_back(event, CALL_EXTRAS, extras)
    return event


_COUNTED: Final = frozenset({"tokens_input", "tokens_output", "cost_usd", "latency_ms"})


def _tool(wire: Wire) -> dict[str, Any]:
    # `output`, `status` and the like are what the tool did: kept beside what the model asked for.
    tool = {"name": wire["tool_name"], "arguments": wire["input"]}
    if "tool_id" in wire:
        tool["id"] = wire["tool_id"]
    rest = ("output", "latency_ms", "status", "error")
    return {**tool, **{name: wire[name] for name in rest if wire.get(name) not in (None, {})}}


def _agent_step(wire: Wire) -> Event:
    context = dict(wire["context"])
    kind = context.get("event_type")
    if kind == "tool_call" and wire["step_type"] == "tool_call":
        del context["event_type"]
        tool = ToolCallEvent(
            **_common(wire),
            **_outcome(wire),
            tool_name=wire["step_name"],
            input=_unwrapped(wire["input_data"]),
            output=_unwrapped(wire["output_data"]),
        )
        _add_metadata(tool, _take_back(tool, ("tool_id",), context))
        return tool
    if kind == "run" and wire["step_type"] == "output":
        del context["event_type"]
        run = RunEvent(**_common(wire), **_outcome(wire), name=wire["step_name"])
        _add_metadata(run, _take_back(run, RUN_EXTRAS, context))
        return run
    if kind == "evaluation" and wire["step_type"] == "output":
        del context["event_type"]
        evaluation = EvaluationEvent(**_common(wire), name=wire["step_name"])
        _add_metadata(evaluation, _take_back(evaluation, EVALUATION_EXTRAS, context))
        return evaluation
    event = AgentStepEvent(
        **_common(wire),
        **_outcome(wire),
        step_number=int(wire["step_number"]),
        step_name=wire["step_name"],
        step_type=wire["step_type"],
        input_data=_unwrapped(wire["input_data"]),
        output_data=_unwrapped(wire["output_data"]),
        reasoning=wire.get("reasoning"),
    )
    event.context = _take_back(event, (), context)
    return event


def _add_metadata(event: Event, rest: dict[str, Any] | None) -> None:
    if rest:
        event.metadata = {**(event.metadata or {}), **rest}


def _unwrapped(value: Wire) -> Any:
    """Our client wraps what is no object, since the schema wants one; nothing is one without entries."""
    if not value:
        return None
    return value["value"] if value.keys() == {"value"} else value


def _error(wire: Wire) -> Event:
    error = ErrorInfo(**wire["error"])
    if error.stack is None:
        error.stack = wire.get("stack_trace")
    event = ErrorEvent(**_common(wire), error=error)
    event.context = _take_back(event, (), dict(wire["context"]))
    return event


def _assertion_failed(wire: Wire) -> Event:
    names = ("assertion_name", "assertion_type", "severity", "expected", "actual")
    return AssertionFailedEvent(**_common(wire), **{n: wire[n] for n in names if n in wire})


def _hallucination_detected(wire: Wire) -> Event:
    return HallucinationDetectedEvent(
        **_common(wire),
        detection_method=wire["detection_method"],
        confidence_score=wire["confidence_score"],
        flagged_content=wire["flagged_content"],
        ground_truth=wire.get("ground_truth"),
        recommendations=tuple(wire["recommendations"]),
    )


def _cost_threshold_exceeded(wire: Wire) -> Event:
    return PerformanceAlertEvent(
        **_common(wire),
        alert_type=wire["alert_type"],
        threshold=wire["threshold"],
        actual_value=wire["actual_value"],
        window_minutes=int(wire["window_minutes"]),
        affected_models=tuple(wire.get("affected_models", ())),
    )


_READERS: Final[Mapping[str, Callable[[Wire], Event]]] = {
    "prompt_call": _prompt_call,
    "agent_step": _agent_step,
    "error": _error,
    "assertion_failed": _assertion_failed,
    "hallucination_detected": _hallucination_detected,
    "cost_threshold_exceeded": _cost_threshold_exceeded,
}


def _take_back(
    event: Event, names: tuple[str, ...], extras: dict[str, Any]
) -> dict[str, Any] | None:
    """Move what *extras* hold of *event*'s fields into these; return the rest."""
    kinds = {field.name: field.type for field in fields_of(type(event))}
    for name in (*names, *COMMON_EXTRAS, *_OWN):
        if name in extras and name in kinds:
            try:
                value = msgspec.convert(extras[name], kinds[name])
            except msgspec.ValidationError:
                continue
            setattr(event, name, value)
            del extras[name]
    original = extras.get("event_id")
    if isinstance(original, str) and original:
        known, event.event_id = event.event_id, original
        if wire_id(event) == known.lower():  # made from it by our client
            del extras["event_id"]
        else:
            event.event_id = known
    return extras or None
