"""Change or remove events that wait on disk, whoever wrote them: blocking, between two deliveries."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from llmobs.codec import decode, encode
from llmobs.events import Event
from llmobs.pipeline.locked_batch import ERASED, LockedBatch, lock, unlock
from llmobs.pipeline.spool import is_batch
from llmobs.recorded.ids import new_id

__all__ = ["Rewritten", "rewrite_spool", "spooled_events"]

Change = Callable[[Event], Event | None]
"""Returns the event as it is to be: itself, another one, or None to remove it."""


class Rewritten(msgspec.Struct):
    """What was done to a spool."""

    batches: int = 0
    """Looked into."""
    changed: int = 0
    """Events that are another now."""
    removed: int = 0
    """Events that are gone."""
    busy: int = 0
    """Batches, and what processes hold for a decision, that are in use: they were left alone."""
    unreadable: int = 0
    """Lines that are no event of this llmobs; they stay."""


def _files(spool: Path) -> list[Path]:
    found = (path for path in spool.glob("*/*") if is_batch(path.name))
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def spooled_events(spool: Path) -> Iterator[Event]:
    """Yield what waits below the directory *spool*, also what others are sending now."""
    for path in _files(spool):
        with suppress(OSError), path.open("rb") as file:
            for line in file:
                if (event := _read(line)) is not None:
                    yield event


def rewrite_spool(spool: Path, change: Change, *, dry_run: bool = False) -> Rewritten:
    """
    Pass every event below the directory *spool* through *change*.

    A batch is replaced as a whole or not at all, under its name; its owner counts what was removed as
    dropped for the reason ``erased``.

    Args:
        spool: What `spool_dir` names.
        change: What becomes of an event.
        dry_run: Only count.

    Raises:
        OSError: A file cannot be read or written.
    """
    done = Rewritten()
    for path in _files(spool):
        try:
            batch = LockedBatch.acquire(path, 0)
        except OSError:
            batch = None
        if batch is None:
            done.busy += path.exists()
            continue
        try:
            _rewrite(path, change, done, dry_run)
        finally:
            batch.release()
    return done


def _rewrite(path: Path, change: Change, done: Rewritten, dry_run: bool) -> None:
    done.batches += 1
    before = done.changed + done.removed
    crossed_out = False
    lines: list[bytes] = []
    with path.open("rb") as file:
        for line in file:
            event = _read(line)
            if event is None:
                if line.startswith(ERASED):
                    lines.append(line)
                elif line.startswith(b"#"):  # decided long ago: what it says must not stay
                    crossed_out = True
                else:
                    done.unreadable += 1
                    lines.append(line)
                continue
            old = encode(event)
            new = change(event)
            if new is None:
                done.removed += 1
                lines.append(ERASED + b"\n")
            elif (data := encode(new)) != old:
                done.changed += 1
                lines.append(data + b"\n")
            else:
                lines.append(line)
    if dry_run or not (crossed_out or done.changed + done.removed > before):
        return
    # Under the same name, which its owner waits to hear of; a crash leaves the old one or the new one.
    hidden = path.with_name(f".{new_id()}-0.jsonl")
    file_number = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        lock(file_number, wait=True)
        with open(file_number, "wb", closefd=False) as file:
            file.write(b"".join(lines))
        os.fsync(file_number)
        hidden.rename(path)
    except BaseException:
        with suppress(OSError):
            hidden.unlink()
        raise
    finally:
        unlock(file_number)


def _read(line: bytes) -> Event | None:
    try:
        return decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
