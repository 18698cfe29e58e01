"""Events as flat rows, for CSV."""

import re
from typing import Any, Final

from llmobs.cli.describe import error_of, text_of
from llmobs.cli.text import visible
from llmobs.events import (
    AgentStepEvent,
    AssertionFailedEvent,
    Event,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    RunEvent,
    ToolCallEvent,
)

__all__ = ["COLUMNS", "flatten"]

_COPIED: Final[tuple[str, ...]] = (
    "event_id", "run_id", "event_type", "timestamp", "parent_id", "trace_id", "project_id",
    "service_name", "environment", "release", "user_id", "session_id", "status", "latency_ms",
    "time_to_first_token_ms", "tokens_input", "tokens_output", "tokens_cached",
    "tokens_cache_write", "tokens_reasoning", "cost_usd", "cost_source", "provider",
    "model_version", "finish_reason", "http_status", "severity", "step_number",
)  # fmt: skip

COLUMNS: Final[tuple[str, ...]] = (
    *_COPIED,
    "name",
    "tags",
    "error_type",
    "error",
    "input",
    "output",
)
"""The columns of a CSV export, in order."""

_FORMULA: Final = re.compile(
    # Spreadsheets pass over spaces, quotes and what cannot be seen, and take fullwidth signs too.
    r"""[\s"'\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r]"""
)


def flatten(event: Event) -> dict[str, Any]:
    """
    Return one row. Text that a spreadsheet would take for a formula gets an apostrophe in front,
    characters that command a terminal are written out: JSONL is the exact form.
    """
    row: dict[str, Any] = {column: getattr(event, column, None) for column in _COPIED}
    row["event_type"] = event.event_type.value
    row["timestamp"] = event.timestamp.isoformat()
    name, given, got = _name_input_output(event)
    error = error_of(event)
    row["name"] = name
    row["tags"] = " ".join(event.tags)
    row["error_type"] = error.type if error else None
    row["error"] = error.message if error else None
    row["input"] = None if given is None else text_of(given)
    row["output"] = None if got is None else text_of(got)
    return {column: _harmless(value) for column, value in row.items()}


def _name_input_output(event: Event) -> tuple[str | None, Any, Any]:
    match event:
        case PromptCallEvent():
            return event.model, event.prompt, event.response or event.tool_calls
        case ToolCallEvent():
            return event.tool_name, event.input, event.output
        case AgentStepEvent():
            return event.step_name, event.input_data, event.output_data
        case AssertionFailedEvent():
            return event.assertion_name, event.expected, event.actual
        case HallucinationDetectedEvent():
            return event.detection_method, event.flagged_content, event.ground_truth
        case PerformanceAlertEvent():
            return event.alert_type, event.threshold, event.actual_value
        case RunEvent():
            return event.name, None, None
    return None, None, None


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if _FORMULA.match(value) else text
