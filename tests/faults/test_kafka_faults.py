"""
The Kafka sink while its cluster dies, freezes and comes back: three real brokers.

After each fault the accounting is exact (accepted = delivered + dropped + pending), nothing was
lost once the cluster is back, and nothing was written twice.
"""

import logging
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llmobs import Client
from llmobs.pipeline.statistics import Statistics
from llmobs.sinks.kafka import KafkaConfig, KafkaSink
from tests.helpers import poll
from tests.support.consumer import read_topic
from tests.support.kafka import KafkaCluster
from tests.support.kafka_runtime import Unavailable
from tests.support.sentinel import validate_sentinel
from tests.support.small_disk import small_disk

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

NODES = (1, 2, 3)


@pytest.fixture(scope="module")
def three() -> Iterator[KafkaCluster]:
    try:
        with KafkaCluster(3, {"auto.create.topics.enable": "false"}) as cluster:
            yield cluster
    except Unavailable as why:
        pytest.skip(f"no Kafka broker: {why}")


@pytest.fixture
def cluster(three: KafkaCluster) -> Iterator[KafkaCluster]:
    """The three brokers, all serving again afterwards."""
    yield three
    revive(three)


def revive(cluster: KafkaCluster) -> None:
    """Start those that are down, together: one alone has no quorum."""
    down = [node for node in NODES if not cluster.running(node)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(cluster.start, down))


class Traffic:
    """A client that logs numbered calls, and what must be true of them in the end."""

    def __init__(self, cluster: KafkaCluster, topic: str, **options: Any) -> None:
        self.cluster = cluster
        self.topic = topic
        options = {"request_timeout_ms": 1500, **options}
        self.sink = KafkaSink(
            KafkaConfig(brokers=cluster.bootstrap, topic=topic, **options), timeout=4
        )
        self.client = Client(sink=self.sink, timeout=4, flush_interval_seconds=0.02, batch_size=50)
        self.sent: list[str] = []

    def log(self, count: int) -> None:
        for _ in range(count):
            self.sent.append(self.client.log_prompt_call("r", f"{len(self.sent)}", "m", "a" * 500))

    @property
    def statistics(self) -> Statistics:
        found = self.client.statistics()
        assert found.accepted == len(self.sent)
        assert found.accepted == found.delivered + sum(found.dropped.values()) + found.pending
        return found

    def log_until(self, condition: Callable[[Statistics], bool], what: str) -> None:
        """Keep logging, a little at a time, until *condition*."""

        def step() -> bool:
            self.log(2)
            return condition(self.statistics)

        poll(step, timeout=30, what=what)

    def arrives(self, timeout: float = 60) -> None:
        """Everything logged is delivered and there, once each."""

        def delivered() -> bool:
            self.client.flush(1)
            return self.statistics.pending == 0

        poll(delivered, timeout=timeout, what="delivery of everything")
        assert self.statistics.delivered == len(self.sent)
        assert dict(self.statistics.dropped) == {}
        self.client.close()
        records = read_topic(
            self.cluster.bootstrap, self.topic, at_least=len(self.sent), timeout=40
        )
        assert all(validate_sentinel(record.value or b"") == [] for record in records)
        found = [dict(record.headers)["event_id"].decode() for record in records]
        assert set(found) == set(self.sent)
        assert found == self.sent  # in order, once each: there is one service


@pytest.fixture
def traffic(cluster: KafkaCluster, request: pytest.FixtureRequest) -> Iterator[Traffic]:
    topic = request.node.name.replace("test_", "")[:100].replace("[", "-").replace("]", "")
    cluster.create_topic(topic, 1, 3)
    made = Traffic(cluster, topic)
    yield made
    made.client.close()


def test_the_leader_dies(traffic: Traffic, cluster: KafkaCluster) -> None:
    traffic.log(100)
    traffic.client.flush()
    leader = cluster.leader_of(traffic.topic)
    before = traffic.statistics.delivered
    traffic.log(200)
    cluster.kill(leader)
    traffic.log_until(lambda now: now.delivered > before + 300, "delivery to another leader")
    traffic.arrives()


def test_the_leader_freezes(traffic: Traffic, cluster: KafkaCluster) -> None:
    traffic.log(100)
    traffic.client.flush()
    leader = cluster.leader_of(traffic.topic)
    cluster.freeze(leader)
    try:
        traffic.log(200)
        traffic.log_until(lambda now: now.delivered > 300, "delivery to another leader")
    finally:
        cluster.thaw(leader)
    traffic.arrives()


