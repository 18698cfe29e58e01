"""
One pass of a batch to its sink: attempt, split or shorten what is too large, leave out what is
refused.
"""

import logging
from collections.abc import Sequence
from typing import Final, Protocol

import anyio

from llmobs.errors import (
    LLMObsError,
    SinkError,
    SinkRejectedError,
    SinkTooLargeError,
    SinkUnavailableError,
)
from llmobs.events import Event
from llmobs.pipeline.outbox import Entry
from llmobs.pipeline.shorten import shorten, size_of
from llmobs.pipeline.sink import Batch, Sink
from llmobs.pipeline.statistics import DropReason
from llmobs.recorded.printable import one_line
from llmobs.runtime.troubles import Troubles, comes_from_outside, contain

__all__ = ["CLOSE_SECONDS", "Acknowledge", "Delivery", "SinkCrashError"]

CLOSE_SECONDS: Final = 5.0
"""How long a sink may take to close."""
LEAST_BYTES: Final = 1024
"""Events of no more are not shortened: what is left is what they are about."""
MARGIN: Final = 0.9
"""Part of a known limit that a shortened event fills: sinks write events each in their own way."""


class Acknowledge(Protocol):
    """Takes note of what became of events: delivered, or dropped for *reason* in the sink's *words*."""

    def __call__(
        self, entries: Sequence[Entry], reason: DropReason | None = None, words: str | None = None
    ) -> None:
        """Note it."""


class SinkCrashError(LLMObsError):
    """A sink raised something that is not one of our errors: a bug of its own."""


class Delivery:
    """
    Args:
        sink: Where events go.
        timeout: Seconds one attempt may take, opening the sink included.
        troubles: Where trouble is logged.
    """

    def __init__(self, sink: Sink, *, timeout: float, troubles: Troubles) -> None:
        self.sink = sink
        self._timeout = timeout
        self._troubles = troubles
        self._opened = False
        self._touched = False
        self._fits: int | None = None
        """Bytes of the last event that the sink took shortened,"""
        self._short: Event | None = None
        """and the one that waits to be taken."""

    async def deliver(
        self, entries: list[Entry], acknowledge: Acknowledge, *, isolate: bool = False
    ) -> tuple[list[Entry], LLMObsError | None]:
        """
        Deliver *entries*, each acknowledged as it turns out; return those to try again, and why.

        Args:
            entries: What to deliver.
            acknowledge: Told of each that is.
            isolate: Find the events that make the sink crash, and give up those only.
        """
        parcels = [entries]
        whole: dict[int, Event] = {}  # events that were shortened, by entry
        while parcels:
            parcel = parcels.pop()
            error = await self._attempt(parcel)
            if error is None:
                self._learn(parcel)
                acknowledge(parcel)
            elif isinstance(error, SinkTooLargeError) or (
                isolate and isinstance(error, SinkCrashError)
            ):
                if len(parcel) > 1:
                    middle = len(parcel) // 2
                    parcels += parcel[middle:], parcel[:middle]
                elif isinstance(error, SinkTooLargeError) and self._shorten(
                    parcel[0], error, whole.setdefault(id(parcel[0]), parcel[0].event)
                ):
                    parcels.insert(0, parcel)  # last: a sink may know the others as they were
                else:
                    self._give_up(parcel, error, acknowledge)
            elif isinstance(error, SinkError) and not error.retriable:
                if rest := self._leave_out_refused(parcel, error, acknowledge):
                    parcels.append(rest)
            else:
                return [entry for left in (parcel, *reversed(parcels)) for entry in left], error
        return [], None

    def _shorten(self, entry: Entry, error: SinkTooLargeError, whole: Event) -> bool:
        """Put a shorter copy in the event's place (other sinks have it whole); tell whether there is one."""
        before = size_of(entry.event)
        if before <= LEAST_BYTES:
            return False
        known = [self._fits, None if error.limit is None else int(error.limit * MARGIN)]
        size = min((most for most in known if most and most < before), default=before // 2)
        short = shorten(whole, max(size, LEAST_BYTES // 2))
        if size_of(short) >= before:
            return False
        self._troubles.log(
            f"shortened:{self.sink.name}",
            "llmobs: %s: an event of %d bytes is too large and leaves shortened: %s",
            self.sink.name,
            before,
            error,
        )
        entry.event = self._short = short
        return True

    def _learn(self, parcel: Sequence[Entry]) -> None:
        if self._short is not None and parcel[0].event is self._short:
            self._fits = size_of(self._short)
            self._short = None

    def _give_up(self, parcel: list[Entry], error: LLMObsError, acknowledge: Acknowledge) -> None:
        if isinstance(error, SinkCrashError):  # logged when it crashed
            acknowledge(parcel, DropReason.INTERNAL, str(error))
            return
        self._troubles.log(
            f"too_large:{self.sink.name}",
            "llmobs: %s: an event is too large: %s",
            self.sink.name,
            error,
        )
        acknowledge(parcel, DropReason.TOO_LARGE, str(error))

    async def _attempt(self, entries: Sequence[Entry]) -> LLMObsError | None:
        try:
            with anyio.fail_after(self._timeout):
                if not self._opened:
                    self._touched = True
                    await contain(self.sink.open)
                    self._opened = True
                batch = Batch([entry.event for entry in entries])
                await contain(self.sink.send, batch)
        except LLMObsError as error:
            return error
        except TimeoutError:
            return SinkUnavailableError(f"no answer within {self._timeout:g} s")
        except BaseException as error:
            if comes_from_outside(error):
                raise
            self._troubles.log(
                f"crash:{self.sink.name}:{type(error).__name__}",
                "llmobs: %s: the sink has a bug",
                self.sink.name,
                level=logging.ERROR,
                exc_info=True,
            )
            return SinkCrashError(f"{type(error).__name__}: {error}")
        return None

    def _leave_out_refused(
        self, entries: list[Entry], error: SinkError, acknowledge: Acknowledge
    ) -> list[Entry]:
        named = error.events if isinstance(error, SinkRejectedError) else {}
        refused = [entry for entry in entries if entry.event.event_id in named] or entries
        self._troubles.log(
            # Not by its words: servers put request ids into them, and each would be a new trouble.
            f"rejected:{self.sink.name}",
            "llmobs: %s refuses %d events: %s",
            self.sink.name,
            len(refused),
            error,
        )
        for entry in refused:
            words = named.get(entry.event.event_id, str(error))
            acknowledge([entry], DropReason.REJECTED, words)
        gone = {entry.event.event_id for entry in refused}
        rest = [entry for entry in entries if entry.event.event_id not in gone]
        if rest and isinstance(error, SinkRejectedError) and error.delivered:
            acknowledge(rest)
            return []
        return rest

    async def close(self) -> None:
        """Close the sink, if it was opened or an attempt to was made. Never raises."""
        if self._touched:
            self._touched = self._opened = False
            try:
                with anyio.fail_after(CLOSE_SECONDS):
                    await contain(self.sink.aclose)
            except BaseException as error:
                if comes_from_outside(error):
                    raise
                self._troubles.log(
                    f"close:{self.sink.name}",
                    "llmobs: %s did not close: %s: %s",
                    self.sink.name,
                    type(error).__name__,
                    one_line(str(error)),
                )

    def reset(self) -> None:
        """Open the sink again before the next attempt: a forked child has not opened it."""
        self._touched = self._opened = False
