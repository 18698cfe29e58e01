"""JSON that others wrote, read with care; and any value written as JSON, whatever it holds."""

import json
from typing import Any, Final

import msgspec

from llmobs.recorded.values import MAX_REPR, readable, snapshot

__all__ = [
    "MAX_COUNT",
    "Json",
    "as_count",
    "as_list",
    "as_object",
    "as_text",
    "clean_text",
    "json_or_text",
    "json_text",
    "loads",
    "mended",
]

Json = dict[str, Any]
"""A JSON object."""

MAX_COUNT: Final = 10**12
"""No call has more tokens than this; larger counts are not believed."""


def as_object(value: Any) -> Json:
    """Return *value* if it is an object, else an empty one."""
    return value if type(value) is dict else {}


def as_list(value: Any) -> list[Any]:
    """Return *value* if it is an array, else an empty one."""
    return value if type(value) is list else []


def as_text(value: Any) -> str | None:
    """Return *value* if it is a text with something in it."""
    return value if type(value) is str and value else None


def as_count(value: Any) -> int | None:
    """Return *value* as a count: also a whole number written as a float or a text; else None."""
    if type(value) is str and len(value) < 32:
        try:
            value = float(value)
        except ValueError:
            return None
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def loads(text: bytes | str) -> Any:
    """
    Return what the JSON *text* says to the SDKs, which read it with the standard library: lone
    surrogates, ``NaN``, infinities and integers of any length included.

    Raises:
        ValueError: It is no JSON for them either.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def json_or_text(value: Any) -> Any:
    """Return what the JSON text *value* says (tool arguments), or the text itself if it is none."""
    if type(value) is not str or not value:
        return value
    try:
        return loads(value)
    except ValueError:
        return value


_encoder: Final = msgspec.json.Encoder(enc_hook=readable, decimal_format="string")


def json_text(value: Any) -> str:
    """
    Return *value* as JSON text; what JSON cannot hold is replaced by something readable.

    Events are written by `llmobs.codec.encode`.
    """
    try:
        return _encoder.encode(value).decode()
    except Exception:  # noqa: BLE001 - whatever msgspec refuses is mended
        return _encoder.encode(mended(value)).decode()


def mended(value: Any) -> Any:
    """Return a snapshot of *value* that JSON can hold: no lone surrogates, no integer beyond 64 bits."""
    return _mend(snapshot(value))


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(k): _mend(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_mend(v) for v in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value) if value.bit_length() < 4096 else hex(value)[:MAX_REPR]
    return value


def clean_text(text: str) -> str:
    """
    Return *text* as it can be written in UTF-8: surrogate pairs joined, lone ones as U+FFFD.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
