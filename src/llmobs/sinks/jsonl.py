"""A sink that appends the native JSON of each event to a file, one per line."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from llmobs.codec import encode
from llmobs.errors import SinkUnavailableError
from llmobs.pipeline.mend import refuse_unwritten, write_all
from llmobs.pipeline.replacing import locked_file
from llmobs.pipeline.sink import Batch
from llmobs.pipeline.thread import BlockingThread
from llmobs.runtime.paths import check_file, create, path_of, say_if_open
from llmobs.sinks import parse_options

__all__ = ["JSONLSink"]

LAST_BYTES: Final = 1024 * 1024
"""How much of the file is looked at to take something back."""


class JSONLSink:
    """
    Appends whole lines; several processes may share the file. After a failed attempt an event may
    appear twice, with the same ``event_id``.

    Args:
        path: The file, created with mode 0600 if missing, as are its parent directories.

    Raises:
        ConfigurationError: It cannot be written or made there.
    """

    max_batch_events: int | None = None
    max_batch_bytes: int | None = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).expanduser().absolute()  # whatever the working directory becomes
        check_file(self._path)
        self.name = f"jsonl:{self._path.name}"
        self.address = str(self._path)
        self._thread: BlockingThread | None = None

    @classmethod
    def from_url(cls, url: str, settings: Any) -> Self:
        """Build one for ``jsonl:///path``."""
        parse_options(url, {})
        return cls(path_of(url, example="jsonl:///runs.jsonl"))

    async def open(self) -> None:
        """
        Check that the file can be appended to.

        Raises:
            SinkUnavailableError: It cannot; names the file and the reason.
        """
        thread = self._thread
        if thread is None or not thread.alive:
            thread = BlockingThread("llmobs-jsonl")
        try:
            await thread.call(self._append, b"")
        except BaseException:
            self._thread = None
            thread.stop()  # nobody closes a sink that did not open
            raise
        self._thread = thread

    async def send(self, batch: Batch) -> None:
        """
        Append the batch in one write.

        Raises:
            SinkUnavailableError: Not now: no room, no right, no directory.
            SinkRejectedError: Events that cannot be written in any form; the others are.
        """
        assert self._thread is not None
        lines, unwritten = await write_all(encode, batch.events)
        await self._thread.call(self._append, b"\n".join([*lines, b""]))
        refuse_unwritten(unwritten)

    async def take_back(self, run_id: str) -> None:
        """
        Remove the lines of one run again, if they are among the last: for ``llmobs check``.

        Raises:
            SinkUnavailableError: Not now.
        """
        assert self._thread is not None
        await self._thread.call(self._remove, run_id.encode())

    def _remove(self, run_id: bytes) -> None:
        try:
            with locked_file(self._path) as number, open(number, "r+b", closefd=False) as file:
                start = max(0, file.seek(0, os.SEEK_END) - LAST_BYTES)
                file.seek(start)
                if start:
                    file.readline()  # begins in the middle
                start = file.tell()
                lines = file.readlines()
                file.seek(start)
                file.writelines(line for line in lines if run_id not in line)
                file.truncate()
        except OSError as error:
            raise SinkUnavailableError(
                f"cannot change {self._path}: {error.strerror or error}"
            ) from error

    def _append(self, data: bytes) -> None:
        try:
            # Opened for each batch, so that rotating the file away just works.
            create(self._path)
            # `scan --fix` and `forget` replace it.
            with locked_file(self._path, os.O_WRONLY | os.O_APPEND) as file:
                _write_all(file, data)
        except OSError as error:
            raise SinkUnavailableError(
                f"cannot append to {self._path}: {error.strerror or error}"
            ) from error
        say_if_open(self._path, "file")

    async def aclose(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None


def _write_all(file: int, data: bytes) -> None:
    start = os.fstat(file).st_size
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(file, view) :]
    except OSError:
        # A full disk must not leave half a line for the next batch to be glued to.
        with suppress(OSError):
            os.ftruncate(file, start)
        raise
