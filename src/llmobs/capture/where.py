"""Where a call happens that begins here: in a run, in a task, inside a span."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any, Final

from llmobs.capture.sighting import Sighting
from llmobs.runtime.context import Frame
from llmobs.runtime.troubles import internal_errors

__all__ = ["in_task", "place_of", "places_here", "watchers"]


def in_task() -> bool:
    """Whether a task runs here, of asyncio or trio."""
    return _task() is not None


def _task() -> Any:
    for name in ("asyncio", "trio.lowlevel"):
        module = sys.modules.get(name)
        if module is not None:
            with suppress(RuntimeError):  # no loop runs here
                if (task := module.current_task()) is not None:
                    return task
    return None


def places_here(sighting: Sighting) -> tuple[Hashable, ...]:
    """Return where *sighting* happens: in its run, or in the task that runs here; a span, in either."""
    places: list[Hashable] = [sighting.tracker.run_id] if sighting.is_home else []
    if not sighting.is_home or sighting.door == "span":
        places.append((threading.get_ident(), id(_task())))
    return tuple(places)


watchers: Final[list[Callable[[Frame | None], Frame | None]]] = []
"""
What knows more of where a call happens than the current run: spans of OpenTelemetry. Told that a
transport records the call that begins here, it returns where that belongs.
"""


def place_of(frame: Frame | None) -> Frame | None:
    """Return what the watchers make of *frame*, the innermost one."""
    for place in tuple(watchers):
        with internal_errors("find the span of a call"):
            frame = place(frame)
    return frame
