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
from typing import Any, Final, NamedTuple

import msgspec

from llmobs.codec import (
    AnyEvent,
    as_dict,
    clean_text,
    fields_of,
    snapshot,
    text_of,
    texts,
)
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
from llmobs.recorded.aside import set_aside
from llmobs.recorded.ids import MAX_ID_LENGTH, bounded_id
from llmobs.redaction.fields import Kind, every_field

__all__ = ["sanitise"]

MAX_COUNT: Final = 10**15
"""Largest count that is believed: sums of thousands of them stay within 64 bits."""
MAX_MILLISECONDS: Final = 10 * 366 * 86_400_000
"""Longest time that is believed, ten years: what is longer is a moment in time, or other units."""
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Moments outside are not believed: OTLP counts nanoseconds from 1970, ends of calendars overflow."""

SECONDS_UNTIL_2200: Final = LATEST.timestamp()

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
    names: tuple[str, ...]
    """All of them, in the order of their values."""
    get: Callable[[Event], tuple[Any, ...]]
    ids: tuple[str, ...]
    get_ids: Callable[[Event], tuple[Any, ...]]
    """What joins events to each other and to people."""
    well_formed: set[tuple[type, ...]]
    """Combinations of value types found in order before: one look-up instead of forty checks."""


MAX_SHAPES = 4096

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
        lambda v: [as_dict(x) for x in (v if type(v) is list else [v])],
    ),
    list[float] | None: (
        lambda v: v is None or (type(v) is list and _are_finite(v)),
        lambda v: _finite(v),
    ),
    ErrorInfo | None: (lambda v: v is None or type(v) is ErrorInfo, lambda v: ErrorInfo.of(v)),
    ErrorInfo: (lambda v: type(v) is ErrorInfo, lambda v: ErrorInfo.of(v)),
    ClientInfo | None: (lambda v: v is None or type(v) is ClientInfo, lambda v: None),
    bool: (lambda v: type(v) is bool, lambda v: bool(snapshot(v))),
    bool | None: (lambda v: v is None or type(v) is bool, lambda v: bool(snapshot(v))),
}


def _are_finite(values: list[Any]) -> bool:
    return _are_numbers(map(type, values)) and all(map(math.isfinite, values))


def _finite(values: Any) -> list[float]:
    plain = snapshot(values)  # a value's own code is not asked
    if type(plain) is not list:
        raise ValueError
    numbers = [float(value) for value in plain]
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
    names = (*counts, *measures, *words, *others)
    ids = tuple(n for n, f in every_field(kind).items() if f.kind in (Kind.IDENTIFIER, Kind.PERSON))
    get, get_ids = attrgetter(*names), attrgetter(*ids)
    return _Checks(
        counts, measures, words, others, never_none, fields, names, get, ids, get_ids, set()
    )


_CHECKS: dict[type[Event], _Checks] = {kind: _checks_of(kind) for kind in AnyEvent.__args__}


def sanitise(event: Event) -> None:
    """Mend *event* in place; never raises for a value of any type."""
    _mend_types(event)
    _bound_ids(event)
    if type(event) is PromptCallEvent:
        mend_figures(event)


def _bound_ids(event: Event) -> None:
    checks = _CHECKS[type(event)]
    values = checks.get_ids(event)
    if sum(map(len, filter(None, values))) <= MAX_ID_LENGTH:
        return
    for name, value in zip(checks.ids, values, strict=True):
        if value and len(value) > MAX_ID_LENGTH:
            setattr(event, name, bounded_id(value))
            event.warnings = (*event.warnings, f"{name} was {len(value)} characters long; cut")


def _mend_types(event: Event) -> None:
    _unpack(event)
    checks = _CHECKS[type(event)]
    values = checks.get(event)
    shape = tuple(map(type, values))
    try:
        known = shape in checks.well_formed
    except Exception:  # noqa: BLE001 - the class of a value cannot even be hashed
        for name, value in zip(checks.names, values, strict=True):
            setattr(event, name, snapshot(value))
        values = checks.get(event)
        shape, known = tuple(map(type, values)), False
    if known:
        for number in values[: len(checks.counts) + len(checks.measures)]:
            if number is not None and not 0 <= number <= MAX_MILLISECONDS:
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
    said = event.warnings  # first: what follows adds to them
    if type(said) is not tuple or (said and not all(type(words) is str for words in said)):
        event.warnings = texts(said)
    # What capture leaves for later: see `llmobs.capture`.
    moment: Any = event.timestamp
    if type(moment) is float and 0 < moment < SECONDS_UNTIL_2200:  # the clock's own reading
        event.timestamp = datetime.fromtimestamp(moment, UTC)
    elif type(moment) is not datetime or moment.tzinfo is not UTC or not 1970 <= moment.year < 2200:
        _mend_time(event)
    if type(event.run_id) is not str or not event.run_id.isprintable():
        event.run_id = clean_text(text_of(event.run_id))
    if type(event.event_id) is not str or not event.event_id.isprintable():
        event.event_id = clean_text(text_of(event.event_id))
    tags = event.tags
    if tags and type(tags) is tuple and not all(type(tag) is str for tag in tags):
        event.tags = texts(tags)


def _mend_time(event: Event) -> None:
    value: Any = event.timestamp
    moment = _moment(value)
    if moment is None or not EARLIEST <= moment < LATEST:
        event.timestamp = datetime.now(UTC)
        reason = "is not a time" if moment is None else "is not between the years 1970 and 2200"
        set_aside(event, "timestamp", value, f"{reason}, so it is when the event was sent")
    else:
        event.timestamp = moment


def _moment(value: Any) -> datetime | None:
    """Return *value* in UTC; naive times are local, numbers are seconds, or their thousandths, since 1970."""
    try:
        plain = value if type(value) is datetime else snapshot(value)
        if type(plain) is float or type(plain) is int:
            for _ in range(3):  # milliseconds, microseconds, nanoseconds
                if abs(plain) >= SECONDS_UNTIL_5138:
                    plain /= 1000
            return datetime.fromtimestamp(plain, UTC)
        if type(plain) is str:
            plain = datetime.fromisoformat(plain)
        return plain.astimezone(UTC) if type(plain) is datetime else None
    except Exception:  # noqa: BLE001 - no time, the ends of the calendar, a time zone's own code
        return None


SECONDS_UNTIL_5138: Final = 1e11
"""Numbers from here on are no seconds."""


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
        limit = MAX_MILLISECONDS if name.endswith("_ms") else MAX_COUNT
        if value is None or (type(value) in (int, float) and 0 <= value <= limit):
            continue
        number = _number(value)
        if number is None or not 0 <= number <= limit:
            _give_up(event, name, value, "a measure" if limit == MAX_COUNT else "a time in ms")
        else:
            setattr(event, name, number)


def _number(value: Any) -> float | None:
    plain = value if type(value) in (int, float) else snapshot(value)
    if type(plain) not in (int, float, str):
        return None
    try:
        number = float(plain)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _give_up(event: Event, name: str, value: Any, wanted: str) -> None:
    default = {f.name: f.default for f in fields_of(type(event))}.get(name)
    setattr(event, name, None if default is msgspec.NODEFAULT else default)
    set_aside(event, name, value, f"is not {wanted}")
