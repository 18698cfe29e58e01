"""CPU time of one call, without capture and with it, by turns."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Pair", "Work", "added", "nothing", "timed"]

Work = Callable[[], object]


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


def nothing(*args: object) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Pair:
    """The same call, not captured and captured, in one process."""

    plain: Work
    captured: Work
    switch: Callable[[bool], object] = nothing
    """Called before each block of calls: whether they are captured."""
    forget: Work = nothing
    """
    Throws away what was recorded, after each block that is captured: a queue that only grows would have the
    first touch of ever more memory measured, where one that is emptied has the same again.
    """


def added(pair: Pair, *, times: int, rounds: int) -> tuple[float, float]:
    """
    Return the microseconds of the plain call, and how many more the captured one takes.

    Of either the quickest tenth of *rounds* blocks of *times* calls, one kind after the other: within minutes
    the machine's speed changes by a factor, within milliseconds hardly; and what others do on it only ever
    makes a block slower, by so much that medians scatter three times as far. Blocks should be short.
    """
    before, after = [], []
    for number in range(rounds + 1):
        pair.switch(False)
        plain = timed(pair.plain, times)
        pair.switch(True)
        captured = timed(pair.captured, times)
        pair.forget()
        if number == 0:  # it warmed up
            gc.collect()
            gc.freeze()  # what is loaded by now need not be looked through before each block
            continue
        before.append(plain)
        after.append(captured)
    quick, quick_captured = (statistics.quantiles(each, n=10)[0] for each in (before, after))
    return quick, quick_captured - quick
