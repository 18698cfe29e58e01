"""
What a value of any kind looks like, without running any code of its own.

Capture happens in the host's thread: a value must not get the chance to take its time there, to fail or to
change something. So fields of dataclasses, pydantic, attrs and msgspec objects are read where they
are stored, past properties and ``__getattr__``; what derives from a builtin type is read by that
type's own methods; everything else becomes the name of its class. What does run:

- ``str()`` of the standard library's ids, numbers, times (which ask their time zone), paths, addresses;
- ``shape`` and ``dtype`` of arrays of `ARRAY_LIBRARIES`, and ``tolist()`` of small ones in main memory.
"""

import array
import base64
import collections
import datetime as dt
import gc
import re
import sys
import threading
import types
from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from llmobs.recorded.cutting import cut_text

__all__ = [
    "ARRAY_LIBRARIES",
    "MAX_BYTES",
    "MAX_FLOATS",
    "MAX_ITEMS",
    "Instead",
    "Items",
    "Pairs",
    "class_name",
    "plain_numbers",
    "unfold",
]

MAX_FLOATS: Final = 8_192
"""Members of an array that are recorded; a larger one is recorded by its shape and dtype."""
MAX_BYTES: Final = 32_768
"""Bytes that are recorded, as the text they are, else in base64; more are recorded by their number."""
_WORDS: Final = re.compile(rb"[ -~]{8}")
MAX_ARGUMENT: Final = 200
"""Characters of a text that an exception was made of."""
MAX_BITS: Final = 4_096
"""Integers of more bits are recorded by their size."""
MAX_COPIED: Final = 1_048_576
"""Characters kept of what only derives from text, for they have to be copied; bytes of a small array."""
MAX_ITEMS: Final = 40_000
"""Members of a collection that are copied."""
MAX_CLASSES: Final = 1_024
"""Classes whose reader is remembered."""

ARRAY_LIBRARIES: Final = frozenset(
    {"cupy", "jax", "jaxlib", "numpy", "pandas", "polars", "pyarrow", "scipy", "tensorflow", "torch", "xarray"}
)  # fmt: skip


class Items(NamedTuple):
    """The members of a collection: a copy of the first ones."""

    values: list[Any]
    total: int
    """How many there are."""


class Pairs(NamedTuple):
    """The keys and values of a mapping: a copy of the first ones."""

    values: list[tuple[Any, Any]]
    total: int
    """How many there are."""


class Instead(NamedTuple):
    """Another value that says all this one says."""

    value: Any


Reader = Callable[[Any], Any]

_mro_of = type.__dict__["__mro__"].__get__
_dict_of = type.__dict__["__dict__"].__get__
_module_of = type.__dict__["__module__"].__get__
_qualname_of = type.__dict__["__qualname__"].__get__
_args_of = BaseException.__dict__["args"].__get__
_MISSING: Any = object()


def plain_numbers(values: list[Any]) -> list[Any] | None:
    """Return numpy's numbers, all of one kind, as numbers; None if they are anything else."""
    generic = getattr(sys.modules.get("numpy"), "number", None)
    kinds = set(map(type, values))
    if generic is None or len(kinds) != 1 or generic not in _mro_of(kinds.pop()):
        return None
    return list(map(generic.item, values))


def unfold(value: Any) -> Any:
    """Return *value* one level down: a JSON scalar, `Items`, `Pairs`, or another value `Instead`."""
    kind = type(value)
    reader = _readers.get(kind)
    if reader is None:
        reader = _find_reader(kind)
        if len(_readers) >= MAX_CLASSES:
            _readers.clear()
            _readers.update(_EXACT)
        _readers[kind] = reader
    return reader(value)


def class_name(kind: type) -> str:
    """Return the module and the name of a class, past its metaclass."""
    module, name = _module_of(kind), _qualname_of(kind)
    return f"{module}.{name}" if type(module) is str and module != "builtins" else str(name)


def _named(value: Any) -> str:
    return f"<{class_name(type(value))}>"


