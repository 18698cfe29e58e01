"""Work on a whole batch without holding the event loop."""

import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import anyio.lowlevel

__all__ = ["in_slices"]

SLICE_SECONDS: Final = 0.00025
"""How long one slice of work may hold the event loop."""

T = TypeVar("T")
R = TypeVar("R")


async def in_slices(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return ``[work(item) for item in items]``, letting others run every quarter of a millisecond."""
    results = []
    slice_end = time.perf_counter() + SLICE_SECONDS
    for item in items:
        results.append(work(item))
        if time.perf_counter() > slice_end:
            await anyio.lowlevel.checkpoint()
            slice_end = time.perf_counter() + SLICE_SECONDS
    return results
