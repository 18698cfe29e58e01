"""Read the store: blocking and read-only, while applications write to it."""

import sqlite3
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from msgspec.structs import fields, replace

from llmobs.codec import clean_text
from llmobs.errors import StoreCorruptError, StoreError
from llmobs.events import Event
from llmobs.store.connect import connect_reader, explain
from llmobs.store.query import (
    KEYS,
    STORED,
    SUMMARY,
    UNCOUNTED,
    UNPRICED,
    add_up,
    conditions,
    glob,
    number,
    select_events,
    where_clause,
)
from llmobs.store.records import (
    AmbiguousRunError,
    CostGroup,
    GroupBy,
    RunDetail,
    RunFilter,
    RunNotFoundError,
    RunSummary,
    StoredEvent,
    to_microseconds,
)
from llmobs.store.values import COERCE, as_text

__all__ = ["Reader"]

_EVERYTHING: Final = RunFilter()
_CANDIDATES: Final = 5
INSTRUCTIONS: Final = 1_000_000
"""Of SQLite's machine, about 10 ms, between two looks at the clock."""
_RUN: Final = {field.name: field.type for field in fields(RunSummary)}
_COST: Final = tuple(field.type for field in fields(CostGroup))


class Reader:
    """
    One read-only connection; use it as a context manager, from one thread at a time.

    Args:
        path: The SQLite file.
        time_limit: Seconds that one query may take: what stands in the place of a table may never end.

    Raises:
        StoreNotFoundError: There is none yet.
        StoreError: It is damaged, or from a newer llmobs, or takes too long; so may every method.
        SinkUnavailableError: It cannot be read now; so may every method.
    """

    def __init__(self, path: Path, *, time_limit: float = 60.0) -> None:
        self._path = path
        self._time_limit = time_limit
        self._deadline = 0.0
        self._connection = connect_reader(path)
        self._connection.set_progress_handler(self._is_overdue, INSTRUCTIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # Runs.

    def runs(
        self, limit: int = 20, *, before: str | None = None, where: RunFilter = _EVERYTHING
    ) -> list[RunSummary]:
        """
        Return runs, the latest first.

        Args:
            limit: How many at most.
            before: Id of the last run of the previous page: continue after it.
            where: Which ones.
        """
        parts, values = conditions(where)
        if before is not None:
            parts.append(
                "(r.started, r.run_id) < (SELECT started, run_id FROM runs WHERE run_id = ?)"
            )
            values.append(before)
        rows = self._all(
            f"{SUMMARY}{where_clause(parts)} ORDER BY r.started DESC, r.run_id DESC LIMIT ?",
            [*values, limit],
        )
        return [_summary(row) for row in rows]

    def count_runs(self, where: RunFilter = _EVERYTHING) -> int:
        """Return how many runs there are."""
        parts, values = conditions(where)
        query = f"SELECT count(*) FROM runs r{where_clause(parts)}"  # noqa: S608
        return self._number(query, values)

    def resolve(self, text: str) -> str:
        """
        Return the id of the one run that *text* names.

        Its id is *text*, or an untrusted caller called it so, or its id begins or ends with *text*,
        in this order.

        Raises:
            RunNotFoundError: There is none.
            AmbiguousRunError: There are several; it has some of them.
        """
        if not text:
            raise RunNotFoundError("a run id cannot be empty")
        for condition, values in (
            ("run_id = ?", [text]),
            ("client_run_id = ?", [text]),
            ("run_id BETWEEN ? AND ? || char(1114111)", [text] * 2),
            ("substr(run_id, -length(?)) = ?", [text] * 2),
        ):
            query = f"SELECT run_id FROM runs WHERE {condition} ORDER BY started DESC LIMIT ?"  # noqa: S608
            found = [as_text(row[0]) for row in self._all(query, [*values, _CANDIDATES + 1])]
            if len(found) > 1:
                raise AmbiguousRunError(
                    f"several runs fit {text!r}: give more characters, or the whole id",
                    found[:_CANDIDATES],
                )
            if found:
                return found[0]
        raise RunNotFoundError(
            f"no run in {self._path} has an id that begins or ends with {text!r}"
        )

    def run(self, run_id: str, *, limit: int | None = None) -> RunDetail:
        """
        Return one run with its events in order of time.

        Args:
            run_id: Its id, or enough of its beginning or end; see :meth:`resolve`.
            limit: How many events at most; the run's own is always among them.

        Raises:
            RunNotFoundError: There is none.
            AmbiguousRunError: There are several.
        """
        run_id = self.resolve(run_id)
        summary = _summary(self._all(f"{SUMMARY} WHERE r.run_id = ?", [run_id])[0])
        total = self._number("SELECT count(*) FROM events WHERE run_id = ?", [run_id])
        rows = self._all(
            f"SELECT {STORED} FROM events e WHERE e.run_id = ?"  # noqa: S608
            " ORDER BY e.event_type <> 'run', e.timestamp, e.id LIMIT ?",
            [run_id, -1 if limit is None else limit],
        )
        decoded = [_stored(row).decode() for row in rows]
        events = sorted((e for e in decoded if e is not None), key=_time)
        return RunDetail(summary, events, total, unreadable=len(decoded) - len(events))

    # Events.

    def tail(self, after: int, *, limit: int = 1000) -> list[StoredEvent]:
        """Return what was stored after the event with the number *after*, oldest first."""
        query = f"SELECT {STORED} FROM events e WHERE e.id > ? ORDER BY e.id LIMIT ?"  # noqa: S608
        return [_stored(row) for row in self._all(query, [after, limit])]

    def latest(self, count: int) -> list[StoredEvent]:
        """Return the *count* events stored last, oldest first."""
        query = f"SELECT {STORED} FROM events e ORDER BY e.id DESC LIMIT ?"  # noqa: S608
        return [_stored(row) for row in reversed(self._all(query, [count]))]

    def events(
        self, where: RunFilter = _EVERYTHING, *, types: Sequence[str] = ()
    ) -> Generator[StoredEvent, None, None]:
        """
        Yield the events of the runs that fit, in the order they were stored, a few at a time.

        Until it is exhausted or closed, this reader sees the store as it was when this began.

        Args:
            where: Which runs.
            types: Only events of these types; see `llmobs.EventType`.
        """
        query, values = select_events(STORED, where, types)
        cursor = self._execute(f"{query} ORDER BY e.id", values)
        try:
            while True:
                with self._reading():
                    rows = cursor.fetchmany(200)
                if not rows:
                    return
                for row in rows:
                    yield _stored(row)
        finally:  # an open cursor would keep this connection from seeing anything new
            with suppress(sqlite3.ProgrammingError):  # the connection is closed already
                cursor.close()

    def count_events(self, where: RunFilter = _EVERYTHING, *, types: Sequence[str] = ()) -> int:
        """Return how many events :meth:`events` would yield."""
        return self._number(*select_events("count(*)", where, types))

    # Money.

    def cost(self, by: GroupBy = "model", where: RunFilter = _EVERYTHING) -> list[CostGroup]:
        """
        Add up the calls of models: the dearest group first, days in order.

        Args:
            by: What a group is.
            where: Of which runs; ``model`` and ``since`` choose among their calls.
        """
        parts, values = conditions(replace(where, model=None, since=None))
        join = " LEFT JOIN runs r ON r.run_id = e.run_id" if parts or by == "route" else ""
        parts.append("e.event_type = 'prompt_call'")
        if where.model is not None:
            parts.append("e.name GLOB ?")
            values.append(glob(where.model))
        if where.since is not None:
            parts.append("e.timestamp >= ?")
            values.append(to_microseconds(where.since))
        order = "key" if by == "day" else "cost DESC NULLS LAST, calls DESC, key"
        rows = self._all(
            f"SELECT {KEYS[by]} AS key, count(*) AS calls, {add_up('e.failed')},"  # noqa: S608
            f" {add_up('e.tokens_input')}, {add_up('e.tokens_output')},"
            f" {add_up('e.tokens_cached')}, sum({number('e.cost_usd')}) AS cost,"
            f" sum({UNPRICED}), sum({UNCOUNTED}), avg(iif(e.failed, NULL, {number('e.latency_ms')}))"
            f" FROM events e{join}{where_clause(parts)} GROUP BY 1 ORDER BY {order}",
            values,
        )
        return [CostGroup(*_coerced(_COST, row)) for row in rows]

    # The connection.

    def _is_overdue(self) -> bool:
        return time.monotonic() > self._deadline

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._deadline = time.monotonic() + self._time_limit
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                raise StoreError(
                    f"reading {self._path} took over {self._time_limit:g} s and was given up"
                ) from error
            raise explain(error, self._path) from error
        except (MemoryError, OverflowError, UnicodeError) as error:  # damaged lengths and names
            raise StoreCorruptError(f"{self._path} is damaged: {error!r}") from error

    def _execute(self, query: str, values: Sequence[Any]) -> sqlite3.Cursor:
        # Arguments of a command line may hold lone surrogates, which SQLite does not take.
        clean = [clean_text(value) if isinstance(value, str) else value for value in values]
        with self._reading():
            return self._connection.execute(query, clean)

    def _all(self, query: str, values: Sequence[Any]) -> list[sqlite3.Row]:
        cursor = self._execute(query, values)
        with self._reading():
            return cursor.fetchall()

    def _number(self, query: str, values: Sequence[Any]) -> int:
        return int(self._all(query, values)[0][0])


def _coerced(kinds: Iterable[Any], row: Iterable[Any]) -> Iterator[Any]:
    return (COERCE[kind](value) for kind, value in zip(kinds, row, strict=True))


def _summary(row: sqlite3.Row) -> RunSummary:
    return RunSummary(**{name: COERCE[_RUN[name]](row[name]) for name in row.keys()})  # noqa: SIM118


def _stored(row: sqlite3.Row) -> StoredEvent:
    return StoredEvent(row[0], *map(as_text, row[1:]))


def _time(event: Event) -> datetime:
    moment = event.timestamp
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
