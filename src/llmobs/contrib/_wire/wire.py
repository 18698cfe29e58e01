"""How one provider's wire is read: the functions each dialect offers, and the care they take."""

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from llmobs.pipeline.slices import Steps

__all__ = [
    "Fields",
    "Json",
    "StreamEvent",
    "Wire",
    "as_count",
    "as_dict",
    "as_list",
    "as_text",
    "json_or_text",
    "loads",
]

Json = dict[str, Any]
Fields = dict[str, Any]
"""Fields of `llmobs.events.PromptCallEvent`, by name."""


class StreamEvent(NamedTuple):
    """One event of a stream."""

    name: str
    """The ``event:`` line, or empty."""
    data: Json
    time: float
    """When its last byte came (``time.perf_counter``)."""
    is_whole: bool = True
    """False: it was too long to be kept; what is known of it are figures."""


def _nothing(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    yield from ()
    return {}, True


class Wire(NamedTuple):
    """One dialect. All functions are pure; they take what a provider sent, however odd."""

    request: Callable[[Json], Fields]
    """Reads the body of a request."""
    response: Callable[[Json], Fields]
    """Reads the body of an answer."""
    assemble: Callable[[list[StreamEvent]], Steps[tuple[Json, bool]]] = _nothing
    """Makes of a stream the body that an unstreamed answer would have had; and says if it ended."""
    is_content: Callable[[Json], bool] = lambda data: False
    """Whether a stream's event carries a piece of the answer: the first makes the time to first token."""
    keeps_content: bool = True
    """False: bodies are read for figures only (audio, images)."""


def as_dict(value: Any) -> Json:
    """Return *value* if it is an object, else an empty one."""
    return value if type(value) is dict else {}


def as_list(value: Any) -> list[Any]:
    """Return *value* if it is an array, else an empty one."""
    return value if type(value) is list else []


def as_text(value: Any) -> str | None:
    """Return *value* if it is a text with something in it."""
    return value if type(value) is str and value else None


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


MAX_COUNT: Final = 10**12
"""No call has more tokens than this; larger counts are not believed."""


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


def json_or_text(value: Any) -> Any:
    """Return what the JSON text *value* says (tool arguments), or the text itself if it is none."""
    if type(value) is not str or not value:
        return value
    try:
        return loads(value)
    except ValueError:
        return value
