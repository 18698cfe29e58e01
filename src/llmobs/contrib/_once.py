"""One call, one event: what a door saw of a call that another door, or a block, records too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from llmobs.context import current_frame, set_frame
from llmobs.contrib._wire.merge import merge
from llmobs.events import Event, PromptCallEvent
from llmobs.operations import Captured, PromptCall
from llmobs.tracker import Tracker

__all__ = ["Told", "record_at", "record_once"]

_joining = threading.Lock()


class Told:
    """
    A call that has ended, as a door was told of it.

    Args:
        tracker: The run it belongs to.
        event: The call.
        size: Estimated bytes of what *complete* holds on to.
        failed: Whether it failed.
        complete: Fills *event* later, in the pipeline.
    """

    done = True

    def __init__(
        self,
        tracker: Tracker,
        event: PromptCallEvent,
        *,
        size: int,
        failed: bool,
        complete: Callable[[Event], None] | None = None,
    ) -> None:
        self._tracker = tracker
        self.event = event
        self.size = size
        self.failed = failed
        self._complete = complete

    def settle(self, write: Callable[[Any], object]) -> None:
        """Call *write* now: it has ended."""
        write(self)

    def separate(self) -> None:
        """Record it as an event of its own: its block has another call now."""
        record_at(
            self._tracker, self.event, size=self.size, failed=self.failed, complete=self._complete
        )

    def fill(self, event: Event) -> None:
        """Add what was told to the event of the block; runs in the pipeline."""
        if isinstance(event, PromptCallEvent):
            if self._complete is not None:
                self._complete(self.event)
            merge(event, self.event)


def record_at(
    tracker: Tracker,
    event: Event,
    *,
    size: int,
    failed: bool,
    complete: Callable[[Event], None] | None = None,
) -> None:
    """Record *event* where it says it belongs, whatever is current here."""
    here = current_frame()
    set_frame(tracker)
    try:
        tracker.record(event, size=size, failed=failed, complete=complete)
    finally:
        set_frame(here)


def record_once(tracker: Tracker, told: Told, block: PromptCall | None, before: Any) -> None:
    """
    Record *told*, unless somebody else does.

    Args:
        tracker: The run it belongs to.
        told: The call.
        block: The ``prompt_call()`` block it happened in, if any.
        before: What the block had captured when the call began: anything since is this call.
    """
    if block is None:
        told.separate()
        return
    with _joining:
        captured: Captured | None = block.captured
        if captured is None and not block.ended:
            block.captured = told
            return
    if captured is not before:
        tracker.duplicate(told.event)
    else:
        told.separate()
