"""
The consumer's side of Kafka: all that runs in its private event loop.

One batch is in hand at a time. While it is, partitions soon pause, and the group still hears from
us; nothing is committed before it is settled. When partitions are taken from us, they wait a moment
for that.
"""

import asyncio
import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.abc import ConsumerRebalanceListener  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)

from llmobs.errors import LLMObsError, SinkUnauthorizedError, SinkUnavailableError
from llmobs.server.kafka.batches import STANDS_IN, bound_fetches, why_unopened
from llmobs.server.kafka.source import KafkaSource
from llmobs.sinks._kafkaledger import Overheard
from llmobs.sinks._kafkawriter import explain

__all__ = ["Dead", "Errors", "KafkaReader", "Fetched"]

MAX_RECORDS: Final = 1_000
"""Read at once."""
POLL_SECONDS: Final = 0.5
"""How long to wait for records before looking around."""
PATIENCE_SECONDS: Final = 1.0
"""How long a batch may be in hand before partitions pause."""
ANSWER_SECONDS: Final = 10.0
"""How long a commit, or the writing of dead letters, may take."""
STOP_SECONDS: Final = 3.0
"""How long to take leave of the group, and of the brokers."""
TRANSIENT_SECONDS: Final = 3.0
"""What is over sooner is no trouble: a leader that changes, a group that begins."""
SILENCE_SECONDS: Final = 120.0
"""After this long with nothing but trouble, begin anew: aiokafka asks only the addresses it knows."""
MAX_DEAD_BYTES: Final = 64 * 1024 * 1024
"""Of a dead letter; brokers take less."""


Dead = tuple[Any, str]
"""A record that goes to the dead-letter topic, and why."""


class Fetched(msgspec.Struct):
    """What came at once."""

    records: list[Any] = []
    dead: list[Dead] = []
    """What stands for batches that were not opened, and why."""
    offsets: dict[Any, int] = {}
    """By partition, what comes next."""

    @classmethod
    def of(cls, found: Mapping[Any, Sequence[Any]]) -> "Fetched":
        """Sort the records that *found* holds by partition."""
        fetched = cls()
        for partition, records in found.items():
            fetched.offsets[partition] = records[-1].offset + 1
            for record in records:
                if (unopened := why_unopened(record)) is not None:
                    fetched.dead.append((record, unopened))
                else:
                    fetched.records.append(record)
        return fetched


class Errors(Overheard):
    """The last error that aiokafka logged: its warnings tell of every rebalance."""

    def note(self, record: logging.LogRecord) -> None:
        """Keep what *record* says, if it is an error."""
        if record.levelno >= logging.ERROR:
            super().note(record)


