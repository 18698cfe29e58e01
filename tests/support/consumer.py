"""An independent reader of a topic: what arrived, whoever wrote it."""

import asyncio
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer


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


async def aread_topic(
    bootstrap_servers: list[str],
    topic: str,
    *,
    at_least: int = 0,
    timeout: float = 20.0,
    isolation_level: str = "read_committed",
    **options: Any,
) -> list[Record]:
    """Return every record of a topic, in the order of each partition, partition after partition.

    Reads without a group from the beginning up to the end each partition has when it is looked at;
    goes on until `at_least` records were there. Knows every codec of Kafka.

    Args:
        bootstrap_servers: `host:port` of some brokers.
        topic: the topic's name.
        at_least: how many records to wait for.
        timeout: seconds to wait for them.
        isolation_level: `read_committed` leaves records of aborted transactions out.
        options: more keywords of `aiokafka.AIOKafkaConsumer` (security).

    Raises:
        TimeoutError: fewer than `at_least` records came in time.
    """
    deadline = time.monotonic() + timeout
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=None,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level=isolation_level,
        **options,
    )
    found: list[Record] = []
    try:
        async with asyncio.timeout(timeout):
            await consumer.start()
        partitions = consumer.assignment()
        while True:
            ends = await consumer.end_offsets(partitions)
            while not await _at(consumer, ends):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += map(_record, records)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{topic}: {len(found)} records, not yet at the end {ends}")
            if len(found) >= at_least:
                return sorted(found, key=lambda record: (record.partition, record.offset))
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: {len(found)} records in {timeout} s, not {at_least}")
            await asyncio.sleep(0.05)
    finally:
        await consumer.stop()


def read_topic(bootstrap_servers: list[str], topic: str, **options: Any) -> list[Record]:
    """`aread_topic` for those who have no event loop, or may block the one they have."""
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(asyncio.run, aread_topic(bootstrap_servers, topic, **options))
        return reading.result()


async def _at(consumer: AIOKafkaConsumer, ends: dict[Any, int]) -> bool:
    positions: Iterable[bool] = [
        await consumer.position(partition) >= end for partition, end in ends.items()
    ]
    return all(positions)


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
