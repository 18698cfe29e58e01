"""
Events on disk that could not be delivered yet: blocking, for one thread.

One directory per sink, one file per batch, native JSON lines. A batch is written under a hidden
name and renamed, so a file is either whole or not there. Whoever sends one holds a lock on it (a
`LockedBatch`): all workers of a host share a spool and each batch is sent by one of them. Files are
removed when their events are accounted for; a crash between the two sends a batch again, which event ids
make harmless. What a process that was killed left under a hidden name, half a batch or what it held
for a decision (`llmobs.pipeline.journal`), is as good as it goes.

The directory may hold anything else (snapshots of a file system, what an administrator put there,
batches of a newer llmobs): it is left alone, and keeps nothing of ours waiting.

Whoever delivers or drops another process's batch leaves a receipt for it: an empty hidden file whose name
says what became of the events. So each process can account for what it recorded.
"""

import os
import re
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from llmobs.codec import encode
from llmobs.errors import ConfigurationError
from llmobs.events import Event
from llmobs.pipeline.locked_batch import (
    HAS_LOCKS,
    NEW,
    LockedBatch,
    NewerBatchError,
    open_locked,
    unlock,
)
from llmobs.pipeline.sink import Sink
from llmobs.recorded.ids import new_id
from llmobs.runtime.paths import check_directory, say_if_open, say_if_shared
from llmobs.runtime.time_slices import gently

__all__ = [
    "DELIVERED",
    "LOST",
    "BatchTooLargeError",
    "Evicted",
    "Spool",
    "SpoolFile",
    "batches_in",
    "is_batch",
    "rescue",
]

DELIVERED: Final = "delivered"
"""Outcome in a receipt; the others are drop reasons."""
LOST: Final = "lost"
"""Outcome of a batch that is gone without a receipt: somebody removed it by hand."""
RECEIPT_SECONDS: Final = 3600.0
"""How long a receipt waits for the process that wrote the batch: that looks every few seconds, but
not while its own sink asks for minutes of patience, or the machine sleeps."""

SLACK: Final = 64
"""One part in so many of what the spool may hold is written before it is measured again."""

_NAME: Final = re.compile(r"([0-9a-f-]{36})-(\d+)\.jsonl")
_HIDDEN: Final = re.compile(rf"\.{_NAME.pattern}")
_RECEIPT: Final = re.compile(r"\.([0-9a-f-]{36}-\d+\.jsonl)\.((?:[a-z_]+=\d+,?)+)")
_MOST_DIGITS: Final = 9
"""Of a count in a name that we wrote."""


class SpoolFile(msgspec.Struct, frozen=True):
    """A batch that waits."""

    path: Path
    events: int
    """0 if its name tells no number that could be true."""
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
            if match is not None and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):  # another worker finished it
                    stat = entry.stat()
                    found.append(
                        SpoolFile(Path(entry.path), _count(match[2]), stat.st_size, stat.st_mtime)
                    )
    return sorted(found, key=lambda file: file.path.name)


