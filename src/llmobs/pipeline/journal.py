"""
What tail sampling holds for a decision, on disk as well: blocking, for one thread.

Events are lines of hidden files in the sink's spool, which are locked while this process lives. A line
whose event was decided, and delivered, put into a batch or dropped, is crossed out: its first
byte makes it JSON no more. Of a file whose process died, the next one makes a batch
(`llmobs.pipeline.spool`), so that what was undecided is kept.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from llmobs.codec import encode
from llmobs.events import Event
from llmobs.pipeline.locked_batch import unlock
from llmobs.pipeline.spool import Spool
from llmobs.runtime.time_slices import gently

__all__ = ["Journal"]

FILE_BYTES: Final = 1024 * 1024
"""A file is begun anew beyond this,"""
FILE_EVENTS: Final = 512
"""and beyond so many events: it may be a batch one day."""
CROSSED_OUT: Final = b"#"


class _File(Struct, eq=False):
    path: Path
    descriptor: int
    size: int = 0
    live: int = 0
    """Bytes of lines that are not crossed out."""
    lines: int = 0


class _Line(Struct):
    file: _File
    offset: int
    size: int


class Journal:
    """
    Args:
        spool: Where the files are.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.reset()

    def reset(self) -> None:
        """Forget the files: they are the parent's, in a forked child."""
        self._files: list[_File] = []
        self._lines: dict[str, _Line] = {}

    def update(self, held: Sequence[Event], decided: Iterable[str]) -> None:
        """
        Write *held*, as far as it is not there, and cross out the events whose ids are *decided*.

        Raises:
            OSError: The disk is full, read-only, away. Some of it may be done; the same may be asked again.
        """
        for event_id in decided:
            if (line := self._lines.get(event_id)) is not None:
                os.pwrite(line.file.descriptor, CROSSED_OUT, line.offset)
                del self._lines[event_id]
                line.file.live -= line.size
        fresh = [event for event in held if event.event_id not in self._lines]
        texts = gently(map(encode, fresh))
        self._append({e.event_id: b"%b\n" % text for e, text in zip(fresh, texts, strict=True)})
        self._tidy_up()

    def _append(self, lines: dict[str, bytes]) -> None:
        if not lines:
            return
        last = self._files[-1] if self._files else None
        if last is None or last.size >= FILE_BYTES or last.lines >= FILE_EVENTS:
            last = _File(*self._spool.create(0))
            self._files.append(last)
        start, data = last.size, memoryview(b"".join(lines.values()))
        try:
            while data:
                written = os.pwrite(last.descriptor, data, last.size)
                last.size += written
                data = data[written:]
            os.fsync(last.descriptor)
        except OSError:
            last.size = start
            os.ftruncate(last.descriptor, start)
            raise
        for event_id, text in lines.items():
            self._lines[event_id] = _Line(last, start, len(text))
            start += len(text)
            last.live += len(text)
            last.lines += 1

    def _tidy_up(self) -> None:
        """Remove files without a line left; move what is left of files that are mostly crossed out."""
        for file in self._files[:-1]:
            if file.live * 2 < file.size:
                self._append(
                    {
                        event_id: os.pread(file.descriptor, line.size, line.offset)
                        for event_id, line in self._lines.items()
                        if line.file is file
                    }
                )
                file.live = 0
        for file in [file for file in self._files if not file.live]:
            file.path.unlink(missing_ok=True)
            self._files.remove(file)
            unlock(file.descriptor)

    def close(self) -> None:
        """Let others have what is not crossed out."""
        for file in self._files:
            with suppress(OSError):
                unlock(file.descriptor)
        self.reset()
