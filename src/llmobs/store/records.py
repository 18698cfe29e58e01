"""What the reader returns: small typed structs, not rows."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple, Self

import msgspec
from msgspec import Struct

from llmobs.codec import AnyEvent, decode
from llmobs.errors import LLMObsError
from llmobs.events import Event, is_failure
from llmobs.store.rollups import COUNTS, Sums

__all__ = [
    "MAX_CHILDREN",
    "SILENCE",
    "MAX_LABELS",
    "MAX_TOUCHED",
    "Activity",
    "Around",
    "AmbiguousRunError",
    "Change",
    "CostGroup",
    "ErrorGroup",
    "Evaluation",
    "EvaluationGroup",
    "Found",
    "GroupBy",
    "Hit",
    "Position",
    "QueryError",
    "RetentionPolicy",
    "Rewritten",
    "RunDetail",
    "RunFilter",
    "RunNotFoundError",
    "RunSummary",
    "Selected",
    "Selector",
    "Snippet",
    "StoreInfo",
    "StoredEvent",
    "Waiting",
    "Whose",
]

GroupBy = Literal[
    "model",
    "provider",
    "day",
    "hour",
    "route",
    "release",
    "project",
    "service",
    "user",
    "session",
    "tag",
    "prompt",
    "all",
]
"""What costs can be added up by; by ``prompt`` only calls that name the template of theirs."""


MAX_CHILDREN: Final = 20
"""Runs started by a run that are named with it."""

SILENCE: Final = timedelta(minutes=15)
"""
Without a word of a run whose end has not come, after which it counts as cut off: its process was killed.

SDKs wait ten minutes for a model before they give up, and what they then say is a word of it.
"""
MAX_TOUCHED: Final = 5
"""Models and routes that are named with a group of errors."""


MAX_LABELS: Final = 5
"""Labels of evaluations of one name that are named."""


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


class QueryError(LLMObsError, ValueError):
    """What is asked for cannot be looked for."""


class RunFilter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which runs: all conditions given must hold."""

    run_id: str | None = None
    """Exactly this one."""
    client_run_id: str | None = None
    """Only runs that an untrusted caller gave exactly this id."""
    parent_run_id: str | None = None
    """Only runs that this one started."""
    trace_id: str | None = None
    """Only runs that are part of this W3C trace."""
    project_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    tag: str | None = None
    """Only runs that carry exactly this tag."""
    status: str | None = None
    """How the run itself ended; see `llmobs.Status`."""
    failed: bool = False
    """Only runs that failed, or in which anything did."""
    running: bool = False
    """Only runs that have begun and not ended, as far as is known."""
    cut_off: bool = False
    """Only runs whose end has not come, and of which nothing has come for `SILENCE`."""
    model: str | None = None
    """Only runs that asked this model; ``*`` stands for any characters."""
    calls: Literal["any", "failed", "streamed"] | None = None
    """
    Only runs with calls of models: any; that failed; whose first token was timed. Of ``model`` and
    ``prompt``, if these are given.
    """
    prompt: str | None = None
    """Only runs that asked with exactly this template of a prompt."""
    name: str | None = None
    """Only runs whose name (for requests: method and route) contains this, whatever the case."""
    route: str | None = None
    """Only runs of exactly this name."""
    release: str | None = None
    """Only runs of this version of the application."""
    service_name: str | None = None
    """Only runs that this service recorded."""
    error: str | None = None
    """
    Only runs in which something failed for this cause (see `ErrorGroup.fingerprint`); ``since`` and
    ``until`` then say when that was.
    """
    min_cost_usd: float | None = None
    """Only runs whose calls cost at least so much, as far as it is known."""
    min_latency_ms: float | None = None
    """Only runs that took at least so long: those whose own event has come."""
    min_tokens: int | None = None
    """Only runs that used at least so many tokens, input and output together."""
    evaluation: str | None = None
    """Only runs with an evaluation of exactly this name; what follows must hold for one such."""
    evaluation_label: str | None = None
    """Only runs with an evaluation that says exactly this word."""
    min_score: float | None = None
    """Only runs with an evaluation of at least this score."""
    max_score: float | None = None
    """Only runs with an evaluation of at most this score."""
    since: datetime | None = None
    """Only runs that began at this time or later; naive times are local."""
    ended_before: datetime | None = None
    """Only runs that ended before this time; naive times are local."""
    until: datetime | None = None
    """Only runs that began before this time; naive times are local."""


