"""
Values in and out: snapshots of what callers hand over, and JSON that never fails.

The native JSON of an event is its struct, field by field, defaults left out, with ``event_type``
as the tag. It is what the SQLite store, JSONL files, the spool and llmobs' own collector speak.
"""

import base64
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from sys import getsizeof
from types import NoneType
from typing import Any, Final
from uuid import UUID

import msgspec

from llmobs.events import (
    AgentStepEvent,
    AssertionFailedEvent,
    ErrorEvent,
    Event,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    RunEvent,
    ToolCallEvent,
)
from llmobs.ids import new_id

__all__ = [
    "AnyEvent",
    "as_dict",
    "clean_text",
    "decode",
    "encode",
    "identifier",
    "readable",
    "snapshot",
    "take",
    "text_of",
    "texts",
    "weigh",
]

AnyEvent = (
    PromptCallEvent
    | ToolCallEvent
    | AgentStepEvent
    | ErrorEvent
    | AssertionFailedEvent
    | HallucinationDetectedEvent
    | PerformanceAlertEvent
    | RunEvent
)
"""Every event class: what :func:`decode` returns."""

MAX_DEPTH: Final = 32
"""Deeper values are replaced by their ``repr``; also ends cycles."""
MAX_REPR: Final = 1_000
"""Longest text, in characters, that stands for a value that is not JSON."""

_SCALARS = frozenset({str, int, float, bool, NoneType})
_are_scalars = _SCALARS.issuperset
_are_text = frozenset({str}).issuperset
_TEXTUAL = (UUID, Decimal, datetime, date, time)


def snapshot(value: Any, _depth: int = 0) -> Any:
    """
    Return a copy of *value* made of JSON types only, so that later changes by the caller do not show.

    Mappings become dicts with text keys, other collections become lists, UUIDs, dates and decimals
    become text, dataclasses, msgspec and pydantic objects become dicts, bytes become base64 text;
    anything else becomes the start of its ``repr``. Never raises.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if _depth >= MAX_DEPTH:
        return readable(value)
    deeper = _depth + 1
    if kind is dict:
        copy = value.copy()  # at once: another thread may be changing the original
        # Flat values, by far the most common, are checked without a Python loop.
        if _are_scalars(map(type, copy.values())) and _are_text(map(type, copy)):
            return copy
        return {_key(k): snapshot(v, deeper) for k, v in copy.items()}
    if kind is list or kind is tuple:
        items = list(value)
        if _are_scalars(map(type, items)):
            return items
        return [snapshot(v, deeper) for v in items]
    try:
        return _snapshot_other(value, deeper)
    except Exception:  # noqa: BLE001 - foreign code (iterators, model_dump, properties)
        return readable(value)


def _snapshot_other(value: Any, depth: int) -> Any:
    if isinstance(value, Enum):
        return snapshot(value.value, depth)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, _TEXTUAL):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        return {_key(k): snapshot(v, depth) for k, v in dict(value).items()}
    if isinstance(value, Sequence | set | frozenset):
        return [snapshot(v, depth) for v in list(value)]
    if isinstance(value, type):
        return readable(value)
    if isinstance(value, msgspec.Struct):
        return snapshot(msgspec.structs.asdict(value), depth)
    if dataclasses.is_dataclass(value):
        return {f.name: snapshot(getattr(value, f.name), depth) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):  # pydantic, hence the objects of the provider SDKs
        return snapshot(value.model_dump(mode="json"), depth)
    if hasattr(value, "tolist"):  # numpy and its relatives
        return snapshot(value.tolist(), depth)
    return readable(value)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, (int, float, Enum, *_TEXTUAL)):
        return str(snapshot(key))
    return readable(key)


def readable(value: object) -> str:
    """Return the start of ``repr(value)``, or its class's name if even that fails."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a broken __repr__ must not lose the event
        text = f"<{type(value).__module__}.{type(value).__qualname__}>"
    return text if len(text) <= MAX_REPR else f"{text[:MAX_REPR]}..."


def take(value: Any) -> tuple[Any, int]:
    """Return `snapshot` and `weigh` of *value*, in one walk where it is a flat dict."""
    if type(value) is dict:
        copy = value.copy()  # at once: another thread may be changing the original
        size = 64 + 96 * len(copy)
        for key, item in copy.items():
            if type(item) is str:
                size += len(item) if item.isascii() else getsizeof(item)
            elif type(item) not in _SCALARS:
                break
            if type(key) is not str:
                break
        else:
            return copy, size
    value = snapshot(value)
    return value, weigh(value)


def weigh(value: Any) -> int:
    """
    Estimate the memory, in bytes, that a value made by :func:`snapshot` holds on to.

    Exact for long text, which is what grows; containers count a round figure per entry.
    """
    # `getsizeof` is exact, and costs more than all the rest: only where `len` would be wrong.
    if type(value) is str:
        return 49 + len(value) if value.isascii() else getsizeof(value)
    if type(value) is dict:
        size = 64 + 96 * len(value)
        inner: Iterable[Any] = value.values()
    elif type(value) is list or type(value) is tuple:
        size = 56 + 32 * len(value)
        inner = value
    else:
        return 32
    for item in inner:
        if type(item) is str:
            size += len(item) if item.isascii() else getsizeof(item)
        elif type(item) not in _SCALARS:
            size += weigh(item)
    return size


def clean_text(text: str) -> str:
    """
    Return *text* as it can be written in UTF-8: surrogate pairs joined, lone ones as U+FFFD.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


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
        plain = _mend(snapshot(value))
        if tag is not None:
            plain = {"event_type": str(tag), **_without_defaults(value, plain)}
        return _encoder.encode(plain)


def decode(data: bytes | str) -> AnyEvent:
    """
    Read the native JSON of one event.

    Raises:
        msgspec.ValidationError: The JSON is not an event.
        msgspec.DecodeError: The text is not JSON.
    """
    return _decoder.decode(data)


def _without_defaults(event: Event, plain: dict[str, Any]) -> dict[str, Any]:
    defaults = {f.name: f.default for f in msgspec.structs.fields(event)}
    return {k: v for k, v in plain.items() if getattr(event, k) != defaults.get(k)}


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(k): _mend(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_mend(v) for v in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value) if value.bit_length() < 4096 else hex(value)[:MAX_REPR]
    return value


def as_dict(value: Any) -> dict[str, Any]:
    """Return a `snapshot` of *value* as a dict; what is no mapping is its ``value``."""
    plain = snapshot(value)
    return plain if isinstance(plain, dict) else {"value": plain}


def text_of(value: Any) -> str:
    """Return *value* as a text: itself, an enum's value, an id's digits, else the start of its ``repr``."""
    plain = snapshot(value)
    return plain if type(plain) is str else readable(plain)


def texts(values: Any) -> tuple[str, ...]:
    """Return *values* (tags, models, recommendations) as a tuple of texts; a lone value is one."""
    if values is None:
        return ()
    if isinstance(values, str):
        return (text_of(values),)
    try:
        copy = tuple(values)
    except Exception:  # noqa: BLE001 - no collection, or foreign code
        copy = (values,)
    return copy if _are_text(map(type, copy)) else tuple(map(text_of, copy))


def identifier(value: Any) -> str:
    """Return *value* as the id of a run or an event: its text; a new id for None and for no text."""
    if type(value) is str and value:
        return value
    return new_id() if value is None else text_of(value) or new_id()
