"""Events as flat rows, for CSV."""

import re
from typing import Any, Final

from llmobs.describe.events import answer_of, error_of, text_of
from llmobs.describe.words import visible
from llmobs.events import Event, PromptCallEvent

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
    error = error_of(event)
    made = event.made
    if isinstance(event, PromptCallEvent):
        made = answer_of(event) or made
    row["name"] = event.subject
    row["tags"] = " ".join(event.tags)
    row["error_type"] = error.type if error else None
    row["error"] = error.message if error else None
    row["input"] = None if event.given is None else text_of(event.given)
    row["output"] = None if made is None else text_of(made)
    return {column: _harmless(value) for column, value in row.items()}


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if _FORMULA.match(value) else text