class Selector(Struct, frozen=True):
    """Whom or what to erase."""

    kind: Literal["user", "session", "run"]
    value: str
    """Their id, exactly as it is stored."""

    def fits(self, event: Event) -> bool:
        """Whether *event* is theirs by what it says itself."""
        return bool(getattr(event, f"{self.kind}_id") == self.value)

    def fits_another(self, event: Event) -> bool:
        """Whether *event* says that it is somebody else's."""
        return getattr(event, f"{self.kind}_id") not in (None, self.value)


class Selected(Struct, frozen=True):
    """The runs that a `Selector` means."""

    whole: tuple[str, ...]
    """Runs that are all theirs, and runs that these started for nobody else."""
    shared: tuple[str, ...]
    """Runs in which others have a part."""


Change = Callable[[Event], Event | None]
"""Returns an event as it is to be, or None to remove it; it may change the one it is given."""


class Rewritten(NamedTuple):
    """What became of the events of a run."""

    changed: int = 0
    removed: int = 0
    unreadable: int = 0
    """Nobody can read them: they are as they were."""


class Activity(Struct, frozen=True, gc=False):
    """Runs that began within one stretch of time."""

    began: datetime
    """UTC; when the stretch begins."""
    runs: int
    """That began in it."""
    failed: int
    """Of these, runs that failed or in which anything did."""


class Whose(Struct, frozen=True, kw_only=True):
    """The runs of one user, or of one session."""

    id: str
    """What the application calls the user, or the session."""
    first: datetime
    """UTC; when the first of its runs began."""
    latest: datetime
    """UTC; when the latest did."""
    runs: int
    """How many."""
    failed: int
    """Of these, runs that failed or in which anything did."""
    calls: int
    """Of models."""
    tokens: int
    """Input and output together, as far as they are known."""
    cost_usd: float | None
    """Sum of the known costs; None if none is known."""
    unpriced: int
    """Runs that used tokens, and of which no cost is known."""


class ErrorGroup(Struct, frozen=True, kw_only=True):
    """What failed for one cause: of one type, with one wording, at one place."""

    fingerprint: str | None
    """What they share; None for what an older llmobs wrote, until it is adopted."""
    events: int
    """How often: events that failed so."""
    runs: int
    """In how many runs."""
    first: datetime
    """UTC; when the first one began."""
    latest: datetime
    """UTC; when the latest did."""
    event_id: str
    """Of the latest one."""
    run_id: str
    """Of the latest one."""
    event_type: str
    """What kind of event failed; of the latest one."""
    subject: str | None
    """The model, tool, step or check, or the name of the run; of the latest one."""
    type: str | None
    """Of the error; None where only a status says that it failed."""
    message: str | None
    """Of the latest one, shortened."""
    place: str | None
    """Where it was raised, as the stack says: file and function."""
    models: tuple[str, ...]
    """That were called so in vain, the most often first; `MAX_TOUCHED` at most."""
    routes: tuple[str, ...]
    """Names of the runs it happened in, the most often first; `MAX_TOUCHED` at most."""


class RetentionPolicy(Struct, frozen=True, kw_only=True):
    """What a store keeps of runs; hourly sums are always kept."""

    since: datetime | None = None
    """Runs that ended at this time or later; naive times are local. None: all."""
    bytes: int | None = None
    """Only as many of the latest runs as fit into a file of this size. None: all."""


class RunSummary(Struct, frozen=True, kw_only=True):
    """One run and what it adds up to."""

    run_id: str
    """Its id."""
    started: datetime
    """UTC; when it began."""
    ended: datetime
    """UTC; of the last thing known of it."""
    name: str | None
    """``POST /chat/{id}`` of a request, the caller's name of a job; None if none is known."""
    kind: str | None
    """``http``, ``websocket`` or ``job``; None until the run itself was recorded."""
    status: str | None
    """None until the run itself was recorded."""
    http_status: int | None
    """Of the answer to a request; of a WebSocket, 101 or that of its refusal."""
    latency_ms: float | None
    """Until the last byte of the answer went out; None until the run itself was recorded."""
    project_id: str | None
    """Project it belongs to."""
    service_name: str | None
    """Service that recorded it."""
    environment: str | None
    """production, staging, development, or the application's own word."""
    user_id: str | None
    """On whose behalf."""
    session_id: str | None
    """Conversation it belongs to."""
    client_run_id: str | None
    """The id that an untrusted caller gave the run; others may have given the same."""
    parent_run_id: str | None
    """The run that started it."""
    trace_id: str | None
    """W3C trace it is part of."""
    release: str | None
    """Version of the application."""
    tags: tuple[str, ...]
    """Words to find it by."""
    weight: float
    """How many like it it stands for, where sampling left others out."""
    running: bool
    """Whether it has begun, its own event, which ends it, has not come yet, and it was heard of lately."""
    cut_off: bool
    """Whether its own event has not come, and nothing has come of it for `SILENCE`: its process was killed."""
    events: int
    """The run's own event is not counted."""
    calls: int
    """Calls of a model."""
    errors: int
    """Events that failed."""
    tokens_input: int
    """Of its calls, as far as they are known."""
    tokens_output: int
    """Of its calls, as far as they are known."""
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
    def outcome(self) -> str | None:
        """How it ended, or that it has not; None if nobody will say."""
        return self.status or ("running" if self.running else "cut off" if self.cut_off else None)

    @property
    def failed(self) -> bool:
        """Whether the run itself failed."""
        return is_failure(self.status) or (self.http_status or 0) >= 500


