"""
Make events fit to leave: complete, well-formed, redacted and priced, in that order, once each.

Runs before anything can reach a disk or a wire, off the request path, and in slices that also end
inside an event, so that the host never waits long: its event loop a quarter of a millisecond, its
threads one. No thread is asked for help: it would hold the interpreter just the same.
"""

import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

import anyio
import msgspec

from llmobs.codec import AnyEvent, fields_of, weigh
from llmobs.context import Run
from llmobs.events import ClientInfo, ErrorInfo, Event, PromptCallEvent, RunEvent
from llmobs.guard import foreign_code
from llmobs.pipeline.buffer import Entry
from llmobs.pipeline.mend import mend
from llmobs.pipeline.redaction import Redactor
from llmobs.pipeline.sanitise import sanitise
from llmobs.pipeline.slices import Slices, Steps, finish

__all__ = ["Identity", "Preparer", "Pricer", "strip_content"]

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


class Preparer:
    """
    Args:
        identity: Fills what events leave open.
        redactor: Applied to every text; None leaves texts alone.
        pricer: Prices prompt calls; None leaves costs alone.
        keep_content: False removes all texts (``capture_content="metadata"``).
    """

    def __init__(
        self,
        identity: Identity,
        *,
        redactor: Redactor | None,
        pricer: Pricer | None,
        keep_content: bool = True,
    ) -> None:
        self._identity = identity
        self._redactor = redactor
        self._pricer = pricer
        self._keep_content = keep_content
        # Several sinks share an event: the first pipeline to reach it prepares it for all.
        self._lock: anyio.Lock | None = None

    def reset(self) -> None:
        """Forget the event loop this ran in, and whoever held the lock there."""
        self._lock = None

    async def warm_up(self) -> None:
        """Do now what would be slow with the first event: load the price table."""
        if self._pricer is not None:
            with foreign_code("load the price table"):
                await self._pricer.load()

    def warm_up_now(self) -> None:
        """The same, holding up the caller."""
        if self._pricer is not None:
            with foreign_code("load the price table"):
                self._pricer.load_now()

    async def prepare(self, entries: Sequence[Entry]) -> None:
        """Prepare the events of *entries* in place; those prepared before are left alone."""
        if self._lock is None:
            self._lock = anyio.Lock()
        async with self._lock:
            if self._pricer is not None and any(self._pricer.wants(e.event) for e in entries):
                await self.warm_up()
            slices = Slices()
            for entry in entries:
                steps = self._steps(entry.first or entry)
                try:
                    for _ in steps:
                        if time.perf_counter() > slices.end:
                            await slices.rest()
                finally:
                    finish(steps)  # what was begun is not begun again
                if (entry.first or entry).completed:  # this one is in flight, in no queue's sum
                    entry.size = OVERHEAD_BYTES + weigh(entry.event)
                if time.perf_counter() > slices.end:
                    await slices.rest()

    def prepare_now(self, entry: Entry) -> None:
        """Prepare one event in place, without a pause. Never raises."""
        finish(self._steps(entry.first or entry))

    def _steps(self, entry: Entry) -> Steps[None]:
        if entry.prepared:
            return
        event = entry.event
        complete, entry.complete = entry.complete, None
        if complete is not None:
            entry.completed = True
            completed = False
            with foreign_code("complete an event"):
                yield from complete(event) or ()
                completed = True
            if not completed:
                event.warnings = (*event.warnings, "what was captured could not be read; left out")
        finished = False
        with foreign_code("prepare an event"):
            sanitise(event)
            if not self._keep_content:
                strip_content(event)
            elif self._redactor is not None:
                yield from self._redact(event, self._redactor)
            if self._pricer is not None and type(event) is PromptCallEvent:
                self._pricer.price(event)
            if entry.run is not None:
                _add_up(event, entry.run)
            finished = True
        if not finished:
            # Fail closed: what could not be redacted does not leave, the rest does.
            strip_content(event)
            mend(event)
            event.warnings = (*event.warnings, "the content could not be prepared; left out")
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
        entry.prepared = True

    def _redact(self, event: Event, redactor: Redactor) -> Steps[None]:
        for name in _REDACTED[type(event)]:
            value = getattr(event, name)
            if value is not None:
                clean = yield from redactor.steps(value)
                if clean is not value:
                    setattr(event, name, tuple(clean) if isinstance(value, tuple) else clean)
        error = getattr(event, "error", None)
        if type(error) is ErrorInfo:
            error.message = yield from redactor.steps(error.message)
            error.stack = yield from redactor.steps(error.stack)
            error.context = yield from redactor.steps(error.context)


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
