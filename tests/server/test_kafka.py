"""``llmobs serve --kafka``, against a real broker: nothing lost, nothing twice, whatever happens."""

import asyncio
import gzip
import json
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.codec import zstd_decode

from llmobs import AsyncClient
from llmobs.codec import encode
from llmobs.errors import SinkUnavailableError, StoreNotFoundError
from llmobs.events import Event
from llmobs.recorded.ids import new_id
from llmobs.server.collector import Collector
from llmobs.server.kafka.intake import KafkaIntake, KafkaState
from llmobs.server.kafka.reader import MAX_RECORDS
from llmobs.server.kafka.source import KafkaSource
from llmobs.server.metrics import Metrics
from llmobs.server.room import BusyError
from llmobs.settings import Settings
from llmobs.store.engine import open_reader, writer_of
from tests.helpers import make_event
from tests.sinks.examples import every_kind
from tests.support.kafka import KafkaCluster
from tests.support.kafka_handle import Kafka
from tests.support.ports import free_ports

SAMPLE = json.loads((Path(__file__).parents[1] / "data" / "sentinel_event.json").read_bytes())

pytestmark = [pytest.mark.kafka, pytest.mark.anyio]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The collector is asyncio's."""
    return "asyncio", {"use_uvloop": False}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "llmobs.db"


class Reluctant(Collector):
    """Says no as long as it is told to, and notes what it was offered."""

    def __init__(self, store: Path) -> None:
        super().__init__(writer_of(store, durable=True), Settings(prices={}))
        self.refusal: Exception | None = None
        self.offered: list[list[str]] = []

    async def store(self, events: Sequence[Event], **options: Any) -> Mapping[str, str]:
        self.offered.append([event.event_id for event in events])
        if self.refusal is not None:
            raise self.refusal
        return await super().store(events, **options)


@asynccontextmanager
async def collecting(
    store: Path, bootstrap: Iterable[str], topic: str, **options: Any
) -> AsyncIterator[tuple[Reluctant, KafkaIntake]]:
    """Read *topic* into *store* meanwhile."""
    collector = Reluctant(store)
    await collector.open()
    source = KafkaSource(brokers=list(bootstrap), topic=topic, **options)
    try:
        async with KafkaIntake(collector, source) as intake:
            yield collector, intake
    finally:
        await collector.aclose()


async def until(probe: Callable[[], Any], timeout: float = 30.0) -> Any:
    with anyio.fail_after(timeout):
        while not (value := probe()):
            await anyio.sleep(0.02)
        return value


def stored(store: Path) -> list[str]:
    return [event.event_id for event in events(store)]


def events(store: Path) -> list[Any]:
    """Return what is in the store, if there is one yet."""
    try:
        with open_reader(store) as reader:
            return [found.decode() for found in reader.tail(0, limit=10_000)]
    except StoreNotFoundError:
        return []


async def write(
    kafka: Kafka | KafkaCluster,
    topic: str,
    values: Iterable[bytes | None],
    producer_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, **(producer_options or {}))
    await producer.start()
    try:
        futures = [await producer.send(topic, value, **options) for value in values]
        await asyncio.gather(*futures)
    finally:
        await producer.stop()


async def committed(
    kafka: Kafka | KafkaCluster, topic: str, group: str = "llmobs"
) -> dict[int, int | None]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, group_id=group)
    await consumer.start()
    try:
        partitions = consumer.partitions_for_topic(
            topic
        ) or await consumer._client._wait_on_metadata(topic)
        return {p: await consumer.committed(TopicPartition(topic, p)) for p in partitions}
    finally:
        await consumer.stop()


def sentinel(**fields: Any) -> bytes:
    return json.dumps({**SAMPLE, "event_id": str(uuid4()), **fields}).encode()


def ours(count: int) -> list[Event]:
    return [make_event(model="gpt-4o", prompt=f"What is {n}?") for n in range(count)]


