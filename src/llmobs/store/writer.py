"""Write events into the store: blocking, for one thread."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from llmobs.codec import clean_text, encode
from llmobs.errors import SinkRejectedError, StoreCorruptError
from llmobs.events import ErrorInfo, Event
from llmobs.forks import ForkLock
from llmobs.guard import Troubles
from llmobs.pipeline.mend import write_or_mend
from llmobs.store.connect import connect_writer, explain, is_about_values

__all__ = ["Writer"]

_COLUMNS: Final = (
    "event_id, run_id, event_type, timestamp, parent_id, trace_id, project_id, service_name, "
    "environment, user_id, session_id, name, provider, status, failed, http_status, latency_ms, "
    "time_to_first_token_ms, tokens_input, tokens_output, tokens_cached, cost_usd, error, body"
)
_WIDTH: Final = len(_COLUMNS.split(","))
_ROW: Final = f"({', '.join('?' * _WIDTH)})"
_INSERT: Final = f"INSERT INTO events ({_COLUMNS}) VALUES"
# Not "OR IGNORE": that would pass over a row that lacks something, as if it were stored.
_UNLESS_THERE: Final = "ON CONFLICT (event_id) DO NOTHING"

ROWS_AT_ONCE: Final = 32
"""Rows per statement: the interpreter's lock is given up and taken once per statement."""
ATTEMPTS: Final = 3
"""How often a batch is written to a store that goes away each time, before that is not believed."""

