"""
Events made of what callers tell: values as they are now, and the memory they take.

What can wait waits for the pipeline: there `llmobs.pipeline.sanitise` makes each value what its
field holds, and turns the clock's reading into a datetime.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from sys import getsizeof
from typing import Any, Final, TypeVar

from llmobs.codec import identifier, shorten, snapshot, texts, weigh, weighed
from llmobs.events import ErrorInfo, Event, Status, is_failure
from llmobs.recorded.aside import field_name, set_aside
from llmobs.recorded.ids import new_id
from llmobs.recorded.values import MAX_REPR
from llmobs.runtime.troubles import Troubles

__all__ = [
    "MAX_BITS",
    "MAX_LATENCY_MS",
    "OVERHEAD_BYTES",
    "as_given",
    "began",
    "build",
    "cut_long",
    "kept",
    "kept_tags",
    "set_more",
    "weigh_common",
    "weigh_texts",
]

OVERHEAD_BYTES: Final = 900
"""Memory of an event beside its texts and containers, measured with tracemalloc."""

MAX_BITS: Final = 128
"""Whole numbers up to this size are in `OVERHEAD_BYTES`."""
TAG_BYTES: Final = 60
"""Memory of a tag beside its characters."""
FEW_TAGS: Final = 16
"""So many are looked at one by one in less time than it takes to look at them at once."""
MAX_LATENCY_MS: Final = 1e9
"""What took longer (eleven days) is not believed."""

E = TypeVar("E", bound=Event)

_OURS: Final = frozenset({"run_id", "client", "warnings", "standalone"})
"""Fields that no caller sets."""
_SET_BY_CALLERS: Final[dict[type[Event], frozenset[str]]] = {}


def _set_by_callers(kind: type[Event]) -> frozenset[str]:
    names = _SET_BY_CALLERS.get(kind)
    if names is None:
        names = _SET_BY_CALLERS[kind] = frozenset(kind.__struct_fields__) - _OURS
    return names


def kept(value: Any, size: int) -> tuple[Any, int]:
    """Return *value* as it is now, and *size* with its memory added."""
    if type(value) is str:
        return value, size + (49 + len(value) if value.isascii() else getsizeof(value))
    if type(value) is datetime:
        return value, size
    value, more = weighed(value)
    return value, size + more


def kept_tags(tags: Any, size: int) -> tuple[tuple[str, ...], int]:
    """Return *tags* as they are now, and *size* with their memory added."""
    if type(tags) is list and len(tags) <= FEW_TAGS:
        words = tuple(tags)
        try:
            return words, size + len("".join(words)) + TAG_BYTES * len(words)
        except TypeError:  # not all are texts
            pass
    words = texts(tags)
    return words, size + sum(map(len, words)) + TAG_BYTES * len(words)


def as_given(values: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return *values* as they are now, without None, for an event that comes later; what is an error is
    read then.
    """
    return {
        name: value if name == "error" or type(value) is datetime else snapshot(value)
        for name, value in values.items()
        if value is not None
    }


def build(kind: type[E], run_id: str, values: Mapping[str, Any]) -> tuple[E, int, bool]:
    """
    Return an event of *kind*; the size of its content, without what `RecordedRun.record` weighs; and
    whether it reports a failure.

    Args:
        kind: The class of event.
        run_id: The run it belongs to.
        values: What its fields hold, by their names, of any types; None where a field has its
            default. What is no field becomes a warning.
    """
    known = _set_by_callers(kind)
    now = time.time()
    size = 0
    given: dict[str, Any] = {}
    unknown: list[str] = []
    for name, value in values.items():
        if value is None:
            continue
        of = type(value)
        if name not in known:
            unknown.append(name)
        elif name in _SPECIAL:
            given[name] = _SPECIAL[name](value)
        elif of is str:
            given[name] = value
            size += 49 + len(value) if value.isascii() else getsizeof(value)
        elif (
            of is float
            or of is bool
            or of is Status
            or (of is int and value.bit_length() <= MAX_BITS)
        ):
            given[name] = value
        else:
            given[name], size = kept(value, size)
    if "event_id" not in given:
        given["event_id"] = new_id(now)
    if "timestamp" not in given:
        given["timestamp"] = began(now, values.get("latency_ms"))
    event = kind(run_id=run_id, **given)
    for name in unknown:
        size += _set_aside(event, name, values[name])
    return event, size, is_failure(values.get("status"), values.get("error"))


