"""Sentinel's parser and its second stage, rule by rule.

The server drops a message it cannot parse and never tells the producer, so a test must ask here.
Where the server tolerates what no client has a reason to write (a key twice or half a surrogate
pair in a field it ignores), this is the stricter of the two.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

_UUID = re.compile(
    r"(?-i:urn:uuid:)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}"
    r"|\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}",
    re.IGNORECASE | re.ASCII,
)
_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?"
    r"(?P<offset>[Zz]|[+-](?P<hours>\d\d):?(?P<minutes>\d\d))?(?P<rest>.*)",
    re.ASCII | re.DOTALL,
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_U32 = range(2**32)

Check = Callable[[Any], str | None]
_ABSENT = object()


def validate_sentinel(value: bytes) -> list[str]:
    """Return what Sentinel's parser would refuse this message for; empty if it is accepted."""
    try:
        event = _parse(value)
    except _Refused as refused:
        return [str(refused)]
    if not isinstance(event, dict):
        return ["message: expected an object"]
    return list(_problems(event))


def sentinel_warnings(value: bytes) -> list[str]:
    """Return what the second stage's default limits say about a message the parser accepts.

    These are tunables of the server: a client may warn, and must not refuse. Only the length of
    `prompt.text`, declared by the server and not enforced there, is for the client to hold.
    """
    event = _parse(value)
    tokens = event["prompt"]["tokens"] + event["response"]["tokens"]
    found = {
        "prompt.text: more than 100000 characters": len(event["prompt"]["text"]) > 100_000,
        "latency_ms: more than 600000": event["latency_ms"] > 600_000,
        "tokens: more than 128000 in all": tokens > 128_000,
        "tokens: the sum passes u32": tokens not in _U32,
        "cost_usd: more than 100": event["cost_usd"] > 100,
    }
    return [text for text, holds in found.items() if holds]


class _Refused(ValueError):
    """The bytes are not the JSON that serde_json reads."""


def _parse(value: bytes) -> Any:
    try:
        return json.loads(
            value.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except _Refused:
        raise
    except UnicodeDecodeError as error:
        raise _Refused(f"message: invalid UTF-8 ({error.reason})") from error
    except RecursionError as error:
        raise _Refused("message: recursion limit exceeded") from error
    except ValueError as error:
        raise _Refused(f"message: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for key, value in pairs:
        if key in built:
            raise _Refused(f"{key}: duplicate field")
        if _has_surrogate(key) or _has_surrogate(value):
            raise _Refused(f"{key!a}: lone surrogate, unexpected end of hex escape")
        built[key] = value
    return built


def _has_surrogate(value: Any) -> bool:
    """Is there half a pair in this string, or in the strings of this array?"""
    if isinstance(value, list):
        return any(map(_has_surrogate, value))
    return isinstance(value, str) and _SURROGATE.search(value) is not None


def _constant(token: str) -> Any:
    raise _Refused(f"message: {token} is not JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _Refused(f"message: number out of range ({digits})")
    return number


def _int(digits: str) -> int | float:
    # serde_json reads "-0" as a float, which no u32 takes.
    if digits == "-0":
        return -0.0
    if len(digits) > 300:
        return _float(digits)
    return int(digits)


def _problems(event: dict[str, Any]) -> Iterator[str]:
    for path, check, required in _FIELDS:
        parent, _, name = path.rpartition(".")
        holder = event.get(parent) if parent else event
        if not isinstance(holder, dict):
            continue  # reported at the parent
        value = holder.get(name, _ABSENT)
        if value is _ABSENT:
            if required:
                yield f"{path}: missing field"
        elif (problem := check(value)) is not None:
            yield f"{path}: {problem}"


def _string(value: Any) -> str | None:
    return None if isinstance(value, str) else "expected a string"


def _nullable(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _uuid(value: Any) -> str | None:
    if not isinstance(value, str):
        return "expected a string"
    return None if _UUID.fullmatch(value) else "not a UUID"


def _timestamp(value: Any) -> str | None:
    if not isinstance(value, str):
        return "expected a string"
    if (found := _TIMESTAMP.fullmatch(value)) is None:
        return "input contains invalid characters"
    if found["offset"] is None:
        return "input contains invalid characters" if found["rest"] else "premature end of input"
    if found["rest"]:
        return "trailing input"
    day, hour, minute, second = found.group(1, 2, 3, 4)
    try:
        date.fromisoformat(day)
    except ValueError:
        return "input is out of range"
    within = int(hour) < 24 and int(minute) < 60 and int(second) <= 60
    if found["hours"] is not None:
        within = within and int(found["hours"]) < 24 and int(found["minutes"]) < 60
    return None if within else "input is out of range"


def _u32(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return "expected u32"
    return None if value in _U32 else "expected u32, out of range"


def _number(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "expected a number"
    return None


def _not_negative(value: Any) -> str | None:
    return _number(value) or (None if value >= 0 else "must not be negative")


def _array(check: Check) -> Check:
    def of_items(value: Any) -> str | None:
        if not isinstance(value, list):
            return "expected an array"
        return next((p for p in map(check, value) if p is not None), None)

    return of_items


def _dict(value: Any) -> str | None:
    return None if isinstance(value, dict) else "expected an object"


def _strings_by_name(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "expected an object"
    wrong = [name for name, held in value.items() if not isinstance(held, str)]
    return f"expected strings, not so: {', '.join(wrong)}" if wrong else None


_embedding = _nullable(_array(_number))

# path, rule, required
_FIELDS: tuple[tuple[str, Check, bool], ...] = (
    ("event_id", _uuid, True),
    ("timestamp", _timestamp, True),
    ("service_name", _string, True),
    ("trace_id", _nullable(_string), False),
    ("span_id", _nullable(_string), False),
    ("model", _string, True),
    ("prompt", _dict, True),
    ("prompt.text", _string, True),
    ("prompt.tokens", _u32, True),
    ("prompt.embedding", _embedding, False),
    ("response", _dict, True),
    ("response.text", _string, True),
    ("response.tokens", _u32, True),
    ("response.finish_reason", _string, True),
    ("response.embedding", _embedding, False),
    ("latency_ms", _not_negative, True),
    ("cost_usd", _not_negative, True),
    ("metadata", _strings_by_name, True),
    ("errors", _array(_string), True),
)
