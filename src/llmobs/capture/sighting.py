"""A call as one door sees it. Which of them belong together is the business of `llmobs.capture.joining`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from time import perf_counter
from typing import Any, Final

from llmobs.events import PromptCallEvent
from llmobs.runtime.forks import ForkLock

__all__ = ["GRACE_SECONDS", "Sighting", "lock"]

GRACE_SECONDS: Final = 1.0
"""How long a span that tells of no answer waits for the transport to begin."""

lock: Final = ForkLock()
"""Guards all sightings; what is not of the files that say so is called without it."""


class Sighting:
    """
    What one door sees of one call. Doors make one, and begin and end it in `llmobs.capture.joining.sightings`.

    Args:
        door: ``block``, ``langchain``, ``wire``, ``span``, or the name of another framework.
        tracker: The run it belongs to (a `llmobs.capture.tracker.Tracker`).
        event_id: Of the event it becomes, should no other door go around it.
        is_home: Whether the run was there; False: it was made for this call.
        started: When it began (``time.perf_counter``); by default now.
    """

    __slots__ = (
        "answered", "called", "door", "ended", "event", "event_id", "failed", "filed", "has_usage", "inner",
        "is_container", "is_home", "is_read", "model", "on_cancelled", "order", "outer",
        "parent_id", "places", "response_id", "size", "started", "tracker", "waiters", "waits_for",
    )  # fmt: skip

    def __init__(
        self,
        door: str,
        tracker: Any,
        event_id: str,
        is_home: bool = True,
        started: float | None = None,
    ) -> None:
        self.door = door
        self.tracker = tracker
        self.event_id = event_id
        self.parent_id: str | None = None
        self.is_home = is_home
        self.started = perf_counter() if started is None else started
        self.ended: float | None = None
        self.model = ""
        """Asked for, as far as known."""
        self.response_id: str | None = None
        self.answered = True
        """Whether it tells of an answer; if not, whoever saw that one may have begun later."""
        self.has_usage = False
        """Whether it tells of tokens, as far as can be said before it is read."""
        self.event: PromptCallEvent | None = None
        """What it becomes if nobody else saw the call; known at its end."""
        self.size = 0
        self.failed = False
        self.outer: Sighting | None = None
        """The block or span around it, which is the same call."""
        self.inner: Sighting | None = None
        self.is_container = False
        """Whether several calls happened inside: then it is none itself."""
        self.called: Any = None
        """The `llmobs.capture.calls.Call` it is part of, once that is decided."""
        self.on_cancelled: Callable[[], object] | None = None
        """Called when what is inside was cancelled, for doors that may never be told of their end."""
        self.is_read = False
        self.order = 0
        self.places: tuple[Hashable, ...] = ()
        """Where it happens: its run, or the task it began in."""
        self.filed: tuple[set[Hashable], tuple[str, str, bool]] | None = None
        """Where the table has it, as the root of a call: places, door, model, whether it is done."""
        self.waits_for: Sighting | None = None
        """The span without a model that it may turn out to be."""
        self.waiters: dict[int, Sighting] = {}
        """What waits for this one."""

    @property
    def root(self) -> Sighting:
        """The outermost sighting of this call."""
        root: Sighting = self
        while root.outer is not None:
            root = root.outer
        return root

    @property
    def parts(self) -> list[Sighting]:
        """This and what is inside, outermost first."""
        found: list[Sighting] = [self]
        while (inner := found[-1].inner) is not None:
            found.append(inner)
        return found

    @property
    def is_done(self) -> bool:
        """Whether this and all inside have ended."""
        return all(part.ended is not None for part in self.parts)

    def note_end(self, event: PromptCallEvent, size: int, failed: bool) -> None:
        """Note that it is over, and what it becomes; see `llmobs.capture.joining.Sightings.end`."""
        self.ended = perf_counter()
        self.event, self.size, self.failed = event, size, failed

    # What doors may fill in.

    def look(self) -> None:
        """Find out :attr:`model` while it is under way, if that costs little."""

    def read(self, event: PromptCallEvent) -> Iterable[None] | None:
        """Fill :attr:`event` with what takes time to read, in steps; runs in the pipeline."""
        return None

    def limit(self, event: PromptCallEvent) -> None:
        """Take out what must not be kept of a call that no block told of."""

    def is_certain(self) -> bool:
        """Whether it is known to be a call; of some spans only their end tells."""
        return True

    def cut(self, why: str) -> None:
        """End it now although it goes on; *why* belongs into its warnings."""

    def release(self) -> None:
        """Let go of what :meth:`read` needs."""
