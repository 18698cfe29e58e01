"""
Long work in short slices, so that the host never waits for it: neither its event loop nor, the
interpreter being one for all, its threads.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Final, TypeVar

import anyio.lowlevel

__all__ = ["TimeSlices", "Steps", "finish", "gently", "give_way", "in_slices", "now_and_then"]

SLICE_SECONDS: Final = 0.00025
"""How long one slice of work may hold the event loop."""
SLICES_A_TURN: Final = 4
"""After so many slices, threads get their turn: it costs 50 µs, a tenth of all work if after each."""
ITEMS_A_STEP: Final = 16
"""Items of a loop, of some 10 µs each, between two pauses."""
GENTLE_EVENTS: Final = 8
"""Events encoded or read at a stretch, about 0.1 ms."""
GIVE_WAY_SECONDS: Final = 1e-6
"""The shortest sleep there is; Linux makes about 50 µs of it."""

T = TypeVar("T")
R = TypeVar("R")

Steps = Generator[None, None, T]
"""Work that can pause wherever it yields, and returns a ``T`` at the end."""


def finish(steps: Steps[T]) -> T:
    """Do all *steps* at once, and return what comes of them."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def now_and_then(number: int) -> tuple[None, ...]:
    """Return what to ``yield from`` after item *number* of a long loop: a pause, now and then."""
    return _PAUSE if number % ITEMS_A_STEP == ITEMS_A_STEP - 1 else ()


_PAUSE: Final = (None,)


def give_way() -> None:
    """
    Let another thread have the interpreter.

    Who lets go of it for an instant only (``time.sleep(0)``, the poll of an event loop that has more
    to do) has it back before a waiting thread is awake. Worse, each such instant restarts that
    thread's patience (`sys.getswitchinterval`), so it waits for as long as the work lasts.
    """
    time.sleep(GIVE_WAY_SECONDS)


def gently(items: Iterable[T]) -> Iterator[T]:
    """Yield *items*, giving way every few: for threads of our own, which hold no event loop."""
    for number, item in enumerate(items):
        yield item
        if number % GENTLE_EVENTS == 0:
            give_way()


class TimeSlices:
    """Tells when a slice of work has lasted long enough; the first begins now."""

    def __init__(self) -> None:
        self._rests = 0
        self.end = time.perf_counter() + SLICE_SECONDS
        """When to `rest`, on the clock ``time.perf_counter``."""

    def is_over(self) -> bool:
        """Whether to `rest` now."""
        return time.perf_counter() > self.end

    async def rest(self) -> None:
        """Let other tasks run, and in turn other threads; begin the next slice."""
        self._rests += 1
        if self._rests % SLICES_A_TURN == 0:
            give_way()
        await anyio.lowlevel.checkpoint()
        self.end = time.perf_counter() + SLICE_SECONDS


async def in_slices(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return ``[work(item) for item in items]``, resting between slices."""
    slices = TimeSlices()
    results = []
    for item in items:
        results.append(work(item))
        if time.perf_counter() > slices.end:
            await slices.rest()
    return results
