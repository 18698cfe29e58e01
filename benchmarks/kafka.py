"""CPU to deliver 10,000 prompt calls to Kafka, beside aiokafka by hand; a real broker on loopback.

Each way runs in one process, rounds interleaved; figures are medians of this process's CPU time
(the broker's is not counted) and of the time until the last confirmation. All write the same JSON,
with key and headers, acks=all and idempotence. By hand there is no queue, no redaction, no retry
after a timeout, and compression runs in the host's event loop: what that costs the host is the last
column, the longest time its loop was held.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from benchmarks.harness import NotMeasuredError, Result, interleave
from llmobs import AsyncClient
from llmobs.events import PromptCallEvent
from llmobs.pipeline.sink import Batch
from llmobs.recorded.ids import new_id
from llmobs.sinks.kafka import KafkaConfig, KafkaSink
from tests.support.consumer import aread_topic
from tests.support.kafka import KafkaCluster

TITLE = "10,000 events to Kafka: CPU of this process"
CODEC = "zstd"
BATCH_BYTES = 262_144
COUNT = 10_000
PER_BATCH = 512
_SENTENCES = (
    "the model answers a question about orders and refunds in plain words because customers ask "
    "when their parcel arrives, what it costs to return it and who pays; the agent looks up stock, "
    "compares prices between suppliers, writes a short summary and cites two sources from memory"
)
_WORDS = _SENTENCES.split()

Way = Callable[[], Awaitable[None]]


def _text(size: int, rng: random.Random) -> str:
    return " ".join(rng.choices(_WORDS, k=size // 4))[:size]


def _calls() -> list[dict[str, Any]]:
    rng = random.Random(7)
    return [
        {
            "prompt": _text(2_000, rng),
            "model": "gpt-4o",
            "response": _text(1_000, rng),
            "tokens_input": 512,
            "tokens_output": 256,
            "latency_ms": 1250.5,
            "cost_usd": 0.00123,
            "metadata": {"tenant": f"t{n % 97}", "feature": "chat", "a": 1, "b": 0.2, "c": True},
            "tags": ("prod", "chat", "eu-west"),
        }
        for n in range(COUNT)
    ]


def _event(call: dict[str, Any]) -> PromptCallEvent:
    return PromptCallEvent(
        event_id=new_id(),
        run_id="run",
        timestamp=datetime.now(UTC),
        service_name="shop",
        **call,
    )


def _by_hand(call: dict[str, Any], encode: Callable[[Any], bytes]) -> dict[str, Any]:
    event_id = new_id()
    value = encode(
        {
            "event_id": event_id,
            "timestamp": datetime.now(UTC),
            "service_name": "shop",
            "model": call["model"],
            "prompt": {"text": call["prompt"], "tokens": call["tokens_input"]},
            "response": {
                "text": call["response"],
                "tokens": call["tokens_output"],
                "finish_reason": "stop",
            },
            "latency_ms": call["latency_ms"],
            "cost_usd": call["cost_usd"],
            "metadata": {name: str(value) for name, value in call["metadata"].items()},
            "errors": [],
        }
    )
    headers = [("event_id", event_id.encode()), ("service_name", b"shop"), ("model", b"gpt-4o")]
    return {"key": b"shop", "value": value, "headers": headers}


class Ways:
    """The ways compared; each delivers all calls and returns when the last is confirmed."""

    def __init__(self, bootstrap: list[str], codec: str, batch_size: int) -> None:
        self.bootstrap = bootstrap
        self.codec = codec
        self.batch_size = batch_size
        self.calls = _calls()
        self.encode = msgspec.json.Encoder().encode

    def _producer(self) -> Any:
        return AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks="all",
            enable_idempotence=True,
            compression_type=None if self.codec == "none" else self.codec,
            max_batch_size=self.batch_size,
        )

    async def send(self) -> None:
        async with self._producer() as producer:
            futures = [
                await producer.send("send", **_by_hand(call, self.encode)) for call in self.calls
            ]
            await asyncio.gather(*futures)

    async def send_batch(self) -> None:
        async with self._producer() as producer:
            futures = []
            batch = producer.create_batch()
            for call in self.calls:
                record = _by_hand(call, self.encode)
                if not batch.append(timestamp=None, **record):
                    futures.append(await producer.send_batch(batch, "send_batch", partition=0))
                    batch = producer.create_batch()
                    batch.append(timestamp=None, **record)
            futures.append(await producer.send_batch(batch, "send_batch", partition=0))
            await asyncio.gather(*futures)

    def _sink(self, topic: str) -> KafkaSink:
        return KafkaSink(
            KafkaConfig(
                brokers=self.bootstrap,
                topic=topic,
                compression_type=self.codec,
                batch_size=self.batch_size,
            )
        )

    async def sink(self) -> None:
        events = [_event(call) for call in self.calls]
        sink = self._sink("sink")
        await sink.open()
        for start in range(0, COUNT, PER_BATCH):
            await sink.send(Batch(events[start : start + PER_BATCH]))
        await sink.aclose()

    async def client(self) -> None:
        async with AsyncClient(sink=self._sink("client"), service_name="shop") as client:
            for number, call in enumerate(self.calls):
                client.log_prompt_call("run", **call)
                if number % 100 == 0:
                    await asyncio.sleep(0)  # a host does other things too
            report = await client.flush(60)
        if report.pending or client.statistics().delivered != COUNT:
            raise RuntimeError(f"not delivered: {report}")


async def _measure(way: Way) -> tuple[float, float, float]:
    """Return CPU seconds, wall seconds and the longest stall of this loop in milliseconds."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        before = time.perf_counter()
        while True:
            await asyncio.sleep(0.0005)
            now = time.perf_counter()
            longest, before = max(longest, now - before - 0.0005), now

    watcher = asyncio.create_task(watch())
    cpu, wall = time.process_time(), time.perf_counter()
    await way()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    watcher.cancel()
    return cpu, wall, longest * 1000


