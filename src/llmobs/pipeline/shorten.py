"""
Events larger than a sink takes, made to fit: the middle of long texts and lists goes, what was
counted and measured stays.
"""

from copy import copy
from typing import Any, Final

import msgspec

from llmobs.codec import encode
from llmobs.events import ErrorInfo, Event

__all__ = ["size_of", "shorten"]

LEAST_CHARS: Final = 32
"""Texts are not made shorter than this."""
LEAST_ITEMS: Final = 4
CHARS_PER_ITEM: Final = 64
"""Lists and mappings keep one entry for so many characters that texts keep."""

_KEPT: Final = frozenset(
    {"event_id", "run_id", "parent_id", "trace_id", "span_id", "timestamp", "usage"}
)


def size_of(event: Event) -> int:
    """Return the bytes of *event* as native JSON."""
    return len(encode(event))


def shorten(event: Event, size: int) -> Event:
    """
    Return a copy of *event* of at most *size* bytes of native JSON, or near it, if that can be.

    Its ``warnings`` say how long it was and which fields were cut.
    """
    whole = size_of(event)
    chars = size
    while True:
        short, cut = _cut_fields(event, chars)
        words = f"shortened from {whole} bytes, more than the sink takes: {', '.join(cut)}"
        short.warnings = (*short.warnings, words)
        if size_of(short) <= size or chars <= LEAST_CHARS:
            return short
        chars = chars * 3 // 4


def _cut_fields(event: Event, chars: int) -> tuple[Event, list[str]]:
    short, cut = copy(event), []
    for field in msgspec.structs.fields(event):
        if field.name in _KEPT:
            continue
        value = getattr(event, field.name)
        shorter = _cut_field(field.type, value, chars)
        if shorter is not value:
            setattr(short, field.name, shorter)
            cut.append(field.name)
    return short, cut


def _cut_field(kind: Any, value: Any, chars: int) -> Any:
    """Return *value* shorter, of the same *kind*: a list of mappings holds no text that says so."""
    if type(value) is ErrorInfo:
        parts = {n: _cut(v, chars) for n, v in msgspec.structs.asdict(value).items()}
        return value if parts == msgspec.structs.asdict(value) else ErrorInfo(**parts)
    if kind == list[float] | None:
        return None if value is not None and len(value) * 8 > chars else value
    shorter = _cut(value, chars)
    if type(value) is tuple:
        return value if shorter is value else tuple(shorter)
    if kind == list[dict[str, Any]] | None and shorter is not value:
        return [item for item in shorter if type(item) is dict]
    return shorter


def _cut(value: Any, chars: int) -> Any:
    if type(value) is str:
        return _cut_text(value, chars)
    most = max(LEAST_ITEMS, chars // CHARS_PER_ITEM)
    if type(value) is dict:
        kept = {_cut_text(k, chars): _cut(v, chars) for k, v in list(value.items())[:most]}
        if len(value) > most:
            kept["..."] = f"{len(value) - most} more entries left out"
        return kept if _differs(kept, value) else value
    if type(value) is list or type(value) is tuple:
        head = value[: most - most // 2]
        tail = value[len(value) - most // 2 :] if len(value) > most else value[len(head) :]
        items = [_cut(item, chars) for item in head]
        if len(value) > most:
            items.append(f"... {len(value) - most} items left out ...")
        items += [_cut(item, chars) for item in tail]
        return items if len(value) > most or any(map(_is_not, items, value)) else value
    return value


def _differs(kept: dict[str, Any], value: dict[str, Any]) -> bool:
    return len(kept) != len(value) or any(kept.get(k, kept) is not v for k, v in value.items())


def _is_not(one: Any, other: Any) -> bool:
    return one is not other


def _cut_text(text: str, chars: int) -> str:
    most = max(LEAST_CHARS, chars)
    if len(text) <= most:
        return text
    half = most // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}... {left_out} characters left out ...{text[len(text) - half :]}"
