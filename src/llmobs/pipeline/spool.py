"""
Events on disk that could not be delivered yet: blocking, for one thread.

One directory per sink, one file per batch, native JSON lines. A batch is written under a hidden
name and renamed, so a file is either whole or not there. Whoever sends one holds an advisory lock
on it, which the system drops if that process dies: all workers of a host share a spool and each
batch is sent by one of them. Files are removed when their events are settled; a crash between the
two sends a batch again, which event ids make harmless.

Whoever settles another process's batch leaves a receipt for it: an empty hidden file whose name
says what became of the events. So each process can account for what it recorded.
"""

import os
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import msgspec

from llmobs.codec import decode, encode
from llmobs.errors import ConfigurationError
from llmobs.events import Event
from llmobs.ids import new_id
from llmobs.pipeline.slices import give_way

try:
    import fcntl as _fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl: Any = None
else:
    fcntl = _fcntl

T = TypeVar("T")

__all__ = [
    "DELIVERED",
    "LOST",
    "BatchTooLargeError",
    "Claim",
    "Evicted",
    "Spool",
    "SpoolFile",
    "batches_in",
]

DELIVERED: Final = "delivered"
"""Outcome in a receipt; the others are drop reasons."""
LOST: Final = "lost"
"""Outcome of a batch that is gone without a receipt: somebody removed it by hand."""
RECEIPT_SECONDS: Final = 120.0
"""How long a receipt waits for the process that wrote the batch; it looks every few seconds."""

SLACK: Final = 64
"""One part in so many of what the spool may hold is written before it is measured again."""
GENTLE_EVENTS: Final = 8
"""Events encoded or read at a stretch, about 0.1 ms."""

_NAME: Final = re.compile(r"([0-9a-f-]{36})-(\d+)\.jsonl")
_RECEIPT: Final = re.compile(r"\.([0-9a-f-]{36}-\d+\.jsonl)\.((?:[a-z_]+=\d+,?)+)")


class SpoolFile(msgspec.Struct, frozen=True):
    """A batch that waits."""

    path: Path
    events: int
    size: int
    """Bytes."""
    modified: float
    """Unix time it was written."""


Evicted = tuple[SpoolFile, bool]
"""A batch that had to go, and whether this process wrote it."""


def batches_in(directory: Path) -> list[SpoolFile]:
    """Return the batches in one sink's directory, oldest first; empty if it does not exist."""
    found = []
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is not None:
                with suppress(FileNotFoundError):  # another worker finished it
                    stat = entry.stat()
                    found.append(
                        SpoolFile(Path(entry.path), int(match[2]), stat.st_size, stat.st_mtime)
                    )
    return sorted(found, key=lambda file: file.path.name)


class BatchTooLargeError(Exception):
    """A batch alone is larger than the spool may be."""


