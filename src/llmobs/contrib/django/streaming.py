"""Streamed bodies: what makes a chunk runs in the request's run, and nothing else does."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from llmobs.contrib._web.ending import Ending
from llmobs.runtime.context import Frame, frame_as_it_is, set_frame

__all__ = ["Progress", "body", "body_async"]


class Progress:
    """How far a body has come."""

    __slots__ = ("began", "is_over")

    def __init__(self) -> None:
        self.began = False
        """Whether anybody has asked for a chunk."""
        self.is_over = False
        """Whether there will be no more chunks, because it ended or because it failed."""


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
    iterator: AsyncIterator[Any], ending: Ending, progress: Progress
) -> AsyncIterator[Any]:
    """As `body`, for an asynchronous iterator."""
    progress.began = True
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
