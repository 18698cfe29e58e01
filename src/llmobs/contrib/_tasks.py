"""
What the doors of task queues share: the carrier that travels with a task, and the run a task is.

A carrier is a short text of JSON with names alone: the run that enqueued the task, on whose behalf,
in which conversation and trace, and the id of the task's own run, which all its attempts share.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from llmobs.capture.run import NO_RECORDER, Recorder
from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.client.process_exit import exit_hook
from llmobs.client.sync_client import default_client
from llmobs.codec import identifier
from llmobs.errors import ConfigurationError
from llmobs.recorded.ids import new_id, parse_traceparent
from llmobs.recorded.printable import printable, quoted
from llmobs.runtime.context import Frame, current_frame, current_run, set_frame
from llmobs.runtime.troubles import Troubles, internal_errors

__all__ = ["ARGUMENT", "CARRIER", "TaskRuns", "carry", "deliver"]

CARRIER: Final = "llmobs"
"""Name of the header, option, label or key that holds the carrier."""

ARGUMENT: Final = "__llmobs__"
"""Name of the argument that holds it where tasks have nothing else."""

MAX_LENGTH: Final = 256
"""Longest name that travels, in characters; a longer one is left out."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LENGTH)]

LOST: Final = "what its process had recorded, and neither delivered nor spooled"

# A UUID, with hyphens or without, or Django's 32 random letters and digits.
_UNIQUE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9A-Za-z]{32}", re.ASCII)

_troubles = Troubles()


class Carrier(msgspec.Struct, frozen=True, omit_defaults=True):
    """What travels with a task."""

    task: Name | None = None
    """Id of the task's own run."""
    run: Name | None = None
    """Id of the run that enqueued it."""
    user: Name | None = None
    session: Name | None = None
    traceparent: Name | None = None


_NOTHING: Final = Carrier()
_decoder = msgspec.json.Decoder(Carrier)


def _read(carried: object) -> Carrier:
    # Whoever can write to the broker wrote it: what is not exactly a carrier is none.
    if isinstance(carried, str) and len(carried) <= 8 * MAX_LENGTH:
        try:
            return _decoder.decode(carried)
        except (msgspec.MsgspecError, UnicodeError):
            pass
    return _NOTHING


def _is_unique(task_id: object) -> bool:
    return isinstance(task_id, str) and _UNIQUE.fullmatch(task_id) is not None


def carry(task_id: object = None, there: object = None) -> str:
    """
    Return the carrier of a task that is being enqueued here.

    Args:
        task_id: The queue's id of the task. It is the run's id where it can be no other task's;
            where people choose ids, or a database counts them, the run gets one of its own.
        there: What the message holds already: the carrier of an earlier attempt stays.
    """
    task = str(task_id) if _is_unique(task_id) else None
    if task is not None and isinstance(there, str) and _read(there).task == task:
        return there
    names: dict[str, str | None] = {"task": task or new_id()}
    if (run := current_run()) is not None:
        names["run"] = run.run_id
        names["user"], names["session"] = _name(run.user_id), _name(run.session_id)
        if run.trace_id is not None and run.span_id is not None:
            names["traceparent"] = f"00-{run.trace_id}-{run.span_id}-01"
    short = {k: v for k, v in names.items() if v is not None and len(v) <= MAX_LENGTH}
    return msgspec.json.encode(short).decode()


def _name(value: object) -> str | None:
    return None if value is None else identifier(value)


def deliver() -> None:
    """Deliver everything and end the threads: for processes that are about to leave by ``os._exit``."""
    with internal_errors("deliver at the end of a worker's process"):
        exit_hook.close_all()


@dataclass(eq=False, slots=True)
class _Open:
    key: object
    tracker: Tracker
    outer: "_Open | None"
    previous: Frame | None
    error: BaseException | None = None


_open: ContextVar[_Open | None] = ContextVar("llmobs_open_task", default=None)


