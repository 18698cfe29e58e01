"""
Events on disk that could not be delivered yet: blocking, for one thread.

One directory per sink, one file per batch, native JSON lines. A batch is written under a hidden
name and renamed, so a file is either whole or not there. Whoever sends one holds an advisory lock
on it, which the system drops if that process dies: all workers of a host share a spool and each
batch is sent by one of them. Files are removed when their events are settled; a crash between the
two sends a batch again, which event ids make harmless.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from llmobs.codec import decode, encode
from llmobs.errors import ConfigurationError
from llmobs.events import Event
from llmobs.ids import new_id

try:
    import fcntl as _fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl: Any = None
else:
    fcntl = _fcntl

__all__ = ["Claim", "Spool", "SpoolFile"]

_NAME: Final = re.compile(r"([0-9a-f-]{36})-(\d+)\.jsonl")


class SpoolFile(msgspec.Struct, frozen=True):
    """A batch that waits."""

    path: Path
    events: int
    size: int
    """Bytes."""
    modified: float
    """Unix time it was written."""


class Spool:
    """
    The waiting batches of one sink.

    Args:
        directory: The spool's directory, shared by all sinks and processes.
        sink: The sink's name; each has a directory of its own below.
        max_bytes: Size of this sink's part, at most; the oldest batches go first.

    Raises:
        ConfigurationError: The platform has no advisory file locks.
    """

    def __init__(self, directory: Path, sink: str, max_bytes: int) -> None:
        if fcntl is None:
            raise ConfigurationError(
                "spool_dir (LLMOBS_SPOOL_DIR): this platform has no file locks"
            )
        self.sink = sink
        readable = re.sub(r"[^A-Za-z0-9.-]+", "-", sink).strip("-.")[:40]
        unique = blake2b(sink.encode(), digest_size=4).hexdigest()
        self.directory = directory.expanduser() / f"{readable}-{unique}"
        self._max_bytes = max_bytes

    def write(self, events: Sequence[Event]) -> tuple[str, list[SpoolFile]]:
        """
        Put *events* on disk; return the batch's name and the older ones that had to go for it.

        Raises:
            OSError: The disk is full, read-only, away; nothing was written.
        """
        data = b"\n".join([*(encode(event) for event in events), b""])
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        evicted = self._make_room(len(data))
        name = f"{new_id()}-{len(events)}.jsonl"
        hidden = self.directory / f".{name}"
        file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # Locked while it is written, so that `_sweep` can tell it from a dead process's rest.
            fcntl.flock(file, fcntl.LOCK_EX)
            view = memoryview(data)
            while view:
                view = view[os.write(file, view) :]
            os.fsync(file)
            hidden.rename(self.directory / name)
        except BaseException:
            with suppress(OSError):
                hidden.unlink()
            raise
        finally:
            os.close(file)
        return name, evicted

    def files(self) -> list[SpoolFile]:
        """Return the waiting batches, oldest first; empty if there is no spool yet."""
        found = []
        with suppress(FileNotFoundError), os.scandir(self.directory) as entries:
            for entry in entries:
                match = _NAME.fullmatch(entry.name)
                if match is not None:
                    with suppress(FileNotFoundError):  # another worker finished it
                        stat = entry.stat()
                        found.append(
                            SpoolFile(Path(entry.path), int(match[2]), stat.st_size, stat.st_mtime)
                        )
        return sorted(found, key=lambda file: file.path.name)

    def claim(self) -> "Claim | None":
        """Take the oldest batch that nobody else is sending; None if there is none."""
        self._sweep()
        for file in self.files():
            claim = Claim.take(file.path, file.events)
            if claim is not None:
                return claim
        return None

    def _make_room(self, size: int) -> list[SpoolFile]:
        files = self.files()
        total = sum(file.size for file in files) + size
        evicted = []
        for file in files:
            if total <= self._max_bytes:
                break
            claim = Claim.take(file.path, file.events)
            if claim is not None:  # never one that is being sent
                claim.finish()
                evicted.append(file)
                total -= file.size
        return evicted

    def _sweep(self) -> None:
        """Remove what a process that died while writing left behind."""
        with suppress(FileNotFoundError), os.scandir(self.directory) as entries:
            hidden = [Path(entry.path) for entry in entries if entry.name.startswith(".")]
            for path in hidden:
                claim = Claim.take(path, 0)
                if claim is not None:
                    claim.finish()


class Claim:
    """A batch that this process alone may send, until `finish` or `release`."""

    def __init__(self, path: Path, file: int, events: int) -> None:
        self.path = path
        self.count = events
        """Events it was written with."""
        self._file = file

    @classmethod
    def take(cls, path: Path, events: int) -> Self | None:
        """Lock the batch at *path*; None if somebody has it, or it is gone."""
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last owner may have removed it between our opening and our locking.
            if os.fstat(file).st_nlink and path.exists():
                return cls(path, file, events)
        except BlockingIOError:
            pass
        os.close(file)
        return None

    def read(self) -> list[Event]:
        """Return its events; lines that are none (a damaged disk) are left out."""
        return list(self._events())

    def _events(self) -> Iterator[Event]:
        with open(self._file, "rb", closefd=False) as file:
            for line in file:
                with suppress(msgspec.DecodeError):
                    yield decode(line)

    def finish(self) -> None:
        """Remove the batch: its events are settled."""
        with suppress(FileNotFoundError):
            self.path.unlink()
        self.release()

    def release(self) -> None:
        """Let others send it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
