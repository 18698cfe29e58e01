"""How one provider's wire is read: the functions each dialect offers, and the care they take."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

__all__ = ["Fields", "Json", "StreamEvent", "Wire", "as_dict", "as_list", "as_text", "json_or_text"]

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


class Wire(NamedTuple):
    """One dialect. All functions are pure; they take what a provider sent, however odd."""

    request: Callable[[Json], Fields]
    """Reads the body of a request."""
    response: Callable[[Json], Fields]
    """Reads the body of an answer."""
    assemble: Callable[[list[StreamEvent]], tuple[Json, bool]] = lambda events: ({}, True)
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


def json_or_text(value: Any) -> Any:
    """Return what the JSON text *value* says (tool arguments), or the text itself if it is none."""
    if type(value) is not str or not value:
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value