_NAMES: Final = {
    "prompt_call": "model",
    "tool_call": "tool_name",
    "agent_step": "step_name",
    "assertion_failed": "assertion_name",
    "hallucination_detected": "detection_method",
    "performance_alert": "alert_type",
    "run": "name",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Writer:
    """
    One connection, for the thread that writes.

    It is closed for the length of a fork. SQLite keeps account, per process, of the locks it holds
    on a file; a child that inherits an open connection inherits that account but not the locks,
    believes to hold them, and writes into a log that the parent's last close removes.

    A store that is deleted, moved or replaced meanwhile would be written on for ever, unseen: each
    batch looks whether the path still names the open file, and otherwise begins a new store there.

    Args:
        path: The SQLite file; created if missing.

    Raises:
        StoreError: It is damaged, or from a newer llmobs.
        SinkUnavailableError: It cannot be opened or written now.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._watches = True
        self._troubles = Troubles()
        self._lock = ForkLock(before_fork=self._disconnect)
        with self._lock:
            self._connect()

    def write(self, events: Sequence[Event]) -> None:
        """
        Insert *events* in one transaction; those whose id is there already change nothing.

        Raises:
            StoreError: The store is damaged.
            SinkUnavailableError: Not now: locked, full, read-only.
            SinkTooLargeError: An event is larger than SQLite takes.
            SinkRejectedError: Events that cannot be stored in any form; the others are.
        """
        refused: dict[str, str] = {}
        with self._lock:
            for _ in range(ATTEMPTS):
                if self._connection is not None and self._is_elsewhere():
                    self._leave(self._connection)
                refused = self._write(self._connection or self._connect(), events)
                if not self._is_elsewhere():
                    break
            else:  # a file system that names one file differently each time
                self._watches = False
        if refused:
            words = next(iter(refused.values()))
            raise SinkRejectedError(words, events=refused, delivered=True)

    def remove(self, run_id: str) -> None:
        """
        Remove one run with all its events.

        Raises:
            SinkUnavailableError: Not now: locked, read-only.
        """
        with self._lock:
            connection = self._connection or self._connect()
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("DELETE FROM events WHERE run_id = ?", (run_id,))
                connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise explain(error, self._path) from error

    def _connect(self) -> sqlite3.Connection:
        self._connection = connection = connect_writer(self._path)
        self._identity = self._found()
        return connection

    def _found(self) -> tuple[int, int] | None:
        """Return what the path names now; None if nothing."""
        try:
            stat = os.stat(self._path)
        except FileNotFoundError:
            return None
        except OSError:  # not to be told now: SQLite will say whether that matters
            return self._identity
        return stat.st_dev, stat.st_ino

    def _is_elsewhere(self) -> bool:
        return self._watches and self._found() != self._identity

    def _leave(self, connection: sqlite3.Connection) -> None:
        self._troubles.log(
            "moved",
            "llmobs: the store %s was deleted, moved or replaced while the application runs; "
            "events go to what is there now, a new one if nothing is",
            self._path,
        )
        # What is still in the log goes into the file that was moved, and the log is emptied: it may
        # lie beside the new store, which would take it for its own.
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._disconnect()

    def _write(self, connection: sqlite3.Connection, events: Sequence[Event]) -> dict[str, str]:
        """Return the ids of events that cannot be stored, with the reason."""
        refused: dict[str, str] = {}
        waiting = iter(events)
        try:
            connection.execute("BEGIN IMMEDIATE")
            # Encoded a few at a time: all in one go would hold the interpreter, and with it the
            # host's event loop, for some milliseconds.
            while some := list(islice(waiting, ROWS_AT_ONCE)):
                try:
                    _insert(connection, some)
                except Exception as error:
                    if not is_about_values(error):
                        raise
                    for event in some:
                        self._insert_alone(connection, event, refused)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise explain(error, self._path) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return refused

    def _insert_alone(
        self, connection: sqlite3.Connection, event: Event, refused: dict[str, str]
    ) -> None:
        try:
            write_or_mend(lambda event: _insert(connection, [event]), event)
        except Exception as error:
            if not is_about_values(error):
                raise
            self._check_tables(connection)
            refused[event.event_id] = f"cannot be stored: {type(error).__name__}: {error}"

    def _check_tables(self, connection: sqlite3.Connection) -> None:
        # Compiled, not run: that fails where a table, a column or what the trigger uses is gone.
        try:
            connection.execute(f"EXPLAIN {_INSERT} {_ROW}", [None] * _WIDTH).close()
        except sqlite3.OperationalError as error:
            raise StoreCorruptError(
                f"{self._path} has not the tables of a store any more ({error}): "
                "move it away, a new one is then made"
            ) from error

    def close(self) -> None:
        """Close the connection; SQLite folds the write-ahead log back into the file."""
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _insert(connection: sqlite3.Connection, events: Sequence[Event]) -> None:
    rows = [_row(event, encode(event)) for event in events]
    statement = f"{_INSERT} {', '.join([_ROW] * len(rows))} {_UNLESS_THERE}"
    try:
        connection.execute(statement, list(chain.from_iterable(rows)))
    except UnicodeEncodeError:  # lone surrogates in a name; bodies are clean already
        connection.execute(statement, list(map(_clean, chain.from_iterable(rows))))


def _clean(value: Any) -> Any:
    return clean_text(value) if isinstance(value, str) else value


def _row(event: Event, body: bytes) -> tuple[Any, ...]:
    kind = event.event_type.value
    error = getattr(event, "error", None)
    return (
        event.event_id,
        event.run_id,
        kind,
        (event.timestamp - _EPOCH) // _MICROSECOND,
        event.parent_id,
        event.trace_id,
        event.project_id,
        event.service_name,
        event.environment,
        event.user_id,
        event.session_id,
        getattr(event, _NAMES[kind]) if kind in _NAMES else None,
        getattr(event, "provider", None),
        getattr(event, "status", None),
        event.failed,
        getattr(event, "http_status", None),
        getattr(event, "latency_ms", None),
        getattr(event, "time_to_first_token_ms", None),
        getattr(event, "tokens_input", None),
        getattr(event, "tokens_output", None),
        getattr(event, "tokens_cached", None),
        getattr(event, "cost_usd", None),
        f"{error.type or 'error'}: {error.message}"[:300] if type(error) is ErrorInfo else None,
        body.decode(),
    )