class Spool:
    """
    The waiting batches of one sink.

    Args:
        directory: The spool's directory, shared by all sinks and processes.
        sink: The sink's name; each has a directory of its own below.
        max_bytes: Size of this sink's part; the oldest batches go first. Each process that writes
            may exceed it by a 64th: looking at every file before every write would take longer
            the longer a sink is down.

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
        self.own: set[str] = set()
        """Names of batches this process wrote and has not accounted for."""
        self._candidates: deque[tuple[str, int]] = deque()
        self._size = 0  # as measured, and what was written since
        self._unmeasured = max_bytes  # bytes written since

    def write(self, events: Sequence[Event]) -> list[Evicted]:
        """
        Put *events* on disk; return the older batches that had to go for them.

        Raises:
            OSError: The disk is full, read-only, away; nothing was written.
            BatchTooLargeError: It would fill the spool alone; nothing was written.
        """
        data = b"".join(b"%b\n" % line for line in _gently(map(encode, events)))
        if len(data) > self._max_bytes:
            raise BatchTooLargeError
        for folder in (self.directory.parent, self.directory):  # `parents` would ignore the mode
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        self.own.add(name)
        return evicted

    def files(self) -> list[SpoolFile]:
        """Return the waiting batches, oldest first; empty if there is no spool yet."""
        return batches_in(self.directory)

    def claim(self) -> "Claim | None":
        """Take the oldest batch that nobody else is sending; None if there is none."""
        # The directory is read once per pass over it, not once per batch: there may be many.
        for _ in range(2):
            while self._candidates:
                name, events = self._candidates.popleft()
                claim = Claim.take(self.directory / name, events)
                if claim is not None:
                    return claim
            self._candidates.extend(self._look())
        return None

    def forget_pass(self) -> None:
        """Begin the next `claim` with the oldest batch again."""
        self._candidates.clear()

    def _look(self) -> list[tuple[str, int]]:
        """Return name and count of the waiting batches, oldest first; sweep the rest on the way."""
        found = []
        hidden = []
        with suppress(FileNotFoundError), os.scandir(self.directory) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    hidden.append(Path(entry.path))
                elif match := _NAME.fullmatch(entry.name):
                    found.append((entry.name, int(match[2])))
        for path in hidden:
            _sweep(path)
        return sorted(found)

    def settled_by_others(self) -> dict[str, int]:
        """Return the events of our batches that others settled, by what became of them."""
        outcomes: dict[str, int] = {}
        if self.own <= self._names():
            return outcomes
        # Again: a batch renamed while the directory is read may show under neither name.
        names = self._names()
        receipts = {match[1]: match for name in names if (match := _RECEIPT.fullmatch(name))}
        for name in self.own - names:
            receipt = receipts.get(name)
            if receipt is None:
                told = {LOST: int(name.rpartition("-")[2].partition(".")[0])}
            else:
                told = {what: int(n) for what, n in (p.split("=") for p in receipt[2].split(","))}
                (self.directory / receipt[0]).unlink(missing_ok=True)
            self.own.discard(name)
            for outcome, count in told.items():
                outcomes[outcome] = outcomes.get(outcome, 0) + count
        return outcomes

    def _names(self) -> set[str]:
        try:
            return set(os.listdir(self.directory))
        except FileNotFoundError:
            return set()

    def after_fork(self) -> None:
        """Forget which batches the parent wrote, in a forked child."""
        self.own = set()
        self._candidates.clear()

    def _make_room(self, size: int) -> list[Evicted]:
        slack = self._max_bytes // SLACK
        self._size += size
        self._unmeasured += size
        if self._size <= self._max_bytes and self._unmeasured <= slack:
            return []
        files = self.files()
        self._size = sum(file.size for file in files) + size
        self._unmeasured = size
        evicted: list[Evicted] = []
        if self._size <= self._max_bytes:
            return evicted
        for file in files:
            if self._size <= self._max_bytes - slack:
                break
            claim = Claim.take(file.path, file.events)
            if claim is not None:  # never one that is being sent
                ours = file.path.name in self.own
                self.own.discard(file.path.name)
                claim.finish(None if ours else {"spool_full": file.events})
                evicted.append((file, ours))
                self._size -= file.size
        return evicted


def _gently(items: Iterable[T]) -> Iterator[T]:
    """Give way every few items: the host comes first."""
    for number, item in enumerate(items):
        yield item
        if number % GENTLE_EVENTS == 0:
            give_way()


def _sweep(path: Path) -> None:
    """Remove what a process that died while writing left behind, and receipts nobody fetched."""
    with suppress(FileNotFoundError):
        is_receipt = _RECEIPT.fullmatch(path.name) is not None
        if is_receipt and time.time() - path.stat().st_mtime < RECEIPT_SECONDS:
            return
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
        return list(_gently(self._events()))

    def _events(self) -> Iterator[Event]:
        with open(self._file, "rb", closefd=False) as file:
            for line in file:
                with suppress(msgspec.DecodeError):
                    yield decode(line)

    def finish(self, receipt: Mapping[str, int] | None = None) -> None:
        """
        Remove the batch: its events are settled.

        Args:
            receipt: What became of how many, for the process that wrote it; None: it is this one.

        Raises:
            OSError: It cannot be removed. It stays ours, so that nobody sends it again.
        """
        with suppress(FileNotFoundError):
            if receipt:
                told = ",".join(f"{outcome}={count}" for outcome, count in receipt.items())
                # A rename needs no room on the disk, and happens whole or not at all.
                self.path.rename(self.path.with_name(f".{self.path.name}.{told}"))
                os.ftruncate(self._file, 0)
            else:
                self.path.unlink()
        self.release()

    def release(self) -> None:
        """Let others send it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
