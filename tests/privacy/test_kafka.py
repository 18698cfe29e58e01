"""Nothing gets round redaction by way of Kafka, whoever wrote to the topic: both wires, every field."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from llmobs.codec import AnyEvent, encode
from llmobs.recorded.ids import new_id
from llmobs.redaction.fields import every_field
from tests.privacy.doors import filled
from tests.privacy.filled import event_with, value_for
from tests.privacy.test_collector import Seen, events_stored, what_can_be_looked_at
from tests.support.kafka_handle import Kafka
from tests.support.polling import eventually
from tests.support.serving import Serving

pytestmark = pytest.mark.kafka
SAMPLE = json.loads((Path(__file__).parents[1] / "data" / "sentinel_event.json").read_bytes())


@pytest.fixture
def topic(kafka: Kafka) -> str:
    return kafka.new_topic()


@pytest.fixture
def seen(kafka: Kafka, topic: str, tmp_path: Path) -> Iterator[Seen]:
    brokers = f"{','.join(kafka.bootstrap)}?topic={topic}&group=g-{new_id()}"
    with Serving(tmp_path / "llmobs.db", "--access-log", "json", "--kafka", brokers) as running:
        it = Seen(running, tmp_path)
        stdout = running.process.stdout
        assert stdout is not None
        reader = threading.Thread(target=lambda: it.stdout.extend(stdout), daemon=True)
        reader.start()
        yield it
        it.http.close()
        running.terminate()
        reader.join(10)


def native(seen: Seen) -> list[bytes]:
    return [
        encode(event_with(kind, name, seen.text(f"native {kind.__name__}.{name}")))
        for kind in AnyEvent.__args__
        for name in every_field(kind)
        if value_for(kind, name, "") is not None
    ]


def sentinels(seen: Seen) -> list[bytes]:
    values = []
    for name in (*SAMPLE, "an unknown field"):
        text = seen.text(f"Sentinel's {name}")
        # As it should be, and as it should not.
        for value in (filled(SAMPLE.get(name), text), text, {text: [text]}, [text]):
            values.append({**SAMPLE, "event_id": str(uuid4()), name: value})
    return [json.dumps(value).encode() for value in values]


def unreadable(seen: Seen) -> list[bytes]:
    text = seen.text("unreadable")
    return [
        text.encode(),
        b'{"event_type": "' + text.encode() + b'"}',
        json.dumps({text: text}).encode()[:-2],
        json.dumps([text]).encode(),
        b"\xff\xfe" + text.encode(),
    ]


def test_nothing_gets_out_by_way_of_a_topic(kafka: Kafka, topic: str, seen: Seen) -> None:
    good = native(seen) + sentinels(seen)
    bad = unreadable(seen)
    around = seen.text("key and headers").encode()

    async def write() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        await producer.start()
        try:
            headers = [("service_name", around), ("traceparent", around)]
            for value in (*good, *bad):
                await producer.send(topic, value, key=around, headers=headers)
        finally:
            await producer.stop()

    asyncio.run(write())

    def read() -> int:
        figures = seen.http.get("/metrics").text.splitlines()
        return sum(
            int(float(line.split()[-1]))
            for line in figures
            if line.startswith("llmobs_kafka_records_total")
        )

    eventually(lambda: read() == len(good) + len(bad), timeout=120, interval=0.2)
    assert events_stored(seen) > len(good) // 2
    what_can_be_looked_at(seen)
    assert seen.leaks() == []
