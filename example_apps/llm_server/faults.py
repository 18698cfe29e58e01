"""Which faults a request asks for, and what they do to an answer before it becomes bytes."""

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any

from .conversation import Event, Json
from .errors import STATUSES, Dialect, WireError

BROKEN_JSON = '{"id": "broken", oops}'

SHAPES = frozenset(
    {
        "stream-error",
        "cut",
        "endless",
        "bad-json",
        "truncated-json",
        "garbage",
        "slow-header",
        "usage-lies",
        "usage-missing",
        "gzip",
        "split",
        "crlf",
        "comments",
        "strict",
    }
)
"""Every fault that is not a status."""

_NAMES = SHAPES | {f"{status}{suffix}" for status in STATUSES for suffix in ("", "-once")}


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong with one request: any number of shapes, and at most one status."""

    shapes: frozenset[str] = frozenset()
    status: int | None = None
    once: bool = False

    def __contains__(self, name: str) -> bool:
        return name in self.shapes


def requested(header: str, model: str) -> Faults:
    """Read the comma-separated `x-fake-fault` header and a `fail-NAME` inside a model's name.

    Raises `WireError` 400 for a name in the header that is no fault, so that a typing error in a
    test does not pass for a healthy server.
    """
    names = {name.strip() for name in header.split(",") if name.strip()}
    if unknown := names - _NAMES:
        raise WireError(400, f"x-fake-fault: unknown fault {', '.join(sorted(unknown))}")
    if found := [name for name in _NAMES if f"fail-{name}" in model]:
        names.add(max(found, key=len))
    statuses = [
        match for name in sorted(names) if (match := re.fullmatch(r"(\d{3})(-once)?", name))
    ]
    shapes = frozenset(names & SHAPES)
    if not statuses:
        return Faults(shapes)
    return Faults(shapes, int(statuses[0][1]), once=bool(statuses[0][2]))


class OnceMemory:
    """Remembers which requests have already failed once; the oldest are forgotten."""

    def __init__(self, size: int = 10_000) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._size = size

    def is_first(self, key: str) -> bool:
        """Whether `key` was never asked for before."""
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > self._size:
            self._seen.popitem(last=False)
        return True


def with_usage_faults(value: Any, faults: Faults) -> Any:
    """The same JSON value, with every `usage` in it removed or made absurd if so asked."""
    if not faults.shapes & {"usage-lies", "usage-missing"}:
        return value
    if isinstance(value, list):
        return [with_usage_faults(item, faults) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {
        key: item for key, item in value.items() if key != "usage" or "usage-missing" not in faults
    }
    return {
        key: _absurd(item) if key == "usage" and item else with_usage_faults(item, faults)
        for key, item in kept.items()
    }


def _absurd(usage: Json) -> Json:
    """Counts a thousand times too high, cached parts higher than their whole, a total of -1."""
    lies: Json = {}
    for key, value in usage.items():
        if isinstance(value, dict):
            lies[key] = {
                inner: 10**9 if isinstance(count, int) else count for inner, count in value.items()
            }
        elif isinstance(value, int):
            lies[key] = -1 if key == "total_tokens" else value * 1000
        else:
            lies[key] = value
    return lies


def middle(events: list[Event]) -> int:
    """The place of the token in the middle of a stream, where its faults happen."""
    tokens = [index for index, event in enumerate(events) if event.is_token] or [0]
    return tokens[len(tokens) // 2]


def in_stream(events: list[Event], faults: Faults, error: Event) -> Iterator[Event]:
    """The events of a stream, gone wrong at the token in the middle; may never end."""
    events = [replace(event, data=with_usage_faults(event.data, faults)) for event in events]
    if not faults.shapes & {"stream-error", "bad-json", "truncated-json", "endless"}:
        return iter(events)
    at = middle(events)
    before, struck = events[:at], events[at]
    if "endless" in faults:
        return chain(before, repeat(struck))
    if "stream-error" in faults:
        return iter([*before, error])
    if "bad-json" in faults:
        return iter([*before, Event(BROKEN_JSON, struck.name), *events[at + 1 :]])
    return iter([*before, Event('{"id": "trunc', struck.name)])


def error_event(dialect: Dialect, request_id: str, path: str, *, number: int) -> Event:
    """The event with which a provider reports trouble in the middle of a stream.

    `number` is the sequence number the event would have; only the responses stream shows it.
    """
    if dialect is Dialect.ANTHROPIC:
        return Event(WireError(529).body(dialect, request_id), "error")
    error = WireError(500)
    if dialect is Dialect.COHERE:
        delta = {"finish_reason": "ERROR", "error": error.message}
        return Event({"type": "message-end", "delta": delta}, "message-end")
    if dialect is Dialect.BEDROCK:
        return Event({"message": error.message}, "internalServerException", failed=True)
    if dialect is Dialect.MISTRAL and "/conversations" in path:
        data = {"type": "conversation.response.error", "message": error.message, "code": 500}
        return Event(data, str(data["type"]))
    if path.endswith("/interactions"):
        told = {"code": "internal", "message": error.message}
        return Event({"event_type": "error", "error": told}, "error")
    if path.endswith("/responses"):
        data = {"type": "error", "code": "server_error", "message": error.message, "param": None}
        return Event({**data, "sequence_number": number}, "error")
    return Event(error.body(dialect, request_id))
