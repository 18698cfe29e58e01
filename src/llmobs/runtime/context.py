"""
The run a piece of code belongs to.

One ContextVar holds a frame: a run, or an operation inside one; both know their run. What it holds is
mutable and shared, so that everything that inherited the context (tasks, threads, generators,
background tasks) sees the same run.

Whatever the order in which blocks end, and in whichever context:

- An operation that has ended is current nowhere; what it was inside holds instead.
- A run that is left where it was entered is no longer current there, nor is anything opened inside it.
  Tasks and threads that began inside it are still its own, and may outlive it.
- A run that is left elsewhere is current nowhere: the context it was entered in cannot be reached.
"""

import contextvars
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ParamSpec, Protocol, TypeVar

from llmobs.codec import identifier
from llmobs.recorded.printable import printable, redacted

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
    def is_run(self) -> bool:
        """Whether it is the run itself."""
        ...

    @property
    def event_id(self) -> str | None:
        """Event id of the operation, the parent of what happens inside; None for the run itself."""
        ...

    @property
    def left(self) -> bool:
        """Whether it is current nowhere any more: `outer` holds instead."""
        ...

    outer: "Frame | None"
    """What is the innermost frame outside it."""


class Run:
    """
    One request or job: what its events share, and what they add up to.

    Attributes may be set at any time; events recorded later carry them. Counters are kept by the
    pipeline and are complete when the run's own event is delivered.

    Args:
        run_id: Its id; a new one by default.
    """

    # Class attributes are the defaults: a run costs one small dict per request, not twenty stores. Not of
    # what each event asks for: to look that up takes ten times as long where the class has it, too.
    is_run: bool = True
    event_id: str | None = None
    left: bool
    """Whether it is over for all who inherited it too; see `Entry`."""
    outer: Frame | None = None
    trace_id: str | None
    """W3C trace id, if the run is part of a trace."""
    span_id: str | None = None
    """W3C span id of what called it."""
    user_id: str | None
    """On whose behalf."""
    session_id: str | None
    """Conversation it belongs to."""
    client_run_id: str | None = None
    """The id that a caller who is not trusted gave it; it is not the run's."""
    parent_run_id: str | None = None
    """Id of the run that started it, for instance of the request that enqueued a task."""
    release: str | None
    """Version of the application."""
    service_name: str | None
    """Service it runs in, if not the one of the settings."""
    tags: tuple[str, ...]
    """Carried by all its events."""
    metadata: dict[str, Any] | None = None
    """Recorded with the run's own event."""
    kind: str = "job"
    """``http``, ``websocket`` or ``job``."""
    name: str | None = None
    """What it is: ``POST /chat/{id}``, or the name of a job."""

    steps: int = 0
    """Agent steps counted so far; numbers the next one."""
    standalone: bool
    """Whether this only carries an id: nobody opened the run here, and no run event will follow."""
    recorded: int
    """Events recorded so far."""
    failures: int
    """How many of them failed."""
    tokens_input: int = 0
    """Sum of the known counts of its calls, once they are prepared."""
    tokens_output: int = 0
    """As `tokens_input`."""
    cost_usd: float | None = None
    """Sum of the known costs, US dollars; None if none is known."""

    sampled: bool | None = None
    """Whether its events are kept; None until first asked."""

    def __init__(self, run_id: str | None = None) -> None:
        self.run_id = run_id
        self.started = time.perf_counter()
        """When it began, by ``time.perf_counter``."""
        self.timestamp = datetime.now(UTC)
        """When it began, UTC."""
        self.left = self.standalone = False
        self.recorded = self.failures = 0
        self.trace_id = self.user_id = self.session_id = self.release = self.service_name = None
        self.tags = ()

    @property
    def run_id(self) -> str:
        """Its id; what is set here becomes a text without control characters."""
        return self._run_id

    @run_id.setter
    def run_id(self, value: Any) -> None:
        self._run_id = printable(identifier(value))

    @property
    def run(self) -> "Run":
        """Itself: a run is the outermost frame."""
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {redacted(self.run_id)}>"


