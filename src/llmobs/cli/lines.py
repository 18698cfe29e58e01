"""A file of JSON lines, read as if it were a store."""

from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from llmobs.cli.output import complain
from llmobs.cli.records import Lines
from llmobs.store.reader import Reader
from llmobs.store.writer import Writer

__all__ = ["LinesReader"]

BATCH: Final = 2_000


class LinesReader(Reader):
    """
    A reader of what a file of JSON lines holds, by way of a store in a private temporary directory.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)
        self._directory = TemporaryDirectory(prefix="llmobs-")
        store = Path(self._directory.name, "llmobs.db")
        self._writer = Writer(store)
        self.refresh()
        super().__init__(store)
        self._path = path  # for what is said of it
        if self._lines.unreadable:
            complain(f"{self._lines.unreadable} lines of {path} cannot be read by this llmobs")

    def refresh(self) -> None:
        """Read what was appended since."""
        events = (event for event, _ in self._lines.read())
        while batch := list(islice(events, BATCH)):
            self._writer.write(batch)

    def close(self) -> None:
        """Close the file, and remove what was made of it."""
        super().close()
        self._writer.close()
        self._lines.close()
        self._directory.cleanup()
