"""The real broker: two clients, every codec, a lost leader, frozen, protected, its disk full."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from tests.support.consumer import read_topic
from tests.support.faultproxy import FaultProxy
from tests.support.kafka import KafkaCluster
from tests.support.kafka_handle import Kafka
from tests.support.kafka_python import (
    KafkaProducer,
)
from tests.support.kafka_runtime import Unavailable
from tests.support.polling import eventually
from tests.support.small_disk import small_disk

pytestmark = pytest.mark.kafka

StartCluster = Callable[..., KafkaCluster]


async def aproduce(options: dict[str, Any], topic: str, *values: bytes) -> None:
    """Send values and wait for their acknowledgements."""
    # Not kafka-python: its producer leaks sockets when it cannot reach or convince a broker.
    producer = AIOKafkaProducer(**options, acks="all", request_timeout_ms=5000)
    try:
        async with asyncio.timeout(20):
            await producer.start()
            for sent in [await producer.send(topic, value, key=b"key") for value in values]:
                await sent
    finally:
        with suppress(KafkaError):
            await producer.stop()


def produce(options: dict[str, Any], topic: str, *values: bytes) -> None:
    """`aproduce` without an event loop."""
    asyncio.run(aproduce(options, topic, *values))


def test_kafka_python_to_the_shared_broker(kafka: Kafka, kafka_topic: str) -> None:
    if kafka.kind == "mock":
        pytest.skip("kafka-python 3 cannot read the mock's list of API versions")
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    headers = [("event_id", b"1"), ("model", "größer".encode())]
    producer.send(kafka_topic, b"value", key=b"service", headers=headers).get(timeout=20)
    producer.close()
    (record,) = kafka.read(kafka_topic, at_least=1)
    assert (record.key, record.value, record.headers) == (b"service", b"value", tuple(headers))
    assert (record.topic, record.partition, record.offset) == (kafka_topic, 0, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("compression", [None, "gzip", "zstd", "snappy", "lz4"])
async def test_aiokafka_to_the_shared_broker(
    kafka: Kafka, kafka_topic: str, compression: str | None
) -> None:
    values = [str(number).encode() * 100 for number in range(200)]
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, compression_type=compression, acks="all", linger_ms=5
    ) as producer:
        await asyncio.gather(
            *[await producer.send(kafka_topic, value, key=b"k") for value in values]
        )
    records = await kafka.aread(kafka_topic, at_least=len(values))
    assert [record.value for record in records] == values


def test_partitions_are_read_in_order(kafka: Kafka) -> None:
    if kafka.kind == "mock":
        pytest.skip("the mock decides on partitions itself")
    topic = kafka.new_topic(partitions=3)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    for number in range(30):
        producer.send(topic, str(number).encode(), partition=number % 3)
    producer.close()
    records = kafka.read(topic, at_least=30)
    places = [(record.partition, record.offset) for record in records]
    assert places == [(partition, offset) for partition in range(3) for offset in range(10)]
    assert all(int(record.value or b"-1") % 3 == record.partition for record in records)


def test_reading_says_when_too_little_arrived(kafka: Kafka, kafka_topic: str) -> None:
    with pytest.raises(TimeoutError, match="0 records"):
        kafka.read(kafka_topic, at_least=1, timeout=0.3)


def test_losing_the_leader_of_three_loses_nothing(kafka_cluster: StartCluster) -> None:
    cluster = kafka_cluster(3)
    assert len(cluster.bootstrap) == 3
    cluster.create_topic("t", replication=3, config={"min.insync.replicas": "2"})
    produce(cluster.client_options(), "t", b"before")
    lost = cluster.leader_of("t")
    cluster.kill(lost)
    assert not cluster.running(lost)
    leader = cluster.leader_of("t", other_than=lost)
    assert leader != lost
    alive = {"bootstrap_servers": [cluster.address(leader)]}
    produce(alive, "t", b"after")
    cluster.start(lost)
    assert cluster.running(lost)
    records = read_topic(cluster.bootstrap, "t", at_least=2)
    assert [record.value for record in records] == [b"before", b"after"]


def test_a_frozen_broker_answers_nothing_and_goes_on_later(kafka_cluster: StartCluster) -> None:
    cluster = kafka_cluster()
    cluster.create_topic("t")

    async def through_the_frost() -> None:
        async with AIOKafkaProducer(**cluster.client_options()) as producer:
            await producer.send_and_wait("t", b"before")
            cluster.freeze(1)
            sent = await producer.send("t", b"while frozen")
            await asyncio.sleep(0.5)
            assert not sent.done()
            cluster.thaw(1)
            await sent

    asyncio.run(through_the_frost())
    records = read_topic(cluster.bootstrap, "t", at_least=2)
    assert [record.value for record in records] == [b"before", b"while frozen"]


def test_a_stopped_broker_keeps_its_data_and_its_address(kafka_cluster: StartCluster) -> None:
    cluster = kafka_cluster()
    cluster.create_topic("t")
    produce(cluster.client_options(), "t", b"kept")
    address = cluster.bootstrap
    cluster.stop(1)
    cluster.start(1)
    assert cluster.bootstrap == address
    assert [record.value for record in read_topic(address, "t", at_least=1)] == [b"kept"]


def test_tls_wants_our_certificate(kafka_cluster: StartCluster) -> None:
    cluster = kafka_cluster(security="SSL")
    cluster.create_topic("t")
    options = cluster.client_options()
    produce(options, "t", b"x")
    assert len(read_topic(topic="t", at_least=1, **options)) == 1
    assert cluster.security is not None
    assert cluster.security.certificates is not None
    stranger = cluster.security.certificates.client_context(with_certificate=False)
    with pytest.raises(KafkaError):
        produce(options | {"ssl_context": stranger}, "t", b"x")


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_sasl_users_and_rights(kafka_cluster: StartCluster, protocol: str) -> None:
    cluster = kafka_cluster(security=protocol)
    cluster.create_topic("open")
    cluster.create_topic("guarded")
    cluster.deny("mallory", "guarded")
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        options = cluster.client_options("alice", mechanism)
        produce(options, "guarded", mechanism.encode())
    records = read_topic(topic="guarded", at_least=3, **options)
    assert [record.value for record in records] == [b"PLAIN", b"SCRAM-SHA-256", b"SCRAM-SHA-512"]

    denied = cluster.client_options("mallory")
    produce(denied, "open", b"x")
    with pytest.raises(TopicAuthorizationFailedError):
        produce(denied, "guarded", b"x")
    wrong = cluster.client_options("alice", password="wrong")
    with pytest.raises(KafkaError):
        produce(wrong, "open", b"x")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_aiokafka_takes_the_same_options(kafka_cluster: StartCluster) -> None:
    cluster = await asyncio.to_thread(kafka_cluster, security="SASL_SSL")
    options = cluster.client_options("alice", "SCRAM-SHA-512")
    async with AIOKafkaProducer(**options) as producer:
        assert (await producer.send_and_wait("t", b"x")).offset == 0


def test_a_proxy_can_stand_between(kafka_cluster: StartCluster) -> None:
    with FaultProxy() as proxy:
        cluster = kafka_cluster(advertise={1: proxy.address})
        proxy.target = cluster.address(1)
        assert cluster.bootstrap == [proxy.address]
        produce(cluster.client_options(), "t", b"x" * 10_000)
        assert proxy.bytes_up > 10_000


def test_a_full_disk_ends_the_broker(kafka_cluster: StartCluster) -> None:
    try:
        disk = small_disk(24)
        directory = disk.__enter__()
    except Unavailable as why:
        pytest.skip(str(why))
    try:
        cluster = kafka_cluster(data_dir=directory)
        cluster.create_topic("t")
        options = cluster.client_options()
        # The broker refuses the write, or is gone before it can.
        with pytest.raises((KafkaError, TimeoutError)):
            produce(options, "t", *[b"x" * 900_000] * 40)
        eventually(lambda: not cluster.running(1), timeout=20, what="the broker's end")
        assert "No space left on device" in cluster.log(1, lines=400)
        cluster.close()
    finally:
        disk.__exit__(None, None, None)
