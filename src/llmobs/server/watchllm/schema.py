"""The part of zod 3 that WatchLLM's worker uses: same coercions (none), same stripping, same words.

A schema is a function `(value, path, issues) -> parsed`; it appends what is wrong to `issues`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from llmobs.recorded.printable import redacted

__all__ = [
    "ABSENT",
    "Issue",
    "Schema",
    "anything",
    "array",
    "discriminated",
    "iso_datetime",
    "mapping",
    "number",
    "one_of",
    "optional",
    "record",
    "string",
    "type_name",
    "uuid",
]

ABSENT: Any = object()
"""JavaScript's `undefined`: the key is not there."""

Path = tuple[str, ...]
Issues = list["Issue"]
Schema = Callable[[Any, Path, Issues], Any]

MAX_ISSUES = 200
"""Beyond them, the rest is not looked at."""
MAX_QUOTED = 40
"""Characters of a wrong value that are repeated: it may be anything."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", re.ASCII)


@dataclass(frozen=True)
class Issue:
    """One complaint about one place."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.message}"


def type_name(value: Any) -> str:
    """Return what zod calls the type of a JSON value."""
    if value is ABSENT:
        return "undefined"
    if value is None:
        return "null"
    names: dict[type, str] = {
        bool: "boolean",
        int: "number",
        float: "number",
        str: "string",
        list: "array",
        dict: "object",
    }
    return names[type(value)]


def _wrong_type(expected: str, value: Any, path: Path, issues: Issues) -> Any:
    text = "Required" if value is ABSENT else f"Expected {expected}, received {type_name(value)}"
    issues.append(Issue(path, text))
    return value


def anything(value: Any, path: Path, issues: Issues) -> Any:
    """`z.any()`: also nothing at all."""
    return value


def string(*, least: int = 0) -> Schema:
    """`z.string().min(least)`."""

    def check(value: Any, path: Path, issues: Issues) -> Any:
        if not isinstance(value, str):
            return _wrong_type("string", value, path, issues)
        if len(value) < least:
            issues.append(Issue(path, f"String must contain at least {least} character(s)"))
        return value

    return check


def _matching(accepts: Callable[[str], bool], message: str) -> Schema:
    def check(value: Any, path: Path, issues: Issues) -> Any:
        if not isinstance(value, str):
            return _wrong_type("string", value, path, issues)
        if not accepts(value):
            issues.append(Issue(path, message))
        return value

    return check


def _is_datetime(text: str) -> bool:
    if not _DATETIME.fullmatch(text):
        return False
    try:
        datetime.strptime(text[:19] + "Z", "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return False
    return True


uuid = _matching(lambda text: _UUID.fullmatch(text) is not None, "Invalid uuid")
iso_datetime = _matching(_is_datetime, "Invalid datetime")


def one_of(*options: str) -> Schema:
    """`z.enum([...])`."""
    expected = " | ".join(f"'{option}'" for option in options)

    def check(value: Any, path: Path, issues: Issues) -> Any:
        if not isinstance(value, str):
            return _wrong_type(expected, value, path, issues)
        if value not in options:
            text = f"Invalid enum value. Expected {expected}, received '{redacted(value)[:MAX_QUOTED]}'"
            issues.append(Issue(path, text))
        return value

    return check


def number(
    *, least: float | None = None, most: float | None = None, integer: bool = False
) -> Schema:
    """`z.number()` with `.int()`, `.min()` and `.max()`; 5.0 is an integer, as in JavaScript."""

    def check(value: Any, path: Path, issues: Issues) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _wrong_type("number", value, path, issues)
        if integer and isinstance(value, float) and not value.is_integer():
            issues.append(Issue(path, "Expected integer, received float"))
        if least is not None and value < least:
            issues.append(Issue(path, f"Number must be greater than or equal to {least}"))
        if most is not None and value > most:
            issues.append(Issue(path, f"Number must be less than or equal to {most}"))
        return value

    return check


def array(item: Schema, *, least: int = 0, most: int | None = None) -> Schema:
    """`z.array(item).min(least).max(most)`."""

    def check(value: Any, path: Path, issues: Issues) -> Any:
        if not isinstance(value, list):
            return _wrong_type("array", value, path, issues)
        if len(value) < least:
            issues.append(Issue(path, f"Array must contain at least {least} element(s)"))
        if most is not None and len(value) > most:
            issues.append(Issue(path, f"Array must contain at most {most} element(s)"))
        parsed = []
        for place, held in enumerate(value):
            if len(issues) > MAX_ISSUES:  # zod would go on: a body of nonsense has millions
                break
            parsed.append(item(held, (*path, str(place)), issues))
        return parsed

    return check


def optional(inner: Schema, *, default: Callable[[], Any] = lambda: ABSENT) -> Schema:
    """`.optional()`, or `.default(...)`: may be absent, but not null."""

    def check(value: Any, path: Path, issues: Issues) -> Any:
        return default() if value is ABSENT else inner(value, path, issues)

    return check


def mapping(fields: Mapping[str, Schema], *, keep_unknown: bool = False) -> Schema:
    """`z.object(fields)`, which drops unknown keys, or `.passthrough()`, which keeps them."""

    def check(value: Any, path: Path, issues: Issues) -> Any:
        if not isinstance(value, dict):
            return _wrong_type("object", value, path, issues)
        parsed: dict[str, Any] = {}
        for name, field in fields.items():
            found = field(value.get(name, ABSENT), (*path, name), issues)
            if found is not ABSENT:
                parsed[name] = found
        return {**value, **parsed} if keep_unknown else parsed

    return check


record = mapping({}, keep_unknown=True)


def discriminated(key: str, options: Mapping[str, Schema]) -> Schema:
    """`z.discriminatedUnion(key, [...])`: an unknown kind is one issue, and ends the check."""
    expected = " | ".join(f"'{option}'" for option in options)

    def check(value: Any, path: Path, issues: Issues) -> Any:
        if not isinstance(value, dict):
            return _wrong_type("object", value, path, issues)
        kind = value.get(key, ABSENT)
        if not isinstance(kind, str) or kind not in options:
            text = f"Invalid discriminator value. Expected {expected}"
            issues.append(Issue((*path, key), text))
            return value
        return options[kind](value, path, issues)

    return check
