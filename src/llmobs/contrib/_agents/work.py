"""What a framework tells of its work, by ids of its own, becomes blocks of a run."""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final

from llmobs.capture.operations import Operation, PromptCall
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.client.sync_client import default_client
from llmobs.contrib._agents.frames import Expecting, Group
from llmobs.contrib._agents.table import MAX_OPEN, Table
from llmobs.contrib._wire.call import checked_mode, policy
from llmobs.runtime.context import (
    Frame,
    current_frame,
    innermost_frame,
    set_frame,
)

__all__ = ["NEVER_ENDED", "Make", "OpenWork", "Piece"]

NEVER_ENDED: Final = "the framework never told its end"
"""Warns of what was recorded as far as it was known."""

Make = Callable[[Tracker], Operation | None]
Tell = Callable[[Any], object]
"""Fills in what is known at the end; given the operation."""


@dataclass(slots=True, eq=False)
class Piece:
    """One piece of work that has begun and not ended: an agent, a step, a tool, a call."""

    key: Hashable
    """What `OpenWork.end` names it by."""
    tracker: Tracker
    frame: Frame | None
    """What happens inside belongs to this."""
    operation: Operation | None = None
    """None if it only groups what is recorded inside."""
    parent: Piece | None = None
    is_own: bool = False
    """Whether the tracker was made for it, and ends with it."""
    note: Any = None
    """What its door remembers."""
    inside: dict[Hashable, Piece] = field(default_factory=dict)
    """What began inside and has not ended."""
    handled: BaseException | None = field(default_factory=lambda: sys.exc_info()[1])
    """What was being handled around it when it began."""

    def raised(self) -> BaseException | None:
        """Return what goes through it where this is asked, for frameworks that tell of ends in ``finally``."""
        error = sys.exc_info()[1]
        return None if error is self.handled else error


