"""Statements on several values at once, and several statements as one."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["chunks", "placeholder_rows", "placeholders", "transaction"]

_AT_ONCE: Final = 500
"""Values bound to one statement; SQLite takes some thousands."""


def placeholders(values: Sequence[Any]) -> str:
    """Return SQL for the placeholders of *values*, in brackets."""
    return placeholder_rows([values])


def placeholder_rows(rows: Sequence[Sequence[Any]]) -> str:
    """Return SQL for the placeholders of *rows*, of one length, as they stand behind ``VALUES``."""
    row = f"({', '.join('?' * len(rows[0]))})"
    return ", ".join([row] * len(rows))


def chunks(values: Sequence[Any], size: int = _AT_ONCE) -> Iterator[list[Any]]:
    """Yield *values*, as many at a time as one statement takes."""
    for at in range(0, len(values), size):
        yield list(values[at : at + size])


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Commit what the block does, or undo it if it raises."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # SQLite has ended it itself where the disk was full
            connection.execute("ROLLBACK")
