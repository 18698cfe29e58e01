"""
The stages that make events fit to leave: complete and well-formed, redacted, priced.

They run before anything can reach a disk or a wire, off the request path.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

import msgspec

from llmobs.codec import AnyEvent, fields_of, weigh
from llmobs.events import ClientInfo, ErrorInfo, Event, PromptCallEvent, RunEvent
from llmobs.pipeline.intake import Entry
from llmobs.pipeline.mend import mend
from llmobs.pipeline.sanitise import sanitise
from llmobs.pipeline.stages import Steadily
from llmobs.redaction.redactor import Redactor
from llmobs.runtime.context import Run
from llmobs.runtime.time_slices import Steps, TimeSlices
from llmobs.runtime.troubles import contain, foreign_call, foreign_code

__all__ = ["Complete", "Identity", "Price", "Pricer", "Redact", "strip_content"]

OVERHEAD_BYTES: Final = 512
"""Memory of an entry, and of an event's numbers."""

_STRUCTURAL = frozenset(
    {
        "event_id", "run_id", "timestamp", "parent_id", "trace_id", "span_id", "project_id",
        "service_name", "environment", "release", "client", "model", "model_version", "provider",
        "operation", "status", "step_type", "assertion_type", "severity", "detection_method",
        "alert_type", "affected_models", "kind", "method", "route", "cost_source", "service_tier",
        "finish_reason", "response_id", "request_id", "server_address", "prompt_template_id",
        "prompt_embedding", "response_embedding", "usage",
    }
)  # fmt: skip
_CONTENT = frozenset(
    {
        "prompt", "response", "response_metadata", "tool_calls", "request_params", "errors",
        "input", "output", "input_data", "output_data", "reasoning", "context", "expected",
        "actual", "flagged_content", "ground_truth", "recommendations", "prompt_embedding",
        "response_embedding", "metadata",
    }
)  # fmt: skip
"""What ``capture_content="metadata"`` leaves out; of errors it keeps type and code."""


def _holds_text(kind: Any) -> bool:
    return kind not in (int, float, bool, int | None, float | None, bool | None)


_REDACTED: dict[type[Event], tuple[str, ...]] = {
    kind: tuple(
        f.name
        for f in msgspec.structs.fields(kind)
        if f.name not in _STRUCTURAL and f.name != "error" and _holds_text(f.type)
    )
    for kind in AnyEvent.__args__
}


class Identity(msgspec.Struct, frozen=True):
    """Who records: fills the fields an event leaves open."""

    client: ClientInfo
    project_id: str
    service_name: str
    environment: str
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
    Fill in what was captured off the request path, mend what is not of its type, and say who records.

    Args:
        identity: Fills what events leave open.
        weight: How many like it each event stands for that was recorded here.
    """

    def __init__(self, identity: Identity, weight: float = 1.0) -> None:
        self._identity = identity
        self._weight = weight

    def steps(self, entry: Entry) -> Steps[None]:
        """See `Steadily`."""
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


class Redact(Steadily):
    """
    Take out what may not leave.

    Args:
        redactor: Applied to every text; None leaves texts alone.
        keep_content: False removes all texts (``capture_content="metadata"``).
    """

    def __init__(self, redactor: Redactor | None, *, keep_content: bool = True) -> None:
        self._redactor = redactor
        self._keep_content = keep_content

    def steps(self, entry: Entry) -> Steps[None]:
        """See `Steadily`."""
        yield from self.redact(entry.event)

    def redact(self, event: Event, before: Event | None = None) -> Steps[None]:
        """
        Redact *event* in place, in steps.

        Args:
            event: What may hold anything.
            before: The same when it was redacted last: what has not changed since is left alone.
        """
        with failing_closed(event, "redact an event"):
            if not self._keep_content:
                strip_content(event)
            elif self._redactor is not None:
                yield from self._redact(event, before, self._redactor)

    def _redact(self, event: Event, before: Event | None, redactor: Redactor) -> Steps[None]:
        for name in _REDACTED[type(event)]:
            value = getattr(event, name)
            if value is not None and (before is None or value != getattr(before, name, None)):
                clean = yield from redactor.steps(value)
                if clean is not value:
                    setattr(event, name, tuple(clean) if isinstance(value, tuple) else clean)
        error = getattr(event, "error", None)
        if type(error) is ErrorInfo and (before is None or error != getattr(before, "error", None)):
            error.message = yield from redactor.steps(error.message)
            error.stack = yield from redactor.steps(error.stack)
            error.context = yield from redactor.steps(error.context)


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


@contextmanager
def failing_closed(event: Event, doing: str) -> Iterator[None]:
    """If the block fails, *event* leaves without its content: what was not redacted stays here."""
    finished = False
    with foreign_call(doing):
        yield
        finished = True
    if not finished:
        strip_content(event)
        mend(event)
        event.warnings = (*event.warnings, "the content could not be prepared; left out")


def strip_content(event: Event) -> None:
    """
    Remove all texts that hold content; of an error, its type and code stay.

    Never raises: no value is asked anything, not even for its truth.
    """
    for field in fields_of(type(event)):
        if field.name in _CONTENT:
            setattr(event, field.name, field.default)
    error = getattr(event, "error", None)
    if error is not None:
        known = (error.type, error.code) if type(error) is ErrorInfo else (None, None)
        kind, code = (words if type(words) is str else None for words in known)
        event.error = ErrorInfo(message=kind or code or "error", type=kind, code=code)  # type: ignore[attr-defined]


def _add_up(event: Event, run: Run) -> None:
    if type(event) is RunEvent:
        event.tokens_input, event.tokens_output = run.tokens_input, run.tokens_output
        event.cost_usd = run.cost_usd
    elif type(event) is PromptCallEvent:
        run.tokens_input += event.tokens_input or 0
        run.tokens_output += event.tokens_output or 0
        if event.cost_usd is not None:
            run.cost_usd = (run.cost_usd or 0.0) + event.cost_usd