class OpenWork:
    """
    What one framework has begun and not ended. Any thread or task may use it.

    What begins inside a run of llmobs belongs to that; what begins outside any gets a run of its own.

    Args:
        door: The framework's name, as `llmobs.capture.sighting.Sighting` has it.
        client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.
        max_open: Pieces held open at most.

    Raises:
        ValueError: *capture_content* is none of the three.
    """

    def __init__(
        self,
        door: str,
        client: Recording | None = None,
        capture_content: str = "full",
        max_open: int = MAX_OPEN,
    ) -> None:
        self.door = door
        self._client = client
        self._complete = policy(checked_mode(capture_content))
        self._pieces: Table[Piece] = Table(max_open)
        self._frames: dict[Frame, Piece] = {}
        """Of what is recorded itself."""
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._pieces)

    def begin(
        self,
        key: Hashable,
        make: Make | None = None,
        *,
        parent: Hashable = None,
        run_name: str = "",
        ends_late: bool = False,
        enters: bool = False,
        note: Any = None,
    ) -> Piece | None:
        """
        Begin a piece of work; None if this is closed.

        Args:
            key: What `end` names it by.
            make: Makes the block that records it; None if it only groups what is inside.
            parent: The key of what it is part of, if the framework tells; else what is current here is asked.
            run_name: What the run is called if it gets one.
            ends_late: Whether a call's end is told long after it: then only the request at the wire is inside.
            enters: Whether it is current although nothing records it.
            note: What its door remembers.
        """
        outer = None if parent is None else self._pieces.get(parent)
        if outer is None and self._is_closed:
            return None
        frame, is_own = innermost_frame(), False
        if outer is not None:
            tracker = outer.tracker
            if not self._is_application(frame, outer.frame):
                frame = outer.frame
        elif frame is not None and isinstance(frame.run, Tracker):
            tracker = frame.run
        else:
            tracker, frame, is_own = Tracker(self._client or default_client()), None, True
            tracker.name = run_name or self.door
        if outer is None and frame is not None:
            outer = self._frames.get(frame)
        piece = Piece(key, tracker, frame, parent=outer, is_own=is_own, note=note)
        operation = None if make is None else make(tracker)
        if operation is not None:
            piece.operation, piece.frame = operation, operation
            self._start(operation, frame)
            if ends_late and isinstance(operation, PromptCall):
                sighting = operation.enclose()
                assert sighting is not None
                set_frame(Expecting(operation, sighting))
        elif enters:
            piece.frame = Group(tracker, frame)
            set_frame(piece.frame)
        self._hold(piece)
        return piece

    def _start(self, operation: Operation, frame: Frame | None) -> None:
        operation.add(parent_id=(frame.event_id if frame is not None else None) or "")
        operation.complete = self._complete
        operation.start()
        if isinstance(operation, PromptCall):
            operation.door = self.door
            operation.enclose()

    def _is_application(self, frame: Frame | None, outer: Frame | None) -> bool:
        """Whether *frame* is the application's own, opened inside *outer*, and no other piece of work."""
        while frame is not None and frame is not outer:
            if frame in self._frames:
                return False
            frame = frame.outer
        return frame is not None

    def _hold(self, piece: Piece) -> None:
        if piece.frame is not None and (piece.operation or type(piece.frame) is Group):
            self._frames[piece.frame] = piece
        oldest = self._pieces.hold(piece.key, piece)
        if oldest is not None:
            self._give_up(oldest[1])

    def _forget_frame(self, piece: Piece) -> None:
        if piece.frame is not None and self._frames.get(piece.frame) is piece:
            del self._frames[piece.frame]

    def get(self, key: Hashable) -> Piece | None:
        """Return what has begun under *key* and not ended."""
        return self._pieces.get(key)

    def innermost(self, *kinds: type, note: Any = None) -> Piece | None:
        """
        Return the innermost piece that is current here, for frameworks that tell of an end without an id.

        Args:
            kinds: What its operation must be, one of these.
            note: What its door must have noted, unless None.
        """
        frame = current_frame()
        while frame is not None:
            piece = self._frames.get(frame)
            if (
                piece is not None
                and isinstance(piece.operation, kinds)
                and (note is None or piece.note is note)
            ):
                return piece
            frame = frame.outer
        return None

    def end(
        self,
        key: Hashable,
        error: BaseException | None = None,
        *,
        tell: Tell | None = None,
        whole: bool = False,
        gives_up: bool = True,
    ) -> None:
        """
        Record a piece of work that has ended; without one, do nothing.

        Args:
            key: What `begin` was given.
            error: What ended it, if it failed.
            tell: Fills in the operation; it is recorded even if this fails.
            whole: Whether what is open inside is over, too.
            gives_up: Whether that was given up, unless *error* has ended it; else it ends as this does.
        """
        piece = self._pieces.pop(key)
        if piece is None:
            return
        self._forget_frame(piece)
        if whole:
            how = CancelledError() if error is None and gives_up else error
            for inner in reversed(list(piece.inside)):
                self.end(inner, how, whole=True, gives_up=gives_up)
        try:
            if tell is not None and piece.operation is not None:
                tell(piece.operation)
        finally:
            if piece.operation is not None:
                piece.operation.end(error)
            _leave_group(piece)
            if piece.is_own:
                piece.tracker.finish(error=error)

    def close(self) -> None:
        """Begin nothing more but parts of what is open, which may still end."""
        self._is_closed = True

    def give_up(self) -> None:
        """Record all that is open as it is: nobody will tell its end any more."""
        while (oldest := self._pieces.pop_oldest()) is not None:
            self._give_up(oldest[1])

    def _give_up(self, piece: Piece) -> None:
        self._forget_frame(piece)
        if piece.operation is not None:
            piece.operation._cut(NEVER_ENDED)  # noqa: SLF001 - of the same kind as `end`
        _leave_group(piece)
        if piece.is_own:
            piece.tracker.finish()


def _leave_group(piece: Piece) -> None:
    if type(piece.frame) is Group and piece.operation is None:
        piece.frame.left = True
