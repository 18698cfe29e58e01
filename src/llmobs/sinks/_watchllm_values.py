"""Single values as WatchLLM's schema wants them."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from llmobs.codec import encode
from llmobs.recorded.jsontext import Json
from llmobs.recorded.messages import tool_call_of

__all__ = ["STATUSES", "count", "is_share", "mapping", "measure", "one_of", "text", "tool_calls"]

MAX_INT: Final = 2**31 - 1
"""Its columns are 32 bits wide."""
STATUSES: Final = frozenset({"success", "error", "timeout", "assertion_failed", "warning"})
"""How things can end."""


def text(value: Any) -> str:
    """Return *value* as text: itself, or its JSON."""
    if isinstance(value, str):
        return value
    return encode(value).decode() if value else ""


def mapping(value: Any) -> dict[str, Any]:
    """Return *value* as an object: itself, none, or wrapped."""
    if isinstance(value, dict):
        return value
    return {} if value is None else {"value": value}


def count(value: object) -> int:
    """Return a whole number the server's columns can hold."""
    return min(round(measure(value)), MAX_INT)


def measure(value: object) -> float:
    """Return a number from 0; 0 for what is none."""
    # Written so that NaN and negative numbers fail the comparison.
    return value if isinstance(value, (int, float)) and 0 <= value < math.inf else 0


def is_share(value: object) -> bool:
    """Whether *value* is a number from 0 to 1."""
    return type(value) in (int, float) and 0 <= value <= 1  # type: ignore[operator]


def one_of(kind: Any, value: object, otherwise: Any) -> str:
    """Return *value* if the enum *kind* has it, else *otherwise*."""
    text = str(value).lower()
    return text if text in kind.__members__.values() else str(otherwise.value)


def _is_status(value: object) -> bool:
    return isinstance(value, str) and value in STATUSES


def tool_calls(calls: Iterable[Json]) -> list[dict[str, Any]]:
    """Return *calls* with the fields and types the server insists on."""
    return [_to_wire(call) for call in calls]


def _to_wire(call: Json) -> dict[str, Any]:
    tool = tool_call_of(call)
    result = call.get("output") if call.get("output") is not None else call.get("result")
    status, latency, error = (call.get(name) for name in ("status", "latency_ms", "error"))
    wire: dict[str, Any] = {
        "tool_name": tool["name"] or "tool",
        "input": mapping(tool["arguments"]),
        "output": mapping(result),
        "latency_ms": count(latency),
        "status": status if _is_status(status) else "error" if error else "success",
    }
    if "id" in tool:
        wire["tool_id"] = tool["id"]
    if error:
        message = error.get("message") if isinstance(error, Mapping) else error
        wire["error"] = {"message": str(message or "error")}
    return wire