# Scalars and builtin collections, and what derives from them.


def _text(value: Any) -> str:
    left = str.__len__(value) - MAX_COPIED
    if left > 0:
        head = str.__getitem__(value, slice(MAX_COPIED))
        return f"{head}... {left:,} characters left out"
    return str.__str__(value)


def _integer(value: Any) -> Any:
    bits = int.bit_length(value)
    return int.__pos__(value) if bits <= MAX_BITS else f"<int of {bits:,} bits>"


def _bytes(value: Any) -> str:
    view: Any = memoryview(value)
    if view.nbytes > MAX_BYTES:
        return f"<{view.nbytes:,} bytes>"
    data: bytes = view.tobytes()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if text.isprintable() or "".join(text.split()).isprintable():
        return text
    if _WORDS.search(data):  # in base64, redaction would not find them
        return f"<{view.nbytes:,} bytes>"
    return base64.b64encode(data).decode("ascii")


def _collection(kind: type) -> Reader:
    # In one go, which no other thread can interrupt.
    iterate, length = kind.__iter__, kind.__len__  # type: ignore[attr-defined]
    return lambda value: Items(list(islice(iterate(value), MAX_ITEMS)), length(value))


def _range(value: Any) -> Any:
    try:
        return Items(list(value[:MAX_ITEMS]), len(value))
    except OverflowError:
        return repr(value)


def _pairs(value: Any) -> Pairs:
    return Pairs(list(islice(dict.items(value), MAX_ITEMS)), dict.__len__(value))


def _inside(value: Any) -> Any:
    # A proxy passes every question on; what it stands for, only the collector knows.
    return Instead(next(iter(gc.get_referents(value)), None))


def _error(value: Any) -> str:
    shown = [
        cut_text(arg, MAX_ARGUMENT) if type(arg) is str and len(arg) > MAX_ARGUMENT else arg
        for arg in _args_of(value)[:5]
        if type(arg) in _SHOWN
    ]
    return f"{class_name(type(value))}({', '.join(map(repr, shown))})"


_SHOWN = frozenset({str, float, bool, types.NoneType})

_SCALARS: dict[type, Reader] = {
    str: _text,
    int: _integer,
    float: float.__pos__,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
    UUID: UUID.__str__,
    Decimal: Decimal.__str__,
    dt.datetime: dt.datetime.isoformat,
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
    dt.timedelta: dt.timedelta.__str__,
    PurePath: PurePath.__str__,
    type: type.__repr__,
}
_VIEWS: tuple[Any, ...] = ({}.keys(), {}.values(), {}.items())
_COLLECTIONS: dict[type, Reader] = {
    dict: _pairs,
    array.array: _collection(array.array),
    types.MappingProxyType: _inside,
    range: _range,
    types.SimpleNamespace: lambda value: Instead(_instance_dict(types.SimpleNamespace)(value)),
    BaseException: _error,
    **{kind: _collection(kind) for kind in (list, tuple, set, frozenset, collections.deque)},
    **{type(view): _collection(type(view)) for view in _VIEWS},
}
# Their repr is the interpreter's own, and short.
_SHORT = (
    complex, slice, re.Pattern, types.FunctionType, types.BuiltinFunctionType, types.ModuleType,
    types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, types.EllipsisType,
    types.NotImplementedType, types.CodeType, type(threading.Lock()), type(threading.RLock()),
    dt.timezone,
)  # fmt: skip
_EXACT: dict[type, Reader] = {
    **_SCALARS,
    **_COLLECTIONS,
    **dict.fromkeys(_SHORT, repr),
    **dict.fromkeys((str, float, bool, types.NoneType), lambda value: value),
}
_readers: dict[type, Reader] = dict(_EXACT)

_PRINTED = frozenset(
    {
        "fractions.Fraction", "ipaddress.IPv4Address", "ipaddress.IPv4Interface",
        "ipaddress.IPv4Network", "ipaddress.IPv6Address", "ipaddress.IPv6Interface",
        "ipaddress.IPv6Network", "zoneinfo.ZoneInfo", "pydantic_core._pydantic_core.Url",
        "pydantic_core._pydantic_core.MultiHostUrl",
    }
)  # fmt: skip
"""Classes whose ``str`` is said: of the standard library, and compiled."""


