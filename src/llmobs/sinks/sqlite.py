"""The default sink: a SQLite file that several processes may share."""

import os
from pathlib import Path
from typing import Any, Self

from llmobs.paths import check_directory, check_file
from llmobs.pipeline.sink import Batch
from llmobs.pipeline.thread import BlockingThread
from llmobs.sinks import parse_options, path_of
from llmobs.store.writer import Writer

__all__ = ["SQLiteSink"]

_inherited: list[object] = []


class SQLiteSink:
    """
    Writes batches in one transaction each, from one thread of its own; write-ahead logging lets
    others read and other processes write meanwhile. ``event_id`` is unique: redelivery is harmless.

    Args:
        path: The file, created with mode 0600 if missing, as are its parent directories.

    Raises:
        ConfigurationError: It cannot be written or made there.
    """

    max_batch_events: int | None = None
    max_batch_bytes: int | None = None

    def __init__(self, path: str | os.PathLike[str] = "llmobs.db") -> None:
        self._path = Path(path).expanduser().absolute()  # whatever the working directory becomes
        check_file(self._path)
        check_directory(self._path.parent)  # the write-ahead log lies beside it
        self.name = f"sqlite:{self._path.name}"
        self.address = str(self._path)
        self._thread: BlockingThread | None = None
        self._writer: Writer | None = None
        self._pid = os.getpid()

    @classmethod
    def from_url(cls, url: str, settings: Any) -> Self:
        """Build one for ``sqlite:///path``."""
        parse_options(url, {})
        return cls(path_of(url, example="sqlite:///llmobs.db"))

    async def open(self) -> None:
        """
        Open the file, and create or migrate its tables.

        Raises:
            StoreError: It is damaged, or from a newer llmobs.
            SinkUnavailableError: It cannot be opened or written now.
        """
        if self._pid != os.getpid():
            # Inherited through fork: SQLite forbids using the connection here, even to close it.
            _inherited.append((self._thread, self._writer))
            self._thread = self._writer = None
            self._pid = os.getpid()
        thread = self._thread or BlockingThread("llmobs-sqlite")
        try:
            self._writer = await thread.call(Writer, self._path)
        except BaseException:
            self._thread = None
            thread.stop()  # nobody closes a sink that did not open
            raise
        self._thread = thread

    async def send(self, batch: Batch) -> None:
        """
        Insert the batch.

        Raises:
            StoreError: The store is damaged.
            SinkUnavailableError: Not now: locked, full, read-only.
            SinkTooLargeError: An event is larger than SQLite takes.
            SinkRejectedError: Events that cannot be stored in any form; the others are.
        """
        assert self._thread is not None and self._writer is not None
        await self._thread.call(self._writer.write, batch.events)

    async def take_back(self, run_id: str) -> None:
        """
        Remove everything of one run again: for ``llmobs check``.

        Raises:
            SinkUnavailableError: Not now.
        """
        assert self._thread is not None and self._writer is not None
        await self._thread.call(self._writer.remove, run_id)

    async def aclose(self) -> None:
        """Close the file and end the thread."""
        if self._thread is not None and self._pid == os.getpid():
            if self._writer is not None:
                await self._thread.call(self._writer.close)
            self._thread.stop()
        self._thread = self._writer = None
