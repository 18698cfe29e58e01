"""
What a store must be able to do, whatever keeps it, and the one place that opens one.

`llmobs.store.reader` and `llmobs.store.writer` do it with SQLite; another engine is another scheme here.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

from llmobs.errors import ConfigurationError
from llmobs.events import Event, RunEvent
from llmobs.runtime.paths import path_of
from llmobs.store.filed import Filed
from llmobs.store.records import (
    Activity,
    Around,
    Change,
    CostGroup,
    ErrorGroup,
    Evaluation,
    EvaluationGroup,
    Found,
    GroupBy,
    Position,
    RetentionPolicy,
    Rewritten,
    RunDetail,
    RunFilter,
    RunSummary,
    Selected,
    Selector,
    StoredEvent,
    StoreInfo,
    Waiting,
    Whose,
)
from llmobs.store.rollups import Sums
from llmobs.store.spans import Link

__all__ = ["ReadsStore", "WritesStore", "open_reader", "open_writer", "path_in", "writer_of"]

_ENGINES: Final = {"sqlite": ("llmobs.store.reader:Reader", "llmobs.store.writer:Writer")}


def open_reader(where: str | Path) -> "ReadsStore":
    """
    Open a store for reading.

    Args:
        where: The path of a SQLite file, or a URL: ``sqlite:///llmobs.db``.

    Raises:
        ConfigurationError: No engine knows such a URL.
        StoreNotFoundError: There is none yet.
        StoreError: It is damaged, or from a newer llmobs.
    """
    reader: ReadsStore = _engine(where, 0)(path_in(where))
    return reader


def open_writer(where: str | Path) -> "WritesStore":
    """
    Open a store for writing, creating it or migrating it.

    Args:
        where: As in `open_reader`.

    Raises:
        ConfigurationError: No engine knows such a URL.
        StoreError: It is damaged, or from a newer llmobs.
        SinkUnavailableError: It cannot be opened or written now.
    """
    return writer_of(where)()


def writer_of(
    where: str | Path, *, durable: bool = False, patience: float | None = None
) -> Callable[[], "WritesStore"]:
    """
    Return what opens a store as `open_writer` does, with all that it needs imported.

    For threads of our own: a child forked while one imports would wait for the rest for ever.

    Args:
        where: As in `open_reader`.
        durable: What was written is on disk, and outlives a power cut, when `WritesStore.write`
            returns. It costs the disk's time per transaction.
        patience: Seconds to wait for somebody else who writes; None: as long as applications do.

    Raises:
        ConfigurationError: As in `open_writer`.
    """
    waits = {} if patience is None else {"patience": patience}
    return partial(_engine(where, 1), path_in(where), durable=durable, **waits)


def path_in(where: str | Path) -> Path:
    """
    Return the path that *where* is, or names as a ``scheme:///path`` URL.

    Raises:
        ConfigurationError: A URL without a path.
    """
    if scheme := _scheme(where):
        where = path_of(str(where), example=f"{scheme}:///llmobs.db")
    return Path(where).expanduser()


def _scheme(where: str | Path) -> str:
    scheme, colon, rest = where.partition(":") if isinstance(where, str) else ("", "", "")
    is_url = colon and (rest.startswith("//") or scheme.lower() in _ENGINES)
    return scheme.lower() if is_url else ""


def _engine(where: str | Path, part: int) -> Any:
    scheme = _scheme(where) or "sqlite"
    if scheme not in _ENGINES:
        raise ConfigurationError(
            f"no store for {scheme}: URLs; known are {', '.join(_ENGINES)}, for instance sqlite:///llmobs.db"
        )
    module, _, name = _ENGINES[scheme][part].partition(":")
    return getattr(import_module(module), name)


class ReadsStore(Protocol):
    """Reads, while others write; see `llmobs.store.reader.Reader` for what each method promises."""

    def __enter__(self) -> Self:
        """Use it as a context manager, which closes it."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        ...

    def runs(
        self,
        limit: int = ...,
        *,
        before: tuple[datetime, str] | None = ...,
        where: RunFilter = ...,
    ) -> list[RunSummary]:
        """Return runs, the latest first."""
        ...

    def runs_since(
        self,
        after: int,
        to: int,
        *,
        silent: tuple[datetime, datetime],
        limit: int = ...,
        where: RunFilter = ...,
    ) -> list[RunSummary]:
        """Return runs of which there is something new, the latest first."""
        ...

    def count_runs(self, where: RunFilter = ..., *, up_to: int | None = ...) -> int:
        """Return how many there are."""
        ...

    def resolve(self, text: str, *, project: str | None = ...) -> str:
        """Return the id of the one run that *text* names."""
        ...

    def activity(self, seconds: int, where: RunFilter = ...) -> list[Activity]:
        """Count runs by when they began."""
        ...

    def run(
        self,
        run_id: str,
        *,
        limit: int | None = ...,
        after: str | None = ...,
        project: str | None = ...,
    ) -> RunDetail:
        """Return one run with its events."""
        ...

    def whose(
        self,
        kind: Literal["user", "session"],
        limit: int = ...,
        *,
        before: tuple[datetime, str] | None = ...,
        where: RunFilter = ...,
    ) -> list[Whose]:
        """Return users or sessions, those with the latest run first."""
        ...

    def errors(
        self,
        limit: int = ...,
        *,
        before: tuple[datetime, str] | None = ...,
        where: RunFilter = ...,
    ) -> list[ErrorGroup]:
        """Return what failed, by cause, what failed last first."""
        ...

    def around(
        self, run_id: str, events: Sequence[Event], *, project: str | None = ...
    ) -> list[Around]:
        """Return the events that others happened inside."""
        ...

    def search(
        self,
        text: str,
        limit: int = ...,
        *,
        before: tuple[datetime, str] | None = ...,
        where: RunFilter = ...,
    ) -> Found:
        """Find events by words that were given or made in them, the latest first."""
        ...

    def index_texts(self, seconds: float = ...) -> Waiting:
        """Bring the index that `search` uses up to date, as far as that time allows; return what is left."""
        ...

    def event(self, event_id: str, *, project: str | None = ...) -> StoredEvent | None:
        """Return one event by its id."""
        ...

    def select(self, whom: Selector) -> Selected:
        """Return the runs of a person or a session."""
        ...

    def parts(self) -> Iterator[tuple[str, Event]]:
        """Yield what spans told that no event tells yet, after its run."""
        ...

    def runs_as_events(self) -> Iterator[RunEvent]:
        """Yield each run as an event that says what is kept of it."""
        ...

    def left_over(self) -> Iterator[tuple[str, str]]:
        """Yield what a killed rewriting may have left of a run, after its id."""
        ...

    def words_of_sums(self) -> Iterator[tuple[str, str]]:
        """Yield the words of the hourly sums, after what they are."""
        ...

    def tail(self, after: int, *, limit: int = ...) -> list[StoredEvent]:
        """Return what was stored after an event."""
        ...

    def position(self, id: int | None = ...) -> Position | None:
        """Return the position of the event stored last, or of the one with this number."""
        ...

    def seal(self, data: bytes) -> str:
        """Return *data* as a word that only this store opens."""
        ...

    def unseal(self, word: str) -> bytes | None:
        """Return what `seal` was given; None if this store has not said so."""
        ...

    def latest(self, count: int) -> list[StoredEvent]:
        """Return the events stored last."""
        ...

    def events(
        self, where: RunFilter = ..., *, types: Sequence[str] = ..., after: int = ...
    ) -> Generator[StoredEvent, None, None]:
        """Yield events in the order they were stored."""
        ...

    def evaluations(self, where: RunFilter = ...) -> list[Evaluation]:
        """Return what checks and ratings said of runs."""
        ...

    def evaluation_groups(
        self, where: RunFilter = ..., *, limit: int = ...
    ) -> list[EvaluationGroup]:
        """Add up evaluations by their names."""
        ...

    def count_events(self, where: RunFilter = ..., *, types: Sequence[str] = ...) -> int:
        """Return how many `events` would yield."""
        ...

    def cost(self, by: GroupBy = ..., where: RunFilter = ...) -> list[CostGroup]:
        """Add up calls of models."""
        ...

    def costs(
        self, bys: Sequence[GroupBy], where: RunFilter = ...
    ) -> dict[GroupBy, list[CostGroup]]:
        """Add up calls of models, for several kinds of group at once."""
        ...

    def size(self) -> tuple[int, int]:
        """Return how large it is, and how much of that is free; bytes."""
        ...

    def sums_by_model(self) -> dict[str | None, Sums]:
        """Return what all calls add up to, by model."""
        ...

    def info(self) -> StoreInfo:
        """Return what the store is and holds."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class WritesStore(Protocol):
    """Writes, from one thread at a time; see `llmobs.store.writer.Writer` for what each promises."""

    salt: bytes
    """By which events are filed for it; see `llmobs.store.filed`."""

    def write(
        self, events: Sequence[Event | Filed], *, links: Sequence[Link] | None = None
    ) -> None:
        """
        Store events, each once, all or none but those that cannot be stored in any form; where they
        are spans, *links* say how they hang together.
        """
        ...

    def look_after_spans(self) -> None:
        """End runs of which no span has come for long, and forget spans that nothing came of."""
        ...

    def remove(self, run_id: str) -> None:
        """Remove one run as if it had never been."""
        ...

    def erase(self, run_ids: Iterable[str]) -> int:
        """Remove runs as if they had never been; return how many there were."""
        ...

    def rewrite(self, run_id: str, change: Change) -> Rewritten:
        """Change or remove events of a run, in steps between which others write."""
        ...

    def finish_rewrites(self) -> None:
        """Finish what a process that was killed has begun to change or to erase."""
        ...

    def redact_sums(self, redact: Callable[[str], str]) -> int:
        """Change the words of the hourly sums; return how many sums were concerned."""
        ...

    def projects_of(self, run_ids: Iterable[str]) -> dict[str, str | None]:
        """Return whose runs are, of those that there are."""
        ...

    def keyed_hash(self, text: str) -> str:
        """Return a hash of *text* that only this store can make."""
        ...

    def leave_no_trace(self) -> bool:
        """See that nothing of what was removed is left in any file; return whether it is so."""
        ...

    def prune(self, policy: RetentionPolicy, *, wait: bool = ...) -> bool:
        """Remove some old runs, sums stay; return whether there are more."""
        ...

    def adopt(self, *, wait: bool = ...) -> bool:
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
