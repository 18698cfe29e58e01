"""
The producer's side of the Kafka sink: all that runs in its private event loop.

Records go out as batches built here, which costs half of a ``send`` per event. A batch handed to
aiokafka stays there until the cluster answers, also when we stop waiting: its events are in the
ledger, and the pipeline's next attempt waits for the same answer instead of writing them twice.
"""

import asyncio
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any, Final

from aiokafka import AIOKafkaProducer, errors  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError  # type: ignore[import-untyped]
from aiokafka.partitioner import DefaultPartitioner  # type: ignore[import-untyped]

from llmobs.codec import encode
from llmobs.errors import (
    ConfigurationError,
    LLMObsError,
    SinkRejectedError,
    SinkTooLargeError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)
from llmobs.events import Event, PromptCallEvent
from llmobs.pipeline.mend import write_or_mend
from llmobs.sinks._kafkaconfig import KafkaConfig
from llmobs.sinks._kafkaledger import Ledger, Overheard, Sent
from llmobs.sinks._sentinel import Message, native, telemetry

__all__ = ["KafkaWriter"]

TOPIC_SECONDS: Final = 3.0
"""How long the cluster may take to make a topic it was asked about (most make none)."""
SILENCE_SECONDS: Final = 120.0
"""After this long without any answer, start anew: all brokers may have moved, and aiokafka asks
only the addresses it knows."""

_partition: Any = DefaultPartitioner()


