"""
Doors that know more of where a call happens than the current run does: spans of OpenTelemetry.

A watcher says which event is the parent of a call, and learns that the transport records it.
"""

from __future__ import annotations

import weakref
from typing import Protocol

from llmobs.context import Frame
from llmobs.guard import internal_errors

__all__ = ["Watcher", "place_of", "watchers"]


class Watcher(Protocol):
    """What sees calls of models without being their transport."""

    def place(self, frame: Frame | None) -> Frame | None:
        """Note that a transport records the call that begins here; return where it belongs."""
        ...


watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()


def place_of(frame: Frame | None) -> Frame | None:
    """Return what the watchers make of *frame*, the innermost one."""
    for watcher in tuple(watchers):
        with internal_errors("find the span of a call"):
            frame = watcher.place(frame)
    return frame
