"""
A prompt call as LLM Sentinel's ``TelemetryEvent``: what its consumer parses, or drops unheard.

The rules are those of the server's own parser: a UUID, exactly one UTC offset, unsigned 32-bit
token counts, finite numbers, metadata values that are strings, nothing missing and nothing null
that must not be. What an event cannot say in these words is said in its metadata.
"""

import re
from collections.abc import Iterable
from datetime import UTC
from operator import attrgetter
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_OID, UUID, uuid5

import msgspec

from llmobs.codec import clean_text, encode
from llmobs.events import Event, PromptCallEvent, Status, plain
from llmobs.recorded.messages import conversation, message_of, said_in

__all__ = [
    "ANNOTATED",
    "MAX_PROMPT_CHARS",
    "NOTES_KEY",
    "OTHER_ID",
    "UNKNOWN",
    "Message",
    "message_text",
    "native",
    "telemetry",
]

MAX_PROMPT_CHARS: Final = 100_000
"""Longest ``prompt.text``, in characters, that the server declares."""
NOTES_KEY: Final = "llmobs_notes"
"""Metadata key that says what could not be sent as recorded."""
UNKNOWN: Final = " is unknown"
"""Said there after the name of a number that the server must have, and that nobody knows."""
OTHER_ID: Final = "event_id was "
"""Said there before the id that is no UUID, in the words of Python."""

_MAX_U32 = 2**32 - 1
_MAX_F32 = 3.4e38
_MAX_MEASURE = 2**63 - 1
"""Largest whole number all JSON readers agree on; also keeps infinities out."""
_PLACED = frozenset(
    {
        "event_id", "timestamp", "service_name", "trace_id", "span_id", "model", "prompt",
        "response", "tokens_input", "tokens_output", "latency_ms", "cost_usd", "finish_reason",
        "prompt_embedding", "response_embedding", "metadata", "errors", "client",
    }
)  # fmt: skip
ANNOTATED: Final = {
    f.name: f.default
    for f in msgspec.structs.fields(PromptCallEvent)
    if f.name not in _PLACED and f.name != "warnings"
}
"""Fields without a place of their own in a TelemetryEvent, and their defaults: they travel in its metadata."""
_other_values = attrgetter(*ANNOTATED)
_is_plain_uuid = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


class Message(NamedTuple):
    """What becomes one Kafka record."""

    key: bytes
    """The service's name: per-service order is what the server's baselines are computed over."""
    value: bytes
    headers: list[tuple[str, bytes]]

    @property
    def size(self) -> int:
        """Bytes as a record, before compression, rounded up."""
        named = sum(len(name) + len(value) + 8 for name, value in self.headers)
        return len(self.key) + len(self.value) + named + 32


def telemetry(event: PromptCallEvent, annotate: bool = True) -> Message:
    """
    Return *event* as the server takes it, whatever it holds.

    Args:
        annotate: Say in the metadata what a TelemetryEvent has no field for.
    """
    notes: list[str] = list(event.warnings)
    event_id = _uuid(event.event_id)
    if event_id is None:
        event_id = str(uuid5(NAMESPACE_OID, event.event_id))
        notes.append(f"{OTHER_ID}{event.event_id!r}")
    service = clean_text(event.service_name or "unknown_service")
    model = clean_text(event.model or "")
    when = event.timestamp
    if when.tzinfo is not UTC:
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    text = message_text(event.prompt)
    if len(text) > MAX_PROMPT_CHARS:
        notes.append(f"prompt.text was cut from {len(text)} to {MAX_PROMPT_CHARS} characters")
        text = text[:MAX_PROMPT_CHARS]
    body = {
        "event_id": event_id,
        "timestamp": when,
        "service_name": service,
        "trace_id": event.trace_id,
        "span_id": event.span_id,
        "model": model,
        "prompt": {
            "text": text,
            "tokens": _count("prompt.tokens", event.tokens_input, notes),
            "embedding": _embedding("prompt.embedding", event.prompt_embedding, notes),
        },
        "response": {
            "text": message_text(event.response),
            "tokens": _count("response.tokens", event.tokens_output, notes),
            "finish_reason": (
                _finish_reason(event) if event.finish_reason is None else event.finish_reason
            ),
            "embedding": _embedding("response.embedding", event.response_embedding, notes),
        },
        "latency_ms": _measure("latency_ms", event.latency_ms, notes),
        "cost_usd": _measure("cost_usd", event.cost_usd, notes),
        "errors": _errors(event),
    }
    body["metadata"] = _metadata(event, notes, annotate)
    headers = [
        ("event_id", event_id.encode()),
        ("service_name", service.encode()),
        ("model", model.encode()),
    ]
    return Message(service.encode(), encode(body), headers)