class KafkaReader:
    """
    A member of the consumer group.

    Args:
        source: What to read, and as whom.
        heard: What aiokafka logs in this loop.
    """

    def __init__(self, source: KafkaSource, heard: Errors) -> None:
        self._source = source
        self._heard = heard
        self._consumer: Any = None
        self._producer: Any = None
        self._keeper: asyncio.Task[None] | None = None
        self._committed = asyncio.Event()
        self._committed.set()
        self._uncommitted: dict[Any, int] = {}
        self._lost: set[Any] = set()
        """Partitions that went while what is in hand was not settled: it comes again, to whoever has them."""
        self._buried: set[Any] = set()
        """Records in hand that the dead-letter topic has."""
        self._looked_for: set[str] = set()
        self._trouble_since: float | None = None
        self._trouble_last = 0.0
        self._words = ""
        self.trouble: str | None = None
        """What has been wrong for a while, if anything."""
        self.lag: dict[Any, int] = {}
        """By partition of ours, how many records wait there."""

    async def start(self) -> None:
        """
        Connect, and ask to join the group.

        Raises:
            LLMObsError: Not possible now.
        """
        try:
            async with asyncio.timeout(self._source.request_timeout_ms / 1000):
                self._consumer = AIOKafkaConsumer(**self._source.consumer_options())
                # By pattern: a topic may be made later, and many have no second one.
                names = "|".join(map(re.escape, self._source.topics))
                bound_fetches(self._consumer)
                self._consumer.subscribe(pattern=f"(?:{names})$", listener=_Rebalances(self))
                await self._consumer.start()
        except (TimeoutError, KafkaError, OSError) as error:
            await self.stop()
            raise self._meaning(error) from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Leave the group and close the connections; what is in hand is let go."""
        self._committed.set()
        await self._wake()
        consumer, self._consumer = self._consumer, None
        producer, self._producer = self._producer, None
        for closed in (consumer, producer):
            if closed is not None:
                with suppress(TimeoutError, KafkaError, OSError):
                    async with asyncio.timeout(STOP_SECONDS):
                        await closed.stop()

    async def read(self) -> Fetched | None:
        """
        Return what comes next, which is then in hand until `commit`; None if nothing came for a while.

        Raises:
            LLMObsError: The cluster cannot be read from now; begin anew.
        """
        await self._wake()
        try:
            found = await self._poll(POLL_SECONDS)
        except (KafkaError, OSError) as error:
            raise self._meaning(error) from None
        if not found:
            self._look_around()
            return None
        self._trouble_since = self.trouble = None
        fetched = Fetched.of(found)
        self._measure(fetched.offsets)
        self._committed.clear()
        self._lost.clear()
        self._buried.clear()
        self._keeper = asyncio.create_task(self._stay_a_member())
        return fetched

    async def lost(self) -> set[tuple[str, int]]:
        """Return the partitions, by topic and number, that went to others while this was in hand."""
        return {(partition.topic, partition.partition) for partition in self._lost}

    async def bury(self, dead: Sequence[Dead]) -> None:
        """
        Write records to the dead-letter topic, and wait until it has them.

        Args:
            dead: Each with the reason.

        Raises:
            LLMObsError: It has not all of them; those that it has are not written again.
        """
        topic = ""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                under_way = []
                for record, why in dead:
                    place = (record.topic, record.partition, record.offset)
                    if place not in self._buried:
                        topic = self._source.dead_topic_of(record.topic)
                        await self._prepare_to_bury(topic)
                        letter = _letter(record, why)
                        under_way.append((place, topic, letter, await self._submit(topic, letter)))
                for place, topic, letter, answer in under_way:
                    try:
                        await answer
                    except MessageSizeTooLargeError:  # or what went out in one batch with it was
                        await self._bury_alone(topic, letter)
                    self._buried.add(place)
        except (TimeoutError, KafkaError, OSError) as error:
            words = str(explain(error, self._source, topic)) or "no answer in time"
            raise SinkUnavailableError(
                f"nothing is read on until the dead-letter topic {topic!r} can be written: {words}"
            ) from None

    async def commit(self, offsets: Mapping[Any, int]) -> None:
        """
        Tell the broker that what is in hand is where it belongs.

        A commit that fails is no loss: the records come again, as the events that they are already.
        """
        self._uncommitted.update(offsets)
        for partition in self._lost:
            self._uncommitted.pop(partition, None)
        with suppress(TimeoutError, KafkaError, IllegalStateError, OSError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._consumer.commit(dict(self._uncommitted))
            self._uncommitted.clear()
        self._committed.set()

    async def give_up(self, partitions: Iterable[Any]) -> None:
        """Wait a moment for what is in hand to be settled, before *partitions* go to others."""
        with suppress(TimeoutError):
            seconds = self._source.session_timeout_ms / 2000
            await asyncio.wait_for(self._committed.wait(), seconds)
        if not self._committed.is_set():
            self._lost.update(partitions)
        self._uncommitted.clear()  # the next owner may be further already

    def _known_topics(self) -> set[str]:
        topics: set[str] = self._consumer._client.cluster.topics()  # noqa: SLF001 - the public way asks the brokers
        return topics

    def _look_around(self) -> None:
        """See whether nothing came because something is wrong, and has been for a while."""
        now = time.monotonic()
        words, error = self._heard.message, self._heard.error
        self._heard.forget()
        if words is not None:
            self._words = words if error is None else str(self._meaning(error))
            self._trouble_since = self._trouble_since or now
            self._trouble_last = now
        elif now - self._trouble_last > self._source.request_timeout_ms / 1000 + TRANSIENT_SECONDS:
            self._trouble_since = None  # who freezes is only heard of when a request has timed out
        lasts = 0.0 if self._trouble_since is None else self._trouble_last - self._trouble_since
        self.trouble = self._words if lasts > TRANSIENT_SECONDS else None
        if lasts > SILENCE_SECONDS:
            raise SinkUnavailableError(self._words)
        if not self._consumer.assignment() and self._source.topic not in self._known_topics():
            self.trouble = self.trouble or (
                f"the cluster has no topic {self._source.topic!r}, or this user may not read it; "
                "it is read as soon as there is one"
            )

    def _measure(self, offsets: Mapping[Any, int]) -> None:
        mine = self._consumer.assignment()
        for partition, next_ in offsets.items():
            if partition in mine and (end := self._consumer.highwater(partition)) is not None:
                self.lag[partition] = max(0, end - next_)
        self.lag = {p: lag for p, lag in self.lag.items() if p in mine}

    async def _poll(self, seconds: float) -> dict[Any, list[Any]]:
        found: dict[Any, list[Any]] = {}
        # While the group has no assignment for us, aiokafka waits for one however long.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds + PATIENCE_SECONDS):
                found = await self._consumer.getmany(
                    timeout_ms=int(seconds * 1000), max_records=MAX_RECORDS
                )
        return {partition: records for partition, records in found.items() if records}

    async def _stay_a_member(self) -> None:
        """While something is in hand for long: pause, and ask for nothing often enough to stay a member."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._committed.wait(), PATIENCE_SECONDS)
                break
            with suppress(KafkaError, OSError, IllegalStateError):
                self._consumer.pause(*self._consumer.assignment())
                for partition, records in (await self._poll(0.0)).items():
                    self._consumer.seek(partition, records[0].offset)  # assigned just now

    async def _wake(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper
            if self._consumer is not None:
                self._consumer.resume(*self._consumer.paused())

    async def _bury_alone(self, topic: str, letter: Mapping[str, Any]) -> None:
        try:
            await (await self._submit(topic, letter))
        except MessageSizeTooLargeError:
            await (await self._submit(topic, _without_value(letter)))

    async def _submit(self, topic: str, letter: Mapping[str, Any]) -> "asyncio.Future[Any]":
        try:
            answer: asyncio.Future[Any] = await self._producer.send(topic, **letter)
        except MessageSizeTooLargeError:  # larger than even we try
            answer = await self._producer.send(topic, **_without_value(letter))
        return answer

    async def _prepare_to_bury(self, topic: str) -> None:
        if self._producer is None:
            options = self._source.producer_options()
            options["max_request_size"] = MAX_DEAD_BYTES
            # One that is refused would put the numbers of those after it out of order.
            options["enable_idempotence"] = False
            producer = AIOKafkaProducer(**options)
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        if topic in self._looked_for or topic in self._known_topics():
            return
        # Made, where brokers do not by themselves and we may.
        self._looked_for.add(topic)
        admin = AIOKafkaAdminClient(**self._source.connection_options())
        with suppress(KafkaError, OSError):
            await admin.start()
            try:  # partitions and replicas as the brokers are configured
                await admin.create_topics([NewTopic(topic, -1, -1)])
            finally:
                await admin.close()

    def _meaning(self, error: BaseException) -> LLMObsError:
        heard = self._heard.error
        for said in filter(None, (error, heard)):
            if isinstance(said, GroupAuthorizationFailedError):
                return SinkUnauthorizedError(
                    f"may not read as group {self._source.group!r}; grant READ on that group"
                )
            if isinstance(said, TopicAuthorizationFailedError):
                return SinkUnauthorizedError(
                    f"may not read {' and '.join(self._source.topics)}; "
                    "grant READ and DESCRIBE on these topics"
                )
        # A refused login is only logged; that nobody is there, only raised.
        meaning = explain(heard if heard is not None else error, self._source)
        if isinstance(error, KafkaConnectionError | TimeoutError) and (
            type(meaning) is SinkUnavailableError
        ):
            return SinkUnavailableError(f"no answer from {','.join(self._source.brokers)}")
        return meaning


def _letter(record: Any, why: str) -> dict[str, Any]:
    # A record with neither key nor value is one that aiokafka does not write.
    is_nothing = record.key is None and record.value is None
    return {
        "key": record.key,
        "value": b"" if is_nothing else record.value,
        "timestamp_ms": record.timestamp if record.timestamp > 0 else None,
        "headers": [
            *(header for header in record.headers if header[0] not in STANDS_IN),
            ("llmobs.reason", why.encode()),
            ("llmobs.topic", record.topic.encode()),
            ("llmobs.partition", str(record.partition).encode()),
            ("llmobs.offset", str(record.offset).encode()),
        ],
    }


def _without_value(letter: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can be kept of a letter that is too large: that it was there."""
    size = str(len(letter["value"] or b"")).encode()
    headers = [*letter["headers"], ("llmobs.value_left_out_bytes", size)]
    return {**letter, "value": b"", "headers": headers}


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """Lets what is in hand be settled while its partitions are still ours."""

    def __init__(self, reader: KafkaReader) -> None:
        self._reader = reader

    async def on_partitions_revoked(self, revoked: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - aiokafka awaits it
        await self._reader.give_up(revoked)

    def on_partitions_assigned(self, assigned: Any) -> None:
        pass