class Position(Struct, frozen=True, gc=False):
    """Where an event stands in the order of what was stored."""

    id: int
    """Later ones have higher numbers; those of events that are gone may be given again."""
    event_id: str


class StoredEvent(Struct, frozen=True, gc=False):
    """One event as it lies in the store."""

    id: int
    """Its position: later ones have higher numbers."""
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


class Around(Struct, frozen=True, kw_only=True, gc=False):
    """An event that others happened inside, in short."""

    event_id: str
    """Its id."""
    parent_id: str | None
    """Of the one it happened inside itself."""
    run_id: str
    """The run it belongs to."""
    event_type: str
    """What kind of event it is."""
    name: str | None
    """What it is about: the model, tool or step."""
    timestamp: datetime
    """UTC; when it began."""
    latency_ms: float | None
    """How long it took; None where that is not known."""
    failed: bool
    """Whether it did."""


class Snippet(Struct, frozen=True, gc=False):
    """A stretch of a text that was found."""

    text: str
    """What stands there."""
    hit: bool
    """Whether this is what was asked for, and not what stands around it."""


class Hit(Struct, frozen=True, kw_only=True):
    """An event in whose texts something was found."""

    run: RunSummary
    """The run it belongs to."""
    event_id: str
    """Its id."""
    event_type: str
    """What kind of event it is."""
    timestamp: datetime
    """UTC; when it began."""
    snippet: tuple[Snippet, ...]
    """What stands there, in stretches; of several texts the last one with most of what was asked for."""


class Waiting(Struct, frozen=True):
    """How far the index of texts is."""

    events: int
    """It has not looked at yet, about."""
    of: int
    """Events that there are, about."""

    @property
    def share(self) -> float:
        """Of the events, those it has looked at: 1.0 if it is up to date."""
        return 1.0 if not self.events else min(round(1 - self.events / self.of, 2), 0.99)


class Found(Struct, frozen=True, kw_only=True):
    """A page of what was found."""

    hits: tuple[Hit, ...]
    """The latest first."""
    older: tuple[datetime, str] | None
    """Where the next page begins: what to pass as ``before``. None: there is no more."""
    searched_to: datetime | None
    """UTC; if it took long, up to where it came: go on with `older`. None: as far as there is anything."""
    waiting: Waiting
    """What is not indexed yet, and so not found."""


class Evaluation(Struct, frozen=True, kw_only=True):
    """What a check, a person or a model said of a run, or of something in it."""

    run_id: str
    """The run it is of."""
    event_id: str
    """Of the event that says so."""
    subject: str | None
    """Id of the event it is about; None for the run."""
    name: str | None
    """Of the check, or of the method that found it."""
    score: float | None
    """How good, on the scale of whoever says so."""
    label: str | None
    """In a word; of a failed check ``failed``, of something made up ``hallucination``."""
    explanation: str | None
    """Why; of a failed check, how severe."""
    source: str | None
    """Who says so: ``user``, ``code``, ``model``."""


class EvaluationGroup(Struct, frozen=True, kw_only=True):
    """Evaluations of one name, added up."""

    name: str | None
    """Of the check, or of the method that found it."""
    evaluations: int
    """How many."""
    scored: int
    """Of these, those with a score."""
    score: float | None
    """Their mean."""
    lowest: float | None
    """Of the scores."""
    highest: float | None
    """Of the scores."""
    labels: Sequence[tuple[str, int]]
    """Words that were said, and how often; the most frequent first, `MAX_LABELS` at most."""


