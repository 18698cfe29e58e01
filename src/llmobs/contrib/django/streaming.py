"""Streamed bodies: what makes a chunk runs in the request's run, and nothing else does."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from llmobs.context import Frame, current_frame, set_frame
from llmobs.contrib._web.ending import Ending

__all__ = ["AsyncBody", "Body"]


class _Progress:
    __slots__ = ("_ending", "_frame", "_iterator", "began", "is_over")

    def __init__(self, iterator: Any, ending: Ending) -> None:
        self._iterator = iterator
        self._ending = ending
        # Operations that are open between two chunks are current again for the next one.
        self._frame: Frame | None = ending.tracker
        self.began = False
        self.is_over = False
        """Whether there will be no more chunks, because it ended or because it failed."""


class Body(_Progress):
    """
    An iterator of chunks.

    Args:
        iterator: What makes them.
        ending: Is told what it raises.
    """

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        previous = current_frame()
        set_frame(self._frame)
        self.began = True
        try:
            return next(self._iterator)
        except StopIteration:
            self.is_over = True
            raise
        except BaseException as error:
            self.is_over = True
            self._ending.error = error
            raise
        finally:
            self._frame = current_frame()
            set_frame(previous)


class AsyncBody(_Progress):
    """As `Body`, for an asynchronous iterator."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        previous = current_frame()
        set_frame(self._frame)
        self.began = True
        try:
            return await self._iterator.__anext__()
        except StopAsyncIteration:
            self.is_over = True
            raise
        except BaseException as error:
            self.is_over = True
            self._ending.error = error
            raise
        finally:
            self._frame = current_frame()
            set_frame(previous)
