"""
The stages that make events fit to leave: complete and well-formed, redacted, priced.

They run before anything can reach a disk or a wire, off the request path.
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Protocol

import anyio
import msgspec

from llmobs.codec import weigh
from llmobs.events import ClientInfo, Event, PromptCallEvent, RunEvent
from llmobs.pipeline.intake import Entry
from llmobs.pipeline.mend import mend
from llmobs.pipeline.own_redaction import OwnRedaction
from llmobs.pipeline.sanitise import sanitise
from llmobs.pipeline.stages import Stage, Steadily
from llmobs.redaction.events import EventRedactor, strip_content
from llmobs.runtime.context import Run
from llmobs.runtime.time_slices import Steps, TimeSlices, finish
from llmobs.runtime.troubles import Troubles, contain, foreign_call, foreign_code

__all__ = ["Complete", "Identity", "Price", "Pricer", "Redact"]

OVERHEAD_BYTES: Final = 512
"""Memory of an entry, and of an event's numbers."""
EVENTS_A_CALL: Final = 16
"""Events handed over at a time to functions of the application's."""


class Identity(msgspec.Struct, frozen=True):
    """Who records: fills the fields an event leaves open. None: nobody knows."""

    client: ClientInfo | None
    project_id: str
    service_name: str | None
    environment: str | None
    release: str | None


class Pricer(Protocol):
    """Finds the price of a call."""

    async def load(self) -> None:
        """Do what is slow once (imports), before the first `price`."""

    def load_now(self) -> None:
        """The same, holding up the caller."""

    def wants(self, event: Event) -> bool:
        """Whether *event* is one to price."""
        ...

    def price(self, event: PromptCallEvent) -> None:
        """Set ``cost_usd`` and ``cost_source`` if the price is known and the caller gave none."""


class Complete(Steadily):
    """
    Make what was captured off the request path, mend what is not of its type, and say who records.

    Args:
        identity: Fills what events leave open.
        weight: How many like it each event stands for that was recorded here.
    """

    def __init__(self, identity: Identity, weight: float = 1.0) -> None:
        self._identity = identity
        self._weight = weight

    def steps(self, entry: Entry) -> Steps[None]:
        """See `Steadily`."""
        if entry.make is not None:
            entry.event, entry.make = entry.make(), None
        event = entry.event
        complete, entry.complete = entry.complete, None
        if complete is not None:
            completed = False
            with foreign_call("complete an event"):
                yield from complete(event) or ()
                completed = True
            if not completed:
                event.warnings = (*event.warnings, "what was captured could not be read; left out")
            entry.size = OVERHEAD_BYTES + weigh(event)
        with failing_closed(event, "mend an event"):
            sanitise(event)
        identity = self._identity
        if event.project_id is None:
            event.project_id = identity.project_id
        if event.service_name is None:
            event.service_name = identity.service_name
        if event.environment is None:
            event.environment = identity.environment
        if event.release is None:
            event.release = identity.release
        if event.client is None:  # else another process recorded it
            event.client = identity.client
            if self._weight != 1.0:
                event.weight *= self._weight


