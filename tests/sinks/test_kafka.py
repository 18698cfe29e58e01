"""llmobs.sinks.kafka, against a real broker; every record is read back by another client."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaProducer

from llmobs import AsyncClient, Client
from llmobs.codec import decode
from llmobs.errors import SinkTooLargeError, SinkUnavailableError
from llmobs.events import ErrorEvent, ErrorInfo, Event
from llmobs.pipeline.sink import Batch
from llmobs.recorded.ids import new_id
from llmobs.sinks.kafka import KafkaConfig, KafkaSink
from tests.helpers import llmobs_threads, make_event
from tests.support.consumer import Record
from tests.support.kafka_handle import Kafka
from tests.support.ports import free_ports
from tests.support.sentinel import validate_sentinel

pytestmark = pytest.mark.kafka

ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


def url(kafka: Kafka, topic: str, **options: Any) -> str:
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"kafka://{','.join(kafka.bootstrap)}/{topic}?{query}"


def checked(records: list[Record]) -> list[dict[str, Any]]:
    """Return the TelemetryEvents in *records*, each taken by the server's rules, key and headers right."""
    bodies = []
    for record in records:
        assert record.value is not None
        assert validate_sentinel(record.value) == []
        body = json.loads(record.value)
        assert record.key == body["service_name"].encode()
        assert dict(record.headers) == {
            name: body[name].encode() for name in ("event_id", "service_name", "model")
        }
        bodies.append(body)
    return bodies


def ids(records: list[Record]) -> list[str]:
    return [dict(record.headers)["event_id"].decode() for record in records]


