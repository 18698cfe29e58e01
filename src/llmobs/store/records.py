"""What the reader returns: small typed structs, not rows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec
from msgspec import Struct

from llmobs.codec import AnyEvent, decode
from llmobs.errors import LLMObsError
from llmobs.events import is_failure

__all__ = [
    "AmbiguousRunError",
    "CostGroup",
    "GroupBy",
    "RunDetail",
    "RunFilter",
    "RunNotFoundError",
    "RunSummary",
    "StoredEvent",
]

GroupBy = Literal["model", "provider", "day", "route"]
"""What costs can be added up by."""


class RunNotFoundError(LLMObsError, LookupError):
    """No run has this id."""


class AmbiguousRunError(LLMObsError, LookupError):
    """
    Several runs have an id that begins or ends like this.

    Args:
        message: What was asked, and what to do.
        candidates: Some of the ids that fit.
    """

    def __init__(self, message: str, candidates: Sequence[str]) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)


class RunFilter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which runs: all conditions given must hold."""

    run_id: str | None = None
    """Exactly this one."""
    client_run_id: str | None = None
    """Only runs that an untrusted caller gave exactly this id."""
    user_id: str | None = None
    status: str | None = None
    """How the run itself ended; see `llmobs.Status`."""
    failed: bool = False
    """Only runs that failed, or in which anything did."""
    model: str | None = None
    """Only runs that asked this model; ``*`` stands for any characters."""
    name: str | None = None
    """Only runs whose name (for requests: method and route) contains this, whatever the case."""
    since: datetime | None = None
    """Only runs that began at this time or later; naive times are local."""


class RunSummary(Struct, frozen=True, kw_only=True):
    """One run and what it adds up to."""

    run_id: str
    started: datetime
    """UTC."""
    ended: datetime
    """UTC; of the last thing known of it."""
    name: str | None
    kind: str | None
    """``http``, ``websocket`` or ``job``; None until the run itself was recorded."""
    status: str | None
    """None until the run itself was recorded."""
    http_status: int | None
    latency_ms: float | None
    project_id: str | None
    service_name: str | None
    environment: str | None
    user_id: str | None
    session_id: str | None
    client_run_id: str | None
    """The id that an untrusted caller gave the run; others may have given the same."""
    events: int
    """The run's own event is not counted."""
    calls: int
    """Calls of a model."""
    errors: int
    """Events that failed."""
    tokens_input: int
    tokens_output: int
    cost_usd: float | None
    """Sum of the known costs; None if none is known."""
    unpriced: int
    """Answered calls whose cost is not known."""
    uncounted: int
    """Answered calls whose tokens are not known, or not both."""

    @property
    def duration_ms(self) -> float:
        """How long it took, in milliseconds: as recorded, or from the first to the last event."""
        if self.latency_ms is not None:
            return self.latency_ms
        return (self.ended - self.started).total_seconds() * 1000

    @property
    def failed(self) -> bool:
        """Whether the run itself failed."""
        return is_failure(self.status) or (self.http_status or 0) >= 500


class StoredEvent(Struct, frozen=True, gc=False):
    """One event as it lies in the store."""

    id: int
    """Its place: later ones have higher numbers."""
    run_id: str
    event_type: str
    body: str
    """Native JSON, one line."""

    def decode(self) -> AnyEvent | None:
        """Return the event; None if the JSON is not one this llmobs can read."""
        try:
            return decode(self.body)
        except (msgspec.MsgspecError, RecursionError):  # nested without end
            return None


class RunDetail(Struct, frozen=True):
    """One run with its events."""

    summary: RunSummary
    events: list[AnyEvent]
    """By time, the run's own event included."""
    total: int
    """Events in the store, the run's own included; more than `events` if a limit was set."""
    unreadable: int = 0
    """Events left out because their JSON cannot be read."""


class CostGroup(Struct, frozen=True):
    """Calls of a model, added up."""

    key: str | None
    """The model, provider, day (``2026-11-21``) or run name; None where it is not known."""
    calls: int
    failed: int
    tokens_input: int
    tokens_output: int
    tokens_cached: int
    """Part of ``tokens_input``."""
    cost_usd: float | None
    """Sum of the known costs; None if none is known."""
    unpriced: int
    """Answered calls whose cost is not known."""
    uncounted: int
    """Answered calls whose tokens are not known, or not both."""
    latency_ms: float | None
    """Mean of the calls that did not fail, milliseconds."""


def to_microseconds(moment: datetime) -> int:
    """Return the store's form of *moment*: microseconds since 1970; naive times are local."""
    delta = (moment if moment.tzinfo is not None else moment.astimezone(UTC)) - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
