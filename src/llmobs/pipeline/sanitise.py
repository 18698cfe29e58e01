"""
Make an event fit its declared types: what callers got wrong is mended and said in ``warnings``.

Capture takes what it is given; here, off the request path, a count that is negative or not a
number becomes None, a text that is not a text becomes one, and so on. A well-formed event costs
about a microsecond.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from types import NoneType
from typing import Any, NamedTuple

import msgspec

from llmobs.codec import AnyEvent, as_dict, readable, text_of, texts
from llmobs.events import (
    AlertType,
    AssertionType,
    ClientInfo,
    DetectionMethod,
    ErrorInfo,
    Event,
    PromptCallEvent,
    Severity,
    Status,
    StepType,
)
from llmobs.pipeline._call_figures import mend_figures

__all__ = ["sanitise"]

MAX_COUNT = 2**63 - 1
"""Largest count a store keeps (SQLite's INTEGER)."""

_REQUIRED = frozenset({"event_id", "run_id", "timestamp"})


class _Checks(NamedTuple):
    """What to look at in one class of event; values come in this order."""

    counts: tuple[str, ...]
    measures: tuple[str, ...]
    texts: tuple[str, ...]
    others: tuple[str, ...]
    never_none: Mapping[str, Any]
    """Their defaults."""
    kinds: Mapping[str, Any]
    get: Callable[[Event], tuple[Any, ...]]
    well_formed: set[tuple[type, ...]]
    """Combinations of value types found in order before: one look-up instead of forty checks."""


MAX_SHAPES = 4096

_are_text = frozenset({str}).issuperset
_are_numbers = frozenset({int, float}).issuperset

_OUR_TEXTS = frozenset(
    {str, NoneType, Status, StepType, Severity, AssertionType, DetectionMethod, AlertType}
)
_OTHERS: dict[Any, tuple[Callable[[Any], bool], Callable[[Any], Any]]] = {
    tuple[str, ...]: (lambda v: type(v) is tuple, texts),
    dict[str, Any] | None: (
        lambda v: v is None or type(v) is dict,
        as_dict,
    ),
    list[dict[str, Any]] | None: (
        lambda v: v is None or (type(v) is list and all(type(x) is dict for x in v)),
        lambda v: [as_dict(x) for x in (v if isinstance(v, list) else [v])],
    ),
    list[float] | None: (
        lambda v: v is None or (type(v) is list and _are_finite(v)),
        lambda v: _finite(v),
    ),
    ErrorInfo | None: (lambda v: v is None or type(v) is ErrorInfo, lambda v: ErrorInfo.of(v)),
    ErrorInfo: (lambda v: type(v) is ErrorInfo, lambda v: ErrorInfo.of(v)),
    ClientInfo | None: (lambda v: v is None or type(v) is ClientInfo, lambda v: None),
    bool | None: (lambda v: v is None or type(v) is bool, lambda v: bool(v)),
}


def _are_finite(values: list[Any]) -> bool:
    return _are_numbers(map(type, values)) and all(map(math.isfinite, values))


def _finite(values: Any) -> list[float]:
    numbers = [float(value) for value in values]
    if not _are_finite(numbers):
        raise ValueError
    return numbers


def _checks_of(kind: type[Event]) -> _Checks:
    fields = {f.name: f.type for f in msgspec.structs.fields(kind) if f.name not in _REQUIRED}
    counts = tuple(n for n, t in fields.items() if t in (int, int | None))
    measures = tuple(n for n, t in fields.items() if t in (float, float | None))
    words = tuple(n for n, t in fields.items() if t in (str, str | None))
    others = tuple(n for n, t in fields.items() if t in _OTHERS)
    never_none = {
        f.name: f.default
        for f in msgspec.structs.fields(kind)
        if f.type in (int, float, str) and f.name not in _REQUIRED
    }
    get = attrgetter(*counts, *measures, *words, *others)
    return _Checks(counts, measures, words, others, never_none, fields, get, set())


_CHECKS: dict[type[Event], _Checks] = {kind: _checks_of(kind) for kind in AnyEvent.__args__}


def sanitise(event: Event) -> None:
    """Mend *event* in place; never raises for a value of any type."""
    _mend_types(event)
    if type(event) is PromptCallEvent:
        mend_figures(event)


def _mend_types(event: Event) -> None:
    _unpack(event)
    checks = _CHECKS[type(event)]
    values = checks.get(event)
    shape = tuple(map(type, values))
    if shape in checks.well_formed:
        for number in values[: len(checks.counts) + len(checks.measures)]:
            if number is not None and not 0 <= number <= MAX_COUNT:
                _mend_numbers(event, checks)
                break
        return
    _mend_numbers(event, checks)
    for name in checks.texts:
        value = getattr(event, name)
        if type(value) not in _OUR_TEXTS:
            # Enums of the caller become their value, anything else its text.
            setattr(event, name, text_of(value))
    for name in checks.others:
        is_fine, mend = _OTHERS[checks.kinds[name]]
        value = getattr(event, name)
        try:
            if not is_fine(value):
                setattr(event, name, mend(value))
        except Exception:  # noqa: BLE001 - foreign values; nothing may lose the event
            _give_up(event, name, value, "what this field holds")
    for name, default in checks.never_none.items():
        if getattr(event, name) is None:
            setattr(event, name, default)
    if list not in shape and len(checks.well_formed) < MAX_SHAPES:
        after = tuple(map(type, checks.get(event)))
        if after == shape:
            checks.well_formed.add(shape)


def _unpack(event: Event) -> None:
    # What capture leaves for later: see `llmobs.told`.
    if type(event.timestamp) is not datetime:
        _mend_time(event, event.timestamp)
    if type(event.run_id) is not str:
        event.run_id = text_of(event.run_id)
    if type(event.event_id) is not str:
        event.event_id = text_of(event.event_id)
    tags = event.tags
    if tags and type(tags) is tuple and not _are_text(map(type, tags)):
        event.tags = texts(tags)


def _mend_time(event: Event, value: Any) -> None:
    try:
        if type(value) is float or type(value) is int:
            event.timestamp = datetime.fromtimestamp(value, UTC)
            return
        if isinstance(value, str):
            event.timestamp = datetime.fromisoformat(value)
    except (ValueError, OverflowError, OSError):
        pass
    if not isinstance(event.timestamp, datetime):
        event.timestamp = datetime.now(UTC)
        words = f"timestamp={readable(value)[:200]} is not a time; it is when the event was sent"
        event.warnings = (*event.warnings, words)


def _mend_numbers(event: Event, checks: _Checks) -> None:
    for name in checks.counts:
        value = getattr(event, name)
        if value is None or (type(value) is int and 0 <= value <= MAX_COUNT):
            continue
        number = _number(value)
        if number is None or not 0 <= number <= MAX_COUNT:
            _give_up(event, name, value, "a count")
        else:
            setattr(event, name, round(number))
    for name in checks.measures:
        value = getattr(event, name)
        if value is None or (type(value) in (int, float) and 0 <= value <= MAX_COUNT):
            continue
        number = _number(value)
        if number is None or not 0 <= number < math.inf:
            _give_up(event, name, value, "a measure")
        else:
            setattr(event, name, number)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _give_up(event: Event, name: str, value: Any, wanted: str) -> None:
    default = {f.name: f.default for f in msgspec.structs.fields(event)}.get(name)
    setattr(event, name, None if default is msgspec.NODEFAULT else default)
    event.warnings = (*event.warnings, f"{name}={readable(value)[:200]} is not {wanted}; left out")