def native(event: Event, value: bytes) -> Message:
    """Return *event*, whose native JSON is *value*, with a prompt call's key and headers."""
    service = clean_text(event.service_name or "unknown_service").encode()
    headers = [
        ("event_id", clean_text(event.event_id).encode()),
        ("service_name", service),
        ("event_type", str(event.event_type).encode()),
    ]
    return Message(service, value, headers)


def message_text(value: Any) -> str:
    """
    Return a prompt or a response as text: a text as it is, of messages what they say (after their
    roles, if there are several), anything else as JSON.
    """
    if isinstance(value, str):
        return value
    messages = conversation(value)
    if value is None or messages is None:
        return "" if value is None else _json(value)
    said = [message_of(each) for each in messages]
    if len(said) == 1:
        return said_in(said[0], "\n")
    return "\n\n".join(f"{each['role']}: {said_in(each, chr(10))}" for each in said)


def _json(value: Any) -> str:
    return encode(value).decode()


def _uuid(text: str) -> str | None:
    if _is_plain_uuid(text):
        return text
    try:
        return str(UUID(text))
    except ValueError:
        return None


def _count(name: str, value: Any, notes: list[str]) -> int:
    if type(value) is int and 0 <= value <= _MAX_U32:
        return value
    if value is None:
        notes.append(f"{name}{UNKNOWN}")
        return 0
    notes.append(f"{name} was {value!r}")
    return _MAX_U32 if type(value) is int and value > _MAX_U32 else 0


def _measure(name: str, value: Any, notes: list[str]) -> float:
    if type(value) in (int, float) and 0 <= value <= _MAX_MEASURE:
        return value  # type: ignore[no-any-return]
    notes.append(f"{name}{UNKNOWN}" if value is None else f"{name} was {value!r}")
    return 0.0


def _embedding(name: str, value: Any, notes: list[str]) -> list[float] | None:
    if value is None:
        return None
    if isinstance(value, list) and all(
        type(x) in (int, float) and abs(x) <= _MAX_F32 for x in value
    ):
        return value
    notes.append(f"{name} holds what is not a finite number and was left out")
    return None


def _finish_reason(event: PromptCallEvent) -> str:
    if not event.failed:
        return "stop"
    status = str(plain(event.status))
    return "error" if status == Status.SUCCESS else status


def _errors(event: PromptCallEvent) -> list[str]:
    errors = [str(text) for text in event.errors]
    if event.error is not None:
        kind = event.error.type
        errors.append(f"{kind}: {event.error.message}" if kind else event.error.message)
    return errors


def _metadata(event: PromptCallEvent, notes: Iterable[str], annotate: bool) -> dict[str, str]:
    metadata = {str(k): _text(v) for k, v in (event.metadata or {}).items()}
    others = zip(ANNOTATED.items(), _other_values(event), strict=True) if annotate else ()
    for (name, default), value in others:
        if value is not None and value != default:
            metadata.setdefault(name, _text(value))
    if said := "; ".join(notes):
        metadata[NOTES_KEY] = said
    return metadata


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    value = plain(value)
    return value if isinstance(value, str) else _json(value)
