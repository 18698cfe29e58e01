"""Stages of the application's own: functions that may change an event, or drop it."""

from collections.abc import Callable, Sequence
from typing import Any

from llmobs.codec import AnyEvent, weigh
from llmobs.events import ErrorInfo, Event
from llmobs.pipeline.intake import Entry
from llmobs.pipeline.prepare import OVERHEAD_BYTES, Redact
from llmobs.pipeline.sanitise import sanitise
from llmobs.pipeline.statistics import DropReason
from llmobs.pipeline.user_code import UserCode
from llmobs.policy import Drop
from llmobs.recorded.printable import brief
from llmobs.recorded.values import snapshot
from llmobs.runtime.time_slices import TimeSlices, gently
from llmobs.runtime.troubles import Troubles, comes_from_outside

__all__ = ["UserStage"]

MAX_REASON = 60
"""Characters of a reason."""


_FAILED = object()


class UserStage:
    """
    Calls a function of the application's for each event.

    Args:
        function: See `llmobs.Stage`.
        code: The thread it is called in.
        count_failures: Told how many events had to go on without it.
        redact: Applied to what it changes; None where redaction comes later.
        troubles: Where trouble is logged.
    """

    def __init__(
        self,
        function: Callable[[Event], Event | Drop | None],
        code: UserCode,
        *,
        count_failures: Callable[[int], object],
        redact: Redact | None,
        troubles: Troubles,
    ) -> None:
        self._function = function
        self._code = code
        self._count_failures = count_failures
        self._redact = redact
        self._troubles = troubles
        self._name = brief(getattr(function, "__qualname__", type(function).__name__), 100)

    async def run(self, entries: Sequence[Entry], slices: TimeSlices) -> None:
        """See `llmobs.pipeline.stages.Stage`."""
        results: list[Any] = []
        events = [entry.event for entry in entries]

        def work() -> None:
            for event in gently(events):
                results.append(self._result(event))  # noqa: PERF401 - looked at meanwhile

        in_time = await self._code.call(work)
        known = list(results)
        if not in_time:
            missing = len(entries) - len(known)
            self._count_failures(missing)
            self._troubles.log(
                f"slow-stage:{self._name}",
                "llmobs: the stage %s takes too long; %d events go on without it",
                self._name,
                missing,
            )
        for entry, result in zip(entries, known, strict=False):
            before = entry.event
            self._apply(entry, result)
            if self._redact is not None and entry.event is not before:
                await self._redact.again(entry, before, slices)
            entry.stage += 1
        for entry in entries[len(known) :]:
            entry.stage += 1

    def run_now(self, entry: Entry) -> None:
        """See `llmobs.pipeline.stages.Stage`."""
        before = entry.event
        self._apply(entry, self._result(before))
        if self._redact is not None and entry.event is not before:
            self._redact.again_now(entry, before)

    def reset(self) -> None:
        """See `llmobs.pipeline.stages.Stage`."""
        self._code.close()

    def _result(self, event: Event) -> Any:
        """Return what the function makes of a copy of *event*, fit to go on."""
        try:
            copy = _copy(event)
            result: Any = self._function(copy)
            if result is None:
                result = copy
            if isinstance(result, Drop):
                return result
            if type(result) not in AnyEvent.__args__:
                raise TypeError(f"a stage returns an event or Drop, not {type(result).__name__}")
            sanitise(result)
            return result
        except BaseException as error:
            if comes_from_outside(error, can_be_closed=False):
                raise
            self._count_failures(1)
            self._troubles.log(
                f"stage:{self._name}:{type(error).__name__}",
                "llmobs: the stage %s failed: %s; the event goes on without it",
                self._name,
                brief(f"{type(error).__name__}: {error}", 300),
            )
            return _FAILED

    def _apply(self, entry: Entry, result: Any) -> None:
        if result is _FAILED:
            return
        if isinstance(result, Drop):
            entry.drop = brief(str(result.reason), MAX_REASON) or str(DropReason.STAGE)
            return
        entry.event = result
        entry.size = OVERHEAD_BYTES + weigh(result)


def _copy(event: Event) -> Event:
    """Return a copy that shares nothing a function could change."""
    copy: Event = event.__copy__()  # type: ignore[attr-defined]
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, (dict, list)):
            setattr(copy, name, snapshot(value))
        elif type(value) is ErrorInfo:
            setattr(
                copy, name, ErrorInfo(**{n: getattr(value, n) for n in value.__struct_fields__})
            )
    return copy