def rescue(directory: Path) -> set[str]:
    """
    Make batches of what dead processes left in one sink's directory, half a batch or what they held for a
    decision, and remove receipts that nobody fetched; return the names of the files that there are.
    """
    files: set[str] = set()
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        files.update(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    for name in tuple(files):
        if _HIDDEN.fullmatch(name) or _RECEIPT.fullmatch(name):
            with suppress(OSError):  # somebody else's
                files |= _sweep(directory / name)
    return files


def is_batch(name: str) -> bool:
    """Whether a file of this name holds events: a batch, or the beginning of one."""
    return (_NAME.fullmatch(name) or _HIDDEN.fullmatch(name)) is not None


def _count(digits: str) -> int:
    return int(digits) if len(digits) <= _MOST_DIGITS else 0


class BatchTooLargeError(Exception):
    """A batch alone is larger than the spool may be."""


class Spool:
    """
    The waiting batches of one sink.

    Args:
        directory: The spool's directory, shared by all sinks and processes; a relative one stays
            where it is now if the working directory changes.
        sink: The sink's name; each has a directory of its own below.
        max_bytes: Size of this sink's part; the oldest batches go first. Each process that writes
            may exceed it by a 64th: looking at every file before every write would take longer
            the longer a sink is down.
        owner: What else tells its batches from those of a sink of the same name.

    Raises:
        ConfigurationError: The directory cannot be written, or the platform has no advisory locks.
    """

    def __init__(self, directory: Path, sink: str, max_bytes: int, owner: str = "") -> None:
        if not HAS_LOCKS:
            raise ConfigurationError(
                "spool_dir (LLMOBS_SPOOL_DIR): this platform has no file locks"
            )
        self.sink = sink
        readable = re.sub(r"[^A-Za-z0-9.-]+", "-", sink).strip("-.")[:40]
        unique = blake2b(f"{sink} {owner}".strip().encode(), digest_size=4).hexdigest()
        self.directory = directory.expanduser().absolute() / f"{readable}-{unique}"
        try:
            check_directory(self.directory)
        except ConfigurationError as error:
            raise ConfigurationError(f"spool_dir (LLMOBS_SPOOL_DIR): {error}") from None
        self._max_bytes = max_bytes
        self.own: set[str] = set()
        """Names of batches this process wrote and has not accounted for."""
        self.left_alone: dict[str, str] = {}
        """Batches that could not be looked into since this was last read, and why."""
        self._newer: set[str] = set()
        self._candidates: deque[tuple[str, int]] = deque()
        self._size = 0  # as measured, and what was written since
        self._unmeasured = max_bytes  # bytes written since

    @classmethod
    def of(cls, sink: Sink, settings: Any) -> Self:
        """
        Return the spool of *sink* in the client's ``spool_dir``.

        Applications may share the directory. Two stores may have the same file name, and a key opens
        one project: so the sink's ``address``, if it has one, and the project are part of it.
        """
        project = settings.project_id
        owner = (getattr(sink, "address", ""), "" if project == "default" else project)
        return cls(settings.spool_dir, sink.name, settings.spool_bytes, " ".join(owner).strip())

    def write(self, events: Sequence[Event]) -> tuple[str, list[Evicted]]:
        """
        Put *events* on disk; return their batch's name, and the older ones that had to go for it.

        Raises:
            OSError: The disk is full, read-only, away; nothing was written.
            BatchTooLargeError: It is larger than the spool alone; nothing was written.
        """
        data = b"".join(b"%b\n" % line for line in gently(map(encode, events)))
        if len(data) > self._max_bytes:
            raise BatchTooLargeError
        evicted = self._make_room(len(data))
        hidden, file = self.create(len(events))
        name = hidden.name.removeprefix(".")
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(file, view) :]
            os.fsync(file)
            hidden.rename(self.directory / name)
            _sync_names(self.directory)  # or a power cut would leave it hidden, to be swept away
        except BaseException:
            for left in (hidden, self.directory / name):
                with suppress(OSError):
                    left.unlink()
            raise
        finally:
            unlock(file)
        return name, evicted

    def create(self, events: int) -> tuple[Path, int]:
        """
        Begin the file of a batch under its hidden name: return its path, and it, open and locked.

        Args:
            events: How many will be in it; 0 if nobody knows. Where the number in its name begins with 0,
                nobody waits to learn what became of it.

        Raises:
            OSError: The disk is full, read-only, away.
        """
        for folder in (self.directory.parent, self.directory):  # `parents` would ignore the mode
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        say_if_open(self.directory, "spool")
        for folder in (self.directory.parent, self.directory):
            say_if_shared(folder)
        hidden = self.directory / f".{new_id()}-{events}.jsonl"
        # Locked while it is written, so that `_sweep` can tell it from a dead process's rest.
        return hidden, open_locked(hidden, NEW)

    def files(self) -> list[SpoolFile]:
        """Return the waiting batches, oldest first; empty if there is no spool yet."""
        return batches_in(self.directory)

    def lock_oldest(self) -> "LockedBatch | None":
        """Lock the oldest batch that nobody else is sending, and read it; None if there is none."""
        tried: set[str] = set()
        # The directory is read once per pass over it, not once per batch: there may be many.
        for _ in range(2):
            while self._candidates:
                name, count = self._candidates.popleft()
                if name in tried:
                    continue
                tried.add(name)
                if (batch := self._lock(name, count)) is not None:
                    return batch
            self._candidates.extend(self._look())
        return None

    def _lock(self, name: str, count: int) -> "LockedBatch | None":
        batch = None
        try:
            batch = LockedBatch.acquire(self.directory / name, count)
            if batch is not None:
                batch.read()
            return batch
        except NewerBatchError as error:
            self._newer.add(name)
            self.left_alone[name] = str(error)
        except OSError as error:  # not ours to read, or a bad spot of the disk
            self.left_alone[name] = error.strerror or str(error)
        if batch is not None:
            batch.release()
        return None

    def start_over(self) -> None:
        """Begin the next `lock_oldest` with the oldest batch again."""
        self._candidates.clear()

    def _look(self) -> list[tuple[str, int]]:
        """Return name and count of the waiting batches, oldest first; sweep the rest on the way."""
        files = rescue(self.directory)
        self._newer &= files
        return sorted(
            (name, _count(match[2]))
            for name in files - self._newer
            if (match := _NAME.fullmatch(name))
        )

    def acknowledged_by_others(self) -> dict[str, int]:
        """Return the events of our batches that others delivered or dropped, by what became of them."""
        outcomes = Counter[str]()
        if self.own <= self._names():
            return outcomes
        # Again: a batch renamed while the directory is read may show under neither name.
        names = self._names()
        receipts = {match[1]: match for name in names if (match := _RECEIPT.fullmatch(name))}
        for name in self.own - names:
            receipt = receipts.get(name)
            count = int(name.rpartition("-")[2].partition(".")[0])
            counts = {LOST: count}
            if receipt is not None:
                pairs = (pair.split("=") for pair in receipt[2].strip(",").split(","))
                read = {what: int(number) for what, number in pairs}
                if sum(read.values()) == count:  # else none of ours wrote it
                    counts = read
                (self.directory / receipt[0]).unlink(missing_ok=True)
            self.own.discard(name)
            outcomes.update(counts)
        return outcomes

    def _names(self) -> set[str]:
        try:
            return set(os.listdir(self.directory))
        except FileNotFoundError:
            return set()

    def after_fork(self) -> None:
        """Forget which batches the parent wrote, in a forked child."""
        self.own = set()
        self.left_alone = {}
        self.start_over()

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
            batch = None
            with suppress(OSError):  # not ours to remove
                batch = LockedBatch.acquire(file.path, file.events)
            if batch is not None:  # never one that is being sent
                ours = file.path.name in self.own
                batch.remove(None if ours else {"spool_full": file.events})
                evicted.append((file, ours))
                self._size -= file.size
        return evicted


def _undecided(path: Path) -> int:
    with path.open("rb") as file:
        return sum(line.startswith(b"{") for line in file)


def _sync_names(directory: Path) -> None:
    folder = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _sweep(path: Path) -> frozenset[str]:
    """
    Remove receipts nobody fetched, and what a process that died while writing left behind; of a
    batch it was writing, keep what is there. Returns the names of rescued batches.
    """
    is_receipt = _RECEIPT.fullmatch(path.name) is not None
    if is_receipt and time.time() - path.stat().st_mtime < RECEIPT_SECONDS:
        return frozenset()
    batch = LockedBatch.acquire(path, 0)
    if batch is None:
        return frozenset()
    if is_receipt or not path.stat().st_size:
        batch.remove()
        return frozenset()
    name = path.name.removeprefix(".")
    if name.endswith("-0.jsonl"):  # what was held for a decision: nobody knew how many it would be
        name = f"{name.removesuffix('.jsonl')}{_undecided(path)}.jsonl"
    path.rename(path.with_name(name))
    batch.release()
    return frozenset({name})
