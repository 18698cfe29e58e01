"""
The run a piece of code belongs to.

One ContextVar holds either a run or an operation inside one; both know their run. What it holds is
mutable and shared, so that everything that inherited the context (tasks, threads, generators,
background tasks) sees the same run. The variable is put back by value, never by token: leaving a
block in another context than it was entered in is harmless.
"""

import contextvars
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ParamSpec, Protocol, TypeVar

from llmobs.codec import identifier

__all__ = ["Frame", "Run", "bind_run", "current_run", "own_traffic"]

P = ParamSpec("P")
R = TypeVar("R")


class Frame(Protocol):
    """What the ContextVar holds: a run, or an operation inside one."""

    @property
    def run(self) -> "Run":
        """The run this belongs to."""
        ...

    @property
    def event_id(self) -> str | None:
        """Event id of the operation, the parent of what happens inside; None for the run itself."""
        ...

    @property
    def left(self) -> bool:
        """Whether it ended where this context could not be reached: `outer` holds here instead."""
        ...

    @property
    def outer(self) -> "Frame | None":
        """What was the innermost frame when this was entered."""
        ...


class Run:
    """
    One request or job: what its events share, and what they add up to.

    Attributes may be set at any time; events recorded later carry them. Counters are kept by the
    pipeline and are complete when the run's own event is delivered.

    Args:
        run_id: Its id; a new one by default.
    """

    # Class attributes are the defaults: a run costs one small dict per request, not twenty stores.
    event_id: str | None = None
    left: bool = False
    outer: Frame | None = None
    trace_id: str | None = None
    span_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    release: str | None = None
    service_name: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] | None = None
    kind: str = "job"
    name: str | None = None

    steps: int = 0
    """Agent steps counted so far; numbers the next one."""
    standalone: bool = False
    """Whether this only carries an id: nobody opened the run here, and no run event will follow."""
    recorded: int = 0
    """Events recorded so far."""
    failures: int = 0
    """How many of them failed."""
    tokens_input: int = 0
    tokens_output: int = 0
    cost_usd: float | None = None

    sampled: bool | None = None
    """Whether its events are kept; None until first asked."""

    def __init__(self, run_id: str | None = None) -> None:
        self.run_id = identifier(run_id)
        self.started = time.perf_counter()
        self.timestamp = datetime.now(UTC)

    @property
    def run(self) -> "Run":
        """Itself: a run is the outermost frame."""
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.run_id}>"


_frame: contextvars.ContextVar[Frame | None] = contextvars.ContextVar("llmobs_frame", default=None)

own_traffic: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "llmobs_own_traffic", default=False
)
"""True while a sink talks to its server: what captures traffic must leave this alone."""


def current_frame() -> Frame | None:
    """Return the innermost run or operation of this context, or None."""
    frame = _frame.get()
    while frame is not None and frame.left:
        frame = frame.outer
    return frame


set_frame = _frame.set
"""Make a run or operation (or None) the innermost one of this context."""


def leave_frame(frame: Frame, previous: Frame | None) -> None:
    """Put *previous* back, if *frame* is still the innermost one here."""
    if _frame.get() is frame:
        _frame.set(previous)


def current_run() -> Run | None:
    """Return the run this code belongs to, or None outside any."""
    frame = current_frame()
    return None if frame is None else frame.run


def bind_run(function: Callable[P, R]) -> Callable[P, R]:
    """
    Return *function* bound to the current run, for executors that do not copy the context.

    ``asyncio.to_thread``, ``anyio.to_thread`` and plain ``def`` endpoints need no help;
    ``ThreadPoolExecutor.submit``, ``loop.run_in_executor`` and ``threading.Thread`` do::

        executor.submit(bind_run(work), item)
    """
    frame = _frame.get()

    def bound(*args: P.args, **kwargs: P.kwargs) -> R:
        previous = _frame.get()
        _frame.set(frame)
        try:
            return function(*args, **kwargs)
        finally:
            _frame.set(previous)

    return bound
