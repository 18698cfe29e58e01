"""How one provider's wire is read: the functions each dialect offers."""

from collections.abc import Callable
from typing import Any, NamedTuple

from llmobs.contrib._wire.items import Items
from llmobs.recorded.jsontext import Json
from llmobs.runtime.time_slices import Steps

__all__ = ["Fields", "StreamEvent", "Wire"]

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
    mark: bytes = b""
    """What every such request has in its body, where others take the same path; one without is none."""
    comes_as_array: bool = False
    """True: a stream may be a JSON array of events instead."""
    unwrap: Callable[[Json], Json] | None = None
    """Takes the answer out of what it came in, before it is read."""
    in_background: bool = False
    """Whether the provider may work on after its answer, until that is fetched."""
    items: Callable[[], Items] | None = None
    """Cuts a body that holds many answers into these; None: it is one."""
