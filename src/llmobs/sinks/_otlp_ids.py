"""
Trace and span ids of events, always the same for the same event.

Redelivery therefore repeats spans instead of doubling them, and children can name their parent's
span before it is exported: calls leave before the run they belong to ends.
"""

import uuid
from hashlib import blake2b
from typing import NamedTuple

from llmobs.events import Event, RunEvent

__all__ = ["SpanIds", "span_id_of", "span_ids"]


class SpanIds(NamedTuple):
    """Where a span stands. Empty parent: it is a root."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    is_remote: bool
    """Whether the parent is a span of another tracer: the caller's, or the application's own."""


def span_ids(event: Event) -> SpanIds:
    """
    Return the ids of an event's span.

    The trace is the event's ``trace_id``; without one, the run's id if that is a UUID (the same 32
    digits), else a digest of it. The parent is the step or call it happened inside; else its
    run's span; for the run itself, and for events outside any run, the ``span_id`` they carry,
    which is the caller's.
    """
    trace_id = _hexadecimal(event.trace_id, 16)
    remote = _hexadecimal(event.span_id, 8) if trace_id else b""
    trace_id = trace_id or _trace_of_run(event.run_id)
    if isinstance(event, RunEvent):
        return SpanIds(trace_id, _run_span(event.run_id), remote, bool(remote))
    span_id = span_id_of(event.event_id)
    if event.parent_id is not None:
        return SpanIds(trace_id, span_id, span_id_of(event.parent_id), False)
    if event.standalone:
        return SpanIds(trace_id, span_id, remote, bool(remote))
    return SpanIds(trace_id, span_id, _run_span(event.run_id), False)


def span_id_of(event_id: str) -> bytes:
    """Return the span id of an event, other than a run's, by its event id."""
    return blake2b(event_id.encode("utf-8", "replace"), digest_size=8, person=b"event").digest()


def _run_span(run_id: str) -> bytes:
    # By the run's id, not by the id of its event: that does not exist yet when its children leave.
    return blake2b(run_id.encode("utf-8", "replace"), digest_size=8, person=b"run").digest()


def _trace_of_run(run_id: str) -> bytes:
    try:
        trace_id = uuid.UUID(run_id).bytes
    except ValueError:
        trace_id = b""
    if any(trace_id):
        return trace_id
    return blake2b(run_id.encode("utf-8", "replace"), digest_size=16, person=b"trace").digest()


def _hexadecimal(text: str | None, size: int) -> bytes:
    """Return the bytes of a valid W3C id, else none: a wrong one costs its link, not the event."""
    if text is None or len(text) != 2 * size:
        return b""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        return b""
    return value if len(value) == size and any(value) else b""