class Redact(Stage):
    """
    Take out what may not leave.

    Args:
        redactor: Knows what, and of which field (`llmobs.redaction.fields`).
        first: What the application makes of values before that.
        last: What it makes of texts after that.
        events_a_call: How many events are handed over to these at a time, and share a limit of time.
        counts: Whether what it puts in place of values is numbered, from 1 on.
    """

    def __init__(
        self,
        redactor: EventRedactor,
        *,
        first: OwnRedaction | None = None,
        last: OwnRedaction | None = None,
        events_a_call: int = EVENTS_A_CALL,
        counts: bool = False,
    ) -> None:
        self._redactor = redactor
        self._first = first
        self._last = last
        self._events_a_call = events_a_call
        self._counted = 0
        self._count_failures: Callable[[int], object] | None = None
        self.has_state = counts or first is not None or last is not None
        """Whether two of it do not do what one would: numbers, functions, a model that each would load."""

    def tell(self, count_failures: Callable[[int], object], troubles: Troubles) -> None:
        """Say what goes wrong from now on: how many values it cost, and in words."""
        self._count_failures = count_failures
        for own in (self._first, self._last):
            if own is not None:
                own.count_failures, own.troubles = count_failures, troubles

    async def run(self, entries: Sequence[Entry], slices: TimeSlices) -> None:
        """See `Stage`."""
        if self._first is None and self._last is None:
            for entry in entries:
                try:
                    await self._in_slices(entry.event, None, slices)
                finally:
                    entry.stage += 1
            return
        for begin in range(0, len(entries), self._events_a_call):
            group = entries[begin : begin + self._events_a_call]
            # What was begun is not begun again: a function would see what it made itself.
            with anyio.CancelScope(shield=True):
                if self._first is not None:
                    await self._first.redact(group)
                for entry in group:
                    await self._in_slices(entry.event, None, slices)
                if self._last is not None:
                    await self._last.redact(group)
                for entry in group:
                    entry.stage += 1

    def run_now(self, entry: Entry) -> None:
        """See `Stage`."""
        if self._first is not None:
            self._first.redact_now(entry)
        self._at_once(entry.event)
        if self._last is not None:
            self._last.redact_now(entry)

    def run_in_time(self, entries: Sequence[Entry]) -> None:
        """
        Redact *entries*, holding up the caller, yet not for long by functions of the application's:
        what these are not done with is left out, and counted.
        """
        if self._first is not None:
            self._first.redact_in_time(entries)
        for entry in entries:
            self._at_once(entry.event)
        if self._last is not None:
            self._last.redact_in_time(entries)

    async def again(self, entry: Entry, before: Event, slices: TimeSlices) -> None:
        """Redact what has changed in *entry* since it was *before*, when that was done last."""
        await self._in_slices(entry.event, before, slices)
        if self._last is not None:
            await self._last.redact([entry], before)

    def again_now(self, entry: Entry, before: Event) -> None:
        """Do the same, without a pause."""
        self._at_once(entry.event, before)
        if self._last is not None:
            self._last.redact_now(entry, before)

    def reset(self) -> None:
        """See `Stage`."""
        for own in (self._first, self._last):
            if own is not None:
                own.close()

    def _passes(self, event: Event) -> bool:
        try:
            return self._redactor.passes(event)
        except Exception:  # noqa: BLE001 - a closer look fails as well, and closed
            return False

    def _at_once(self, event: Event, before: Event | None = None) -> None:
        if not self._passes(event):
            finish(self._steps(event, before))

    async def _in_slices(self, event: Event, before: Event | None, slices: TimeSlices) -> None:
        if not self._passes(event):
            steps = self._steps(event, before)
            try:
                for _ in steps:
                    if slices.is_over():
                        await slices.rest()
            finally:
                finish(steps)
        if slices.is_over():
            await slices.rest()

    def _steps(self, event: Event, before: Event | None) -> Steps[None]:
        with failing_closed(event, "redact an event", self._redactor.withhold):
            yield from self._redactor.steps(event, before)
        failures = self._redactor.failures
        if failures > self._counted and self._count_failures is not None:
            self._count_failures(failures - self._counted)
        self._counted = failures


class Price(Steadily):
    """
    Say what calls cost, and add up what a run used.

    Args:
        pricer: Prices prompt calls; None leaves costs alone.
    """

    def __init__(self, pricer: Pricer | None) -> None:
        self._pricer = pricer

    async def warm_up(self) -> None:
        """Do now what would be slow with the first event: load the price table."""
        if self._pricer is not None:
            with foreign_code("load the price table"):
                await contain(self._pricer.load)

    def warm_up_now(self) -> None:
        """The same, holding up the caller."""
        if self._pricer is not None:
            with foreign_call("load the price table"):
                self._pricer.load_now()

    async def run(self, entries: Sequence[Entry], slices: TimeSlices) -> None:
        """See `Stage`."""
        if self._pricer is not None and any(self._pricer.wants(e.event) for e in entries):
            await self.warm_up()
        await super().run(entries, slices)

    def steps(self, entry: Entry) -> Steps[None]:
        """See `Steadily`."""
        event = entry.event
        if self._pricer is not None and type(event) is PromptCallEvent:
            with foreign_call("price an event"):
                self._pricer.price(event)
        if entry.run is not None:
            with foreign_call("add up a run"):
                _add_up(event, entry.run)
        yield from ()


class failing_closed(foreign_call):  # noqa: N801 - reads as what is done
    """If the block fails, *event* leaves without what *remove* takes: what was not redacted stays here."""

    __slots__ = ("_event", "_remove")

    def __init__(
        self, event: Event, doing: str, remove: Callable[[Event], None] = strip_content
    ) -> None:
        super().__init__(doing)
        self._event = event
        self._remove = remove

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not super().__exit__(kind, error, trace):
            return False
        event = self._event
        self._remove(event)
        mend(event)
        event.warnings = (*event.warnings, "the content could not be prepared; left out")
        return True


def _add_up(event: Event, run: Run) -> None:
    if type(event) is RunEvent:
        event.tokens_input, event.tokens_output = run.tokens_input, run.tokens_output
        event.cost_usd = run.cost_usd
    elif type(event) is PromptCallEvent:
        run.tokens_input += event.tokens_input or 0
        run.tokens_output += event.tokens_output or 0
        if event.cost_usd is not None:
            run.cost_usd = (run.cost_usd or 0.0) + event.cost_usd