class TaskRuns:
    """
    Gives each attempt of a task its run.

    Args:
        client: A client you own; by default the default client, made when the first task runs.
        record_empty: Record a run also if nothing was recorded in it and it did not fail.

    Raises:
        ConfigurationError: *client* is no client, or *record_empty* neither True nor False.
    """

    def __init__(self, client: Recording | None = None, record_empty: bool = False) -> None:
        if client is not None and not isinstance(client, Recording):
            raise ConfigurationError(
                f"client: {quoted(client)} is neither an llmobs.Client nor an llmobs.AsyncClient"
            )
        if not isinstance(record_empty, bool):
            raise ConfigurationError(f"record_empty: {quoted(record_empty)} is not True or False")
        self._client = client
        self._record_empty = record_empty

    def prepare(self) -> None:
        """Make the client now: in a process that forks, or every child would take its half second."""
        self._recorder()

    def _recorder(self) -> Recorder:
        try:
            return self._client or default_client()
        except ConfigurationError as error:
            _troubles.log(
                "misconfigured", "llmobs: nothing is recorded: %s", error, level=logging.ERROR
            )
            return NO_RECORDER

    def _tracker(self, name: str, task_id: object, attempt: int | None, carried: object) -> Tracker:
        carrier, outer = _read(carried), current_run()
        run_id = str(task_id) if _is_unique(task_id) else carrier.task
        tracker = Tracker(self._recorder(), run_id)
        tracker.name = name
        tracker.user_id, tracker.session_id = carrier.user, carrier.session
        parent = None if carrier.run is None else printable(carrier.run)
        if carrier is _NOTHING and outer is not None:  # it was not sent, but called right here
            parent = outer.run_id
            tracker.user_id, tracker.session_id = outer.user_id, outer.session_id
        if parent != tracker.run_id:  # a task that replaced itself is no child of its own
            tracker.parent_run_id = parent
        if carrier.traceparent and (trace := parse_traceparent(carrier.traceparent)):
            tracker.trace_id, tracker.span_id = trace.trace_id, trace.span_id
        known = {"task_id": None if task_id is None else str(task_id), "attempt": attempt}
        tracker.metadata = {key: value for key, value in known.items() if value is not None}
        return tracker

    # For queues that tell of a task's beginning and end: both are in one thread or asyncio task.

    def begin(
        self,
        key: object,
        name: str,
        task_id: object,
        *,
        attempt: int | None = None,
        carried: object = None,
    ) -> None:
        """
        Open the run of a task; it is the current one until `end`.

        Args:
            key: What `end` names it by.
            name: The task's name.
            task_id: The queue's id of it.
            attempt: Which attempt it is, from 1; None where the queue does not tell.
            carried: The carrier that came with it, as it came.
        """
        with internal_errors("open a run for a task"):
            tracker = self._tracker(name, task_id, attempt, carried)
            _open.set(_Open(key, tracker, _open.get(), current_frame()))
            set_frame(tracker)

    def fail(self, key: object, error: BaseException) -> bool:
        """Note why the task of *key* fails, if `end` is not told or not so well; tell whether it is open here."""
        here = _open.get()
        if here is None or here.key != key:
            return False
        here.error = error
        return True

    def end(self, key: object, error: BaseException | None = None) -> None:
        """Record the run that `begin` opened for *key*; without one, do nothing."""
        here = _open.get()
        if here is None or here.key != key:
            return
        _open.set(here.outer)
        frame = current_frame()
        if frame is not None and frame.run is here.tracker:  # itself, or an operation left open
            set_frame(here.previous)
        with internal_errors("record the run of a task"):
            error = error if here.error is None else here.error
            here.tracker.finish(error=error, always=self._record_empty)

    # For queues that let a door wrap the task.

    @contextmanager
    def running(
        self,
        name: str,
        task_id: object,
        *,
        attempt: int | None = None,
        carried: object = None,
    ) -> Iterator[object]:
        """Make the block the run of a task, and give its key; see `begin`."""
        key = object()
        self.begin(key, name, task_id, attempt=attempt, carried=carried)
        try:
            yield key
        except BaseException as error:
            self.end(key, error)
            raise
        self.end(key)

    def lost(
        self,
        error: BaseException,
        name: str,
        task_id: object,
        *,
        attempt: int | None = None,
        carried: object = None,
    ) -> None:
        """Record, from the process that watches over it, a task whose process was killed."""
        with internal_errors("record a task whose process was killed"):
            tracker = self._tracker(name, task_id, attempt, carried)
            tracker.metadata = {**(tracker.metadata or {}), "lost": LOST}
            tracker.finish(error=error, always=True)
