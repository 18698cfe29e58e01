"""
A call of a model, told afterwards, as an event: what every application spends its time in.

Written for speed: one walk over what was given, no keyword is unpacked twice, and what can wait
waits for the pipeline. There `llmobs.pipeline.sanitise` also turns the clock's reading into a
datetime.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from sys import getsizeof
from typing import Any, Final

from llmobs.codec import identifier, readable, shorten, snapshot, take, texts, weigh
from llmobs.events import ErrorInfo, Event, PromptCallEvent, Status, is_failure
from llmobs.fields import PromptCallFields
from llmobs.guard import Troubles
from llmobs.ids import new_id
from llmobs.printable import one_line
from llmobs.values import MAX_REPR

__all__ = [
    "OVERHEAD_BYTES",
    "began",
    "cut_long",
    "freeze",
    "prompt_call",
    "set_aside_unknown",
    "weigh_common",
    "weigh_texts",
]

SHORT: Final = 80
"""Texts up to this length are in `OVERHEAD_BYTES` where weighing each would cost more than it says."""
TAG_BYTES: Final = 60
"""Memory of a tag beside its characters."""
MAX_BITS: Final = 128
"""Whole numbers up to this size are in `OVERHEAD_BYTES`."""
OVERHEAD_BYTES: Final = 900
"""Memory of an event beside its texts and containers, measured with tracemalloc."""
_SUCCESS = Status.SUCCESS
_OURS = frozenset({"run_id", "client", "warnings", "standalone"})
_FIELDS = frozenset(PromptCallEvent.__struct_fields__) - _OURS
_from_timestamp = datetime.fromtimestamp


def prompt_call(
    run_id: str,
    prompt: Any,
    model: str,
    response: Any,
    tokens_input: int | None,
    tokens_output: int | None,
    latency_ms: float | None,
    status: Status | str,
    error: Any,
    prompt_template_id: str | None,
    model_version: str | None,
    response_metadata: Mapping[str, Any] | None,
    tool_calls: Sequence[Mapping[str, Any]] | None,
    tags: Sequence[str] | None,
    user_id: str | None,
    release: str | None,
    fields: PromptCallFields,
) -> tuple[PromptCallEvent, int, bool]:
    """
    Return the event, its estimated size in bytes (without `OVERHEAD_BYTES`), and whether it failed.

    The parameters are those of ``Tracker.log_prompt_call``; *fields* are its optional keywords.
    """
    now = time.time()
    if (type(latency_ms) is float or type(latency_ms) is int) and 0 < latency_ms < 1e9:
        now -= latency_ms / 1000
    odd = 0
    if (
        type(tokens_input) is not int
        or type(tokens_output) is not int
        or tokens_input.bit_length() + tokens_output.bit_length() > MAX_BITS
        or not (type(latency_ms) is float or latency_ms is None)
    ):
        tokens_input, more = _take_number(tokens_input)
        tokens_output, odd = _take_number(tokens_output)
        latency_ms, some = _take_number(latency_ms)
        odd += more + some
    event = PromptCallEvent(
        event_id=new_id(),
        run_id=run_id if type(run_id) is str and run_id else identifier(run_id),
        timestamp=now,  # type: ignore[arg-type]
        prompt=prompt,
        model=model,
        response=response,
        tokens_input=tokens_input,
        tokens_output=tokens_output,
        latency_ms=latency_ms,
        status=status,
        prompt_template_id=prompt_template_id,
        model_version=model_version,
        user_id=user_id,
        release=release,
    )
    if type(prompt) is str:
        size = len(prompt) if prompt.isascii() else getsizeof(prompt)
    else:
        event.prompt, size = take(prompt)
    size += odd
    if type(response) is str:
        size += len(response) if response.isascii() else getsizeof(response)
    else:
        event.response, more = take(response)
        size += more
    if fields:
        size += _set(event, fields)
        if type(event.event_id) is not str:
            event.event_id = identifier(event.event_id)
    if error is not None:
        event.error = ErrorInfo.of(error)
        size += weigh(event.error)
    if (
        prompt_template_id is not None
        or model_version is not None
        or user_id is not None
        or release is not None
        or type(model) is not str
        or len(model) > SHORT
        or type(status) is not Status
    ):
        size += weigh_texts(model, status, prompt_template_id, model_version, user_id, release)
    if len(event.run_id) > SHORT:
        size += weigh_texts(event.run_id)
    failed = (status is not _SUCCESS or error is not None) and is_failure(status, error)
    if response_metadata is not None:
        event.response_metadata, more = take(response_metadata)
        size += more
    if tool_calls is not None:
        event.tool_calls, more = take(tool_calls)
        size += more
    if tags is not None:
        event.tags = words = texts(tags)
        size += sum(map(len, words)) + TAG_BYTES * len(words)
    return event, size, failed


def _take_number(value: Any) -> tuple[Any, int]:
    kind = type(value)
    if value is None or kind is float or (kind is int and value.bit_length() <= MAX_BITS):
        return value, 0
    return take(value)


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
    status, error = getattr(event, "status", None), getattr(event, "error", None)
    if type(status) is not Status:
        size += weigh_texts(status)
    return size if error is None else size + weigh(error)


def set_aside_unknown(kind: type[Event], fields: dict[str, Any]) -> None:
    """Replace what no event of *kind* takes by warnings: recording never raises."""
    if unknown := fields.keys() - (set(kind.__struct_fields__) - _OURS):
        warnings = tuple(_unknown(kind, name, fields.pop(name)) for name in sorted(unknown))
        fields["warnings"] = warnings


MAX_UNKNOWN: Final = 20
"""Unknown names that are logged, once each; of further ones only their number, once a minute."""
_troubles = Troubles()
_said: dict[tuple[type[Event], str], str] = {}


def _unknown(kind: type[Event], name: str, value: Any) -> str:
    name = one_line(name)[:100]
    words = _said.get((kind, name))
    if words is None:
        if len(_said) < MAX_UNKNOWN:
            words = f"there is no such field{_did_you_mean(kind, name)}; left out"
            _said[kind, name] = words
            key, about = f"unknown-field:{name}", f"{kind.__name__}: {name}: {words}"
        else:  # without a search for the nearest: it takes a hundred microseconds
            words = "there is no such field; left out"
            key, about = "unknown-field", f"{kind.__name__}: {name}: {words}, like many before"
        _troubles.log(key, "llmobs: %s (the event's warnings keep its value)", about)
    return f"{name}={readable(value)[:200]}: {words}"


def _did_you_mean(kind: type[Event], name: str) -> str:
    from difflib import get_close_matches  # slow to import, and hardly ever needed

    names = set(kind.__struct_fields__) - _OURS
    near = get_close_matches(name, sorted(names), n=1)
    near = near or sorted((n for n in names if len(name) > 3 and n.startswith(name[:9])), key=len)
    return f", did you mean {near[0]}?" if near else ""


def _set(event: PromptCallEvent, fields: Mapping[str, Any]) -> int:
    size = 0
    for name, value in fields.items():
        kind = type(value)
        if name not in _FIELDS:
            event.warnings = (*event.warnings, _unknown(PromptCallEvent, name, value))
            size += weigh(event.warnings[-1])
            continue
        if kind is float or kind is bool or (kind is int and value.bit_length() <= MAX_BITS):
            pass
        elif kind is str:
            size += getsizeof(value)
        elif value is None:
            continue
        elif kind is not datetime:
            value, more = take(value)
            size += more
        setattr(event, name, value)
    return size


def began(latency_ms: float | None) -> datetime:
    """Return when something began that ended now."""
    now = time.time()
    if (type(latency_ms) is float or type(latency_ms) is int) and 0 < latency_ms < 1e9:
        now -= latency_ms / 1000
    return _from_timestamp(now, UTC)


def freeze(fields: dict[str, Any]) -> int:
    """Replace what the caller could change later by a snapshot; return its estimated size."""
    size = 0
    for name, value in fields.items():
        if type(value) is str:
            size += getsizeof(value)
        else:
            fields[name], more = _take_number(value)
            size += more
    return size


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