async def test_what_our_own_sink_writes_arrives_whole(kafka: Kafka, store: Path) -> None:
    """Both wires, every kind of event, both topics; what is redacted on the way stays so."""
    topic, group = kafka.new_topic(3), f"g-{new_id()}"
    kafka.create_topic(f"{topic}.events", 2)
    url = f"kafka://{','.join(kafka.bootstrap)}/{topic}"
    async with collecting(store, kafka.bootstrap, topic, group=group):
        for wire in ("sentinel", "native"):
            async with AsyncClient(
                sink=f"{url}?wire={wire}", service_name="shop", prices={}
            ) as client:
                with client.run(run_id=f"run-{wire}", user_id="u1", tags=["beta"]) as run:
                    run.log_prompt_call(
                        "Who is jane@example.com?", "gpt-4o", "Jane.", 3, 2, 5.0, cost_usd=0.25
                    )
                    with run.agent_step("look", "tool_call", input_data={"q": 1}) as step:
                        step.output_data = "found"
                    run.log_error("boom")
                report = await client.flush()
                assert (report.delivered, report.pending) == (4, 0)
        await until(lambda: len(stored(store)) == 8)
        with open_reader(store) as reader:
            for wire in ("sentinel", "native"):
                (found,) = (r for r in reader.runs(10) if r.run_id == f"run-{wire}")
                assert (found.user_id, found.tags, found.status) == ("u1", ("beta",), "success")
                of_run = {str(e.event_type): e for e in events(store) if e.run_id == found.run_id}
                assert set(of_run) == {"prompt_call", "agent_step", "error", "run"}
                call = of_run["prompt_call"]
                assert (call.tokens_input, call.latency_ms, call.cost_usd) == (3, 5.0, 0.25)
                assert "jane@example.com" not in call.prompt
                assert (call.service_name, call.standalone) == ("shop", False)


async def test_sentinel_s_events_arrive_once_however_often_they_are_sent(
    kafka: Kafka, kafka_topic: str, store: Path
) -> None:
    group = f"g-{new_id()}"
    values = [sentinel(trace_id=f"t{n % 3}") for n in range(30)]
    await write(kafka, kafka_topic, [*values, *values], key=b"chat-api")
    async with collecting(store, kafka.bootstrap, kafka_topic, group=group) as (_, intake):
        await until(lambda: intake.stored == 60)
        assert intake.state is KafkaState.READING
        assert intake.lag == 0
    assert sorted(stored(store)) == sorted(json.loads(v)["event_id"] for v in values)
    assert await committed(kafka, kafka_topic, group) == {0: 60}
    # Another group, so to say after its offsets are lost: everything again, and nothing new.
    async with collecting(store, kafka.bootstrap, kafka_topic, group=f"{group}-2") as (_, intake):
        await until(lambda: intake.stored == 60)
    assert len(stored(store)) == 30


