"""One read-only connection: queries that end in time, events put together, errors that are ours."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from llmobs.errors import StoreCorruptError, StoreError
from llmobs.store.connect import connect_reader, explain
from llmobs.store.cost import Histograms
from llmobs.store.pieces import put_together, unpack
from llmobs.store.records import StoredEvent
from llmobs.store.rows import clean_values
from llmobs.store.values import as_text

__all__ = ["INSTRUCTIONS", "Reading"]

INSTRUCTIONS: Final = 1_000_000
"""Of SQLite's machine, about 10 ms, between two looks at the clock."""
PAGE_SECONDS: Final = 0.25
"""That a page of events is read for."""
PAGE_BYTES: Final = 4_000_000
PAGE_ROWS: Final = 100
"""Events read at a stretch."""
PIECES: Final = 1_000
"""Parts of messages that are remembered while events are read: the next event has most of them too."""


class Reading:
    """What `llmobs.store.reader.Reader` stands on; its arguments and errors are described there."""

    def __init__(self, path: Path, *, time_limit: float = 60.0) -> None:
        self._path = path
        self._time_limit = time_limit
        self._deadline = 0.0
        self._connection = connect_reader(path)
        self._connection.set_progress_handler(self._is_overdue, INSTRUCTIONS)
        self._connection.create_aggregate("histograms", 2, Histograms)  # type: ignore[arg-type] # of any type
        self._pieces: dict[int, bytes | None] = {}

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

    def _page(self, query: str, values: Sequence[Any]) -> list[StoredEvent]:
        cursor = self._execute(query, values)
        until = time.monotonic() + PAGE_SECONDS
        page: list[StoredEvent] = []
        size = 0
        try:
            while size < PAGE_BYTES and time.monotonic() < until:
                with self._reading():
                    rows = cursor.fetchmany(PAGE_ROWS)
                found = [self._stored(row) for row in rows]
                page += found
                size += sum(len(event.body) for event in found)
                if len(rows) < PAGE_ROWS:
                    break
        finally:  # an open cursor would keep this connection from seeing anything new
            with suppress(sqlite3.ProgrammingError):  # the connection is closed already
                cursor.close()
        return page

    def _stored(self, row: sqlite3.Row) -> StoredEvent:
        number, run_id, event_type, body, *_ = row
        body = put_together(as_text(body), self._piece)
        return StoredEvent(number, as_text(run_id), as_text(event_type), body)

    def _piece(self, number: int) -> bytes | None:
        if number not in self._pieces:
            found = self._all("SELECT data FROM pieces WHERE hash = ?", [number])
            if len(self._pieces) >= PIECES:
                self._pieces.clear()
            self._pieces[number] = unpack(found[0][0]) if found else None
        return self._pieces[number]

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
        with self._reading():
            return self._connection.execute(query, clean_values(values))

    def _all(self, query: str, values: Sequence[Any]) -> list[sqlite3.Row]:
        cursor = self._execute(query, values)
        with self._reading():
            return cursor.fetchall()

    def _few_at_once(self, query: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Yield what `_all` returns, without names: no more of it is held than a few rows."""
        cursor = self._execute(query, values)
        cursor.row_factory = None
        more = True
        while more:
            with self._reading():
                rows = cursor.fetchmany(PAGE_ROWS)
            yield from rows
            more = bool(rows)

    def _each(self, cursor: sqlite3.Cursor) -> Iterator[sqlite3.Row]:
        while True:
            with self._reading():
                row = cursor.fetchone()
            if row is None:
                return
            yield row

    def _number(self, query: str, values: Sequence[Any]) -> int:
        return int(self._all(query, values)[0][0])
