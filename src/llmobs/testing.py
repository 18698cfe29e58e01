"""
Tools for testing an application that records with llmobs: no thread, no network, no file.

With pytest, the fixture ``llmobs_events`` is there once llmobs is installed; elsewhere use
:func:`capture_events`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar
from unittest.mock import patch

from llmobs.client import AsyncClient, Recording
from llmobs.context import Run
from llmobs.events import Event
from llmobs.pipeline.buffer import Complete, Done, Entry
from llmobs.sync import Client

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

    Works whatever client the application made, middlewares' included; sampling does not apply.
    """
    captured = CapturedEvents()

    def record(
        self: Recording,
        event: Event,
        run: Run | None,
        size: int,
        failed: bool,
        complete: Complete | None = None,
        done: Done | None = None,
    ) -> None:
        if self.enabled:
            self.preparer.prepare_now(Entry(event, size, run, complete, done, failed))
            captured.append(event)
            if done is not None:
                for _ in self._buffers:
                    done(None, None)

    def send(self: Recording, event: Event, timeout: float | None = None) -> None:
        self.record(event, None, 0, event.failed)

    async def send_async(self: Recording, event: Event, timeout: float | None = None) -> None:
        self.record(event, None, 0, event.failed)

    with (
        patch.object(Recording, "record", record),
        patch.object(Client, "send", send),
        patch.object(AsyncClient, "send", send_async),
    ):
        yield captured
