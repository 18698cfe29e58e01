"""
Snapshots: what callers hand over, as JSON types, within a budget of time and size.

One budget holds for each value. What is beyond is cut, with a mark in its place that says how much
was left out; what is met again (shared objects, cycles) is named by where it is. What the kinds
look like, and which of their code runs, is in `llmobs.recorded.kinds`.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from sys import getsizeof
from types import NoneType
from typing import Any, Final

import msgspec

from llmobs.recorded.cutting import cut_text
from llmobs.recorded.kinds import (
    MAX_FLOATS,
    MAX_ITEMS,
    Instead,
    Items,
    Pairs,
    class_name,
    plain_numbers,
    unfold,
)

__all__ = [
    "as_dict",
    "readable",
    "shorten",
    "snapshot",
    "text_of",
    "texts",
    "weigh",
    "weighed",
]

REPEATED_NODES: Final = 64
"""A value as small as this is copied wherever it stands; a larger one once, and named where it stands again."""
MAX_DEPTH: Final = 32
"""Levels of containers that are followed."""
MAX_NODES: Final = 4_000
"""
Nodes of one value: about a third of a microsecond each. Members of containers are one; what is dearer
to read counts for more, numbers side by side for less.
"""
NUMBERS_A_NODE: Final = 8
CHARS_A_NODE: Final = 512
"""Characters, of a text that has to be made, that cost as much as a node."""
COST_OF_OTHERS: Final = 3
"""Nodes that a value of another kind than JSON's costs more."""
MAX_TEXTS: Final = 1_000
"""Entries of a collection of texts (tags, models), unless it is a list of nothing else."""
COST_OF_KEYS: Final = 20
"""Nodes that a key costs which is no text."""
KEY_CHARS: Final = 32
"""Characters of a key that the round figure for an entry holds."""
WORD_BITS: Final = 63
"""Whole numbers of so many bits are held by the round figure for an entry."""
MAX_CHARS: Final = 16 * 1024 * 1024
"""Characters of one value after which further texts are left out."""
MAX_REPR: Final = 1_000
"""Longest text, in characters, that stands for a value that is not JSON."""

_SCALARS = frozenset({str, int, float, bool, NoneType})
_NUMBERS = frozenset({int, float, bool, NoneType})
_PLAIN = frozenset({float, bool})
_MEASURED = frozenset({bytes, bytearray, int})
_are_scalars = _SCALARS.issuperset
_are_numbers = _NUMBERS.issuperset
_are_not_whole = frozenset({int}).isdisjoint
_are_text = frozenset({str}).issuperset
_FLAT = MAX_FLOATS
"""Flat collections up to this size need no budget: they are looked at without a Python loop."""

KeyPath = tuple[Any, Any]
"""The path of the container, and the key in it."""


def snapshot(value: Any) -> Any:
    """
    Return a copy of *value* made of JSON types only, so that later changes by the caller do not show.

    Mappings become dicts with text keys, other collections become lists, UUIDs, dates and decimals
    become text, dataclasses, pydantic, attrs and msgspec objects become dicts of their fields, bytes
    become the text they are, else base64; anything else becomes the name of its class. Takes at most a few
    milliseconds, keeps at most `MAX_NODES`, and never raises.
    """
    return weighed(value)[0]


def weighed(value: Any) -> tuple[Any, int]:
    """Return a `snapshot` of *value*, and the memory it holds as `weigh` would say."""
    kind = type(value)
    if kind is str:
        return value, 49 + len(value) if value.isascii() else getsizeof(value)
    try:
        if kind is dict and len(value) <= _FLAT:
            copy = value.copy()  # at once: another thread may be changing the original
            size = 64 + 96 * len(copy)
            for key, item in copy.items():
                of = type(item)
                if of is str:
                    size += len(item) if item.isascii() else getsizeof(item)
                elif of is int:
                    if item.bit_length() > WORD_BITS:
                        size += item.bit_length() // 8
                elif of is not float and of is not bool and item is not None:
                    break
                if type(key) is not str:
                    break
                if len(key) > KEY_CHARS:
                    size += getsizeof(key)
            else:
                return copy, size
        elif kind in _SCALARS:
            return value if kind is not int else unfold(value), 32
        walk = _Walk()
        return walk.value(value, 0, None), walk.size
    except Exception:  # noqa: BLE001 - hostile metaclasses, another thread at work, no stack left
        text = f"<{class_name(kind)}>"
        return text, 49 + len(text)


