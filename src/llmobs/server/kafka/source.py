"""What ``llmobs serve --kafka`` is told: which topics to read, as which group."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from llmobs.errors import ConfigurationError
from llmobs.sinks._kafkaconfig import KafkaConfig, check_topic

__all__ = ["KafkaSource"]


def _group(value: str) -> str:
    if not value.strip() or not value.isprintable() or len(value) > 255:
        raise ConfigurationError("group must be 1 to 255 printable characters")
    return value


class KafkaSource(KafkaConfig):
    """
    The options of the Kafka sink, and those of reading; frozen, checked when built.

    Raises:
        ConfigurationError: An option is wrong; the message names it and what would be right.
        MissingExtraError: aiokafka, or the library of a codec, is not installed.
    """

    group: Annotated[str, AfterValidator(_group)] = "llmobs"
    """The consumer group: collectors of one group share the partitions."""
    dead_topic: str | None = None
    """Where records go that cannot be read; default ``<topic>.dead``, for each topic its own."""
    auto_offset_reset: Literal["earliest", "latest"] = "earliest"
    """Where a group begins that has read nothing yet: with everything that is there, or with what comes."""
    session_timeout_ms: Annotated[int, Field(strict=True, ge=1000)] = 10_000
    """How long a collector may be silent before the others get its partitions."""
    request_timeout_ms: Annotated[int, Field(strict=True, ge=1)] = 40_000
    """How long one request may take; joining a group waits for the others of it."""
    metadata_max_age_ms: Annotated[int, Field(strict=True, ge=1)] = 30_000
    """How often to look for new topics, partitions and brokers without a reason."""

    @classmethod
    def from_url(cls, url: str) -> Self:
        """
        Read ``b1:9092,b2:9092?topic=llm-telemetry&group=llmobs``, or the URL of a Kafka sink.

        Raises:
            ConfigurationError: It says nothing to be understood; names the part.
        """
        return super().from_url(url if re.match("kafka://", url, re.I) else f"kafka://{url}")

    @model_validator(mode="after")
    def _check_dead_topic(self) -> Self:
        for topic in self.topics:
            check_topic("dead_topic", dead := self.dead_topic_of(topic))
            if dead in self.topics:
                raise ConfigurationError(f"dead_topic: {dead!r} is read from; name another one")
        return self

    @property
    def topics(self) -> tuple[str, ...]:
        """What is read: *topic*, and what the sink writes beside it."""
        return (self.topic,) if self.events_topic is None else (self.topic, self.events_topic)

    def dead_topic_of(self, topic: str) -> str:
        """Return where unreadable records of *topic* go."""
        return self.dead_topic or f"{topic}.dead"

    def consumer_options(self) -> dict[str, Any]:
        """Return the keywords of ``aiokafka.AIOKafkaConsumer``; they hold the password."""
        return self.connection_options() | {
            "group_id": self.group,
            "enable_auto_commit": False,
            "auto_offset_reset": self.auto_offset_reset,
            "isolation_level": "read_committed",  # an aborted transaction did not happen
            "session_timeout_ms": self.session_timeout_ms,
            "heartbeat_interval_ms": max(100, self.session_timeout_ms // 5),
            # Compressed, and but for the first batch: what becomes of them, batches.py bounds.
            "fetch_max_bytes": 4 * 1024 * 1024,
            "max_partition_fetch_bytes": 1024 * 1024,
        }
