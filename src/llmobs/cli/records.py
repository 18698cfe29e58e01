"""Events in a file of JSON lines, as `llmobs.sinks.jsonl` and ``llmobs export`` write them."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from llmobs.codec import AnyEvent, decode

__all__ = ["Lines"]


class Lines:
    """
    Reads events from *source*; what is appended meanwhile comes with the next `read`.

    Args:
        source: A path, or a file opened for reading bytes.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, source: Path | BinaryIO) -> None:
        self._file = source.open("rb") if isinstance(source, Path) else source
        self._rest = b""
        self.unreadable = 0
        """Lines so far that are no event of this llmobs."""

    def read(self) -> Iterator[tuple[AnyEvent, int]]:
        """Yield the events that are there, each with the length of its line in bytes."""
        while line := self._line():
            if not line.strip():
                continue
            try:
                yield decode(line), len(line)
            except (msgspec.MsgspecError, RecursionError, ValueError):
                self.unreadable += 1

    @property
    def unfinished(self) -> bool:
        """Whether the file ends in the middle of a line."""
        return bool(self._rest.strip())

    def _line(self) -> bytes:
        """Return the next line that is complete; the last one of a file that grows may not be."""
        line = self._rest + self._file.readline()
        self._rest = b""
        if line.endswith(b"\n") or not line:
            return line
        try:
            decode(line)  # complete, but for its end
        except (msgspec.MsgspecError, RecursionError, ValueError):
            self._rest = line
            return b""
        return line

    def close(self) -> None:
        """Close the file."""
        self._file.close()
