"""An event as a row of the store: the columns that lists and charts need."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Final

from msgspec import Struct

from llmobs.codec import clean_text, text_of
from llmobs.events import ErrorInfo, Event, PromptCallEvent, RunEvent, Status

__all__ = ["COLUMNS", "WIDTH", "Row", "clean_values", "place_of", "row_of"]

_TAKEN: Final = (
    "event_id", "run_id", "parent_id", "trace_id", "project_id", "service_name", "environment",
    "release", "user_id", "session_id", "weight", "provider", "http_status", "latency_ms",
    "time_to_first_token_ms", "tokens_input", "tokens_output", "tokens_cached",
    "tokens_cache_write", "tokens_reasoning", "cost_usd", "prompt_template_id",
)  # fmt: skip
"""Columns that are attributes of events; those a class has not are NULL."""
_MADE: Final = ("status", "event_type", "timestamp", "name", "failed", "error", "fingerprint")

COLUMNS: Final = ("id", *_TAKEN, *_MADE, "booked")
WIDTH: Final = len(COLUMNS)


class Row(Struct, gc=False):  # one for every event: nothing for the garbage collector to look at
    """A row of ``events`` in the order of `COLUMNS`."""

    id: int
    event_id: Any
    run_id: Any
    parent_id: Any
    trace_id: Any
    project_id: Any
    service_name: Any
    environment: Any
    release: Any
    user_id: Any
    session_id: Any
    weight: Any
    provider: Any
    http_status: Any
    latency_ms: Any
    time_to_first_token_ms: Any
    tokens_input: Any
    tokens_output: Any
    tokens_cached: Any
    tokens_cache_write: Any
    tokens_reasoning: Any
    cost_usd: Any
    prompt_template_id: Any
    status: Any
    event_type: str
    timestamp: int
    """Microseconds since 1970, UTC."""
    name: Any
    failed: int
    error: str | None
    fingerprint: str | None
    booked: int
    """Whether the hourly sums have it."""


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_of_call: Final[Callable[[Any], tuple[Any, ...]]] = attrgetter(*_TAKEN)


def row_of(event: Event, id: int, booked_from: int) -> Row:
    """Return the row of *event* with the number *id*, to be booked if it is of after *booked_from*."""
    status: Any
    error: Any
    if type(event) is PromptCallEvent:
        taken = _of_call(event)
        name: Any = event.model
        status, error = event.status, event.error
        failed = (error is not None or status is not Status.SUCCESS) and event.failed
    else:
        taken = tuple([getattr(event, column, None) for column in _TAKEN])
        name = event.name if isinstance(event, RunEvent) else event.subject
        status, error = getattr(event, "status", None), getattr(event, "error", None)
        failed = event.failed
    said = fingerprint = None
    if type(error) is ErrorInfo:
        said = f"{error.type or 'error'}: {error.message}"[:300]
        fingerprint = fingerprint_of(error)
    if type(status) is Status:
        # SQLite's module takes a hundred times as long to look at an enum as at a text.
        status = status._value_
    since = event.timestamp - _EPOCH
    moment = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    kind = event.event_type._value_
    if failed and fingerprint is None:  # a check, or what only its status says of
        fingerprint = _digest((kind, text_of(name or ""), text_of(status or "")))
    # Numbers: SQLite's module takes many times as long to look at a truth.
    booked = 1 if moment > booked_from else 0
    made = (status, kind, moment, name, 1 if failed else 0, said, fingerprint, booked)
    values: tuple[Any, ...] = (id, *taken, *made)
    return Row(*values)


def clean_values(values: Iterable[Any]) -> list[Any]:
    """Return *values* without lone surrogates, which SQLite does not take."""
    return [clean_text(value) if isinstance(value, str) else value for value in values]


# What differs from one occurrence of an error to the next: quoted values, and words with digits in them.
_PARTS: Final = re.compile(r"""\"[^"]*\"|'[^']*'|[\w.:-]+""")
_SAME: Final = re.compile(r"[^\d\"']+")
_FRAME: Final = re.compile(r'File "([^"]+)", line \d+, in (.+)')
_LOOKED_AT: Final = 2_000


def fingerprint_of(error: ErrorInfo) -> str:
    """Return what errors of one cause have in common: type, code, wording, and where it was raised."""
    words = _PARTS.findall(str(error.message)[:_LOOKED_AT])
    message = " ".join(word if _SAME.fullmatch(word) else "#" for word in words)
    frames = _FRAME.findall(str(error.stack or "")[-_LOOKED_AT:])
    return _digest((error.type, error.code, message, frames[-1] if frames else None))


def _digest(parts: tuple[object, ...]) -> str:
    return blake2b(clean_text(repr(parts)).encode(), digest_size=8).hexdigest()


def place_of(stack: str) -> str | None:
    """Return where an error was raised, by its stack: the file and the function; None where that is not said."""
    frames = _FRAME.findall(stack[-_LOOKED_AT:])
    return f"{frames[-1][0]} in {frames[-1][1]}" if frames else None