class KafkaWriter:
    """
    A started producer.

    Args:
        config: Where and how.
        deadline: Seconds that `start` and `write` may take.
        ledger: Shared with the writers before and after this one.
        overheard: What aiokafka logs in this loop.
    """

    def __init__(
        self, config: KafkaConfig, deadline: float, ledger: Ledger, overheard: Overheard
    ) -> None:
        self.broken = False
        """After a failed batch aiokafka's sequence numbers no longer match the broker's."""
        self._config = config
        self._deadline = deadline
        self._ledger = ledger
        self._overheard = overheard
        self._producer: Any = None
        self._answered = time.monotonic()
        self._partitions: dict[tuple[str, int, bytes], int] = {}

    async def start(self) -> None:
        """
        Connect.

        Raises:
            SinkError, ConfigurationError: Not possible now.
        """
        try:
            async with asyncio.timeout(self._deadline):
                self._producer = AIOKafkaProducer(**self._config.producer_options())
                await self._producer.start()
        except BaseException as error:
            await self.stop(0.0)
            if isinstance(error, TimeoutError | KafkaError | OSError):
                raise self._meaning(error) from None
            raise

    async def stop(self, seconds: float) -> None:
        """Close connections within *seconds*; batches still under way are given up."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if self._ledger.is_waiting:
            seconds = 0.0  # closing would wait for them, and they are accounted for already
        for close in (producer.stop, producer.client.close):
            with suppress(TimeoutError, KafkaError, OSError):
                async with asyncio.timeout(seconds):
                    await close()
                return

    async def write(self, events: Sequence[Event]) -> None:
        """
        Deliver *events* and wait until the cluster has them.

        Raises:
            SinkError, ConfigurationError: It has not, or not all; see `llmobs.sinks.kafka`.
        """
        self._overheard.forget()
        try:
            async with asyncio.timeout(self._deadline):
                refused = await self._hand_over(self._ledger.fresh(events))
                if waiting := self._ledger.waiting(events):
                    await asyncio.wait(waiting)
        except (TimeoutError, KafkaError, OSError) as error:
            # A producer that is only slow keeps what it has; one that failed is of no more use.
            silent = time.monotonic() - self._answered
            self.broken = not isinstance(error, TimeoutError) or silent > SILENCE_SECONDS
            raise self._meaning(error) from None
        except Exception:
            self.broken = True
            raise
        self._answered = time.monotonic()
        self._judge(events, refused)

    async def _hand_over(self, events: Sequence[Event]) -> dict[str, str]:
        refused: dict[str, str] = {}
        for topic, of_topic in self._by_topic(events, refused).items():
            messages = self._that_fit(topic, of_topic)
            try:
                partitions = await self._partitions_of(topic)
            except (TopicMissingError, SinkUnauthorizedError) as error:
                if topic == self._config.topic:
                    raise
                self._refuse(topic, [event for event, _ in messages], str(error), refused)
                continue
            by_partition: dict[int, list[tuple[Event, Message]]] = {}
            for event, message in messages:
                number = self._partition_of(topic, message.key, partitions)
                by_partition.setdefault(number, []).append((event, message))
            await self._submit(topic, by_partition)
        return refused

    def _by_topic(
        self, events: Sequence[Event], refused: dict[str, str]
    ) -> dict[str, list[tuple[Event, Message]]]:
        config = self._config
        found: dict[str, list[tuple[Event, Message]]] = {config.topic: []}
        for event in events:
            try:
                if config.wire == "sentinel" and isinstance(event, PromptCallEvent):
                    topic, message = config.topic, write_or_mend(self._telemetry, event)
                else:
                    topic = config.events_topic or config.topic
                    message = write_or_mend(_native, event)
                found.setdefault(topic, []).append((event, message))
            except Exception as error:  # noqa: BLE001 - one odd event must not cost its batch
                refused[event.event_id] = f"cannot be written as JSON: {error!r}"
        return {topic: messages for topic, messages in found.items() if messages}

    def _telemetry(self, event: Any) -> Message:
        return telemetry(event, self._config.annotate)

    def _that_fit(
        self, topic: str, messages: list[tuple[Event, Message]]
    ) -> list[tuple[Event, Message]]:
        most = self._config.max_request_size
        fitting = []
        for event, message in messages:
            if message.size <= most:
                fitting.append((event, message))
            else:
                words = f"{message.size} bytes; at most {most} go out (max_request_size)"
                self._ledger.reject(event, topic, SinkTooLargeError(words, limit=most))
        return fitting

    async def _partitions_of(self, topic: str) -> list[int]:
        if words := self._ledger.refusal(topic):
            raise SinkUnauthorizedError(words)
        client = self._producer.client
        try:
            async with asyncio.timeout(TOPIC_SECONDS):
                return sorted(await self._producer.partitions_for(topic))
        except (TimeoutError, UnknownTopicOrPartitionError):
            if not await client.force_metadata_update():
                raise
        except KafkaError as error:
            raise explain(error, self._config, topic) from None
        if found := client.cluster.partitions_for_topic(topic):
            return sorted(found)
        option = "the topic in the URL" if topic == self._config.topic else "events_topic"
        raise TopicMissingError(topic, option)

    def _partition_of(self, topic: str, key: bytes, partitions: list[int]) -> int:
        # The default partitioner's choice, remembered: it hashes in Python, and keys are few.
        known = (topic, len(partitions), key)
        if known not in self._partitions:
            if len(self._partitions) > 10_000:
                self._partitions.clear()
            self._partitions[known] = _partition(key, partitions, partitions)
        return self._partitions[known]

    async def _submit(
        self, topic: str, by_partition: dict[int, list[tuple[Event, Message]]]
    ) -> None:
        rounds = zip_longest(
            *(
                [(number, *batch) for batch in self._batches(topic, messages)]
                for number, messages in by_partition.items()
            )
        )
        # aiokafka queues one batch per partition: first each one's first, then each one's second.
        for number, builder, events in (batch for turn in rounds for batch in turn if batch):
            future = await self._producer.send_batch(builder, topic, partition=number)
            self._ledger.add(events, Sent(topic, len(events), future))

    def _batches(
        self, topic: str, messages: list[tuple[Event, Message]]
    ) -> Iterator[tuple[Any, list[Event]]]:
        limit = self._ledger.limit(topic, self._config.batch_size)
        builder, events = self._producer.create_batch(), list[Event]()
        for event, (key, value, headers) in messages:
            full = events and builder.size() + len(value) > limit
            if full or not builder.append(timestamp=None, key=key, value=value, headers=headers):
                builder.close()
                yield builder, events
                builder, events = self._producer.create_batch(), []
                builder.append(timestamp=None, key=key, value=value, headers=headers)
            events.append(event)
        if events:
            yield builder, events

    def _judge(self, events: Sequence[Event], refused: dict[str, str]) -> None:
        """Raise what the answers to *events* amount to, the one that asks for a retry first."""
        found: list[LLMObsError] = []
        for event in events:
            sent = self._ledger.find(event)
            error = None if sent is None else sent.answer.exception()
            if sent is None or error is None:
                continue
            meaning = explain(error, self._config, sent.topic)
            if meaning is not error:
                self.broken = True
                self._ledger.forget(event)
                if isinstance(meaning, SinkTooLargeError) and sent.count == 1:
                    self._ledger.reject(event, sent.topic, meaning)
                elif isinstance(meaning, SinkTooLargeError):
                    self._ledger.lower_limit(sent, self._config.batch_size)
            if isinstance(meaning, SinkUnauthorizedError) and sent.topic != self._config.topic:
                self._refuse(sent.topic, [event], str(meaning), refused)
                continue
            found.append(meaning)
        if found:
            raise max(found, key=_urgency)
        if refused:
            words = next(iter(refused.values()))
            raise SinkRejectedError(words, events=refused, delivered=True)

    def _refuse(
        self, topic: str, events: Sequence[Event], words: str, refused: dict[str, str]
    ) -> None:
        # Waiting for this topic would hold up the prompt calls, which have another one.
        self._ledger.refuse(topic, words)
        refused.update((event.event_id, words) for event in events)

    def _meaning(self, error: BaseException) -> LLMObsError:
        """Explain *error*, or what aiokafka only logged and left out of it."""
        heard = self._overheard.error
        if heard is not None:
            meaning = explain(heard, self._config)
            if isinstance(meaning, SinkUnauthorizedError | ConfigurationError):
                return meaning
        meaning = explain(error, self._config)
        last = f" (last: {self._overheard.message})" if self._overheard.message else ""
        if isinstance(error, TimeoutError):
            brokers = ",".join(self._config.brokers)
            return SinkUnavailableError(f"no answer from {brokers} in time{last}")
        if type(meaning) is SinkUnavailableError:
            return SinkUnavailableError(f"{meaning}{last}")
        return meaning


def _native(event: Event) -> Message:
    return native(event, encode(event))


def _urgency(error: LLMObsError) -> int:
    """Which of several answers the pipeline must hear: a retry keeps every event."""
    if isinstance(error, SinkTooLargeError):
        return 0
    return 2 if isinstance(error, SinkUnauthorizedError | ConfigurationError) else 1


# What aiokafka's errors mean for the pipeline, in words that say what to do.

_LOGIN: Final = (
    errors.SaslAuthenticationFailed,
    errors.AuthenticationFailedError,
    errors.AuthenticationMethodNotSupported,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
)
_TOO_LARGE: Final = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)


class TopicMissingError(SinkUnavailableError):
    """The cluster answers, and does not know the topic."""

    def __init__(self, topic: str, option: str) -> None:
        super().__init__(
            f"the cluster has no topic {topic!r} and does not make it by itself; create it, or "
            f"name another one ({option})"
        )


def explain(error: BaseException, config: KafkaConfig, topic: str | None = None) -> LLMObsError:
    """
    Return what *error* means.

    Anything not known to be for good is worth another try: the events wait meanwhile.

    Args:
        error: Raised, or only logged, by aiokafka.
        config: Whose user and brokers the words name.
        topic: The topic it was about, if it was about one.
    """
    if isinstance(error, LLMObsError):
        return error
    kind, text = type(error).__name__, str(error)
    said = text if kind in text else f"{kind}: {text}".removesuffix(": ")
    if isinstance(error, _LOGIN):
        return SinkUnauthorizedError(
            f"the brokers refuse user {config.sasl_username!r} by {config.sasl_mechanism} ({said}); "
            "check sasl_username, sasl_password and sasl_mechanism"
        )
    if isinstance(error, errors.TopicAuthorizationFailedError):
        return SinkUnauthorizedError(
            f"{_who(config)} may not write to topic {topic!r}; "
            "grant it WRITE and DESCRIBE on that topic"
        )
    if isinstance(error, errors.ClusterAuthorizationFailedError):
        return SinkUnauthorizedError(
            f"{_who(config)} may not write idempotently; "
            "grant it IDEMPOTENT_WRITE on the cluster, or set enable_idempotence=false"
        )
    if isinstance(error, _TOO_LARGE):
        return SinkTooLargeError(f"larger than topic {topic!r} takes (max.message.bytes)")
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConfigurationError(
            f"the brokers' certificate is not trusted ({error.verify_message}); "
            "check ssl_ca_location and the host names in brokers"
        )
    if isinstance(error, ssl.SSLError):
        return SinkUnavailableError(
            f"no TLS with the brokers ({said}); check security_protocol and ssl_cert_location"
        )
    if isinstance(error, errors.IncompatibleBrokerVersion | errors.UnsupportedVersionError):
        return ConfigurationError(
            f"the brokers are too old for this ({said}); "
            "try compression_type=gzip and enable_idempotence=false"
        )
    return SinkUnavailableError(said)


def _who(config: KafkaConfig) -> str:
    return "this client" if config.sasl_username is None else f"user {config.sasl_username!r}"
