"""Write events into the store: blocking, for one thread."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from llmobs.codec import clean_text
from llmobs.events import ErrorInfo, Event
from llmobs.forks import ForkLock
from llmobs.store.connect import connect_writer, explain

__all__ = ["Writer"]

_COLUMNS: Final = (
    "event_id, run_id, event_type, timestamp, parent_id, trace_id, project_id, service_name, "
    "environment, user_id, session_id, name, provider, status, failed, http_status, latency_ms, "
    "time_to_first_token_ms, tokens_input, tokens_output, tokens_cached, cost_usd, error, body"
)
_ROW: Final = f"({', '.join('?' * len(_COLUMNS.split(',')))})"
_ROWS_AT_ONCE: Final = 32
"""Rows per statement: the interpreter's lock is given up and taken once per statement."""

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

    Args:
        path: The SQLite file; created if missing.

    Raises:
        StoreError: It is damaged, or from a newer llmobs.
        SinkUnavailableError: It cannot be opened or written now.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._lock = ForkLock(before_fork=self._disconnect)
        with self._lock:
            self._connection = connect_writer(path)

    def write(self, events: Sequence[Event], bodies: Iterable[bytes]) -> None:
        """
        Insert *events* in one transaction; those whose id is there already change nothing.

        Args:
            events: Events, prepared.
            bodies: The native JSON of each, taken as needed: encoding all of them in one go would
                hold the interpreter, and with it the host's event loop, for some milliseconds.

        Raises:
            StoreError: The store is damaged.
            SinkUnavailableError: Not now: locked, full, read-only.
        """
        with self._lock:
            if self._connection is None:
                self._connection = connect_writer(self._path)
            self._write(self._connection, zip(events, bodies, strict=True))

    def _write(self, connection: sqlite3.Connection, pairs: Iterator[tuple[Event, bytes]]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            while rows := [_row(event, body) for event, body in islice(pairs, _ROWS_AT_ONCE)]:
                try:
                    _insert(connection, rows)
                except UnicodeEncodeError:  # lone surrogates in a name; bodies are clean already
                    _insert(connection, [tuple(map(_clean, row)) for row in rows])
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise explain(error, self._path) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection; SQLite folds the write-ahead log back into the file."""
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _insert(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    values = ", ".join([_ROW] * len(rows))
    connection.execute(
        f"INSERT OR IGNORE INTO events ({_COLUMNS}) VALUES {values}",  # noqa: S608
        list(chain.from_iterable(rows)),
    )


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
