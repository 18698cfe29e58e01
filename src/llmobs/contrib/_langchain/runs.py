"""Runs of LangChain that have begun and not ended: where each belongs, in a table that stays small."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Final
from weakref import WeakSet, WeakValueDictionary

from langchain_core.runnables.config import var_child_runnable_config

from llmobs.capture.log import Log
from llmobs.capture.operations import Operation, SeveralCalls
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.client.sync_client import default_client
from llmobs.contrib._agents.table import Table
from llmobs.events import Status
from llmobs.runtime.context import Frame, innermost_frame, leave_operation, set_frame

__all__ = ["OpenRun", "OpenRuns", "RunContext"]


@dataclass(slots=True)
class RunContext:
    """Where a run of LangChain belongs."""

    tracker: Tracker
    frame: Frame | None
    """The innermost frame it happens in; None at the root of a run of its own."""
    parent: OpenRun | None
    is_own: bool
    """Whether the tracker was made for it, and ends with it."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class OpenRun:
    """One run of LangChain: a chain, a call of a model, a tool, a retriever."""

    context: RunContext
    operation: Operation | None
    """None if it is not recorded itself (hidden nodes)."""
    frame: Frame | None
    """What its children belong to."""
    inside: dict[Any, OpenRun] = field(default_factory=dict)
    """Its children that have not ended."""
    ended: bool = False

    @property
    def parent(self) -> OpenRun | None:
        """The run it is a child of."""
        return self.context.parent

    def end(self, error: BaseException | None = None) -> None:
        """Record it, and its llmobs run if that was made for it."""
        self.ended = True
        operation = self.operation
        if operation is not None and not operation.ended:
            if isinstance(self.frame, SeveralCalls):
                self._end_one_of_several(self.frame, operation, error)
            else:
                operation.end(error)
        if isinstance(self.frame, Within):
            leave_operation(self.frame)
        if self.context.is_own:
            self.context.tracker.finish(error=error)

    def _end_one_of_several(
        self, several: SeveralCalls, operation: Operation, error: BaseException | None
    ) -> None:
        several.left = True
        leave_operation(several)
        operation.end(error)


_NOWHERE: Final[Any] = object()


class Within:
    """
    A chain or a tool as a frame: current where LangChain runs the code of it, and nowhere else.

    LangChain tells where a run begins in the caller's own context, where it may go on long after: between the
    chunks of a stream, and beside the other items of a batch. The code of the run has a context of
    its own, and what LangChain calls its configuration is another there.

    Args:
        runs: All that are open.
        of: What it is the frame of.
        operation: Records it; began here and now.
    """

    is_run = False

    def __init__(self, runs: OpenRuns, of: OpenRun, operation: Operation) -> None:
        self.run: Log = operation.run
        self.event_id: str | None = operation.event_id
        self.outer = operation.outer
        self._runs = runs
        self._of = of
        self.outside = var_child_runnable_config.get()

    def taken_along(self) -> Within:
        """Return it for a thread that LangChain knows nothing of; what `llmobs.bind_run` asks for."""
        other = copy(self)
        other.outside = _NOWHERE
        return other

    @property
    def left(self) -> bool:
        """Whether the code that asks is no part of it."""
        if self._of.ended:
            return True
        here: Any = var_child_runnable_config.get()
        if here is self.outside:
            return True
        if here is None:
            return False
        inner = self._runs.get(getattr(here.get("callbacks"), "parent_run_id", None))
        if inner is None:  # this handler was not told of it
            return False
        while inner is not None and inner is not self._of:
            inner = inner.context.parent
        return inner is None


_recorded: WeakValueDictionary[tuple[Any, Any], OpenRun] = WeakValueDictionary()
"""What any handler records, by the client it goes to and LangChain's id: each run once."""
_frames: WeakSet[Frame] = WeakSet()
"""The frames of open runs, of any handler."""


