"""Open the SQLite file, and say in plain words why it could not be done."""

import os
import sqlite3
from pathlib import Path
from typing import Final

from llmobs.errors import (
    LLMObsError,
    SinkTooLargeError,
    SinkUnavailableError,
    StoreCorruptError,
    StoreNotFoundError,
)
from llmobs.runtime.paths import create, say_if_open
from llmobs.store.schema import check_version, migrate, show_as_current
from llmobs.store.values import decode_text

__all__ = [
    "BUSY_SECONDS",
    "CACHE_BYTES",
    "LOG_BYTES",
    "connect_reader",
    "connect_writer",
    "explain",
    "for_reading",
    "is_about_values",
]

PAGE_BYTES: Final = 16_384
"""Of new files: an event of some kilobytes fits a page, where 4 KB ones chain several."""
LOG_BYTES: Final = 16_000_000
"""Of the write-ahead log, before it is copied back into the file: that waits for the disk."""
CACHE_BYTES: Final = 32_000_000
"""
Of pages kept by who stores what others send: ids are found anywhere in their indexes, and with SQLite's
own 2 MB nearly each is read anew and written twice, five times as much after 30,000 spans as at first.
"""
BUSY_SECONDS: Final = 10.0
"""How long a process waits for another one's transaction."""

_ABOUT_VALUES: Final = frozenset(
    {
        sqlite3.SQLITE_ERROR,  # raised by a function in the trigger, for instance
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
    }
)


def connect_writer(
    path: Path, *, durable: bool = False, patience: float = BUSY_SECONDS
) -> sqlite3.Connection:
    """
    Open the store for writing, creating it (mode 0600: it holds prompts) or migrating it.

    Args:
        path: The SQLite file.
        durable: A transaction is on disk when it is committed: the collector's, which may take
            `CACHE_BYTES` of memory, too.
        patience: Seconds to wait for another process's transaction.

    Raises:
        StoreError: It is damaged, or from a newer llmobs.
        SinkUnavailableError: It cannot be opened or written now.
    """
    try:
        create(path)
        connection = sqlite3.connect(
            path, timeout=patience, isolation_level=None, check_same_thread=False
        )
    except (OSError, sqlite3.Error) as error:
        raise SinkUnavailableError(f"cannot open the store {path}: {error}") from error
    try:
        # Of new files only: neither can be changed later under write-ahead logging.
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        # NORMAL is safe against crashes of the process; a power cut may lose the last transactions.
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        if durable:
            connection.execute(f"PRAGMA cache_size = -{CACHE_BYTES // 1024}")
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_BYTES // page}")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        connection.execute("PRAGMA secure_delete = ON")
        migrate(connection)
    except sqlite3.Error as error:
        connection.close()
        raise explain(error, path) from error
    except LLMObsError:
        connection.close()
        raise
    say_if_open(path, "store")  # SQLite gives the same mode to what it puts beside it
    return connection


def for_reading(path: Path) -> str:
    """Return the URI that opens a file of SQLite for reading alone."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    # Readers and writers share memory through a file beside it. Where this process cannot make one, and no
    # log says that somebody writes, the file is all there is; without this word SQLite would not open it.
    if os.access(path.parent, os.W_OK):
        return uri
    try:
        has_log = path.with_name(f"{path.name}-wal").stat().st_size > 0
    except OSError:
        has_log = False
    return uri if has_log else f"{uri}&immutable=1"


def connect_reader(path: Path) -> sqlite3.Connection:
    """
    Open the store for reading, while others write.

    Raises:
        StoreNotFoundError: There is none yet.
        StoreError: It is damaged, or from a newer llmobs.
    """
    if not path.is_file():
        raise StoreNotFoundError(
            f"there is no store at {path} yet: run an application with llmobs first, or name another file"
        )
    connection = None
    try:
        connection = sqlite3.connect(
            for_reading(path),
            uri=True,
            timeout=BUSY_SECONDS,
            check_same_thread=False,
        )
        connection.row_factory = sqlite3.Row
        connection.text_factory = decode_text
        if check_version(connection) == 0:
            raise StoreNotFoundError(f"{path} is a database, but not a store of llmobs")
        show_as_current(connection)
    except (sqlite3.Error, UnicodeError, LLMObsError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise explain(error, path) from error
        if isinstance(error, UnicodeError):  # in the name of a table or a column
            raise StoreCorruptError(f"{path} is damaged: {error}") from error
        raise
    return connection


def is_about_values(error: Exception) -> bool:
    """Whether *error* is the fault of what was to be written, and would come again every time."""
    if not isinstance(error, sqlite3.Error):
        return True  # integers beyond 64 bits, lone surrogates, values whose own code raises
    # What Python's module finds while it binds has no code of SQLite.
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in _ABOUT_VALUES


def explain(error: sqlite3.Error, path: Path) -> LLMObsError:
    """Return the llmobs error for *error*: damaged for good, or to be tried again."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreCorruptError(
            f"{path} is not a readable SQLite database ({error}): move it away, a new one is then made"
        )
    if code == sqlite3.SQLITE_TOOBIG:
        return SinkTooLargeError(f"too large for SQLite: {error}")
    if code == sqlite3.SQLITE_FULL:
        return SinkUnavailableError(f"cannot write the store {path}: the disk is full")
    return SinkUnavailableError(f"cannot use the store {path}: {error}")
