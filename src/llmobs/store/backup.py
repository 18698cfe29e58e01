"""Copy a SQLite store while others write to it."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Final, NamedTuple

from llmobs.errors import ConfigurationError, StoreCorruptError, StoreError
from llmobs.store.connect import LOG_BYTES, connect_reader, explain

try:
    import fcntl as _fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl: Any = None
else:
    fcntl = _fcntl

__all__ = ["Backup", "back_up", "is_backed_up"]

PAGES: Final = 64
"""Copied at a stretch: a megabyte, on disk before the next."""
REST: Final = 2.0
"""Pause after each, times as long as it took, while somebody writes."""
MAX_PAUSE: Final = 0.1
"""Of these, in seconds."""
MOST_LOG: Final = 4 * LOG_BYTES
"""Of the write-ahead log, until when there are pauses."""
RECENT_SECONDS: Final = 1.0
"""Since the write-ahead log changed: somebody writes."""


class Backup(NamedTuple):
    """What was made."""

    bytes: int
    seconds: float


def back_up(source: Path, target: Path, *, replace: bool = False, check: bool = True) -> Backup:
    """
    Copy the store at *source* to *target*, as it is when this begins.

    All of it is read from one snapshot: SQLite's own copying begins again whenever another process
    writes, and would not end under load. Writers never wait for a reader; only the write-ahead log
    keeps, until this ends, what they write meanwhile. While somebody writes, it takes its time.

    Args:
        source: The SQLite file.
        target: Made with mode 0600, at once: whole, or not at all.
        replace: Whether a file that is there is replaced; else it is left alone.
        check: Whether the copy is read through, to see that the store was not damaged.

    Returns:
        How large it is, and how long it took.

    Raises:
        ConfigurationError: It cannot be made there; says why.
        StoreNotFoundError: There is no store.
        StoreError: The store is damaged or from a newer llmobs, or the disk is full.
        SinkUnavailableError: The store cannot be read now.
    """
    begun = time.monotonic()
    _check(source, target, replace)
    with closing(connect_reader(source)) as reader, _made(target) as part, _announced(source):
        try:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()  # here it begins
            with (
                closing(sqlite3.connect(part, isolation_level=None)) as copy,
                part.open("rb+") as file,
            ):
                copy.execute("PRAGMA journal_mode = OFF")  # who reads a part of a backup?
                copy.execute("PRAGMA synchronous = OFF")  # `_Pace` does that
                reader.backup(copy, pages=PAGES, progress=_Pace(source, file.fileno()))
            with _folding_back(source):
                reader.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise explain(error, source) from error
        if check:
            _see_that_it_is_sound(part, source)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        size = part.stat().st_size
        if not replace and target.exists():  # somebody made it meanwhile
            raise FileExistsError
        os.replace(part, target)
    _sync_directory(target.parent)
    return Backup(size, time.monotonic() - begun)


@contextmanager
def _folding_back(source: Path) -> Iterator[None]:
    """
    Fold the write-ahead log back once the block has let it go.

    It holds all that was written meanwhile: whoever commits next would fold it back, and wait some
    tenths of a second for the disk. While somebody else is at it, SQLite has them pass on.
    """
    writer = None
    with suppress(sqlite3.Error):  # where the store may only be read
        writer = sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=0)
        writer.execute("SELECT count(*) FROM sqlite_master").fetchone()  # ready, before it is time
    try:
        yield
        if writer is not None:
            with suppress(sqlite3.Error):
                writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    finally:
        if writer is not None:
            writer.close()


class _Pace:
    """
    What comes after each step of a copy: it is on disk, and those who write have their turn.

    Else the system keeps hundreds of megabytes to write, all at once, and whoever commits meanwhile waits
    until that is done.
    """

    def __init__(self, source: Path, copy: int) -> None:
        self._log = source.with_name(f"{source.name}-wal")
        self._copy = copy
        self._begun = time.monotonic()

    def __call__(self, status: int, remaining: int, total: int) -> None:
        os.fsync(self._copy)
        if self._may_rest():
            time.sleep(min(REST * (time.monotonic() - self._begun), MAX_PAUSE))
        self._begun = time.monotonic()

    def _may_rest(self) -> bool:
        try:
            log = self._log.stat()
        except OSError:  # there is none
            return False
        # A large one has to be folded back by whoever writes, at once: then hurry.
        return log.st_size < MOST_LOG and time.time() - log.st_mtime < RECENT_SECONDS


def is_backed_up(source: Path) -> bool:
    """Whether somebody copies the store just now: no writer need wait until they are done reading."""
    try:
        # Of a file of its own: closing the store's would end the locks that SQLite holds on it.
        with _mark(source).open("rb") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False  # left behind by one that was killed
            return True
    except BlockingIOError:
        return True
    except OSError:
        return False


def _mark(source: Path) -> Path:
    return source.with_name(f"{source.name}-backup")


@contextmanager
def _announced(source: Path) -> Iterator[None]:
    mark = _mark(source)
    try:
        file = mark.open("ab")
    except OSError:  # a directory that we may only read: then a writer waits now and then
        yield
        return
    with file:
        if fcntl is not None:
            with suppress(OSError):  # another one announces itself already
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            with suppress(OSError):
                mark.unlink()


def _check(source: Path, target: Path, replace: bool) -> None:
    if target.is_dir():
        raise ConfigurationError(f"{target} is a directory: name a file in it")
    if not target.parent.is_dir():
        raise ConfigurationError(f"there is no directory {target.parent}: make it first")
    if target.exists() and source.exists() and target.samefile(source):
        raise ConfigurationError(f"{target} is the store itself: name another file")
    for ending in ("-wal", "-shm", "-journal"):
        beside = target.with_name(f"{target.name}{ending}")
        if ending != "-shm" and beside.exists() and beside.stat().st_size:
            raise ConfigurationError(f"{target} is in use as a store: name another file")
        if target.absolute() == source.absolute().with_name(f"{source.name}{ending}"):
            raise ConfigurationError(f"{target} belongs to the store: name another file")
    if target.exists() and not replace:
        raise ConfigurationError(f"{target} exists: name another file, or say --replace")


@contextmanager
def _made(target: Path) -> Iterator[Path]:
    """Yield a file beside *target*, which is removed afterwards."""
    try:
        number, name = mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(number)
    except OSError as error:
        raise ConfigurationError(f"cannot write in {target.parent}: {error.strerror}") from None
    try:
        yield Path(name)
    except FileExistsError:
        raise ConfigurationError(f"{target} exists: name another file") from None
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _see_that_it_is_sound(copy: Path, source: Path) -> None:
    # Immutable: a file in the mode of a write-ahead log would get one.
    uri = f"{copy.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        raise StoreCorruptError(
            f"{source} is damaged, and so would be its copy ({found}): keep the backups that you have; "
            "--no-check copies what there is"
        )


def _sync_directory(path: Path) -> None:
    with suppress(OSError):  # not every file system can
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