class _Walk:
    """One value's budget, and the containers it has visited."""

    __slots__ = ("chars", "numbers_a_node", "room", "size", "visited")

    def __init__(self, room: int = MAX_NODES, numbers_a_node: int = NUMBERS_A_NODE) -> None:
        self.room = room
        self.numbers_a_node = numbers_a_node
        self.chars = 0
        self.size = 0
        self.visited: dict[int, tuple[Any, KeyPath | None]] = {}

    def value(self, value: Any, depth: int, key_path: KeyPath | None) -> Any:
        kind = type(value)
        if kind is str:
            return self._text(value)
        if kind is dict:
            count = len(value)
            if count > self.room:
                pairs = Pairs(list(islice(value.items(), self.room + 1)), count)
                return self._container(value, pairs, depth, key_path)
            copy = value.copy()  # at once: another thread may be changing the original
            size, chars = 64 + 96 * count, self.chars
            for key, item in copy.items():
                if type(item) is str:
                    chars += len(item)
                    size += len(item) if item.isascii() else getsizeof(item)
                elif type(item) not in _NUMBERS:
                    break
                if type(key) is not str:
                    break
            else:
                if chars <= MAX_CHARS:
                    self.room -= 1 + count // 4
                    self.size += size + _beyond(copy.values()) + _keys(copy)
                    self.chars = chars
                    return copy
            return self._container(value, Pairs(list(copy.items()), count), depth, key_path)
        if kind is list or kind is tuple:
            items = Items(list(value[:MAX_ITEMS]), len(value))
            return self._container(value, items, depth, key_path)
        try:
            self.room -= COST_OF_OTHERS
            unfolded = unfold(value)
        except Exception:  # noqa: BLE001 - another thread at work, a library, a metaclass
            unfolded = f"<{class_name(kind)}>"
        if type(unfolded) is str:
            self.room -= len(unfolded) // CHARS_A_NODE
            return self._text(unfolded)
        if type(unfolded) in _NUMBERS:
            self.size += 32
            return unfolded
        return self._container(value, unfolded, depth, key_path)

    def _container(self, value: Any, unfolded: Any, depth: int, key_path: KeyPath | None) -> Any:
        if self.room <= 0 or depth >= MAX_DEPTH:
            return self._left_out(value, unfolded, depth)
        known = self.visited.get(id(value))
        if known is not None:
            return self._text(f"<{class_name(type(value))}, see {_path(known[1])}>")
        # With the value: its id is its own while it lives.
        self.visited[id(value)] = (value, key_path)
        room = self.room
        self.room -= 2
        if type(unfolded) is Items:
            copy: Any = self._items(value, unfolded, depth, key_path)
        elif type(unfolded) is Pairs:
            copy = self._pairs(unfolded, depth, key_path)
        else:
            copy = self.value(unfolded.value, depth, key_path)
        if room - self.room <= REPEATED_NODES:
            self.visited.pop(id(value), None)
        return copy

    def _left_out(self, value: Any, unfolded: Any, depth: int) -> str:
        items = "" if type(unfolded) is Instead else f"{unfolded.total:,} items "
        why = f"below {MAX_DEPTH} levels" if depth >= MAX_DEPTH else "left out"
        return self._text(f"<{class_name(type(value))}, {items}{why}>")

    def _items(self, value: Any, items: Items, depth: int, key_path: KeyPath | None) -> list[Any]:
        copy = items.values
        if not _are(_are_scalars, copy):
            copy = plain_numbers(copy[: MAX_FLOATS + 1]) or copy
        if _are(_are_numbers, copy):
            self.visited.pop(id(value), None)  # cheap, whatever its length
            del copy[self.numbers_a_node * self.room + 1 :]
            self.room -= len(copy) // self.numbers_a_node
            self.size += _beyond(copy)
        else:
            for index, item in enumerate(copy):
                if self.room <= 0:
                    del copy[index:]
                    break
                self.room -= 1
                if type(item) is str:
                    copy[index] = self._text(item)
                elif item is not None and type(item) not in _PLAIN:
                    copy[index] = self.value(item, depth + 1, (key_path, index))
        self.size += 56 + 32 * len(copy)
        if (left := items.total - len(copy)) > 0:
            copy.append(self._text(f"... {left:,} items left out"))
        return copy

    def _pairs(self, pairs: Pairs, depth: int, key_path: KeyPath | None) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        left = pairs.total
        for key, item in pairs.values:
            if self.room <= 0:
                break
            self.room -= 1
            left -= 1
            name = key if type(key) is str else self._key(key)
            if item is None or type(item) in _PLAIN:
                copy[name] = item
            else:
                copy[name] = self.value(item, depth + 1, (key_path, name))
        self.size += 64 + 96 * len(copy) + _keys(copy)
        if left > 0:
            copy["..."] = self._text(f"{left:,} items left out")
        return copy

    def _key(self, key: Any) -> str:
        if key is None or type(key) is bool:
            return {None: "null", True: "true", False: "false"}[key]
        self.room -= COST_OF_KEYS
        return text_of(key)

    def _text(self, text: str) -> str:
        # The text that crosses the line stays: a copy of its beginning costs time; see `shorten`.
        if self.chars > MAX_CHARS:
            text = f"<{len(text):,} characters left out>"
        self.chars += len(text)
        self.size += 49 + len(text) if text.isascii() else getsizeof(text)
        return text


