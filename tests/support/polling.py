"""Waiting for something to become true: poll with a deadline, never sleep and hope."""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import anyio.to_thread

T = TypeVar("T")


def eventually(
    probe: Callable[[], T],
    *,
    timeout: float = 10.0,
    interval: float = 0.02,
    what: str = "the condition",
) -> T:
    """Return the first true value of `probe()`.

    Raises:
        TimeoutError: `probe` stayed false for `timeout` seconds; `what` names it in the message.
    """
    deadline = time.monotonic() + timeout
    while True:
        if value := probe():
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {timeout} s")
        time.sleep(interval)


async def eventually_async(
    probe: Callable[[], T], *, timeout: float = 10.0, what: str = "the condition"
) -> T:
    """The same beside a running event loop; *probe* is called in a thread."""
    return await anyio.to_thread.run_sync(partial(eventually, probe, timeout=timeout, what=what))