_frame: contextvars.ContextVar[Frame | None] = contextvars.ContextVar("llmobs_frame", default=None)

own_traffic: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "llmobs_own_traffic", default=False
)
"""True while a sink talks to its server: what captures traffic must leave this alone."""


def current_frame() -> Frame | None:
    """Return the innermost run or operation of this context that has not been left, or None."""
    frame = _frame.get()
    # As in `_still_open`, but asking a run for its run takes time, and this is on every event's path.
    if frame is None or not (frame.left or (not frame.is_run and frame.run.left)):
        return frame
    frame = _still_open(frame)
    _frame.set(frame)  # what was left must not be held on to
    return frame


def _still_open(frame: Frame | None) -> Frame | None:
    while frame is not None and (frame.left or frame.run.left):
        frame = frame.outer
    return frame


inside: list[Callable[[Frame | None], Frame | None]] = []
"""What knows of frames inside the innermost one that was entered: spans of OpenTelemetry that are current."""


def innermost_frame() -> Frame | None:
    """Return `current_frame`, or what a door knows to be current inside it."""
    frame = current_frame()
    for find in inside:
        frame = find(frame)
    return frame


set_frame = _frame.set
"""Make a run or operation (or None) the innermost one of this context."""

frame_as_it_is = _frame.get
"""Return what `set_frame` has set, left or not: to be set again as it is."""


def leave_operation(operation: Frame) -> Frame | None:
    """Return what holds outside *operation*, which says that it is `left`; here it does from now on."""
    outer = _still_open(operation.outer)
    if _frame.get() is operation:
        _frame.set(outer)
    return outer


class Entry:
    """
    A run as the block that is entered: the frame inside it. A run may be entered several times, by
    several tasks at once.

    Args:
        run: The run; it is current from here on.
    """

    is_run = False
    event_id: None = None

    def __init__(self, run: Run) -> None:
        self.run = run
        self.left = False
        self.outer = current_frame()
        self._token: contextvars.Token[Frame | None] | None = _frame.set(self)

    def is_of_this_context(self) -> bool:
        """Whether it was entered in the context that asks; it can be asked until that was so."""
        if self._token is None:
            return False
        here = _frame.get()
        try:
            _frame.reset(self._token)  # raises in any other context: nothing else tells them apart
        except ValueError:
            return False
        self._token = None
        _frame.set(here)
        return True

    def leave(self, here: bool) -> None:
        """
        End the block.

        Args:
            here: Whether it was entered in this context, as `is_of_this_context` told.
        """
        self._token = None  # it holds the whole context
        if not here:
            self.left = True
            return
        inside: list[Frame] = []
        frame = current_frame()
        while frame is not None and frame is not self:
            inside.append(frame)
            frame = _still_open(frame.outer)
        if frame is None:  # left already, with a block around it
            return
        # Blocks of other runs may still be open inside: generators take turns in one context.
        outer = _still_open(self.outer)
        for frame in reversed(inside):
            if frame.run is not self.run:
                frame.outer = outer
                outer = frame
        _frame.set(outer)


def current_run() -> Run | None:
    """Return the run this code belongs to, or None outside any."""
    frame = innermost_frame()
    return None if frame is None else frame.run


def bind_run(function: Callable[P, R]) -> Callable[P, R]:
    """
    Return *function* bound to the current run, for executors that do not copy the context.

    ``asyncio.to_thread``, ``anyio.to_thread`` and plain ``def`` endpoints need no help;
    ``ThreadPoolExecutor.submit``, ``loop.run_in_executor`` and ``threading.Thread`` do::

        executor.submit(bind_run(work), item)
    """
    frame = current_frame()
    taken_along: Callable[[], Frame] | None = getattr(frame, "taken_along", None)
    if taken_along is not None:
        frame = taken_along()

    def bound(*args: P.args, **kwargs: P.kwargs) -> R:
        previous = _frame.get()
        _frame.set(frame)
        try:
            return function(*args, **kwargs)
        finally:
            _frame.set(previous)

    return bound
