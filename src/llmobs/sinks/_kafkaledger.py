"""What the Kafka sink remembers from one attempt, and from one producer, to the next; and overhears."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from llmobs.errors import SinkTooLargeError
from llmobs.events import Event
from llmobs.recorded.printable import brief
from llmobs.runtime.log import own_logger

__all__ = ["Ledger", "Overheard", "Sent", "listen"]

REFUSAL_SECONDS: Final = 30.0
"""For how long a topic that was missing or forbidden is not asked about again."""
LEAST_BATCH: Final = 1024


@dataclass(eq=False, slots=True)
class Sent:
    """One Kafka batch in aiokafka's hands, or the error on an event that never got there."""

    topic: str
    count: int
    """How many events it holds."""
    answer: "asyncio.Future[Any]"

    @property
    def is_final(self) -> bool:
        """Whether a retry need not send it again: it is there, or will never fit."""
        if not self.answer.done() or self.answer.cancelled():
            return False
        error = self.answer.exception()
        return error is None or isinstance(error, SinkTooLargeError)


@dataclass(slots=True)
class Ledger:
    """
    Events under way, and what was learned about topics.

    Events are known by identity: a second event with the same id is another record, while the
    same object again is the pipeline's retry.
    """

    _batch: dict[int, Event] = field(default_factory=dict)
    """The pipeline's batch; what it retries or splits off is always a part of it."""
    _sent: dict[int, Sent] = field(default_factory=dict)
    _limits: dict[str, int] = field(default_factory=dict)
    _refusals: dict[str, tuple[float, str]] = field(default_factory=dict)

    def fresh(self, events: Sequence[Event]) -> list[Event]:
        """Return which of *events* must be handed over, in order."""
        if not all(id(event) in self._batch for event in events):
            self._batch = {id(event): event for event in events}
            self._sent.clear()  # the pipeline has given up what it had before
        return [event for event in events if id(event) not in self._sent]

    def add(self, events: Iterable[Event], sent: Sent) -> None:
        """Note that *events* are in *sent*."""
        self._sent.update((id(event), sent) for event in events)

    def find(self, event: Event) -> Sent | None:
        """Return what *event* is in."""
        return self._sent.get(id(event))

    def forget(self, event: Event) -> None:
        """Let the next attempt send *event* again."""
        self._sent.pop(id(event), None)

    def acknowledge(self, events: Iterable[Event]) -> None:
        """Forget events that the pipeline knows the fate of."""
        for event in events:
            self._batch.pop(id(event), None)
            self._sent.pop(id(event), None)

    def reject(self, event: Event, topic: str, error: SinkTooLargeError) -> None:
        """Keep *error* until the pipeline has split its batch down to this very event."""
        answer = asyncio.get_running_loop().create_future()
        answer.set_exception(error)
        answer.exception()  # looked at: asyncio need not warn of it
        self.add([event], Sent(topic, 1, answer))

    def waiting(self, events: Iterable[Event]) -> "set[asyncio.Future[Any]]":
        """Return the answers to *events* that have not come."""
        found = {sent.answer for event in events if (sent := self.find(event))}
        return {answer for answer in found if not answer.done()}

    @property
    def is_waiting(self) -> bool:
        """Whether any answer has not come."""
        return any(not sent.answer.done() for sent in self._sent.values())

    def forget_unanswered(self) -> None:
        """Forget what the producer that ended still held: it must be sent again."""
        self._sent = {key: sent for key, sent in self._sent.items() if sent.is_final}

    def limit(self, topic: str, configured: int) -> int:
        """Return how many bytes a batch for *topic* may have."""
        return self._limits.get(topic, configured)

    def lower_limit(self, sent: Sent, configured: int) -> None:
        """Learn that *sent* was too large for its topic."""
        if sent.count:  # once per batch, not once per event of it
            sent.count = 0
            limit = self.limit(sent.topic, configured)
            self._limits[sent.topic] = max(LEAST_BATCH, limit // 2)

    def refuse(self, topic: str, words: str) -> None:
        """Learn that *topic* is missing or forbidden."""
        if self.refusal(topic) is None:
            self._refusals[topic] = (time.monotonic() + REFUSAL_SECONDS, words)

    def refusal(self, topic: str) -> str | None:
        """Return why *topic* was refused just now."""
        until, words = self._refusals.get(topic, (0.0, ""))
        return words if time.monotonic() < until else None


# What aiokafka logs about our connections: heard here instead of on the host's console.
#
# While a cluster is away it logs several lines a second; and why a connection failed (a refused
# password, a wrong certificate) it tells its log and nobody else. Lines from the host's own use of
# aiokafka pass untouched: only those from our thread are ours.

_LOGGERS: Final = (
    "aiokafka",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.consumer",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.consumer.subscription_state",
    "aiokafka.producer.producer",
    "aiokafka.producer.sender",
)
_MAX_CHARS: Final = 300

logger = own_logger("llmobs")


class Overheard:
    """The last trouble that aiokafka logged."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew."""
        self.message: str | None = None
        self.error: BaseException | None = None

    def note(self, record: logging.LogRecord) -> None:
        """Keep what *record* says, if it is a warning or worse."""
        if record.levelno < logging.WARNING:
            return  # among these, whole requests: a login's holds the password
        self.message = brief(record.getMessage(), _MAX_CHARS)
        arguments = record.args if isinstance(record.args, tuple) else ()
        for value in (*arguments, *(record.exc_info or ())):
            if isinstance(value, BaseException):
                self.error = value
        logger.debug("llmobs: kafka: %s", self.message)


class _Ear(logging.Filter):
    """Takes the lines of our threads out of a logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        overheard = _listening.get(threading.get_ident())
        if overheard is None:
            return True
        overheard.note(record)
        return False


_listening: dict[int, Overheard] = {}
_ear = _Ear()


def listen(thread: int, overheard: Overheard | None) -> None:
    """Hand what aiokafka logs in *thread* to *overheard*; None: the thread has ended."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_ear)  # adds it once
    if overheard is None:
        _listening.pop(thread, None)
    else:
        _listening[thread] = overheard
