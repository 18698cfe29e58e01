"""
What stands in a column, whatever that is, as the type that belongs there.

SQLite columns take any value, files get damaged, and other programs write them: one odd value must
not keep a whole list from being read.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final

import msgspec

__all__ = ["COERCE", "as_integer", "as_moment", "as_number", "as_text", "as_texts", "decode_text"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# A day from the ends of the calendar, so that every time zone can show it.
_FIRST: Final = (datetime.min.replace(tzinfo=UTC) + timedelta(days=1) - EPOCH) // _MICROSECOND
_LAST: Final = (datetime.max.replace(tzinfo=UTC) - timedelta(days=1) - EPOCH) // _MICROSECOND


def decode_text(data: bytes) -> str:
    """Return UTF-8 as text, broken or not: for ``sqlite3.Connection.text_factory``."""
    return data.decode("utf-8", "replace")


def as_text(value: Any) -> str:
    """Return *value* as text."""
    if type(value) is str:
        return value
    return decode_text(value) if type(value) is bytes else "" if value is None else str(value)


def as_moment(value: Any) -> datetime:
    """Return the time *value* microseconds after 1970; what is beyond the calendar is its end."""
    microseconds = as_integer(value) or 0
    return EPOCH + timedelta(microseconds=min(max(microseconds, _FIRST), _LAST))


def as_integer(value: Any) -> int | None:
    """Return *value* as a whole number; None for what is no number."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and isfinite(value) else None


def as_number(value: Any) -> float | None:
    """Return *value* as a finite number; None for what is none."""
    return value if type(value) in (int, float) and isfinite(value) else None


def as_texts(value: Any) -> tuple[str, ...]:
    """Return the texts in the JSON array *value*; none for what is no such array."""
    try:
        return msgspec.json.decode(as_text(value), type=tuple[str, ...])
    except (msgspec.MsgspecError, RecursionError):
        return ()


COERCE: Final[dict[Any, Callable[[Any], Any]]] = {
    datetime: as_moment,
    str: as_text,
    str | None: lambda value: None if value is None else as_text(value),
    int: lambda value: as_integer(value) or 0,
    int | None: as_integer,
    float | None: as_number,
    float: lambda value: as_number(value) or 0.0,
    bool: lambda value: value not in (0, None),
    tuple[str, ...]: as_texts,
}
"""How to make a value of a record's field out of a column's, by the field's type."""
