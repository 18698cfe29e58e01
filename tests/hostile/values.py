"""One value of each kind that somebody may hand over, by name; fresh, since some can be used once."""

import array
import collections
import dataclasses
import itertools
import re
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, SecretStr

import llmobs

RAISES = "broken on purpose"
ran: list[str] = []
"""Code of values that ran although nobody may run it: in an application it could take for ever."""


def _raise(*args: object, **kwargs: object) -> Any:
    raise RuntimeError(RAISES)


def _sleep(*args: object, **kwargs: object) -> Any:
    ran.append("".join(traceback.format_stack(limit=6)))
    raise RuntimeError(RAISES)


_NAMES = (
    "__repr__", "__str__", "__hash__", "__eq__", "__bool__", "__len__", "__iter__", "__lt__",
    "__float__", "__int__", "__index__", "__format__", "__getitem__", "__contains__", "items",
    "keys", "get", "model_dump", "tolist", "isoformat", "utcoffset", "__reduce_ex__", "__sizeof__",
)  # fmt: skip


@cache
def _hostile_class(name: str, does: Callable[..., Any], base: type) -> type:
    space = dict.fromkeys(_NAMES, does) | {"__class__": property(does)}
    if base is not object:
        space |= {"__new__": base.__new__}
    return type(name, (base,), space)


def _hostile(name: str, does: Callable[..., Any], base: type = object, *args: Any) -> Any:
    return _hostile_class(name, does, base)(*args)


@cache
def _group() -> ExceptionGroup:
    return ExceptionGroup("many", [ValueError(str(n)) for n in range(500)])


class Attributes:
    """Its attributes cannot be asked for."""

    def __getattribute__(self, name: str) -> Any:
        _sleep()


class Meta(type):
    """A class that cannot be hashed nor compared."""

    __hash__ = __eq__ = _raise  # type: ignore[assignment]


class OfMeta(metaclass=Meta):
    pass


class Endless(Mapping[str, int]):
    """A mapping of anybody's, without an end."""

    def __iter__(self) -> Iterator[str]:
        return map(str, itertools.count())

    def __len__(self) -> int:
        return 1

    def __getitem__(self, key: str) -> int:
        return 1


class Zone(tzinfo):
    """A time zone that does not know its offset."""

    utcoffset = dst = tzname = _raise


class BrokenError(Exception):
    """An error that cannot say what it is."""

    __str__ = _raise
    __cause__ = property(_raise)  # type: ignore[assignment]


@dataclasses.dataclass
class Node:
    """A tree whose children know their parent."""

    name: str
    parent: "Node | None" = None
    children: list["Node"] = dataclasses.field(default_factory=list)

    @property
    def depth(self) -> int:
        """Not to be asked."""
        return _sleep()  # type: ignore[no-any-return]


class Model(BaseModel):
    """As the objects of provider SDKs."""

    model_config = ConfigDict(extra="allow")
    name: str = "m"
    secret: SecretStr = SecretStr("hidden")
    internal: str = Field(default="x", exclude=True)
    inner: list["Model"] = []


class Struct(msgspec.Struct):
    name: str = "s"


Point = collections.namedtuple("Point", "x y")


@cache
def _tree() -> Node:
    def grow(parent: Node, depth: int) -> Node:
        for number in range(5 if depth else 0):
            parent.children.append(grow(Node(f"{number}", parent), depth - 1))
        return parent

    return grow(Node("root"), 5)


@cache
def _large() -> dict[str, Any]:
    shared: Any = {}
    for _ in range(60):
        shared = {"a": shared, "b": shared}
    deep: Any = []
    for _ in range(50_000):
        deep = [deep]
    return {
        "a million numbers": list(range(1_000_000)),
        "a million keys": {str(n): n for n in range(100_000)},
        "a million texts": ["text"] * 1_000_000,
        "many objects": [object() for _ in range(20_000)],
        "many messages": [{"role": "user", "content": [{"text": str(n)}]} for n in range(20_000)],
        "a long text": "x" * 1_500_000,
        "long texts": ["x" * 1_500_000] * 100,
        "many bytes": b"x" * 5_000_000,
        "an array": np.zeros((1_000, 1_000)),
        "a frame": pd.DataFrame(np.zeros((1_000, 10))),
        "shared": shared,
        "deep": deep,
        "a huge number": 10**200_000,
        "huge range": range(10**30),
        "tree": _tree(),
    }


