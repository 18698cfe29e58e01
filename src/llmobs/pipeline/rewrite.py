"""Change or remove events that stand in files, whoever wrote them: batches that wait, JSON lines. Blocking."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from llmobs.codec import decode, encode
from llmobs.events import Event
from llmobs.pipeline.locked_batch import ERASED, LockedBatch
from llmobs.pipeline.replacing import Replacement, locked_file
from llmobs.pipeline.spool import is_batch
from llmobs.recorded.ids import new_id

__all__ = ["Rewritten", "events_in", "rewrite_lines", "rewrite_spool", "spooled_events"]

Change = Callable[[Event], Event | None]
"""Returns the event as it is to be: itself, another one, or None to remove it."""


class Rewritten(msgspec.Struct):
    """What was done to files."""

    changed: int = 0
    """Events that are another now, and lines that are no event and another now."""
    removed: int = 0
    """Events that are gone."""
    busy: int = 0
    """Batches, and what processes hold for a decision, that are in use: they were left alone."""
    unreadable: int = 0
    """Lines that are no event of this llmobs."""
    overwritten: bool = True
    """Whether no file that was replaced lives on under another name."""


def _files(spool: Path) -> list[Path]:
    found = (path for path in spool.glob("*/*") if is_batch(path.name))
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def spooled_events(spool: Path) -> Iterator[Event]:
    """Yield what waits below the directory *spool*, also what others are sending now."""
    for path in _files(spool):
        with suppress(OSError):
            yield from events_in(path)


def events_in(path: Path) -> Iterator[Event]:
    """
    Yield the events that stand in a file, one a line; other lines are left out.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
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
            # Under the same name, which its owner waits to hear of.
            hidden = path.with_name(f".{new_id()}-0.jsonl")
            _rewrite(path, batch.fileno(), hidden, _Pass(change, _of_a_batch, done), dry_run)
        finally:
            batch.release()
    return done


def rewrite_lines(
    path: Path,
    change: Change,
    other: Callable[[bytes], bytes] = bytes,
    *,
    dry_run: bool = False,
) -> Rewritten:
    """
    Pass every event of a file of JSON lines through *change*, while a sink of ours appends to it.

    The file is replaced as a whole or not at all.

    Args:
        path: The file.
        change: What becomes of an event.
        other: What becomes of a line that is none.
        dry_run: Only count.

    Raises:
        OSError: It cannot be read or written.
    """
    done, path = Rewritten(), path.resolve()
    with locked_file(path, os.O_RDONLY if dry_run else os.O_RDWR) as old:
        new = path.with_name(f".{path.name}.new")
        _rewrite(path, old, new, _Pass(change, other, done, b""), dry_run)
    return done


def _rewrite(path: Path, old: int, new: Path, lines: "_Pass", dry_run: bool) -> None:
    with path.open("rb") as source:
        if dry_run:
            for _ in lines.over(source):
                pass
            return
        replacement = Replacement(path, old, new)
        try:
            replacement.file.writelines(lines.over(source))
        except BaseException:
            replacement.abandon()
            raise
    if lines.differ:
        lines.done.overwritten &= replacement.take_over()
    else:
        replacement.abandon()


class _Pass:
    """One pass over the lines of a file; counts into *done*."""

    def __init__(
        self,
        change: Change,
        other: Callable[[bytes], bytes],
        done: Rewritten,
        removed: bytes = ERASED + b"\n",
    ) -> None:
        self._change, self._other, self._removed = change, other, removed
        self.done = done
        self.differ = False
        """Whether any line became another one."""

    def over(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines as they are to be."""
        for line in lines:
            new = self._line(line)
            self.differ = self.differ or new != line
            yield new

    def _line(self, line: bytes) -> bytes:
        event = _read(line)
        if event is None:
            new = self._other(line)
            # What others crossed out was decided long ago, and says nothing.
            self.done.unreadable += not line.startswith(b"#")
            self.done.changed += new != line and not line.startswith(b"#")
            return new
        old = encode(event)
        new_event = self._change(event)
        if new_event is None:
            self.done.removed += 1
            return self._removed
        if (data := encode(new_event)) == old:
            return line
        self.done.changed += 1
        return data + b"\n"


def _of_a_batch(line: bytes) -> bytes:
    """Leave out what was crossed out: what it says must not stay."""
    return b"" if line.startswith(b"#") and not line.startswith(ERASED) else line


def _read(line: bytes) -> Event | None:
    try:
        return decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