def test_all_die_and_come_back(
    traffic: Traffic, cluster: KafkaCluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    traffic.log(300)
    for node in NODES:
        cluster.kill(node)
    traffic.log(500)
    traffic.log_until(lambda now: now.retries >= 4, "four retries")
    assert traffic.statistics.pending > 0
    revive(cluster)
    traffic.arrives()
    # The reader in `arrives` is an aiokafka consumer, and logs on its own account.
    names = [record.name for record in caplog.records]
    assert {name for name in names if name.startswith("aiokafka.producer")} == set()
    assert 1 <= names.count("llmobs") <= 3


def test_all_freeze_and_go_on(traffic: Traffic, cluster: KafkaCluster) -> None:
    traffic.log(100)
    traffic.client.flush()
    for node in NODES:
        cluster.freeze(node)
    try:
        traffic.log(300)
        started = time.monotonic()
        traffic.log_until(lambda now: now.retries >= 2, "two retries")
        assert time.monotonic() - started < 30
        started = time.monotonic()
        report = traffic.client.flush(0.5)  # a deadline, frozen or not
        assert time.monotonic() - started < 2
        assert report.pending > 0
    finally:
        for node in NODES:
            cluster.thaw(node)
    traffic.arrives()


def test_a_producer_that_heard_nothing_for_long_is_replaced(
    traffic: Traffic, cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmobs.sinks._kafkawriter.SILENCE_SECONDS", 1.0)
    traffic.log(100)
    traffic.client.flush()
    first = traffic.sink._writer
    for node in NODES:
        cluster.freeze(node)
    try:
        traffic.log(10)
        poll(lambda: traffic.sink._writer is not first, timeout=30, what="another producer")
    finally:
        for node in NODES:
            cluster.thaw(node)
    poll(lambda: traffic.client.flush(1).pending == 0, timeout=40, what="delivery")
    traffic.client.close()
    records = read_topic(cluster.bootstrap, traffic.topic, at_least=110, timeout=30)
    # What the frozen brokers had in their sockets, the first producer's, may be there twice.
    assert {dict(r.headers)["event_id"].decode() for r in records} == set(traffic.sent)


def test_closing_while_all_are_frozen(traffic: Traffic, cluster: KafkaCluster) -> None:
    traffic.log(10)
    traffic.client.flush()
    for node in NODES:
        cluster.freeze(node)
    try:
        client = Client(
            sink=KafkaSink(KafkaConfig(brokers=cluster.bootstrap, topic=traffic.topic), timeout=4),
            timeout=4,
            shutdown_timeout=1,
        )
        for _ in range(20):
            client.log_prompt_call("r", "never", "m", "a")
        started = time.monotonic()
        client.close()
        assert time.monotonic() - started < 6
        found = client.statistics()
        assert (found.accepted, found.delivered, found.pending) == (20, 0, 0)
        assert sum(found.dropped.values()) == 20
    finally:
        for node in NODES:
            cluster.thaw(node)
    traffic.arrives()


def test_all_are_away_at_start_up(traffic: Traffic, cluster: KafkaCluster) -> None:
    for node in NODES:
        cluster.kill(node)
    traffic.log_until(lambda now: now.retries >= 2, "two attempts")
    assert traffic.statistics.delivered == 0
    revive(cluster)
    traffic.arrives()


def test_rolling_restart(traffic: Traffic, cluster: KafkaCluster) -> None:
    for node in NODES:
        traffic.log(50)
        cluster.stop(node)
        traffic.log(50)
        cluster.start(node)
    traffic.arrives()


def test_a_missing_topic_is_waited_for(cluster: KafkaCluster) -> None:
    traffic = Traffic(cluster, "not-yet")
    traffic.log(100)
    poll(lambda: traffic.statistics.retries, timeout=20)
    found = traffic.statistics
    assert (found.delivered, found.pending) == (0, 100)
    assert found.last_error is not None
    assert "the cluster has no topic 'not-yet'" in found.last_error
    cluster.create_topic("not-yet", 1, 3)
    traffic.arrives()


def test_a_missing_events_topic_costs_its_own_events_only(
    traffic: Traffic, caplog: pytest.LogCaptureFixture
) -> None:
    traffic.log(100)
    for _ in range(5):
        traffic.client.log_error("r", "boom")
    report = traffic.client.flush()
    assert (report.delivered, dict(report.dropped), report.pending) == (100, {"rejected": 5}, 0)
    (line,) = [r.getMessage() for r in caplog.records if r.name == "llmobs"]
    assert f"no topic '{traffic.topic}.events'" in line
    assert "events_topic" in line


def test_too_few_replicas(cluster: KafkaCluster) -> None:
    cluster.create_topic("careful", 1, 3, {"min.insync.replicas": "2"})
    leader = cluster.leader_of("careful")
    traffic = Traffic(cluster, "careful")
    traffic.log(50)
    traffic.client.flush()
    others = [node for node in NODES if node != leader]
    cluster.freeze(others[0])
    cluster.freeze(others[1])
    try:
        traffic.log(100)
        traffic.log_until(lambda now: now.retries >= 2, "two retries")
        assert traffic.statistics.pending >= 100
    finally:
        for node in others:
            cluster.thaw(node)
    traffic.arrives()


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 65536)


def test_a_full_disk() -> None:
    try:
        with small_disk(24) as disk, KafkaCluster(data_dir=disk) as cluster:
            cluster.create_topic("full", 1)
            traffic = Traffic(cluster, "full", compression_type="none")
            traffic.log(100)
            traffic.client.flush()
            filler = disk / "filler"
            with pytest.raises(OSError, match="No space"):
                fill(filler)
            traffic.log_until(lambda now: not cluster.running(1), "the broker's end")
            traffic.log_until(lambda now: now.retries >= 3, "three retries")
            assert traffic.statistics.pending > 0
            filler.unlink()
            cluster.start(1)
            traffic.arrives()
    except (Unavailable, subprocess.SubprocessError) as why:
        pytest.skip(f"no small disk: {why}")
