"""
Values in and out: snapshots of what callers hand over (see `llmobs.recorded.values`), and JSON that never fails.

The native JSON of an event is its struct, field by field, defaults left out, with ``event_type``
as the tag. It is what the SQLite store, JSONL files, the spool and the HTTP sink's native wire speak.
"""

from collections.abc import Callable
from copy import copy
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, Final

import msgspec

from llmobs.events import (
    AgentStepEvent,
    AlertType,
    AssertionFailedEvent,
    AssertionType,
    ClientInfo,
    DetectionMethod,
    ErrorEvent,
    ErrorInfo,
    EvaluationEvent,
    Event,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    RunEvent,
    Severity,
    Status,
    StepType,
    ToolCallEvent,
)
from llmobs.recorded.ids import new_id
from llmobs.recorded.jsontext import clean_text, mended
from llmobs.recorded.values import (
    MAX_DEPTH,
    MAX_NODES,
    as_dict,
    readable,
    shorten,
    snapshot,
    text_of,
    texts,
    weigh,
    weighed,
)

__all__ = [
    "NATIVE_TYPE",
    "AnyEvent",
    "as_dict",
    "bound_event",
    "clean_text",
    "decode",
    "encode",
    "encode_strictly",
    "fields_of",
    "identifier",
    "readable",
    "shorten",
    "snapshot",
    "text_of",
    "texts",
    "weigh",
    "weighed",
    "weighed_event",
]

AnyEvent = (
    PromptCallEvent
    | ToolCallEvent
    | AgentStepEvent
    | ErrorEvent
    | AssertionFailedEvent
    | HallucinationDetectedEvent
    | EvaluationEvent
    | PerformanceAlertEvent
    | RunEvent
)
"""Every event class: what :func:`decode` returns."""


NATIVE_TYPE: Final = "application/vnd.llmobs+json"
"""Content type of ``{"events": [...]}`` in native JSON: tells it from WatchLLM's, on the same path."""


@cache
def fields_of(kind: type[Event]) -> tuple[Any, ...]:
    """Return ``msgspec.structs.fields`` of a class of events, which takes a millisecond to find out."""
    return msgspec.structs.fields(kind)


_encoder = msgspec.json.Encoder(enc_hook=readable, decimal_format="string")
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def encode(value: Any) -> bytes:
    """
    Return *value*, an event or anything else, as UTF-8 JSON. NaN and infinities become null.

    What JSON cannot hold (lone surrogates, odd keys, integers beyond 64 bits, cycles) is replaced
    by something readable; this never raises for a value of any type.
    """
    try:
        return _encoder.encode(value)
    except Exception:  # noqa: BLE001 - whatever msgspec refuses is mended below
        tag = value.event_type if isinstance(value, Event) else None
        plain = mended(value)
        if tag is not None:
            plain = {"event_type": str(tag), **_without_defaults(value, plain)}
        return _encoder.encode(plain)


def encode_strictly(value: Any) -> bytes:
    """
    Return *value* as `encode` does.

    Raises:
        Exception: JSON cannot hold it as it is, where `encode` would replace something.
    """
    return _encoder.encode(value)


def decode(data: bytes | str) -> AnyEvent:
    """
    Read the native JSON of one event.

    Raises:
        msgspec.ValidationError: The JSON is not an event.
        msgspec.DecodeError: The text is not JSON.
    """
    return _decoder.decode(data)


def _without_defaults(event: Event, plain: dict[str, Any]) -> dict[str, Any]:
    defaults = {f.name: f.default for f in fields_of(type(event))}
    return {k: v for k, v in plain.items() if getattr(event, k) != defaults.get(k)}


_KEPT = (
    datetime, ClientInfo, Status, StepType, Severity, AssertionType, DetectionMethod, AlertType,
)  # fmt: skip
"""What is as it should be, and nobody can change. A tuple: not every class can be hashed."""


def weighed_event(event: Event) -> tuple[Event, int]:
    """
    Return a copy of *event* that is a snapshot in every field, and the memory that it holds.

    The caller may have filled it with anything, and goes on holding the original.
    """
    mine, total = copy(event), 0
    for name in mine.__struct_fields__:
        value = getattr(mine, name)
        if value is None:  # most are
            total += 32
            continue
        if name == "error":
            value = ErrorInfo.of(value)
            size = weigh(value)
        elif any(type(value) is kind for kind in _KEPT):
            size = 0
        else:
            value, size = weighed(value)
        setattr(mine, name, value)
        total += size
    mine.event_id, mine.run_id = identifier(mine.event_id), identifier(mine.run_id)
    return mine, total


def bound_event(event: Event) -> None:
    """
    Hold *event*, which was read from JSON or the like, to the bounds of a `snapshot`, in place.

    Nobody else has it, and there is nothing in it but JSON's types: what `weighed_event` does to every
    value is left to those that can be large without being a text.
    """
    names, get = _containers_of(type(event))
    for name, value in zip(names, get(event), strict=True):
        kind = type(value)
        if kind is dict or kind is list:
            if not _is_small(value):
                setattr(event, name, weighed(value)[0])
        elif kind is tuple and len(value) > MAX_SHORT:  # of texts: tags and the like
            setattr(event, name, texts(list(value)))
    error = getattr(event, "error", None)
    if error is not None:
        event.error = ErrorInfo.of(error)  # type: ignore[attr-defined]
    if not event.event_id:
        event.event_id = new_id()
    if not event.run_id:
        event.run_id = new_id()


def _is_small(value: Any) -> bool:
    """Whether *value*, of JSON's types, is within the bounds: so short as JSON that nothing can exceed them."""
    try:
        data = _encoder.encode(value)
    except Exception:  # noqa: BLE001 - what JSON does not hold is looked at piece by piece
        return False
    # Each value takes two bytes at least, each level a bracket.
    return len(data) <= 2 * MAX_NODES and data.count(b"[") + data.count(b"{") <= MAX_DEPTH


MAX_SHORT: Final = 64
"""Texts that are not worth a second look."""


@cache
def _containers_of(kind: type[Event]) -> tuple[tuple[str, ...], Callable[[Event], tuple[Any, ...]]]:
    plain = (str, int, float, bool, datetime)
    names = tuple(
        field.name
        for field in fields_of(kind)
        if field.name != "error"
        and not any(field.type == of or field.type == of | None for of in plain)
        and field.type != ClientInfo | None
    )
    get = attrgetter(*names)
    return names, get if len(names) > 1 else lambda event: (get(event),)


def identifier(value: Any) -> str:
    """Return *value* as the id of a run or an event: its text; a new id for None and for no text."""
    if type(value) is str and value:
        return value
    return new_id() if value is None else text_of(value) or new_id()
