"""
Tools for testing an application that records with llmobs: no thread, no network, no file.

With pytest, the fixture ``llmobs_events`` is there once llmobs is installed; elsewhere use
:func:`capture_events`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from llmobs.client.async_client import collecting
from llmobs.events import Event

__all__ = ["CapturedEvents", "capture_events"]

E = TypeVar("E", bound=Event)


class CapturedEvents(list[Event]):
    """The events recorded so far, oldest first: complete, redacted and priced, as a sink gets them."""

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one class, for instance ``events.of(PromptCallEvent)``."""
        return [event for event in self if isinstance(event, kind)]

    def in_run(self, run_id: str) -> list[Event]:
        """Return the events of one run."""
        return [event for event in self if event.run_id == run_id]


@contextmanager
def capture_events() -> Iterator[CapturedEvents]:
    """
    Collect what every client of this process records inside the block, instead of delivering it.

    Works whatever client the application made, middlewares' included; sampling does not apply. A call that
    began inside and has not ended with the block ends there, and its event says so.
    """
    captured = CapturedEvents()
    with collecting(captured.append):
        yield captured
