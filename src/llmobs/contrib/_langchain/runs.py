"""Runs of LangChain that have begun and not ended: where each belongs, in a table that stays small."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from llmobs.client import Recording
from llmobs.codec import snapshot, weigh
from llmobs.context import Frame, current_frame, set_frame
from llmobs.contrib._once import Told, record_once
from llmobs.events import ErrorInfo, PromptCallEvent, Status
from llmobs.forks import ForkLock
from llmobs.operations import Operation, PromptCall, SeveralCalls
from llmobs.sync import default_client
from llmobs.tracker import Tracker

__all__ = ["MAX_OPEN", "OpenRun", "OpenRuns", "Place"]

MAX_OPEN: Final = 10_000
"""Runs of LangChain held open at most; beyond, the oldest are recorded as they are."""


@dataclass(slots=True)
class Place:
    """Where a run of LangChain belongs."""

    tracker: Tracker
    frame: Frame | None
    """The innermost frame it happens in; None at the root of a run of its own."""
    parent: OpenRun | None
    is_own: bool
    """Whether the tracker was made for it, and ends with it."""
    before: Frame | None
    """What is current again afterwards: a thread of a pool must not keep a frame of ours."""


@dataclass(slots=True)
class OpenRun:
    """One run of LangChain: a chain, a call of a model, a tool, a retriever."""

    place: Place
    operation: Operation | None
    """None if it is not recorded itself (hidden nodes)."""
    frame: Frame | None
    """What its children belong to."""
    block: PromptCall | None = None
    """The application's own block around this very call of a model."""
    captured: Any = None
    """What that block had captured when this began."""
    children: dict[Any, OpenRun] = field(default_factory=dict)
    """Those that have not ended."""

    def end(self, error: BaseException | None = None) -> None:
        """Record it, and its llmobs run if that was made for it."""
        operation = self.operation
        if operation is not None and not operation.ended:
            if self.block is not None and isinstance(operation, PromptCall):
                told = _told(operation, error)
                record_once(self.place.tracker, told, self.block, self.captured)
            elif isinstance(self.frame, SeveralCalls):
                self._end_one_of_several(self.frame, operation, error)
            else:
                _end(operation, self.place, error)
        if self.place.is_own:
            self.place.tracker.finish(error=error)

    def _end_one_of_several(
        self, several: SeveralCalls, operation: Operation, error: BaseException | None
    ) -> None:
        if current_frame() is several:
            set_frame(self.place.before)
        several.left = True
        if several.seen and isinstance(operation, PromptCall):
            self.place.tracker.duplicate(_told(operation, error).event)
            return
        _end(operation, self.place, error)


def _end(operation: Operation, place: Place, error: BaseException | None) -> None:
    # LangChain ends asynchronous runs in a task of their own: what is current there says nothing.
    here = current_frame()
    set_frame(operation)
    operation.left = True
    operation.end(error)
    set_frame(place.before if here is operation else here)


def _told(operation: PromptCall, error: BaseException | None) -> Told:
    """Return what *operation* would have recorded, for somebody else's event."""
    values, latency_ms = operation.told(error)
    prompt = values["prompt"] = snapshot(values["prompt"])
    for name, value in values.items():
        if type(value) in (dict, list):
            values[name] = snapshot(value)
    run = operation.run
    assert isinstance(run, Tracker)
    event = PromptCallEvent(
        event_id=operation.event_id,
        run_id=run.run_id,
        timestamp=operation.timestamp,
        latency_ms=latency_ms,
        status=operation.status,
        error=None if error is None else ErrorInfo.of(error),
        **values,
    )
    size = weigh(prompt) + weigh(values.get("response"))
    return Told(run, event, size=size, failed=event.failed)


class OpenRuns:
    """
    The table. Any thread or task may use it.

    Args:
        client: Records what happens outside any run of llmobs.
        limit: Runs held at most.
    """

    def __init__(self, client: Recording | None, limit: int) -> None:
        self._client = client
        self._limit = limit
        self._lock = ForkLock()
        self._runs: OrderedDict[Any, OpenRun] = OrderedDict()
        self._frames: set[int] = set()
        """Ids of the operations of open runs."""

    def __len__(self) -> int:
        return len(self._runs)

    def place(self, parent_run_id: Any) -> Place:
        """Return where a run that begins here and now belongs."""
        parent = self._runs.get(parent_run_id)
        frame = before = current_frame()
        if parent is not None:
            tracker = parent.place.tracker
            if not self._is_inside(frame, parent.frame):
                frame = parent.frame
                set_frame(frame)
            return Place(tracker, frame, parent, False, before)
        if frame is not None and isinstance(frame.run, Tracker):
            return Place(frame.run, frame, None, False, before)
        set_frame(None)
        return Place(Tracker(self._client or default_client()), None, None, True, before)

    def add(self, run_id: Any, run: OpenRun) -> None:
        """Hold *run* until it is taken out; make room if there is none."""
        forgotten = None
        with self._lock:
            self._runs[run_id] = run
            self._frames.add(id(run.operation))
            if run.place.parent is not None:
                run.place.parent.children[run_id] = run
            if len(self._runs) > self._limit:
                _, forgotten = self._runs.popitem(last=False)
                self._frames.discard(id(forgotten.operation))
        if forgotten is not None:
            _give_up(forgotten)

    def get(self, run_id: Any) -> OpenRun | None:
        """Return a run that has not ended."""
        return self._runs.get(run_id)

    def end(self, run_id: Any, error: BaseException | None = None) -> None:
        """Record a run that has ended; *error* is what ended it, if it failed."""
        run = self._take(run_id)
        if run is None:
            return
        if error is not None and not isinstance(error, Exception):
            # LangChain tells nobody that a model's call was cancelled (`BaseChatModel.agenerate`).
            for child in list(run.children):
                self.end(child, error)
        run.end(error)

    def _take(self, run_id: Any) -> OpenRun | None:
        with self._lock:
            run = self._runs.pop(run_id, None)
            if run is not None:
                self._frames.discard(id(run.operation))
                if run.place.parent is not None:
                    run.place.parent.children.pop(run_id, None)
        return run

    def _is_inside(self, frame: Frame | None, outer: Frame | None) -> bool:
        """
        Whether *frame* is the application's own, opened inside *outer*.

        Other frames of LangChain's do not count: a lazy chain begins its last step inside its first.
        """
        while frame is not None and frame is not outer:
            if id(frame) in self._frames:
                return False
            frame = frame.outer
        return frame is outer


def _give_up(run: OpenRun) -> None:
    if run.operation is not None:
        run.operation.status = Status.CANCELLED
        run.operation.add(warnings=("LangChain never told its end",))
    run.end()