def _find_reader(kind: type) -> Reader:
    bases = _mro_of(kind)
    if Enum in bases:
        return _enum(kind)
    if any(class_name(base).endswith(".NaTType") for base in bases):
        return lambda value: "NaT"  # derives from datetime, and is none
    for base in bases:
        if base in _SCALARS:
            return _SCALARS[base]
    if (reader := _declared(kind, bases)) is not None:
        return reader
    for base in bases:
        if base in _COLLECTIONS:
            return _COLLECTIONS[base]
    module, _, name = class_name(kind).rpartition(".")
    if f"{module}.{name}" in _PRINTED and _is_from(module, name, kind):
        return str
    if (reader := _array(kind, bases)) is not None:
        return reader
    return _named


def _is_from(module: str, name: str, kind: type) -> bool:
    """Tell whether *kind* really is that class of that module."""
    return getattr(sys.modules.get(module), name, None) is kind


# Objects with fields, read where they are stored.


def _static(kind: type, name: str) -> Any:
    """Return what a class says of *name*, without asking its descriptors or its metaclass."""
    for base in _mro_of(kind):
        found = _dict_of(base).get(name, _MISSING)
        if found is not _MISSING:
            return found
    return _MISSING


def _instance_dict(kind: type) -> Reader:
    found = next(
        (
            d
            for base in _mro_of(kind)
            if type(d := _dict_of(base).get("__dict__")) is types.GetSetDescriptorType
        ),
        None,
    )
    return (lambda value: {}) if found is None else found.__get__


def _enum(kind: type) -> Reader:
    held = _instance_dict(kind)
    return lambda value: Instead(dict.get(held(value), "_value_", class_name(kind)))


def _fields(kind: type, names: Iterable[str]) -> Callable[[Any], dict[str, Any]]:
    names = tuple(names)
    held = _instance_dict(kind)
    said = {name: _static(kind, name) for name in names}
    slots = {n: d.__get__ for n, d in said.items() if type(d) is types.MemberDescriptorType}
    defaults = {n: d for n, d in said.items() if d is not _MISSING and not _is_descriptor(d)}

    def read(value: Any) -> dict[str, Any]:
        own = held(value)
        fields = {}
        for name in names:
            field = dict.get(own, name, _MISSING)
            if field is _MISSING and name in slots:
                try:
                    field = slots[name](value)
                except AttributeError:  # never set
                    continue
            if field is _MISSING:
                field = defaults.get(name, _MISSING)
            if field is not _MISSING:
                fields[name] = field
        return fields

    return read


def _is_descriptor(value: Any) -> bool:
    return _static(type(value), "__get__") is not _MISSING


def _declared(kind: type, bases: tuple[type, ...]) -> Reader | None:
    """Return the reader of a class that declares its fields, or None."""
    if msgspec.Struct in bases:
        return lambda value: Instead(msgspec.structs.asdict(value))
    names = {class_name(base) for base in bases}
    if "pydantic.main.BaseModel" in names or "pydantic.v1.main.BaseModel" in names:
        return _pydantic(kind)
    if any(name.startswith("pydantic.types.Secret") for name in names):
        return lambda value: "**********"
    if "pydantic.networks._BaseUrl" in names:
        url = _fields(kind, ["_url"])
        return lambda value: Instead(url(value).get("_url"))
    for data in ("UserDict", "UserList", "UserString"):
        if getattr(collections, data) in bases:
            inside = _fields(kind, ["data"])
            return lambda value: Instead(inside(value).get("data"))
    if type(fields := _static(kind, "__dataclass_fields__")) is dict:
        # `dataclasses.fields` would leave class variables out likewise.
        read = _fields(
            kind,
            [n for n, f in fields.items() if repr(f._field_type) == "_FIELD"],  # noqa: SLF001
        )
    elif isinstance(attributes := _static(kind, "__attrs_attrs__"), tuple):
        read = _fields(kind, [attribute.name for attribute in attributes])
    else:
        return None
    return lambda value: Instead(read(value))