async def test_unreadable_records_go_to_the_dead_letter_topic(
    kafka: Kafka, kafka_topic: str, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, half = sentinel(), sentinel()[:-9]
    headers = [("service_name", b"chat-api")]
    await write(kafka, kafka_topic, [half, good, None, b"\xff\x00"], key=b"k\xff", headers=headers)
    async with collecting(store, kafka.bootstrap, kafka_topic, group=f"g-{new_id()}") as (
        _,
        intake,
    ):
        await until(lambda: intake.dead == 3)
    assert len(stored(store)) == 1
    dead = await kafka.aread(f"{kafka_topic}.dead", 3)
    assert [(record.key, record.value) for record in dead] == [
        (b"k\xff", half), (b"k\xff", None), (b"k\xff", b"\xff\x00")
    ]  # fmt: skip
    for record, offset in zip(dead, (0, 2, 3), strict=True):
        told = dict(record.headers)
        assert told.pop("llmobs.reason")
        assert told == {
            "service_name": b"chat-api",
            "llmobs.topic": kafka_topic.encode(),
            "llmobs.partition": b"0",
            "llmobs.offset": str(offset).encode(),
        }
    (line,) = [r.getMessage() for r in caplog.records if "dead-letter" in r.getMessage()]
    assert "offset 3 of partition 0" in line
    assert half.decode()[:20] not in line


async def test_a_topic_full_of_noise_is_read_through(
    kafka: Kafka, kafka_topic: str, store: Path
) -> None:
    """Among it what is larger than the dead-letter topic takes, which was made small, and nothing at all."""
    kafka.create_topic(f"{kafka_topic}.dead", config={"max.message.bytes": "20000"})
    large = os.urandom(30_000)
    noise = [b"noise %d" % n for n in range(1500)]
    await write(kafka, kafka_topic, [*noise, large, b"", sentinel()])
    async with collecting(store, kafka.bootstrap, kafka_topic, group=f"g-{new_id()}") as (
        _,
        intake,
    ):
        await until(lambda: intake.stored == 1)
    dead = await kafka.aread(f"{kafka_topic}.dead", 1502)
    assert Counter(record.value for record in dead) == Counter([*noise, b"", b""])
    left_out = [dict(r.headers).get("llmobs.value_left_out_bytes") for r in dead if not r.value]
    assert sorted(map(str, left_out)) == ["None", "b'30000'"]


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
async def test_a_batch_that_becomes_too_large_goes_there_unopened_and_the_partition_goes_on(
    kafka: Kafka, kafka_topic: str, store: Path, codec: str
) -> None:
    before, after = sentinel(), sentinel()
    bomb = sentinel(prompt={"text": "a" * (33 * 1024 * 1024)})
    large = {"compression_type": codec, "max_request_size": 64 * 1024 * 1024}
    await write(kafka, kafka_topic, [before])
    await write(kafka, kafka_topic, [bomb], large)
    await write(kafka, kafka_topic, [after])
    group = f"g-{new_id()}"
    async with collecting(store, kafka.bootstrap, kafka_topic, group=group) as (_, intake):
        await until(lambda: (intake.stored, intake.dead) == (2, 1))
        with anyio.fail_after(10):
            while await committed(kafka, kafka_topic, group) != {0: 3}:
                await anyio.sleep(0.1)
    assert sorted(stored(store)) == sorted(json.loads(v)["event_id"] for v in (before, after))
    (letter,) = await kafka.aread(f"{kafka_topic}.dead", 1)
    told = dict(letter.headers)
    assert f"bytes of {codec} become more than 33554432 bytes" in str(told["llmobs.reason"])
    assert told["llmobs.offset"] == b"1"
    assert len(letter.value or b"") < 200_000
    opened = {"gzip": gzip.decompress, "zstd": zstd_decode}[codec](letter.value or b"")
    assert bomb in opened  # whoever has the memory can still open it


async def test_what_the_store_refuses_goes_there_too(
    kafka: Kafka, kafka_topic: str, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad, crash = (sentinel() for _ in range(3))
    refused, crashing = (json.loads(value)["event_id"] for value in (bad, crash))

    async def refusing(
        self: Reluctant, offered: Sequence[Event], **options: Any
    ) -> Mapping[str, str]:
        if any(event.event_id == crashing for event in offered):
            raise ZeroDivisionError
        await Collector.store(self, [e for e in offered if e.event_id != refused], **options)
        return {e.event_id: "too large" for e in offered if e.event_id == refused}

    monkeypatch.setattr(Reluctant, "store", refusing)
    await write(kafka, kafka_topic, [bad, good, crash])
    async with collecting(store, kafka.bootstrap, kafka_topic, group=f"g-{new_id()}") as (
        _,
        intake,
    ):
        await until(lambda: intake.dead == 2)
        assert intake.stored == 1
    dead = await kafka.aread(f"{kafka_topic}.dead", 2)
    assert {(r.value, dict(r.headers)["llmobs.reason"]) for r in dead} == {
        (bad, b"too large"), (crash, b"cannot be stored: ZeroDivisionError()")
    }  # fmt: skip


@pytest.mark.parametrize("refusal", [BusyError("full", 0.05), SinkUnavailableError("locked")])
async def test_while_the_store_takes_nothing_nothing_is_committed_and_memory_is_bounded(
    kafka: Kafka, store: Path, refusal: Exception, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr("llmobs.server.kafka.reader.PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr("llmobs.server.kafka.intake.MAX_PAUSE", 0.1)
    topic, group = kafka.new_topic(2), f"g-{new_id()}"
    async with collecting(store, kafka.bootstrap, topic, group=group) as (collector, intake):
        collector.refusal = refusal
        await write(kafka, topic, [sentinel()])
        await until(lambda: len(collector.offered) > 3)
        assert intake.state is KafkaState.WAITING
        await write(kafka, topic, [sentinel() for _ in range(100)])
        before = len(collector.offered)
        await until(lambda: len(collector.offered) > before + 3)
        # The same one, over and over: the others wait where they are.
        assert {len(ids) for ids in collector.offered} == {1}
        assert intake._reader is not None
        assert intake._reader._consumer.paused() == intake._reader._consumer.assignment()
        assert set((await committed(kafka, topic, group)).values()) == {None}
        collector.refusal = None
        await until(lambda: intake.stored == 101)
    assert len(stored(store)) == 101
    assert sum(offset or 0 for offset in (await committed(kafka, topic, group)).values()) == 101
    troubles = [r for r in caplog.records if r.name == "llmobs" and r.levelno >= logging.WARNING]
    assert len(troubles) == (0 if isinstance(refusal, BusyError) else 1)


async def test_prometheus_sees_what_waits_what_was_stored_and_what_nobody_could_read(
    kafka: Kafka, kafka_topic: str, store: Path
) -> None:
    await write(kafka, kafka_topic, [b"noise", *(sentinel() for _ in range(MAX_RECORDS + 19))])
    group = f"g-{new_id()}"
    async with collecting(store, kafka.bootstrap, kafka_topic, group=group) as (collector, intake):
        metrics = Metrics(collector, partial(open_reader, store), [intake])

        def seen() -> tuple[float | None, ...]:
            value = metrics.registry.get_sample_value
            return (
                value("llmobs_kafka_records_total", {"outcome": "stored"}),
                value("llmobs_kafka_records_total", {"outcome": "dead"}),
                value("llmobs_kafka_lag"),
                value("llmobs_kafka_up"),
            )

        collector.refusal = SinkUnavailableError("locked")
        await until(lambda: intake.state is KafkaState.WAITING)
        stored, dead, lag, up = seen()
        assert (stored, dead, up) == (0, 0, 0)
        assert lag is not None
        assert 20 <= lag < MAX_RECORDS  # less what is in hand; brokers may give less at first
        collector.refusal = None
        await until(lambda: seen() == (MAX_RECORDS + 19, 1, 0, 1))


async def test_stopping_while_the_store_is_away_leaves_the_records_to_the_next(
    kafka: Kafka, kafka_topic: str, store: Path
) -> None:
    group = f"g-{new_id()}"
    await write(kafka, kafka_topic, [sentinel() for _ in range(10)])
    async with collecting(store, kafka.bootstrap, kafka_topic, group=group) as (collector, _):
        collector.refusal = SinkUnavailableError("locked")
        await until(lambda: collector.offered)
    assert await committed(kafka, kafka_topic, group) == {0: None}
    async with collecting(store, kafka.bootstrap, kafka_topic, group=group) as (_, intake):
        await until(lambda: intake.stored == 10)
    assert len(stored(store)) == 10


async def test_collectors_share_partitions_and_a_rebalance_loses_and_doubles_nothing(
    kafka: Kafka, tmp_path: Path
) -> None:
    """Members come and go while records stream in; each record is stored by exactly one of them."""
    topic, group = kafka.new_topic(6), f"g-{new_id()}"
    values = [sentinel() for _ in range(600)]
    stores = [tmp_path / f"{n}.db" for n in range(3)]
    options = {"group": group, "session_timeout_ms": 6000}
    writing = asyncio.create_task(_slowly(kafka, topic, values))
    async with collecting(stores[0], kafka.bootstrap, topic, **options) as (_, first):
        await until(lambda: first.stored > 50)
        async with collecting(stores[1], kafka.bootstrap, topic, **options) as (_, second):
            await until(lambda: second.stored > 20)
            async with collecting(stores[2], kafka.bootstrap, topic, **options) as (_, third):
                await until(lambda: third.stored > 20)
            await writing
        found = Counter[str]()

        def count() -> int:
            found.clear()
            for path in stores:
                found.update(stored(path))
            return len(found)

        await until(lambda: count() == 600)
        assert set(found) == {json.loads(value)["event_id"] for value in values}
        assert set(found.values()) == {1}  # nor stored by two of them


async def _slowly(kafka: Kafka, topic: str, values: Sequence[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    try:
        for n, value in enumerate(values):
            await producer.send_and_wait(topic, value, partition=n % 6)
            await anyio.sleep(0.01)
    finally:
        await producer.stop()


async def test_the_broker_may_be_away_at_first(
    store: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmobs.pipeline.health.CEILING", 0.05)
    (port,) = free_ports(1)
    async with collecting(store, [f"127.0.0.1:{port}"], "t") as (_, intake):
        await until(lambda: intake._failures > 2)
        assert intake.state is KafkaState.CONNECTING
    assert intake.state is KafkaState.STOPPED
    (line,) = [
        r.getMessage()
        for r in caplog.records
        if r.name == "llmobs" and r.levelno >= logging.WARNING
    ]
    assert f"127.0.0.1:{port}" in line
    assert "nothing is lost" in line


async def test_a_topic_may_be_made_later(
    kafka: Kafka, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    topic = f"llmobs-later-{new_id()}"
    options = {"group": f"g-{new_id()}", "metadata_max_age_ms": 300}
    async with collecting(store, kafka.bootstrap, topic, **options) as (_, intake):
        await until(lambda: any(topic in r.getMessage() for r in caplog.records))
        await anyio.to_thread.run_sync(kafka.create_topic, topic)
        written = every_kind()
        await write(kafka, topic, [encode(event) for event in written])
        await until(lambda: intake.stored == len(written))
    lines = [r for r in caplog.records if r.name == "llmobs" and r.levelno >= logging.WARNING]
    assert len(lines) == 1


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_a_broker_that_goes_and_comes_back_is_read_on(
    kafka_cluster: Callable[[], KafkaCluster],
    store: Path,
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    cluster = await anyio.to_thread.run_sync(kafka_cluster)
    await anyio.to_thread.run_sync(cluster.create_topic, "t")
    options = {"group": "g", "session_timeout_ms": 6000, "request_timeout_ms": 5000}
    async with collecting(store, cluster.bootstrap, "t", **options) as (_, intake):
        await write(cluster, "t", [sentinel() for _ in range(20)])
        await until(lambda: intake.stored == 20)
        await anyio.to_thread.run_sync(getattr(cluster, how), 1)
        await until(lambda: intake.state is KafkaState.CONNECTING, 60)
        back = {"kill": cluster.start, "freeze": cluster.thaw}[how]
        await anyio.to_thread.run_sync(back, 1)
        await write(cluster, "t", [sentinel() for _ in range(20)])
        # Who was expelled meanwhile cannot commit: it reads again, and then does.
        with anyio.fail_after(60):
            while await committed(cluster, "t", "g") != {0: 40}:
                await anyio.sleep(0.2)
        await until(lambda: intake.state is KafkaState.READING)
        assert len(stored(store)) == 40
    said = [r for r in caplog.records if r.name == "llmobs" and r.levelno >= logging.WARNING]
    assert len(said) == 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_the_command_killed_and_ended_in_the_middle_of_load_loses_and_doubles_nothing(
    kafka: Kafka, store: Path, how: signal.Signals
) -> None:
    topic, group = kafka.new_topic(2), f"g-{new_id()}"
    values = [
        sentinel(trace_id=f"trace-{n % 50}", prompt={"text": "x" * 3000}) for n in range(4000)
    ]
    url = f"{','.join(kafka.bootstrap)}?topic={topic}&group={group}&session_timeout_ms=6000"
    writing = asyncio.create_task(write(kafka, topic, values))
    trials = 0
    while len(stored(store)) != len(values):
        goal = min(len(stored(store)) + 600, len(values))
        process = await anyio.open_process(
            [sys.executable, "-m", "llmobs", "serve", "--store", str(store), "--port", "0", "--kafka", url],
            stdout=None, stderr=None,
        )  # fmt: skip
        try:
            await until(lambda: len(stored(store)) >= goal)  # noqa: B023
        finally:
            process.send_signal(how)
            code = await process.wait()
        trials += 1
        assert code == (0 if how == signal.SIGTERM else -how)
        await _what_was_committed_is_stored(kafka, topic, group, store)
    await writing
    assert trials > 1
    assert sorted(stored(store)) == sorted(json.loads(value)["event_id"] for value in values)
    with open_reader(store) as reader:
        assert [run.events for run in reader.runs(100)] == [80] * 50


async def _what_was_committed_is_stored(kafka: Kafka, topic: str, group: str, store: Path) -> None:
    done = await committed(kafka, topic, group)
    there = set(stored(store))
    for record in await kafka.aread(topic):
        if record.offset < (done[record.partition] or 0):
            assert json.loads(record.value or b"")["event_id"] in there
