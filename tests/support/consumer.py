"""An independent reader of a topic: what arrived, whoever wrote it."""

import time
from dataclasses import dataclass
from typing import Any

from tests.support.kafka_python import KafkaConsumer, TopicPartition
from tests.support.polling import eventually


@dataclass(frozen=True)
class Record:
    """One Kafka record. `timestamp` in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp: int


def read_topic(
    bootstrap: list[str],
    topic: str,
    *,
    at_least: int = 0,
    timeout: float = 20.0,
    isolation: str = "read_committed",
    **options: Any,
) -> list[Record]:
    """Return every record of a topic, in the order of each partition, partition after partition.

    Reads from the beginning up to the end each partition has when it is looked at, without a
    group; goes on until `at_least` records were there.

    Args:
        bootstrap: `host:port` of some brokers.
        topic: the topic's name.
        at_least: how many records to wait for.
        timeout: seconds to wait for them.
        isolation: `read_committed` leaves records of aborted transactions out.
        options: more keywords of `kafka.KafkaConsumer` (security).

    Raises:
        TimeoutError: fewer than `at_least` records came in time.
    """
    deadline = time.monotonic() + timeout
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level=isolation,
        **options,
    )
    found: list[Record] = []
    try:
        numbers = eventually(
            lambda: consumer.partitions_for_topic(topic), timeout=timeout, what=f"topic {topic}"
        )
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        while True:
            ends = consumer.end_offsets(partitions)
            while any(consumer.position(partition) < ends[partition] for partition in partitions):
                for records in consumer.poll(timeout_ms=200).values():
                    found += map(_record, records)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{topic}: {len(found)} records, not yet at the end {ends}")
            if len(found) >= at_least:
                return sorted(found, key=lambda record: (record.partition, record.offset))
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: {len(found)} records in {timeout} s, not {at_least}")
            time.sleep(0.05)
    finally:
        consumer.close()


def _record(raw: Any) -> Record:
    return Record(
        raw.topic,
        raw.partition,
        raw.offset,
        raw.key,
        raw.value,
        tuple(raw.headers),
        raw.timestamp,
    )
