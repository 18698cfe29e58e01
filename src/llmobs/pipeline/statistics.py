"""
Where every event went: the counters and their names.

The invariant, at any moment: ``accepted = delivered + sum(dropped) + spooled + pending``.
"""

from enum import StrEnum
from typing import Self

from msgspec import Struct, field

__all__ = ["DropReason", "FlushReport", "SinkState", "Statistics"]


class DropReason(StrEnum):
    """Why an event was not delivered."""

    SAMPLED = "sampled"
    """Its run is not in the sample."""
    QUEUE_FULL = "queue_full"
    """The queue was full and the overflow rule chose it."""
    TOO_LARGE = "too_large"
    """Larger than the queue takes, or than the sink takes even when shortened."""
    REJECTED = "rejected"
    """The sink refused it for good."""
    UNAUTHORIZED = "unauthorized"
    """The sink refused our key until we had to stop."""
    UNAVAILABLE = "unavailable"
    """The sink was away until we had to stop."""
    SHUTDOWN = "shutdown"
    """Not sent before the shutdown deadline."""
    CLOSED = "closed"
    """Recorded after the client was closed."""
    SPOOL_FULL = "spool_full"
    """Evicted from the full spool, or not written to it."""
    ERASED = "erased"
    """Erased with its run or its person while it waited on disk; see ``llmobs forget``."""
    SPOOLED = "spooled"
    """Not a loss: what ``send()`` says when its event went to the spool. Never counted."""
    STAGE = "stage"
    """A stage of yours dropped it; those that give a reason of their own are counted under that."""
    DUPLICATE = "duplicate"
    """Another door recorded the same call, and knows more of it."""
    INTERNAL = "internal"
    """A bug of ours or of a third-party sink; the log names it."""


class SinkState(StrEnum):
    """What a sink is doing."""

    IDLE = "idle"
    """Nothing waits."""
    DELIVERING = "delivering"
    """A batch is on its way."""
    RETRYING = "retrying"
    """The last attempt failed; the next one waits for its time."""
    UNAUTHORIZED = "unauthorized"
    """It refuses our key; tried again once a minute."""
    CLOSED = "closed"
    """The client is closed."""


class Statistics(Struct, frozen=True, kw_only=True):
    """Counters of one sink's pipeline since the client was made, or the sum over all sinks."""

    accepted: int = 0
    """Events offered, whatever became of them."""
    delivered: int = 0
    """Events the sink confirmed."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Events given up, by :class:`DropReason`, or by the reason that a stage of yours gave."""
    spooled: int = 0
    """Events on disk, waiting to be replayed."""
    pending: int = 0
    """Events in memory: queued, or being sent."""
    queue_events: int = 0
    """Of these, how many are queued."""
    queue_bytes: int = 0
    """Estimated memory of the queued ones."""
    replayed: int = 0
    """Events delivered from the spool, those of earlier and other processes included."""
    stage_failures: int = 0
    """Events that went on without what one of your ``stages`` would have done, as it failed or took too long."""
    redaction_failures: int = 0
    """
    Values in whose place ``[REDACTION_FAILED]`` stands, as a rule, function or redactor of yours raised
    or took too long.
    """
    retries: int = 0
    """Delivery attempts beyond the first."""
    state: SinkState = SinkState.IDLE
    """What the sink is doing; of several, the state furthest from idle."""
    last_error: str | None = None
    """What the sink said last, if it refused anything."""
    sinks: dict[str, "Statistics"] = field(default_factory=dict)
    """With several sinks: each one's own counters, by name."""

    @property
    def total_dropped(self) -> int:
        """Events given up for any reason."""
        return sum(self.dropped.values())


class FlushReport(Struct, frozen=True, kw_only=True):
    """What became of events between the call of ``flush()`` and its return."""

    delivered: int = 0
    """Events the sinks confirmed."""
    spooled: int = 0
    """Events that went to disk, less those that came back from it."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Events given up, by :class:`DropReason`."""
    pending: int = 0
    """Events still waiting: 0 unless the deadline passed or others kept recording."""

    @classmethod
    def between(cls, before: Statistics, after: Statistics) -> Self:
        """Return what changed from one reading of the counters to the next."""
        return cls(
            delivered=after.delivered - before.delivered,
            spooled=after.spooled - before.spooled,
            dropped={
                reason: count - before.dropped.get(reason, 0)
                for reason, count in after.dropped.items()
                if count > before.dropped.get(reason, 0)
            },
            pending=after.pending,
        )

    @property
    def complete(self) -> bool:
        """Whether nothing was left waiting and nothing was dropped."""
        return self.pending == 0 and not self.dropped


def combine(parts: dict[str, Statistics]) -> Statistics:
    """Sum the statistics of several sinks; one alone is returned as it is."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    dropped: dict[str, int] = {}
    for part in parts.values():
        for reason, count in part.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count

    def total(name: str) -> int:
        return sum(getattr(part, name) for part in parts.values())

    errors = [part.last_error for part in parts.values() if part.last_error]
    states = sorted(parts.values(), key=lambda part: list(SinkState).index(part.state))
    return Statistics(
        accepted=total("accepted"),
        delivered=total("delivered"),
        dropped=dropped,
        spooled=total("spooled"),
        pending=total("pending"),
        queue_events=total("queue_events"),
        queue_bytes=total("queue_bytes"),
        replayed=total("replayed"),
        stage_failures=max(part.stage_failures for part in parts.values()) if parts else 0,
        redaction_failures=max((part.redaction_failures for part in parts.values()), default=0),
        retries=total("retries"),
        state=states[-1].state if states else SinkState.IDLE,
        last_error=errors[-1] if errors else None,
        sinks=parts,
    )
