"""The default sink: a SQLite file that several processes may share."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from llmobs.errors import ConfigurationError, LLMObsError
from llmobs.pipeline.sink import Batch
from llmobs.pipeline.thread import BlockingThread
from llmobs.runtime.paths import check_directory, check_file, path_of
from llmobs.runtime.troubles import Troubles
from llmobs.sinks import parse_options
from llmobs.store.engine import WritesStore, writer_of
from llmobs.store.records import RetentionPolicy

__all__ = ["SQLiteSink"]

TIDY_SECONDS: Final = 60.0
"""Between two looks whether there is something to tidy."""
BUSY_SECONDS: Final = 1.0
"""Until the next try, where somebody else was writing: nothing waits for tidiness."""

_inherited: list[object] = []


class SQLiteSink:
    """
    Writes batches in one transaction each, from one thread of its own; write-ahead logging lets
    others read and other processes write meanwhile. ``event_id`` is unique: redelivery is harmless.

    Between batches it looks after the store, in steps of some milliseconds: what an older llmobs wrote
    gets this one's form, and runs go that are not to be kept any more; sums by the hour stay.

    Args:
        path: The file, created with mode 0600 if missing, as are its parent directories.
        keep_days: For how many days runs are kept after they ended. None, the default: for ever.
        keep_bytes: How large the file may become before the oldest runs go. None, the default: as
            large as it likes.

    Raises:
        ConfigurationError: It cannot be written or made there, or a limit is not above zero.
    """

    max_batch_events: int | None = None
    max_batch_bytes: int | None = None

    def __init__(
        self,
        path: str | os.PathLike[str] = "llmobs.db",
        *,
        keep_days: float | None = None,
        keep_bytes: int | None = None,
    ) -> None:
        for name, value in (("keep_days", keep_days), ("keep_bytes", keep_bytes)):
            if value is not None and not value > 0:
                raise ConfigurationError(
                    f"{name} must be above 0, not {value}; leave it out to keep all"
                )
        self._keep_days = keep_days
        self._keep_bytes = keep_bytes
        self._tidy_at = 0.0
        self._troubles = Troubles()
        self._path = Path(path).expanduser().absolute()  # whatever the working directory becomes
        check_file(self._path)
        check_directory(self._path.parent)  # the write-ahead log lies beside it
        self.name = f"sqlite:{self._path.name}"
        self.address = str(self._path)
        self._open = writer_of(self._path)
        self._thread: BlockingThread | None = None
        self._writer: WritesStore | None = None
        self._pid = os.getpid()

    @classmethod
    def from_url(cls, url: str, settings: Any) -> Self:
        """Build one for ``sqlite:///path?keep_days=30``."""
        options = parse_options(url, {"keep_days": float, "keep_bytes": int})
        return cls(path_of(url, example="sqlite:///llmobs.db"), **options)

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
        thread = self._thread or BlockingThread("llmobs-sqlite", idle=self._tidy)
        try:
            self._writer = await thread.call(self._open)
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
        await self._thread.call(self._write, self._writer, batch)

    def _write(self, writer: WritesStore, batch: Batch) -> None:
        writer.write(batch.events)
        self._tidy()  # else never, where batches follow each other without a pause

    def _tidy(self) -> float:
        """Do a step of housekeeping if one is due; return the seconds until the next one may be."""
        begun = time.monotonic()
        writer = self._writer
        if writer is None or begun < self._tidy_at:
            return max(self._tidy_at - begun, 0.01)
        more, rest = False, TIDY_SECONDS
        try:
            more = writer.adopt(wait=False)
            if not more and not (self._keep_days is None and self._keep_bytes is None):
                since = None
                if self._keep_days is not None:
                    since = datetime.now(UTC) - timedelta(days=self._keep_days)
                more = writer.prune(
                    RetentionPolicy(since=since, bytes=self._keep_bytes), wait=False
                )
        except LLMObsError:
            # Locked by somebody, the disk is full: what is written next meets it too, and says so.
            rest = BUSY_SECONDS
        except Exception as error:  # noqa: BLE001 - the thread is there for the events
            self._troubles.log(
                "tidy", "llmobs: cannot look after the store %s: %r", self._path, error
            )
        # A fifth of the time at most: events come first.
        if more:
            rest = 4 * (time.monotonic() - begun)
        self._tidy_at = time.monotonic() + rest
        return rest

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