def _pydantic(kind: type) -> Reader:
    declared = _static(kind, "__pydantic_fields__")
    if declared is _MISSING:  # pydantic 1, and 2 before 2.10
        declared = _static(kind, "model_fields")
    if declared is _MISSING or not isinstance(declared, dict):
        declared = _static(kind, "__fields__")
    if not isinstance(declared, dict):
        return _named
    read = _fields(kind, [name for name, field in declared.items() if not _is_excluded(field)])
    if _static(kind, "__pydantic_root_model__") is True:
        return lambda value: Instead(read(value).get("root"))
    extra = _static(kind, "__pydantic_extra__")

    def model(value: Any) -> Instead:
        fields = read(value)
        if type(extra) is types.MemberDescriptorType:
            try:
                more = extra.__get__(value)
            except AttributeError:  # made without validation
                more = None
            if type(more) is dict:
                fields.update(more)
        return Instead(fields)

    return model


def _is_excluded(field: Any) -> bool:
    return getattr(getattr(field, "field_info", field), "exclude", None) is True


# Arrays.


def _array(kind: type, bases: tuple[type, ...]) -> Reader | None:
    if any(class_name(base).partition(".")[0] in ARRAY_LIBRARIES for base in bases):
        return _library_array
    shape, dtype = _static(kind, "shape"), _static(kind, "dtype")
    read = _fields(kind, ["shape", "dtype"])
    if any(_is_descriptor(d) and not isinstance(d, _STORED) for d in (shape, dtype)):
        return None

    def array_like(value: Any) -> str:
        fields = read(value)
        if len(fields) < 2:
            return _named(value)
        return _by_shape(value, *map(_plain, (fields["shape"], fields["dtype"])))

    return array_like


_STORED = (types.MemberDescriptorType, types.GetSetDescriptorType)


def _plain(value: Any) -> Any:
    return value if type(value) in (str, int, tuple) else class_name(type(value))


def _library_array(value: Any) -> Any:
    for library, name, read in _SMALL:
        kind = getattr(sys.modules.get(library), name, None)
        if kind is not None and kind in _mro_of(type(value)):
            if (plain := read(value, kind)) is not _MISSING:
                return Instead(plain)
            break
    shape = getattr(value, "shape", None)
    if shape is None:
        return _named(value)
    return _by_shape(value, shape, getattr(value, "dtype", None))


def _by_shape(value: Any, shape: Any, dtype: Any) -> str:
    if isinstance(shape, tuple | list):
        shape = " x ".join(f"{n:,}" if type(n) is int else "?" for n in shape)
    words = (class_name(type(value)), "" if dtype is None else str(dtype)[:100], str(shape)[:100])
    return f"<{' '.join(word for word in words if word)}>"


def _numpy_array(value: Any, kind: Any) -> Any:
    size, weight = kind.size.__get__(value), kind.nbytes.__get__(value)
    return kind.tolist(value) if size <= MAX_FLOATS and weight <= MAX_COPIED else _MISSING


def _pandas_series(value: Any, kind: Any) -> Any:
    return kind.tolist(value) if len(value) <= MAX_FLOATS else _MISSING


def _torch_tensor(value: Any, kind: Any) -> Any:
    # One on another device would have to be waited for.
    return kind.tolist(value) if value.is_cpu and value.numel() <= MAX_FLOATS else _MISSING


_SMALL: tuple[tuple[str, str, Callable[[Any, Any], Any]], ...] = (
    ("numpy", "ndarray", _numpy_array),
    ("numpy", "generic", lambda value, kind: value.item()),
    ("pandas", "Series", _pandas_series),
    ("pandas", "Index", _pandas_series),
    ("torch", "Tensor", _torch_tensor),
)