class RunDetail(Struct, frozen=True):
    """One run with its events."""

    summary: RunSummary
    events: list[AnyEvent]
    """By time, the run's own event included."""
    total: int
    """Events in the store, the run's own included; more than `events` if a limit was set."""
    next: str | None = None
    """Id of the last event here, to go on after; None if there are no more."""
    unreadable: int = 0
    """Events left out because their JSON cannot be read."""
    children: Sequence[RunSummary] = ()
    """Runs that this one started, the latest first; `MAX_CHILDREN` at most."""
    evaluations: Sequence[Evaluation] = ()
    """What checks and ratings said of it, in the order they came."""


class CostGroup(Struct, frozen=True):
    """Calls of a model, added up."""

    key: str | None
    """The model, provider, day (``2026-11-21``), run name, …; None where it is not known."""
    calls: int
    """How many."""
    failed: int
    """Of these, those that failed."""
    tokens_input: int
    """As far as they are known."""
    tokens_output: int
    """As far as they are known."""
    tokens_cached: int
    """Part of ``tokens_input``."""
    tokens_cache_write: int
    """Part of ``tokens_input``."""
    tokens_reasoning: int
    """Part of ``tokens_output``."""
    cost_usd: float | None
    """Sum of the known costs; None if none is known."""
    unpriced: int
    """Answered calls whose cost is not known."""
    uncounted: int
    """Answered calls whose tokens are not known, or not both."""
    latency_ms: float | None
    """Mean of the calls that did not fail, milliseconds."""
    latency_p50_ms: float | None
    """Half of them took no longer; as all percentiles right to 2 percent."""
    latency_p95_ms: float | None
    """95 in 100 took no longer."""
    latency_p99_ms: float | None
    """99 in 100 took no longer."""
    time_to_first_token_p50_ms: float | None
    """Of those that were streamed."""
    time_to_first_token_p95_ms: float | None
    """Of those that were streamed."""
    estimated_calls: float
    """How many calls there were if each stands for as many as its weight says."""
    estimated_cost_usd: float | None
    """What these cost."""

    @classmethod
    def of(cls, key: str | None, sums: Sums) -> Self:
        """Describe *sums*."""
        counts = dict(zip(COUNTS, sums.counts, strict=True))
        timed, priced = counts["timed"], counts["priced"]
        mean = counts["latency_micro"] / timed / 1000 if timed else None
        p50, p95, p99 = [mean] * 3 if timed == 1 else sums.latencies.percentiles(0.5, 0.95, 0.99)
        first_p50, first_p95 = sums.first_tokens.percentiles(0.5, 0.95)
        return cls(
            key=key,
            calls=counts["calls"],
            failed=counts["failed"],
            tokens_input=counts["tokens_input"],
            tokens_output=counts["tokens_output"],
            tokens_cached=counts["tokens_cached"],
            tokens_cache_write=counts["tokens_cache_write"],
            tokens_reasoning=counts["tokens_reasoning"],
            cost_usd=counts["cost_nano"] / 1e9 if priced else None,
            unpriced=counts["unpriced"],
            uncounted=counts["uncounted"],
            latency_ms=mean,
            latency_p50_ms=p50,
            latency_p95_ms=p95,
            latency_p99_ms=p99,
            time_to_first_token_p50_ms=first_p50,
            time_to_first_token_p95_ms=first_p95,
            estimated_calls=counts["weight_micro"] / 1e6,
            estimated_cost_usd=counts["weighted_cost_nano"] / 1e9 if priced else None,
        )


class StoreInfo(Struct, frozen=True):
    """What a store is and holds."""

    path: str
    version: int
    """Of its schema."""
    bytes: int
    """Of the file, without its write-ahead log."""
    free_bytes: int
    """Of these, not in use."""
    page_bytes: int
    runs: int
    events: int
    pieces: int
    """Parts of messages that are stored once."""
    oldest: datetime | None
    """When the oldest run began, UTC."""
    latest: datetime | None
    hours: int
    """Hours for which there are sums of calls."""
    sums_from: datetime | None
    """The first of these; they outlive the runs."""
    to_adopt: int
    """Rows that an older llmobs wrote and that are still in its form, at most."""


def to_microseconds(moment: datetime) -> int:
    """Return the store's form of *moment*: microseconds since 1970; naive times are local."""
    delta = (moment if moment.tzinfo is not None else moment.astimezone(UTC)) - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
