"""Replace a file as a whole, so that a crash leaves the old one or the new one, and nothing of the old one stays."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE
from typing import Final

from llmobs.pipeline.locked_batch import NEW, open_locked, unlock

__all__ = ["Replacement", "locked_file"]

_ZEROS: Final = bytes(1024 * 1024)


@contextmanager
def locked_file(path: Path, flags: int = os.O_RDWR) -> Iterator[int]:
    """
    Yield the file at *path*, open and locked: the one that is there now, whoever replaced it meanwhile.

    Raises:
        OSError: It is not there, or not ours to open.
    """
    file = open_locked(path, flags)
    try:
        yield file
    finally:
        unlock(file)


class Replacement:
    """
    A file being written that is to take the place of another one.

    Args:
        path: The other one.
        old: Its descriptor, open for writing, and locked.
        new: Where to write meanwhile, in the same directory; what is there is a dead process's.

    Raises:
        OSError: It cannot be made there.
    """

    def __init__(self, path: Path, old: int, new: Path) -> None:
        self._path, self._old, self._new = path, old, new
        new.unlink(missing_ok=True)
        self._descriptor = open_locked(new, NEW)
        self.file = open(self._descriptor, "wb", closefd=False)  # noqa: SIM115 - closed by both ends
        """Where to write."""

    def take_over(self) -> bool:
        """
        Put the new file in the old one's place, and overwrite what the old one held.

        Returns:
            Whether that is overwritten; not if the old one has another name still: it is somebody's.

        Raises:
            OSError: The disk does not take it; the old one is there, then, or already the new one.
        """
        try:
            self.file.close()
            os.fchmod(self._descriptor, S_IMODE(os.fstat(self._old).st_mode))
            os.fsync(self._descriptor)
            self._new.replace(self._path)
        except BaseException:
            self.abandon()
            raise
        unlock(self._descriptor)
        return _overwrite(self._old)

    def abandon(self) -> None:
        """Leave the old one where it is."""
        with suppress(OSError):
            self.file.close()
        with suppress(OSError):
            self._new.unlink(missing_ok=True)
        unlock(self._descriptor)


def _overwrite(file: int) -> bool:
    left = os.fstat(file)
    if left.st_nlink:
        return False
    for at in range(0, left.st_size, len(_ZEROS)):
        os.pwrite(file, _ZEROS[: left.st_size - at], at)
    os.fsync(file)
    os.ftruncate(file, 0)
    return True
