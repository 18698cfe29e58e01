"""A sink that keeps events in a list, for tests and notebooks."""

from typing import Any, Self

from llmobs.events import Event
from llmobs.pipeline.sink import Batch

__all__ = ["MemorySink"]


class MemorySink:
    """Keeps every delivered event in :attr:`events`, once per event id."""

    name = "memory"
    max_batch_events: int | None = None
    max_batch_bytes: int | None = None

    def __init__(self) -> None:
        self.name = "memory"
        self.events: list[Event] = []
        self._ids: set[str] = set()

    @classmethod
    def from_url(cls, url: str, settings: Any) -> Self:
        """Build one for ``memory:``."""
        return cls()

    async def open(self) -> None:
        """Nothing to prepare."""

    async def send(self, batch: Batch) -> None:
        """Keep the events not seen before."""
        for event in batch.events:
            if event.event_id not in self._ids:
                self._ids.add(event.event_id)
                self.events.append(event)

    async def aclose(self) -> None:
        """Keep the events: tests look at them afterwards."""