TITLES = {
    "send": "aiokafka by hand, send",
    "send_batch": "aiokafka by hand, send_batch",
    "sink": "KafkaSink alone",
    "client": "AsyncClient, redaction included",
}


def sample(variant: str, quick: bool) -> dict[str, float]:
    """All ways against one broker; the topics are read afterwards: nothing may be lost."""
    counted = 1 if quick else 5
    with KafkaCluster() as cluster:
        ways = Ways(cluster.bootstrap, CODEC, BATCH_BYTES)
        named: dict[str, Way] = {name: getattr(ways, name) for name in TITLES}
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in named}
        for name in named:
            cluster.create_topic(name)
        for _ in range(counted + 1):  # the first warms up
            for name, way in named.items():
                found[name].append(asyncio.run(_measure(way)))
        for name in named:
            records = asyncio.run(aread_topic(cluster.bootstrap, name, timeout=120))
            if len(records) != COUNT * (counted + 1):
                raise RuntimeError(f"{name}: {len(records)} records arrived")
    return {
        f"{name}/{metric}": statistics.median(column)
        for name, rounds in found.items()
        for metric, column in zip(
            ("cpu", "wall", "stall"), zip(*rounds[1:], strict=True), strict=True
        )
    }


def run(quick: bool) -> Result:
    """The design has no budget for it but that nothing is lost, which a sample insists on."""
    found = interleave("kafka", ["all"], rounds=1, quick=quick)
    if not found.variants:
        raise NotMeasuredError("no Kafka to measure with")
    return Result(
        TITLE,
        ("variant", "CPU s per 10,000", "took s", "longest stall ms"),
        [
            (title, *(found.median("all", f"{name}/{m}") for m in ("cpu", "wall", "stall")))
            for name, title in TITLES.items()
        ],
        notes=f"{CODEC}, batches of {BATCH_BYTES:,} bytes, acks=all, idempotence; a real broker on "
        "loopback, whose CPU is not counted. By hand: no queue, redaction or retries, and the "
        "host's event loop compresses.",
    )