def _are(test: Callable[[Any], bool], values: Iterable[Any]) -> bool:
    try:
        return test(map(type, values))
    except Exception:  # noqa: BLE001 - a metaclass that cannot be hashed
        return False


def _beyond(values: Iterable[Any]) -> int:
    """Return the bytes of long whole numbers among *values* that the round figure leaves out."""
    if _are(_are_not_whole, values):
        return 0
    return sum(value.bit_length() for value in values if type(value) is int) // 8


def _keys(copy: Mapping[str, Any]) -> int:
    """Return the bytes of keys so long that the round figure leaves them out."""
    return 0 if sum(map(len, copy)) <= KEY_CHARS * len(copy) else sum(map(getsizeof, copy))


def _path(key_path: KeyPath | None) -> str:
    keys = []
    while key_path is not None:
        key_path, key = key_path
        keys.append(f"[{key}]" if type(key) is int else f".{key}" if len(key) <= MARK else ".…")
    return "$" + "".join(reversed(keys))


def readable(value: Any) -> str:
    """Return a text of at most `MAX_REPR` characters that stands for *value*: as its ``repr``, or its class."""
    kind = type(value)
    if kind is str:
        text = repr(value if len(value) <= MAX_REPR else cut_text(value, MAX_REPR - MARK))
    else:
        plain = shorten(snapshot(value), MAX_REPR - MARK)
        text = plain if type(plain) is str else repr(tuple(plain) if kind is tuple else plain)
    return text if len(text) <= MAX_REPR else cut_text(text, MAX_REPR - MARK)


def as_dict(value: Any) -> dict[str, Any]:
    """Return a `snapshot` of *value* as a dict; what is no mapping is its ``value``."""
    plain = snapshot(value)
    return plain if type(plain) is dict else {"value": plain}


def text_of(value: Any) -> str:
    """Return *value* as a text: itself, an enum's value, an id's digits, else what is `readable`."""
    plain = snapshot(value)
    return plain if type(plain) is str else readable(value)


def texts(values: Any) -> tuple[str, ...]:
    """
    Return *values* (tags, models, recommendations) as a tuple of texts; a lone value is one.

    Iterators are not used up: they may be the caller's, and may not end.
    """
    if values is None or (type(values) is tuple and not values):
        return ()
    if type(values) is list and len(values) <= _FLAT and _are(_are_text, values):
        return tuple(values)
    try:
        # Each is made a text, which is dear: there is no cheaper way for numbers here.
        plain = _Walk(MAX_TEXTS, numbers_a_node=1).value(values, 0, None)
    except Exception:  # noqa: BLE001 - as in `weighed`
        plain = f"<{class_name(type(values))}>"
    if type(plain) is dict:
        plain = list(plain)
    return tuple(map(text_of, plain)) if type(plain) is list else (text_of(plain),)


def weigh(value: Any) -> int:
    """
    Estimate the memory, in bytes, that a value made by :func:`snapshot`, or a struct of such, holds on to.

    Exact for long text, which is what grows; containers count a round figure per entry.
    """
    # `getsizeof` is exact, and costs more than all the rest: only where `len` would be wrong.
    if type(value) is str:
        return 49 + len(value) if value.isascii() else getsizeof(value)
    if type(value) is dict:
        inner: Iterable[Any] = value.values()
        size = 64 + 96 * len(value) + _beyond(inner) + _keys(value)
    elif type(value) is list or type(value) is tuple:
        size = 56 + 32 * len(value)
        inner = value
        size += _beyond(value)
        if _are(_are_numbers, value):
            return size
    elif isinstance(value, msgspec.Struct):
        inner = msgspec.structs.astuple(value)
        size = 64 + 8 * len(inner) + _beyond(inner)
    else:
        return getsizeof(value) if type(value) in _MEASURED else 32
    for item in inner:
        if type(item) is str:
            size += len(item) if item.isascii() else getsizeof(item)
        elif type(item) not in _NUMBERS:
            size += weigh(item)
    return size


# Cutting, later and elsewhere: texts are only held on to by capture, for a copy costs time.


def shorten(value: Any, limit: int) -> Any:
    """
    Return a `snapshot`, *value*, with at most *limit* bytes of UTF-8 in its texts, keys not counted.

    The text that crosses the limit is cut, those after it are left out; both say how much. What
    fits is returned as it is.
    """
    return _Cut(limit).value(value)


class _Cut:
    def __init__(self, limit: int) -> None:
        self.room = limit

    def value(self, value: Any) -> Any:
        if type(value) is str:
            size = _utf8(value)
            self.room -= size
            return value if self.room >= 0 or size <= MARK else cut_text(value, size + self.room)
        copy: Any
        if type(value) is dict:
            copy = {key: self.value(item) for key, item in value.items()}
        elif type(value) is list or type(value) is tuple:
            copy = type(value)([self.value(item) for item in value])
        else:
            return value
        return copy if self.room < 0 else value


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


MARK: Final = 64
"""Texts up to this length are not cut: the mark would be as long."""
