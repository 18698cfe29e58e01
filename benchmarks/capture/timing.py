"""CPU time of one call, without capture and with it."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

__all__ = ["Around", "Work", "added", "by_turns", "nothing", "timed"]

Work = Callable[[], object]
Around = AbstractContextManager[object]
"""What is entered meanwhile."""


def timed(work: Callable[[], object], times: int) -> float:
    """Microseconds of one *work*, of *times* in a row, without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        start = time.thread_time()
        for _ in range(times):
            work()
        return (time.thread_time() - start) / times * 1e6
    finally:
        gc.enable()


def nothing() -> None:
    """Forget nothing: nothing was kept."""


def by_turns(
    plain: Work, captured: Work, forget: Work = nothing, *, times: int, rounds: int
) -> tuple[float, float]:
    """
    Return the microseconds of *plain*, and what *captured* takes more in the same round: medians.

    *forget* throws away what was recorded, after each round: a queue that only grows would have the first
    touch of ever more memory measured, where one that is emptied has the same again.
    """

    def pair() -> tuple[float, float]:
        before, after = timed(plain, times), timed(captured, times)
        forget()
        return before, after

    pairs = [pair() for _ in range(rounds + 1)]
    del pairs[0]  # it warms up
    return (
        statistics.median(before for before, _ in pairs),
        statistics.median(after - before for before, after in pairs),
    )


def added(
    plain: Work, captured: Work, around: Around, forget: Work, *, times: int, rounds: int
) -> tuple[float, float]:
    """
    Return the microseconds of *plain*, and what *captured* takes more inside *around*: medians.

    First all rounds of the one, then all of the other: not every instrumentation leaves what it
    entered as it was. *forget* is called after each, as in `by_turns`.
    """

    def once(work: Work, forget: Work) -> float:
        taken = timed(work, times)
        forget()
        return taken

    def median(work: Work, forget: Work) -> float:
        return statistics.median([once(work, forget) for _ in range(rounds + 1)][1:])

    before = median(plain, nothing)
    with around:
        return before, median(captured, forget) - before
