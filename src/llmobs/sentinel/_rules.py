"""
What Sentinel's server takes, field by field.

It drops a message that breaks one of these and never tells, so they are checked here, before
anything is sent.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from math import isfinite
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from llmobs.sentinel.exceptions import ValidationError

__all__ = [
    "MAX_TEXT_CHARS",
    "count",
    "embedding",
    "instance_of",
    "is_a",
    "measure",
    "metadata",
    "moment",
    "optional_text",
    "rule",
    "text",
    "texts",
]

MAX_TEXT_CHARS: Final = 100_000
"""Longest text of a prompt or an answer, in characters."""

_MAX_U32: Final = 2**32 - 1
_MAX_F32: Final = 3.4e38
_MAX_MEASURE: Final = 2**63 - 1
"""Largest latency or cost that every store and wire of llmobs keeps as it is."""


P = ParamSpec("P")
R = TypeVar("R")


def rule(
    check: Callable[Concatenate[str, Any, P], R],
) -> Callable[Concatenate[str, Any, P], R]:
    """Let *check*, of a value and its name, raise nothing but `ValidationError`."""

    @wraps(check)
    def checked(name: str, value: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return check(name, value, *args, **kwargs)
        except ValidationError:
            raise
        except Exception as error:  # noqa: BLE001 - a value's own code, which is asked here
            raise ValidationError(f"{name} cannot be read: {type(error).__name__}") from None

    return checked


def is_a(value: Any, *kinds: type) -> bool:
    """Tell by its class whether *value* is of *kinds*: ``isinstance`` asks the value itself too."""
    try:
        return issubclass(type(value), kinds)
    except Exception:  # noqa: BLE001 - a class that cannot be hashed
        return False


@rule
def text(name: str, value: Any, *, filled: bool = False, most: int | None = None) -> None:
    """Raise `ValidationError` unless *value* is a string, not empty if *filled*, not too long."""
    if not is_a(value, str):
        raise _wrong(name, "a string", value)
    if filled and not value:
        raise ValidationError(f"{name} cannot be empty")
    if most is not None and len(value) > most:
        raise ValidationError(f"{name} must be <= {most} characters, not {len(value)}")


def optional_text(name: str, value: Any) -> None:
    """Raise `ValidationError` unless *value* is a string or None."""
    if value is not None:
        text(name, value)


@rule
def count(name: str, value: Any) -> None:
    """Raise `ValidationError` unless *value* is a whole number of 32 bits without sign."""
    if is_a(value, bool) or not is_a(value, int):
        raise _wrong(name, "a whole number", value)
    if value < 0:
        raise ValidationError(f"{name} must be >= 0, not {value}")
    if value > _MAX_U32:
        raise ValidationError(f"{name} must be <= {_MAX_U32}, not {value}")


@rule
def measure(name: str, value: Any) -> None:
    """Raise `ValidationError` unless *value* is a finite number, not negative."""
    if is_a(value, bool) or not is_a(value, int, float):
        raise _wrong(name, "a number", value)
    if not value >= 0:  # NaN is not
        raise ValidationError(f"{name} must be >= 0, not {value}")
    if value > _MAX_MEASURE:
        raise ValidationError(f"{name} must be finite and below 2**63, not {value}")


@rule
def embedding(name: str, value: Any) -> None:
    """Raise `ValidationError` unless *value* is None or a list of numbers that fit 32-bit floats."""
    if value is None:
        return
    if not is_a(value, list, tuple):
        raise _wrong(name, "a list of numbers", value)
    for number in value:
        if is_a(number, bool) or not is_a(number, int, float):
            raise _wrong(name, "a list of numbers", number)
        if not (abs(number) <= _MAX_F32 and isfinite(number)):
            raise ValidationError(f"{name} must hold finite 32-bit numbers, not {number}")


@rule
def metadata(name: str, value: Any) -> None:
    """Raise `ValidationError` unless *value* maps strings to strings."""
    if not is_a(value, Mapping):
        raise _wrong(name, "a dict of strings", value)
    for key, held in value.items():
        if not is_a(key, str):
            raise ValidationError(f"{name}: the key {key!r} must be a string")
        if not is_a(held, str):
            raise _wrong(f"{name}[{key!r}]", "a string", held)


@rule
def texts(name: str, value: Any) -> None:
    """Raise `ValidationError` unless *value* is a list of strings."""
    if not is_a(value, list, tuple):
        raise _wrong(name, "a list of strings", value)
    for held in value:
        text(f"{name}[]", held)


@rule
def moment(name: str, value: Any) -> datetime:
    """Return *value* in UTC, where it is if it has no offset; raise `ValidationError` if it is no time."""
    instance_of(datetime, name, value)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)  # type: ignore[no-any-return]


def instance_of(kind: type, name: str, value: Any) -> None:
    """Raise `ValidationError` unless *value* is a *kind*."""
    if not is_a(value, kind):
        raise _wrong(name, f"a {kind.__name__}", value)


def _wrong(name: str, wanted: str, value: Any) -> ValidationError:
    # The type, not the value: it may be long, or a secret in the wrong place.
    return ValidationError(f"{name} must be {wanted}, not {type(value).__name__}")
