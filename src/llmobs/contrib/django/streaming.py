"""Streamed bodies: what makes a chunk runs in the request's run, and nothing else does."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from llmobs.contrib._web.ending import Ending
from llmobs.runtime.context import Frame, frame_as_it_is, set_frame

__all__ = ["Progress", "body", "body_async"]


class Progress:
    """How far a body has come."""

    __slots__ = ("_is_closed", "_is_open", "_lock", "began", "is_over")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._is_open = False
        self._is_closed = False
        self.began = False
        """Whether anybody has asked for a chunk."""
        self.is_over = False
        """Whether there will be no more chunks, because it ended or because it failed."""

    def open(self) -> None:
        """Note that its iterator is asynchronous, and has to be closed before the run can end."""
        self._is_open = True

    def leave(self) -> bool:
        """Note that its iterator is closed; tell whether only the run's end waits for that."""
        with self._lock:
            self._is_open = False
            return self._is_closed

    def close(self) -> bool:
        """Note that the response is closed; tell whether the iterator is, too."""
        with self._lock:
            self._is_closed = True
            return not self._is_open


# Operations that are open between two chunks are current again for the next one: what was current
# when a chunk came is put back, not the run. Two generators, and not one class with a method per
# chunk: that costs a third more.


def body(iterator: Iterator[Any], ending: Ending, progress: Progress) -> Iterator[Any]:
    """
    Yield the chunks of *iterator*.

    Args:
        iterator: What makes them.
        ending: Its run is current meanwhile; is told what is raised.
        progress: Is told how far it has come.
    """
    progress.began = True
    outside = frame_as_it_is()
    set_frame(ending.tracker)
    try:
        for chunk in iterator:
            inside: Frame | None = frame_as_it_is()
            set_frame(outside)
            try:
                yield chunk
            except GeneratorExit:  # its reader has left
                outside = frame_as_it_is()
                return
            outside = frame_as_it_is()
            set_frame(inside)
        progress.is_over = True
    except BaseException as error:
        progress.is_over = True
        ending.error = error
        raise
    finally:
        set_frame(outside)


async def body_async(
    iterator: AsyncIterator[Any], ending: Ending, progress: Progress, end: Callable[[], object]
) -> AsyncIterator[Any]:
    """
    As `body`, for an asynchronous iterator, which nobody else closes if its reader has left.

    Args:
        iterator: What makes the chunks.
        ending: Its run is current meanwhile; is told what is raised.
        progress: Is told how far it has come.
        end: Ends the run, if the response was closed before.
    """
    progress.began = True
    progress.open()
    outside = frame_as_it_is()
    set_frame(ending.tracker)
    try:
        async for chunk in iterator:
            inside: Frame | None = frame_as_it_is()
            set_frame(outside)
            try:
                yield chunk
            except GeneratorExit:  # its reader has left
                outside = frame_as_it_is()
                set_frame(inside)
                if (aclose := getattr(iterator, "aclose", None)) is not None:
                    await aclose()
                return
            outside = frame_as_it_is()
            set_frame(inside)
        progress.is_over = True
    except BaseException as error:
        progress.is_over = True
        ending.error = error
        raise
    finally:
        set_frame(outside)
        if progress.leave():
            end()
