"""An event as a row of the store: the columns that lists and charts need."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Final, NamedTuple

from llmobs.codec import clean_text
from llmobs.events import ErrorInfo, Event, PromptCallEvent, RunEvent, Status

__all__ = ["COLUMNS", "WIDTH", "Row", "clean_row", "row_of"]

_TAKEN: Final = (
    "event_id", "run_id", "parent_id", "trace_id", "project_id", "service_name", "environment",
    "release", "user_id", "session_id", "weight", "provider", "status", "http_status", "latency_ms",
    "time_to_first_token_ms", "tokens_input", "tokens_output", "tokens_cached",
    "tokens_cache_write", "tokens_reasoning", "cost_usd",
)  # fmt: skip
"""Columns that are attributes of events; those a class has not are NULL."""
_MADE: Final = ("event_type", "timestamp", "name", "failed", "error", "fingerprint")

COLUMNS: Final = ("id", *_TAKEN, *_MADE, "booked")
WIDTH: Final = len(COLUMNS)


class Row(NamedTuple):
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
    status: Any
    http_status: Any
    latency_ms: Any
    time_to_first_token_ms: Any
    tokens_input: Any
    tokens_output: Any
    tokens_cached: Any
    tokens_cache_write: Any
    tokens_reasoning: Any
    cost_usd: Any
    event_type: str
    timestamp: int
    """Microseconds since 1970, UTC."""
    name: Any
    failed: bool
    error: str | None
    fingerprint: str | None
    booked: bool
    """Whether the hourly sums have it."""


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_STATUS: Final = _TAKEN.index("status")

_of_call: Final[Callable[[Any], tuple[Any, ...]]] = attrgetter(*_TAKEN)


def row_of(event: Event, id: int, booked_from: int) -> Row:
    """Return the row of *event* with the number *id*, to be booked if it is of after *booked_from*."""
    kind = event.event_type.value
    if type(event) is PromptCallEvent:
        taken = _of_call(event)
        name: Any = event.model
        error: Any = event.error
        status = taken[_STATUS]
        failed = (error is not None or status is not Status.SUCCESS) and event.failed
    else:
        taken = tuple([getattr(event, column, None) for column in _TAKEN])
        name = event.name if isinstance(event, RunEvent) else event.subject
        error = getattr(event, "error", None)
        status = taken[_STATUS]
        failed = event.failed
    said = fingerprint = None
    if type(error) is ErrorInfo:
        said = f"{error.type or 'error'}: {error.message}"[:300]
        fingerprint = fingerprint_of(error)
    moment = (event.timestamp - _EPOCH) // _MICROSECOND
    if type(status) is Status:
        # SQLite's module takes a hundred times as long to look at an enum as at a text.
        taken = (*taken[:_STATUS], status._value_, *taken[_STATUS + 1 :])
    row = (id, *taken, kind, moment, name, failed, said, fingerprint, moment > booked_from)
    return tuple.__new__(Row, row)


def clean_row(row: Row) -> Row:
    """Return *row* without lone surrogates, which SQLite does not take."""
    return Row._make(clean_text(value) if isinstance(value, str) else value for value in row)


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
    parts = (error.type, error.code, message, frames[-1] if frames else None)
    return blake2b(clean_text(repr(parts)).encode(), digest_size=8).hexdigest()