_SPECIAL: Final[Mapping[str, Callable[[Any], Any]]] = {
    "event_id": identifier,
    "error": ErrorInfo.of,
    "tags": texts,
    # What `RecordedRun.record` weighs.
    **dict.fromkeys(("user_id", "session_id", "release", "service_name"), snapshot),
}
"""Fields that are not kept as any value is."""


def began(now: float, latency_ms: Any) -> Any:
    """Return the clock's reading when something began that ended *now* and took *latency_ms*."""
    if (type(latency_ms) is float or type(latency_ms) is int) and 0 < latency_ms < MAX_LATENCY_MS:
        return now - latency_ms / 1000
    return now


def weigh_texts(*values: Any) -> int:
    """Estimate the memory of short texts as the caller gave them: of any type, made texts later."""
    size = 0
    for value in values:
        if type(value) is str:
            size += weigh(value)
        elif value is not None:
            size += MAX_REPR
    return size


def weigh_common(event: Event) -> int:
    """Estimate the memory of an event's tags, warnings and error: what may stand beside its content."""
    size = weigh(event.tags) if event.tags else 0
    if event.warnings:
        size += weigh(event.warnings)
    error = getattr(event, "error", None)
    return size if error is None else size + weigh(error)


def cut_long(
    complete: Callable[[Event], Iterable[None] | None] | None, limit: int, event: Event
) -> Iterator[None]:
    """Complete *event*; then cut what a field holds above *limit* bytes: capture only held on to it."""
    if complete is not None:
        yield from complete(event) or ()
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if type(value) in (str, dict, list):
            setattr(event, name, shorten(snapshot(value), limit))
        elif type(value) is tuple:
            setattr(event, name, shorten(texts(value), limit))
        elif type(value) is ErrorInfo:
            for part in ("message", "stack", "context"):
                setattr(value, part, shorten(getattr(value, part), limit))
        yield


# Names that no event has: recording never raises.


def set_more(event: Event, values: Mapping[str, Any]) -> int:
    """Set fields of *event* by name; what is none becomes a warning. Returns their estimated size."""
    size = 0
    known = _set_by_callers(type(event))
    for name, value in values.items():
        if name in known:
            value, size = kept(value, size)
            setattr(event, name, value)
        else:
            size += _set_aside(event, name, value)
    return size


MAX_UNKNOWN: Final = 20
"""Unknown names that are logged, once each; of further ones only their number, once a minute."""
_troubles = Troubles()
_said: dict[tuple[type[Event], str], str] = {}


def _set_aside(event: Event, name: str, value: Any) -> int:
    """Keep *value*, handed over as a field that there is not; returns its estimated size."""
    value, size = kept(value, 0)
    set_aside(event, name, value, _unknown(type(event), field_name(name)))
    return size


def _unknown(kind: type[Event], name: str) -> str:
    words = _said.get((kind, name))
    if words is None:
        if len(_said) < MAX_UNKNOWN:
            words = f"there is no such field{_did_you_mean(kind, name)}"
            _said[kind, name] = words
            key, about = f"unknown-field:{name}", f"{kind.__name__}: {name}: {words}"
        else:  # without a search for the nearest: it takes a hundred microseconds
            words = "there is no such field"
            key, about = "unknown-field", f"{kind.__name__}: {name}: {words}, like many before"
        _troubles.log(key, "llmobs: %s (the event's metadata keeps its value)", about)
    return words


def _did_you_mean(kind: type[Event], name: str) -> str:
    from difflib import get_close_matches  # slow to import, and hardly ever needed

    names = _set_by_callers(kind)
    near = get_close_matches(name, sorted(names), n=1)
    near = near or sorted((n for n in names if len(name) > 3 and n.startswith(name[:9])), key=len)
    return f", did you mean {near[0]}?" if near else ""
