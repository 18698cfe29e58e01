"""A call as one door sees it. Which of them belong together is the business of `llmobs.capture.joining`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from time import perf_counter
from typing import Any, Final

from llmobs.events import PromptCallEvent
from llmobs.recorded.ids import new_id
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

    # Class attributes are the defaults of what most calls, which one door sees, never need. Not of the rest:
    # what the class has, too, is looked up and set the slow way.
    ended: float | None = None
    model: str = ""
    """Asked for, as far as known."""
    response_id: str | None = None
    answered = True
    """Whether it tells of an answer; if not, whoever saw that one may have begun later."""
    has_usage = False
    """Whether it tells of tokens, as far as can be said before it is read."""
    event: PromptCallEvent | None = None
    """What it becomes if nobody else saw the call; known at its end."""
    size: int
    failed: bool
    outer: Sighting | None = None
    """The block or span around it, which is the same call."""
    inner: Sighting | None = None
    is_container = False
    """Whether several calls happened inside: then it is none itself."""
    called: Any = None
    """The `llmobs.capture.calls.Call` it is part of, once that is decided."""
    on_cancelled: Callable[[], object] | None = None
    """Called when what is inside was cancelled, for doors that may never be told of their end."""
    is_read = False
    order: float = 0.0
    """When it could first be found by others: of like calls, the first belongs to the first."""
    places: tuple[Hashable, ...] = ()
    """Where it happens: its run, or the task it began in."""
    filed: tuple[set[Hashable], tuple[str, str, bool]] | None = None
    """Where the table has it, as the root of a call: places, door, model, whether it is done."""
    waits_for: Sighting | None = None
    """The span without a model that it may turn out to be."""
    waiters: dict[int, Sighting] | None = None
    """What waits for this one."""

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
        self._event_id: str | None = event_id
        self.is_home = is_home
        self.started = perf_counter() if started is None else started
        self.parent_id: str | None = None
        self.clock: float | None = None
        """When it began (``time.time``), if that was read."""
        self.size, self.failed = 0, False

    @property
    def event_id(self) -> str:
        """The id of the event it becomes, should no other door go around it."""
        if self._event_id is None:
            with lock:
                self._event_id = self._event_id or new_id(self.clock)
        return self._event_id

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