def large() -> dict[str, Any]:
    """Return the value of each kind that is dear to deliver; the same each time."""
    return dict(_large())


def values() -> dict[str, Any]:
    """Return the value of each kind."""
    return small() | large()


def small() -> dict[str, Any]:
    """Return the value of each kind that is delivered at once."""
    cycle: dict[str, Any] = {"a": 1}
    cycle["self"] = [cycle]
    late = RuntimeError("outer")
    late.__cause__ = ValueError("inner")
    return {
        "none": None, "true": True, "int": 5, "negative": -1, "zero": 0, "digits": 10**5000,
        "2**63": 2**63, "2**63-1": 2**63 - 1, "now in ns": time.time_ns(), "float": 1.5,
        "nan": float("nan"), "inf": float("inf"), "1e300": 1e300, "-0.0": -0.0,
        "empty": "", "text": "x", "surrogate": "\ud83d", "controls": "a\r\nset-cookie: x=1\0\x1b[2J",
        "invisible": "\u200b\u00ad\u3164\u2800", "japanese": "作業-1", "bytes": b"b\xff",
        "bytearray": bytearray(b"b"), "memoryview": memoryview(b"b"), "list": [], "mixed": [1, None],
        "nan in a list": [1.0, float("nan")], "broken in a list": ["a", _hostile("B", _raise)],
        "tuple": (), "dict": {}, "int key": {1: 2}, "tuple key": {(1, "a"): 2},
        "broken in a dict": {"a": _hostile("B", _raise)}, "set": {1}, "frozenset": frozenset(),
        "range": range(3), "generator": (n for n in [1]),
        "endless": itertools.count(), "mapping": Endless(), "object": object(), "type": object,
        "error class": Exception, "function": lambda: 1, "partial": partial(print, 1),
        "ellipsis": ..., "lock": threading.Lock(), "module": time, "pattern": re.compile("x"),
        "raises": _hostile("Raises", _raise), "sleeps": _hostile("Sleeps", _sleep),
        "attributes": Attributes(), "metaclass": OfMeta(), "its class": OfMeta,
        "text's child": _hostile("Text", _raise, str, "x"), "int's child": _hostile("Int", _raise, int, 5),
        "float's child": _hostile("Float", _raise, float, 1.5),
        "dict's child": _hostile("Dict", _raise, dict, {"a": 1}),
        "list's child": _hostile("List", _raise, list, [1]),
        "datetime's child": _hostile("Moment", _raise, datetime, 2026, 1, 1),
        "broken error": BrokenError(), "error": ValueError("x"), "cause": late,
        "group": _group(),
        "interrupt": KeyboardInterrupt(), "uuid": UUID(int=1), "decimal": Decimal("1.5"),
        "fraction": Fraction(1, 3), "path": Path("/tmp/x"), "timedelta": timedelta(1),
        "date": date.min, "naive": datetime(2026, 1, 1), "aware": datetime(2026, 1, 1, tzinfo=UTC),  # noqa: DTZ001
        "first": datetime.min, "last": datetime.max.replace(tzinfo=UTC),  # noqa: DTZ901
        "odd zone": datetime(2026, 1, 1, tzinfo=Zone()), "iso": "2026-01-01T00:00:00Z",
        "enum": llmobs.Status.ERROR, "namedtuple": Point(1, 2), "namespace": types.SimpleNamespace(a=1),
        "proxy": types.MappingProxyType({"a": 1}), "deque": collections.deque([1]),
        "array": array.array("d", [1.0]), "counter": collections.Counter("ab"),
        "user dict": collections.UserDict(a=1), "cycle": cycle,
        "model": Model(inner=[Model()], extra=1), "struct": Struct(), "numpy": np.zeros(3),
        "np.float32": np.float32(1.5), "np.datetime64": np.datetime64("2026-01-01"),
        "timestamp": pd.Timestamp("2026-01-01"), "nat": pd.NaT, "series": pd.Series([1.0]),
        "error info": llmobs.ErrorInfo(message="m"),
    }  # fmt: skip
