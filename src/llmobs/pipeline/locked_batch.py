"""
A batch on disk that one process alone is working on: blocking, for one thread.

The lock is the system's advisory one (``flock``), which it drops when the process dies. A forked
child shares the lock but not the work: it closes what it inherited, and unlocking says so aloud,
since closing alone would leave the lock with a child that was forked a moment ago.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from llmobs.codec import decode
from llmobs.events import Event
from llmobs.runtime.time_slices import gently

try:
    import fcntl as _fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl: Any = None
else:
    fcntl = _fcntl

__all__ = [
    "ERASED",
    "HAS_LOCKS",
    "NEW",
    "LockedBatch",
    "NewerBatchError",
    "lock",
    "open_locked",
    "unlock",
]

HAS_LOCKS: Final = fcntl is not None
"""Whether this platform has the locks."""

ERASED: Final = b"#erased"
"""A line in the place of an event that was erased while it waited."""

_locked: set[int] = set()


def lock(file: int, *, wait: bool) -> None:
    """
    Lock an open file, where the platform has locks.

    Raises:
        BlockingIOError: Somebody has it, and *wait* is false.
    """
    if fcntl is None:
        return
    _locked.add(file)
    fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def unlock(file: int) -> None:
    """Unlock *file* and close it."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
    _locked.discard(file)
    os.close(file)


def _is_at(file: int, path: Path) -> bool:
    """Whether the open *file* is the one that stands at *path* now."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL
"""Flags of a file that is made."""


def open_locked(path: Path, flags: int) -> int:
    """
    Open the file at *path* and lock it: the one that stands there then, whoever replaced it meanwhile.

    With `NEW` it is made; before it is locked, it may be taken for what a dead process
    left, and be swept away: then it is made anew.

    Raises:
        OSError: It is not there, or there already, or not ours to open; the disk is full or away.
    """
    while True:
        file = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            lock(file, wait=True)
            if _is_at(file, path):
                return file
        except BaseException:
            unlock(file)
            raise
        unlock(file)


def _leave_to_the_parent() -> None:
    for file in _locked:
        with suppress(OSError):
            os.close(file)
    _locked.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)


class NewerBatchError(Exception):
    """A batch holds events that this llmobs does not know; a newer one will."""


class LockedBatch:
    """A batch that this process alone may send, until `remove` or `release`."""

    def __init__(self, path: Path, file: int, events: int) -> None:
        self.path = path
        self.count = events
        """Events it was written with."""
        self.erased = 0
        """Of these, how many were erased since; known once it is read."""
        self._events: list[Event] | None = None
        self._file = file
        self._pid = os.getpid()

    @classmethod
    def acquire(cls, path: Path, events: int) -> Self | None:
        """
        Lock the batch at *path*; None if somebody has it, or it is gone.

        Raises:
            OSError: It is not ours to open, or no file.
        """
        try:
            # A link would let us lock, and in the end empty, a file that is not ours.
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            lock(file, wait=False)
            # Its last owner may have removed it between our opening and our locking.
            if _is_at(file, path):
                return cls(path, file, events)
        except BlockingIOError:
            pass
        unlock(file)
        return None

    @property
    def is_awaited(self) -> bool:
        """Whether the process that wrote it may wait to learn what becomes of it; see `Spool.create`."""
        return not self.path.name.rpartition("-")[2].startswith("0")

    def fileno(self) -> int:
        """Return its descriptor, open for reading and writing."""
        return self._file

    def read(self) -> list[Event]:
        """
        Return its events, read once; lines that are none (a damaged disk) are left out.

        Raises:
            OSError: The disk does not give them.
            NewerBatchError: A line is whole, and yet no event that this llmobs knows.
        """
        if self._events is None:
            self._events = list(gently(self._decoded()))
        return self._events

    def _decoded(self) -> Iterator[Event]:
        with open(self._file, "rb", closefd=False) as file:
            for line in file:
                if line.startswith(ERASED):
                    self.erased += 1
                    continue
                try:
                    event = decode(line)
                except msgspec.ValidationError as error:
                    if _is_an_object(line):
                        raise NewerBatchError(f"written by another version ({error})") from None
                # Text that is not UTF-8, and values nested without end, are not DecodeErrors.
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    pass
                else:
                    yield event

    def remove(self, receipt: Mapping[str, int] | None = None) -> None:
        """
        Remove the batch: its events are accounted for.

        Args:
            receipt: What became of how many, for the process that wrote it; None: it is this one.

        Raises:
            OSError: It cannot be removed. It stays ours, so that nobody sends it again.
        """
        file, self._file = self._file, -1  # if this fails, nothing unlocks it any more
        with suppress(FileNotFoundError):
            if receipt:
                counts = ",".join(f"{outcome}={count}" for outcome, count in receipt.items())
                # A rename needs no room on the disk, and happens whole or not at all.
                self.path.rename(self.path.with_name(f".{self.path.name}.{counts}"))
                if os.fstat(file).st_nlink == 1:  # else it is somebody's file under another name
                    os.ftruncate(file, 0)
            else:
                self.path.unlink()
        self._file = file
        self.release()

    def release(self) -> None:
        """Let others send it."""
        file, self._file = self._file, -1
        if file >= 0 and self._pid == os.getpid():  # in a forked child it is closed already
            unlock(file)

    def __del__(self) -> None:
        # Locked for a caller that gave up waiting for a slow disk.
        self.release()


def _is_an_object(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
