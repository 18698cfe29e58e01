"""Frames that are no blocks: what happens inside them belongs somewhere, and nothing records them themselves."""

from __future__ import annotations

from llmobs.capture.operations import PromptCall
from llmobs.capture.sighting import Sighting
from llmobs.capture.tracker import Tracker
from llmobs.runtime.context import Frame

__all__ = ["Expecting", "Group"]


class Group:
    """A frame that is recorded by nothing, and holds together what is inside."""

    is_run = False
    left = False

    def __init__(self, run: Tracker, outer: Frame | None) -> None:
        self.run = run
        self.outer = outer
        self.event_id = outer.event_id if outer is not None and outer.run is run else None


class Expecting:
    """
    A frame that the next call at the wire is inside of, and nothing else.

    For frameworks that tell of the end of a call long after: what the application does meanwhile is outside.
    """

    is_run = False

    def __init__(self, call: PromptCall, sighting: Sighting) -> None:
        self.run = call.run
        self.outer = call.outer
        is_inside = self.outer is not None and self.outer.run is call.run
        self.event_id = self.outer.event_id if self.outer is not None and is_inside else None
        self._call = call
        self._sighting = sighting

    @property
    def left(self) -> bool:
        """Whether the call has had its answer; until then its client may try again."""
        inner = self._sighting.inner
        return self._call.ended or (
            inner is not None and inner.ended is not None and not inner.failed
        )

    def enclose(self, sighting: Sighting | None = None) -> Sighting | None:
        """Return what the call knows, for what another door sees of it."""
        return self._call.enclose(sighting)
