"""What a store must be able to do, whatever keeps it: `Reader` and `Writer` do it with SQLite."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Protocol

from llmobs.events import Event
from llmobs.store.records import (
    CostGroup,
    GroupBy,
    Keep,
    RunDetail,
    RunFilter,
    RunSummary,
    StoredEvent,
    StoreInfo,
)

__all__ = ["ReadsStore", "WritesStore"]


class ReadsStore(Protocol):
    """Reads, while others write; see `llmobs.store.reader.Reader` for what each method promises."""

    def runs(
        self, limit: int = ..., *, before: str | None = ..., where: RunFilter = ...
    ) -> list[RunSummary]:
        """Return runs, the latest first."""
        ...

    def count_runs(self, where: RunFilter = ...) -> int:
        """Return how many there are."""
        ...

    def resolve(self, text: str) -> str:
        """Return the id of the one run that *text* names."""
        ...

    def run(self, run_id: str, *, limit: int | None = ...) -> RunDetail:
        """Return one run with its events."""
        ...

    def tail(self, after: int, *, limit: int = ...) -> list[StoredEvent]:
        """Return what was stored after an event."""
        ...

    def latest(self, count: int) -> list[StoredEvent]:
        """Return the events stored last."""
        ...

    def events(
        self, where: RunFilter = ..., *, types: Sequence[str] = ...
    ) -> Generator[StoredEvent, None, None]:
        """Yield events in the order they were stored."""
        ...

    def count_events(self, where: RunFilter = ..., *, types: Sequence[str] = ...) -> int:
        """Return how many `events` would yield."""
        ...

    def cost(self, by: GroupBy = ..., where: RunFilter = ...) -> list[CostGroup]:
        """Add up calls of models."""
        ...

    def info(self) -> StoreInfo:
        """Return what the store is and holds."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class WritesStore(Protocol):
    """Writes, from one thread at a time; see `llmobs.store.writer.Writer` for what each promises."""

    def write(self, events: Sequence[Event]) -> None:
        """Store events, each once, all or none but those that cannot be stored in any form."""
        ...

    def remove(self, run_id: str) -> None:
        """Remove one run as if it had never been."""
        ...

    def erase(self, run_ids: Iterable[str]) -> int:
        """Remove runs as if they had never been; return how many there were."""
        ...

    def prune(self, keep: Keep) -> bool:
        """Remove some old runs, sums stay; return whether there are more."""
        ...

    def adopt(self) -> bool:
        """Bring some of what an older llmobs wrote into this form; return whether there is more."""
        ...

    def rebuild(self) -> Iterator[int]:
        """Count the hourly sums again; yield how many hours are to come."""
        ...

    def compact(self) -> None:
        """Give free space back."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
