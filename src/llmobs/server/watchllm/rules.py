"""What WatchLLM's ingestion accepts: validator A on the whole body, validator B on each event."""

import re
from datetime import datetime
from typing import Any

from llmobs.server.watchllm.schema import (
    Issue,
    Schema,
    anything,
    array,
    discriminated,
    iso_datetime,
    mapping,
    number,
    one_of,
    optional,
    record,
    string,
    uuid,
)

__all__ = ["MOST_EVENTS", "parse_batch", "parse_event", "refusals"]

MOST_EVENTS = 100
"""Events in one batch."""

_text = string()
_filled = string(least=1)
_count = number(least=0, integer=True)
_share = number(least=0, most=1)
_status = one_of("success", "error", "timeout", "assertion_failed", "warning")

_error = mapping(
    {
        "message": _filled,
        "type": optional(_text),
        "code": optional(_text),
        "stack": optional(_text),
        "context": optional(record),
    }
)

_tool_call = mapping(
    {
        "tool_name": _filled,
        "tool_id": optional(_text),
        "input": record,
        "output": record,
        "latency_ms": _count,
        "status": _status,
        "error": optional(_error),
    }
)

_response_metadata = mapping(
    {
        "safety_score": optional(_share),
        "hallucination_score": optional(_share),
        "confidence_score": optional(_share),
    },
    keep_unknown=True,
)

_COMMON: dict[str, Schema] = {
    "event_id": uuid,
    "project_id": _filled,
    "run_id": _filled,
    "timestamp": iso_datetime,
    "event_type": _text,
    "env": one_of("production", "staging", "development"),
    "tags": optional(array(_text), default=list),
    "user_id": optional(_text),
    "release": optional(_text),
    "client": optional(
        mapping(
            {
                "hostname": optional(_text),
                "sdk_version": optional(_text),
                "platform": optional(_text),
            }
        )
    ),
}

_KINDS: dict[str, dict[str, Schema]] = {
    "prompt_call": {
        "prompt": _filled,
        "prompt_template_id": optional(_text),
        "model": _filled,
        "model_version": optional(_text),
        "tokens_input": _count,
        "tokens_output": _count,
        "cost_estimate_usd": number(least=0),
        "response": _text,
        "response_metadata": optional(_response_metadata),
        "tool_calls": optional(array(_tool_call)),
        "status": _status,
        "latency_ms": _count,
        "error": optional(_error),
    },
    "agent_step": {
        "step_number": _count,
        "step_name": _filled,
        "step_type": one_of("reasoning", "tool_call", "validation", "output"),
        "input_data": record,
        "output_data": record,
        "reasoning": optional(_text),
        "context": record,
        "latency_ms": _count,
        "status": _status,
        "error": optional(_error),
    },
    "error": {
        "error": _error,
        "context": record,
        "stack_trace": optional(_text),
    },
    "assertion_failed": {
        "assertion_name": _filled,
        "assertion_type": one_of("response_format", "content_filter", "safety_check", "custom"),
        "expected": anything,
        "actual": anything,
        "severity": one_of("low", "medium", "high", "critical"),
    },
    "hallucination_detected": {
        "detection_method": one_of("heuristic", "model_ensemble", "ground_truth_verification"),
        "confidence_score": _share,
        "flagged_content": _filled,
        "ground_truth": optional(_text),
        "recommendations": array(_text),
    },
    "cost_threshold_exceeded": {
        "alert_type": one_of("cost_spike", "latency_spike", "error_rate_spike", "token_limit"),
        "threshold": number(least=0),
        "actual_value": number(least=0),
        "window_minutes": number(least=1, integer=True),
        "affected_models": optional(array(_text)),
    },
}

_event = discriminated("event_type", {kind: mapping(_COMMON | own) for kind, own in _KINDS.items()})
_batch = mapping({"events": array(_event, least=1, most=MOST_EVENTS)})

_EXACT_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


def parse_batch(body: Any) -> tuple[list[dict[str, Any]], list[Issue]]:
    """Validator A: return the events as stored (unknown keys dropped), and every issue."""
    issues: list[Issue] = []
    parsed = _batch(body, (), issues)
    return ([] if issues else parsed["events"]), issues


def parse_event(body: Any) -> tuple[dict[str, Any], list[Issue]]:
    """Validator A for the route that takes one event."""
    issues: list[Issue] = []
    parsed = _event(body, (), issues)
    return ({} if issues else parsed), issues


def refusals(event: dict[str, Any]) -> list[str]:
    """Validator B: return why an event that passed A is refused all the same."""
    found = []
    if not _is_exact(event["timestamp"]):
        found.append("timestamp is required and must be a valid ISO date")
    if event["event_type"] == "prompt_call" and not event["response"]:
        found.append("response is required and must be a non-empty string")
    return found


def _is_exact(timestamp: str) -> bool:
    """`new Date(s).toISOString() === s`: milliseconds and Z, and a date that exists."""
    if not _EXACT_TIME.fullmatch(timestamp):
        return False
    try:
        datetime.fromisoformat(timestamp)
    except ValueError:
        return False
    return True