def open_sockets() -> int:
    links = [Path(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    return sum("socket" in os.readlink(link) for link in links if link.is_symlink())


def note(event_id: str | None = None) -> ErrorEvent:
    made = make_event()
    return ErrorEvent(
        event_id=event_id or new_id(), run_id="r", timestamp=made.timestamp, error=ErrorInfo("boom")
    )


@pytest.mark.anyio
async def test_every_kind_of_event_arrives(kafka: Kafka, kafka_topic: str) -> None:
    events_topic = kafka.new_topic()
    sink = url(kafka, kafka_topic, events_topic=events_topic)
    async with AsyncClient(sink=sink, service_name="shop", prices={}) as client:
        with client.run(run_id="run-1", user_id="u1") as run:
            prompts = [
                client.log_prompt_call(
                    "run-1", f"What is {n}?", "gpt-4o", "A number.", n, 2, 3.5, cost_usd=0.25
                )
                for n in range(50)
            ]
            others = [
                run.log_error("boom"),
                run.log_agent_step(1, "search", "tool_call", {"q": 1}, {"r": [2]}),
                run.log_tool_call("lookup", {"q": 1}, "found"),
                run.log_assertion_failed("is_json", expected={"a": 1}, actual=None),
                run.log_hallucination_detected("heuristic", 0.9, "The moon is cheese"),
                run.log_evaluation("helpfulness", 0.5),
                run.log_performance_alert("latency_spike", 1, 2, 3),
            ]
        report = await client.flush()
        assert (report.delivered, report.pending, dict(report.dropped)) == (58, 0, {})
    bodies = checked(await anyio.to_thread.run_sync(kafka.read, kafka_topic, 50))
    assert [body["event_id"] for body in bodies] == prompts
    for n, body in enumerate(bodies):
        assert body["service_name"] == "shop"
        assert body["prompt"] == {"text": f"What is {n}?", "tokens": n, "embedding": None}
        assert body["response"] == {
            "text": "A number.", "tokens": 2, "finish_reason": "stop", "embedding": None
        }  # fmt: skip
        assert (body["latency_ms"], body["cost_usd"], body["errors"]) == (3.5, 0.25, [])
        assert body["metadata"]["run_id"] == "run-1"
        assert body["metadata"]["user_id"] == "u1"
    native = await anyio.to_thread.run_sync(kafka.read, events_topic, 8)
    decoded = [decode(record.value or b"") for record in native]
    assert [event.event_id for event in decoded[:7]] == others
    assert [event.event_type for event in decoded] == [
        "error", "agent_step", "tool_call", "assertion_failed", "hallucination_detected",
        "evaluation", "performance_alert", "run",
    ]  # fmt: skip
    assert {(record.key, dict(record.headers)["service_name"]) for record in native} == {
        (b"shop", b"shop")
    }


def test_from_the_sync_client(kafka: Kafka, kafka_topic: str) -> None:
    with Client(sink=url(kafka, kafka_topic), service_name="s") as client:
        sent = [client.log_prompt_call("r", "p", "m", "a", 1, 1, 1) for _ in range(3)]
        client.send(event := make_event(model="m"))
        assert client.statistics().delivered == 4
    bodies = checked(kafka.read(kafka_topic, 4))
    assert [body["event_id"] for body in bodies] == [*sent, event.event_id]


@pytest.mark.anyio
@ASYNCIO
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("acks", ["all", "1", "0"])
async def test_codecs_and_acks(kafka: Kafka, kafka_topic: str, codec: str, acks: str) -> None:
    if kafka.kind == "mock" and codec == "zstd":
        pytest.skip("the mock speaks no version of the protocol with zstd")
    events = [make_event(prompt="x" * 2000) for _ in range(20)]
    sink = KafkaSink(
        KafkaConfig(brokers=kafka.bootstrap, topic=kafka_topic, compression_type=codec, acks=acks)
    )
    await sink.open()
    await sink.send(Batch(events))
    await sink.aclose()
    records = await anyio.to_thread.run_sync(kafka.read, kafka_topic, 20)
    assert ids(records) == [event.event_id for event in events]
    checked(records)


@pytest.mark.anyio
@ASYNCIO
async def test_native_wire_keeps_every_field(kafka: Kafka, kafka_topic: str) -> None:
    events: list[Event] = [
        make_event(prompt=[{"role": "user", "content": "hi"}], cost_usd=1),
        note(),
    ]
    sink = KafkaSink(KafkaConfig(brokers=kafka.bootstrap, topic=kafka_topic, wire="native"))
    await sink.open()
    await sink.send(Batch(events))
    await sink.aclose()
    records = await anyio.to_thread.run_sync(kafka.read, kafka_topic, 2)
    assert [decode(record.value or b"") for record in records] == events
    assert [dict(record.headers)["event_type"] for record in records] == [b"prompt_call", b"error"]


@pytest.mark.anyio
@ASYNCIO
async def test_each_service_keeps_its_order_where_others_would_put_it(kafka: Kafka) -> None:
    topic = kafka.new_topic(partitions=5)
    services = [f"service-{n}" for n in range(12)]
    events = [make_event(service_name=services[n % 12], prompt="x" * 999) for n in range(600)]
    sink = KafkaSink(KafkaConfig(brokers=kafka.bootstrap, topic=topic, batch_size=8192))
    await sink.open()
    for start in range(0, 600, 200):
        await sink.send(Batch(events[start : start + 200]))
    await sink.aclose()
    records = await anyio.to_thread.run_sync(kafka.read, topic, 600)
    arrived = defaultdict(list)
    for record in records:
        arrived[record.key].append((record.partition, dict(record.headers)["event_id"].decode()))
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as other:
        for service in services:
            elsewhere = await other.send_and_wait(topic, b"x", key=service.encode())
            partitions, found = zip(*arrived[service.encode()], strict=True)
            assert set(partitions) == {elsewhere.partition}
            assert list(found) == [e.event_id for e in events if e.service_name == service]


@pytest.mark.anyio
async def test_one_event_too_large_is_shortened_and_costs_nobody_else(
    kafka: Kafka, kafka_topic: str
) -> None:
    sink = url(kafka, kafka_topic, max_request_size=20_000)
    async with AsyncClient(sink=sink) as client:
        for n in range(40):
            text = "x" * (30_000 if n == 17 else 10)
            client.log_prompt_call("r", text, f"m{n}", "a", 7, 8)
        report = await client.flush()
        assert (report.delivered, dict(report.dropped)) == (40, {})
    bodies = checked(await anyio.to_thread.run_sync(kafka.read, kafka_topic, 40))
    assert [body["model"] for body in bodies] == [f"m{n}" for n in range(40) if n != 17] + ["m17"]
    assert 10_000 < len(bodies[-1]["prompt"]["text"]) < 20_000
    assert (bodies[-1]["prompt"]["tokens"], bodies[-1]["response"]["tokens"]) == (7, 8)
    assert "shortened from 30" in bodies[-1]["metadata"]["llmobs_notes"]


@pytest.mark.anyio
@ASYNCIO
async def test_a_topic_that_takes_less_than_configured_gets_smaller_batches(kafka: Kafka) -> None:
    if kafka.kind == "mock":
        pytest.skip("the mock has no topic settings")
    topic = kafka.new_topic(config={"max.message.bytes": "5000"})
    sink = url(kafka, topic, compression_type="none")
    async with AsyncClient(sink=sink, flush_interval_seconds=60) as client:
        for n in range(64):
            text = "x" * (6000 if n == 9 else 500)
            client.log_prompt_call("r", text, f"m{n}", "a")
        report = await client.flush()
        assert (report.delivered, dict(report.dropped)) == (64, {})
        last = client.statistics()
    bodies = checked(await anyio.to_thread.run_sync(kafka.read, topic, 64))
    assert sorted(body["model"] for body in bodies) == sorted(f"m{n}" for n in range(64))
    (short,) = (body for body in bodies if body["model"] == "m9")
    assert "characters left out" in short["prompt"]["text"]
    assert last.accepted == last.delivered


@pytest.mark.anyio
@ASYNCIO
async def test_a_single_event_too_large_says_so(kafka: Kafka, kafka_topic: str) -> None:
    sink = KafkaSink(KafkaConfig(brokers=kafka.bootstrap, topic=kafka_topic, max_request_size=1000))
    await sink.open()
    with pytest.raises(SinkTooLargeError, match=r"at most 1000 go out \(max_request_size\)"):
        await sink.send(Batch([make_event(prompt="x" * 1000)]))
    await sink.aclose()


@pytest.mark.anyio
@ASYNCIO
async def test_linger_waits_for_company(kafka: Kafka, kafka_topic: str) -> None:
    sink = KafkaSink(KafkaConfig(brokers=kafka.bootstrap, topic=kafka_topic, linger_ms=400))
    await sink.open()
    await sink.send(Batch([make_event()]))
    started = time.monotonic()
    await sink.send(Batch([make_event()]))
    assert time.monotonic() - started >= 0.35
    await sink.aclose()


@pytest.mark.anyio
async def test_nothing_stays_behind(kafka: Kafka, kafka_topic: str) -> None:
    sockets = open_sockets()
    sink = KafkaSink(KafkaConfig(brokers=kafka.bootstrap, topic=kafka_topic))
    await sink.open()
    await sink.send(Batch([make_event()]))
    assert len(llmobs_threads()) == 1
    assert open_sockets() > sockets
    await sink.aclose()
    await sink.aclose()
    assert (llmobs_threads(), open_sockets()) == ([], sockets)
    await sink.open()  # and again
    await sink.send(Batch([make_event()]))
    assert len(llmobs_threads()) == 1
    await sink.aclose()
    assert (llmobs_threads(), open_sockets()) == ([], sockets)


@pytest.mark.anyio
async def test_a_cancelled_send_is_not_sent_twice(kafka: Kafka, kafka_topic: str) -> None:
    batch = Batch([make_event(prompt="x" * 5000) for _ in range(200)])
    sink = KafkaSink(
        KafkaConfig(brokers=kafka.bootstrap, topic=kafka_topic, batch_size=50_000, linger_ms=150)
    )
    await sink.open()
    for seconds in (0.001, 0.02, 0.05, 0.1):
        with anyio.move_on_after(seconds) as scope:
            await sink.send(batch)
        assert scope.cancelled_caught
    await sink.send(batch)
    await sink.send(Batch([last := make_event()]))
    await sink.aclose()
    records = await anyio.to_thread.run_sync(kafka.read, kafka_topic, 201)
    assert ids(records) == [e.event_id for e in [*batch.events, last]]


@pytest.mark.anyio
async def test_closing_in_the_middle_leaves_nothing_behind(kafka: Kafka, kafka_topic: str) -> None:
    threads, sockets = threading.active_count(), open_sockets()
    sink = KafkaSink(KafkaConfig(brokers=kafka.bootstrap, topic=kafka_topic, linger_ms=5000))
    await sink.open()
    with anyio.move_on_after(0.3):
        await sink.send(Batch([make_event()]))
    started = time.monotonic()
    await sink.aclose()
    assert time.monotonic() - started < 3
    assert (threading.active_count(), open_sockets()) == (threads, sockets)


@pytest.mark.anyio
async def test_no_broker_at_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    threads, sockets = threading.active_count(), open_sockets()
    (port,) = free_ports(1)
    sink = KafkaSink(KafkaConfig(brokers=f"127.0.0.1:{port}", topic="t"))
    for _ in range(2):
        with pytest.raises(SinkUnavailableError, match=f"127.0.0.1:{port}"):
            await sink.open()
    assert (threading.active_count(), open_sockets()) == (threads, sockets)
    assert caplog.records == []


EXITS = """
import sys
import llmobs
client = llmobs.Client(sink=sys.argv[1])
client.log_prompt_call("r", "p", sys.argv[2], "a")
"""


def test_a_script_that_just_ends(kafka: Kafka, kafka_topic: str) -> None:
    command = [sys.executable, "-W", "error", "-c", EXITS]
    done = subprocess.run(
        [*command, url(kafka, kafka_topic), "last words"],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (body,) = checked(kafka.read(kafka_topic, 1))
    assert body["model"] == "last words"


@pytest.mark.anyio
@ASYNCIO
async def test_the_host_keeps_its_own_aiokafka_logs(
    kafka: Kafka, kafka_topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sink = KafkaSink(KafkaConfig(brokers=kafka.bootstrap, topic=kafka_topic))
    await sink.open()
    await sink.send(Batch([make_event()]))
    assert [r for r in caplog.records if r.name.startswith("aiokafka")] == []
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap):
        pass
    assert [r for r in caplog.records if r.name.startswith("aiokafka")] != []
    await sink.aclose()


def test_a_forked_child_delivers_its_own(kafka: Kafka, kafka_topic: str) -> None:
    with Client(sink=url(kafka, kafka_topic)) as client:
        client.log_prompt_call("r", "p", "parent-1", "a")
        client.flush()
        child = os.fork()
        if child == 0:
            try:
                client.log_prompt_call("r", "p", "child", "a")
                report = client.flush()
                client.close()
                os._exit(0 if report.delivered == 1 else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        client.log_prompt_call("r", "p", "parent-2", "a")
        client.flush()
    models = [body["model"] for body in checked(kafka.read(kafka_topic, 3))]
    assert models == ["parent-1", "child", "parent-2"]


@pytest.mark.anyio
@pytest.mark.parametrize("threads_left", [True, False])
@ASYNCIO
async def test_the_host_loop_is_used_only_where_no_thread_can_start(
    kafka: Kafka, kafka_topic: str, monkeypatch: pytest.MonkeyPatch, threads_left: bool
) -> None:
    from llmobs.sinks import _kafkawriter

    worked_in = set()
    telemetry = _kafkawriter.telemetry

    def watched(event: Any, annotate: bool) -> Any:
        worked_in.add(threading.current_thread().name)
        return telemetry(event, annotate)

    monkeypatch.setattr(_kafkawriter, "telemetry", watched)
    if not threads_left:  # as from Python 3.12 on while the interpreter exits

        def refuse(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread at interpreter shutdown")

        monkeypatch.setattr("llmobs.pipeline.loop_thread.threading.Thread.start", refuse)
    sink = KafkaSink(KafkaConfig(brokers=kafka.bootstrap, topic=kafka_topic))
    await sink.open()
    await sink.send(Batch([make_event()]))
    await sink.aclose()
    monkeypatch.undo()
    assert worked_in == {"llmobs-kafka" if threads_left else threading.current_thread().name}
    checked(await anyio.to_thread.run_sync(kafka.read, kafka_topic, 1))