class OpenRuns:
    """
    The table. Any thread or task may use it.

    Args:
        client: Records what happens outside any run of llmobs.
        limit: Runs held at most.
    """

    def __init__(self, client: Recording | None, limit: int) -> None:
        self._client = client
        self._runs: Table[OpenRun] = Table(limit)

    def __len__(self) -> int:
        return len(self._runs)

    def context_for(self, parent_run_id: Any) -> RunContext:
        """Return the context of a run that begins here and now."""
        parent = self._runs.get(parent_run_id)
        frame = innermost_frame()
        if parent is not None:
            if not self._is_inside(frame, parent.frame):
                frame = parent.frame
            return RunContext(parent.context.tracker, frame, parent, False)
        if frame is not None and isinstance(frame.run, Tracker):
            return RunContext(frame.run, frame, None, False)
        return RunContext(Tracker(self._client or default_client()), None, None, True)

    def is_known(self, run_id: Any, context: RunContext) -> bool:
        """
        Whether the run is recorded already: this handler, or another, was told of it.

        Another one's is held here too: what this handler alone is told of may belong to it.
        """
        if self._runs.get(run_id) is not None:
            return True
        first = _recorded.get((context.tracker.client, run_id))
        if first is None:
            return False
        context = replace(
            context, tracker=first.context.tracker, frame=first.context.frame, is_own=False
        )
        self._hold(run_id, OpenRun(context, None, first.frame))
        return True

    def begin(self, run_id: Any, context: RunContext, operation: Operation | None) -> None:
        """Hold a chain or a tool; None as *operation* if it is not recorded itself."""
        if operation is None:
            self.add(run_id, OpenRun(context, None, context.frame))
            return
        run = OpenRun(context, operation, None)
        run.frame = Within(self, run, operation.start())
        set_frame(run.frame)
        self.add(run_id, run)

    def add(self, run_id: Any, run: OpenRun) -> None:
        """Hold *run* until it is taken out; make room if there is none."""
        _recorded[run.context.tracker.client, run_id] = run
        self._hold(run_id, run)

    def _hold(self, run_id: Any, run: OpenRun) -> None:
        if (
            run.operation is not None
            and run.frame is not None
            and type(run.frame) is not SeveralCalls
        ):
            _frames.add(run.frame)
        oldest = self._runs.hold(run_id, run)
        if oldest is not None:
            self._forget(*oldest)
            _give_up(oldest[1])

    def _forget(self, run_id: Any, run: OpenRun) -> None:
        if run.operation is not None and run.frame is not None:  # else it is another run's
            _frames.discard(run.frame)
        key = (run.context.tracker.client, run_id)
        if _recorded.get(key) is run:
            _recorded.pop(key, None)

    def get(self, run_id: Any) -> OpenRun | None:
        """Return a run that has not ended."""
        return self._runs.get(run_id)

    def end(self, run_id: Any, error: BaseException | None = None) -> None:
        """Record a run that has ended; *error* is what ended it, if it failed."""
        run = self._runs.pop(run_id)
        if run is None:
            return
        self._forget(run_id, run)
        if error is not None and not isinstance(error, Exception):
            # LangChain tells nobody that a model's call was cancelled (`BaseChatModel.agenerate`).
            for child in list(run.inside):
                self.end(child, error)
        run.end(error)

    def _is_inside(self, frame: Frame | None, outer: Frame | None) -> bool:
        """
        Whether *frame* is the application's own, opened inside *outer*.

        Other frames of LangChain's do not count: a lazy chain begins its last step inside its first.
        """
        while frame is not None and frame is not outer:
            if frame in _frames:
                return False
            frame = frame.outer
        return frame is outer


def _give_up(run: OpenRun) -> None:
    if run.operation is not None:
        run.operation.status = Status.CANCELLED
        run.operation._warnings = ("LangChain never told its end",)  # noqa: SLF001 - none of its fields
    run.end()
