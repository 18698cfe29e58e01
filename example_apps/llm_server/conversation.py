"""What every wire format boils down to: a question, an answer, and what they cost."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

Json = dict[str, Any]
"""A decoded JSON object, as it came over the wire."""

Ending = Literal["stop", "stop_sequence", "length", "tools", "refusal"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the caller offers; `parameters` is its JSON schema."""

    name: str
    description: str
    parameters: Json


@dataclass(frozen=True, slots=True)
class Call:
    """A function the answer asks the caller to run."""

    name: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class Question:
    """One request, in no provider's words.

    `must_call` is None when the model may choose, `"*"` when it must call some tool, or the name of
    the tool it must call. `results` are the tool results since the last user message, oldest first.
    `max_tokens` counts thinking too. `variant` tells the choices of one request (`n > 1`) apart.
    """

    text: str
    tools: tuple[Tool, ...] = ()
    must_call: str | None = None
    parallel: bool = True
    results: tuple[str, ...] = ()
    images: int = 0
    schema: Json | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    thinks: bool = False
    variant: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the scripted model says. A refusal has its wording in `text`."""

    text: str
    ending: Ending
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts: `prompt` includes the cache's reads and writes, `output` the thinking."""

    prompt: int
    output: int
    thinking: int = 0
    cache_read: int = 0
    cache_write: int = 0


class Framing(Enum):
    """How a stream is framed; the value is its content type."""

    SSE = "text/event-stream; charset=utf-8"
    LINES = "application/x-ndjson"
    ARRAY = "application/json; charset=UTF-8"
    AWS = "application/vnd.amazon.eventstream"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream. `is_token` events wait for the model, the others go out at once."""

    data: Json | str
    name: str | None = None
    is_token: bool = False
    failed: bool = False
    """Whether it tells of an error, where frames say so."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer in one provider's words: a JSON body, or the events of a stream.

    A body that is a JSON array is a tuple.
    """

    content: Json | tuple[Any, ...] | list[Event]
    usage: Usage
    said: tuple[Answer, ...] = ()
    """What it says, for the server's own account; nothing where it says nothing (embeddings)."""
    framing: Framing = Framing.SSE
    headers: dict[str, str] = field(default_factory=dict)
    """What this answer says in headers, besides those of every answer."""


def joined(parts: Iterable[str]) -> str:
    """The non-empty texts among `parts`, one per line."""
    return "\n".join(part for part in parts if part)
