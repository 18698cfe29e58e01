"""AsyncSentinelClient, against a real broker, on asyncio, uvloop and trio."""

import asyncio
import inspect
import json
import math
import socket
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from llmobs.sentinel import (
    AsyncSentinelClient,
    ConnectionError,
    SendError,
    SentinelClient,
    SentinelConfig,
    SentinelError,
    TimeoutError,
    ValidationError,
)
from llmobs.settings import Settings
from tests.dialects.sentinel_events import OPTIONAL, TRACKED, make_event
from tests.helpers import llmobs_threads
from tests.support.kafka_handle import Kafka
from tests.support.ports import free_ports
from tests.support.sentinel import validate_sentinel

pytestmark = [pytest.mark.kafka, pytest.mark.anyio]


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The address of a broker that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def arrived(kafka: Kafka, topic: str, count: int) -> list[dict[str, Any]]:
    values = [record.value or b"" for record in kafka.read(topic, at_least=count)]
    assert [validate_sentinel(value) for value in values] == [[]] * count
    return [json.loads(value) for value in values]


def hopeless(broker: str, **options: Any) -> AsyncSentinelClient:
    client = AsyncSentinelClient([broker], **options)
    client._client.settings = Settings(**{**client._client.settings.given, "shutdown_timeout": 0.1})
    return client


@pytest.mark.row("S032")
async def test_tracked_calls_arrive(kafka: Kafka, kafka_topic: str) -> None:
    async with AsyncSentinelClient(kafka.bootstrap, topic=kafka_topic) as client:
        assert await client.track(**TRACKED, **OPTIONAL) is None
        assert await client.send(make_event()) is None
        tracked, sent = arrived(kafka, kafka_topic, 2)
    assert sent == make_event().to_dict()
    assert (tracked["metadata"], tracked["errors"]) == (OPTIONAL["metadata"], OPTIONAL["errors"])
    assert llmobs_threads() == []


@pytest.mark.row("S033")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_constructors_signature() -> None:
    assert inspect.signature(AsyncSentinelClient) == inspect.signature(SentinelClient)
    config = SentinelConfig(["b"])
    assert AsyncSentinelClient(config=config).config is config
    with pytest.raises(TypeError, match="no_such_option"):
        AsyncSentinelClient(["b"], no_such_option=1)


@pytest.mark.row("S034", "S148")
async def test_a_failed_start_can_be_repeated(kafka: Kafka, kafka_topic: str) -> None:
    client = AsyncSentinelClient([f"127.0.0.1:{free_ports(1)[0]}"], topic=kafka_topic)
    for _ in range(2):
        with pytest.raises(ConnectionError, match="cannot connect to 127") as caught:
            await client.start()
        assert isinstance(caught.value, SentinelError) and isinstance(caught.value, OSError)
        assert isinstance(caught.value.cause, Exception)
    assert llmobs_threads() == []
    client.config.brokers = kafka.bootstrap  # the broker is there now
    await client.start()
    threads = llmobs_threads()
    await client.start()
    assert llmobs_threads() == threads
    await client.send(make_event())
    await client.close()
    assert llmobs_threads() == []
    assert len(arrived(kafka, kafka_topic, 1)) == 1


@pytest.mark.row("S034")
async def test_start_is_optional_and_harmless_later(kafka: Kafka, kafka_topic: str) -> None:
    client = AsyncSentinelClient(kafka.bootstrap, topic=kafka_topic)
    await client.send(make_event())
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(client.start)
            group.start_soon(client.send, make_event())
    await client.close()
    assert llmobs_threads() == []
    assert len(arrived(kafka, kafka_topic, 4)) == 4


@pytest.mark.row("S034")
async def test_starting_at_the_same_time_leaves_one_connection(kafka: Kafka) -> None:
    client = AsyncSentinelClient(kafka.bootstrap)
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(client.start)
    assert llmobs_threads() == ["llmobs-kafka"]
    await client.close()
    assert llmobs_threads() == []


@pytest.mark.row("S035")
@pytest.mark.parametrize("timeout", [0, 0.2])
async def test_the_timeout_is_honoured_and_the_loop_stays_free(
    timeout: float, black_hole: str
) -> None:
    client = hopeless(black_hole)
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.sleep(0.01)

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        started = anyio.current_time()
        with pytest.raises(TimeoutError, match="may still arrive"):
            await client.send(make_event(), timeout=timeout)
        assert timeout <= anyio.current_time() - started < timeout + 1
        before = turns
        await client.close()
        assert turns > before, "close() held the loop"
        group.cancel_scope.cancel()
    assert turns >= timeout / 0.02
    assert llmobs_threads() == []


@pytest.mark.row("S035")
async def test_it_is_refused_as_by_the_sync_client(black_hole: str) -> None:
    client = hopeless(black_hole)
    for thing in (None, {}, "text"):
        with pytest.raises(ValidationError, match="event must be a TelemetryEvent"):
            await client.send(thing)  # type: ignore[arg-type]
    for changes in ({"prompt_tokens": -1}, {"latency_ms": math.nan}, {"metadata": {"k": 1}}):
        with pytest.raises(ValidationError):
            await client.track(**{**TRACKED, **changes})
    with pytest.raises(ValidationError, match="timeout must be"):
        await client.send(make_event(), timeout=-1)
    assert client._client.statistics().accepted == 0
    await client.close()


@pytest.mark.row("S035")
async def test_what_is_refused_is_a_send_error(kafka: Kafka, kafka_topic: str) -> None:
    async with AsyncSentinelClient(
        kafka.bootstrap, topic=kafka_topic, max_request_size=500
    ) as client:
        with pytest.raises(SendError, match="max_request_size"):
            await client.track(**{**TRACKED, "prompt": "x" * 5000})


@pytest.mark.row("S036")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_signatures_are_those_of_the_sync_client() -> None:
    for name in ("track", "send", "close"):
        ours, theirs = getattr(AsyncSentinelClient, name), getattr(SentinelClient, name)
        assert inspect.iscoroutinefunction(ours)
        assert inspect.signature(ours) == inspect.signature(theirs)
    assert len(inspect.signature(AsyncSentinelClient.track).parameters) == 1 + 16


@pytest.mark.row("S037")
async def test_after_flush_nothing_is_pending(kafka: Kafka, kafka_topic: str) -> None:
    assert list(inspect.signature(AsyncSentinelClient.flush).parameters) == ["self"]
    client = AsyncSentinelClient(kafka.bootstrap, topic=kafka_topic, linger_ms=60_000)
    await client.flush()
    assert llmobs_threads() == []
    with pytest.raises(TimeoutError):
        await client.send(make_event(), timeout=0)
    await client.flush()
    assert client._client.statistics().pending == 0
    await client.close()
    assert len(arrived(kafka, kafka_topic, 1)) == 1


@pytest.mark.row("S037")
async def test_flush_gives_up_after_request_timeout_ms(black_hole: str) -> None:
    client = hopeless(black_hole, request_timeout_ms=200)
    with pytest.raises(TimeoutError):
        await client.send(make_event(), timeout=0)
    with pytest.raises(TimeoutError, match="1 events"):
        await client.flush()
    await client.close()


@pytest.mark.row("S038")
async def test_close_delivers_what_waits_and_can_be_followed_by_start(
    kafka: Kafka, kafka_topic: str
) -> None:
    client = AsyncSentinelClient(kafka.bootstrap, topic=kafka_topic, linger_ms=60_000)
    with pytest.raises(TimeoutError):
        await client.send(make_event(), timeout=0)
    await client.close()
    await client.close()
    assert llmobs_threads() == []
    assert len(arrived(kafka, kafka_topic, 1)) == 1
    with pytest.raises(SendError, match="client is closed"):
        await client.send(make_event())
    await client.flush()
    async with client:
        with pytest.raises(TimeoutError):
            await client.send(make_event(), timeout=0)
    assert len(arrived(kafka, kafka_topic, 2)) == 2


async def test_tasks_share_batches(kafka: Kafka, kafka_topic: str) -> None:
    batches: list[int] = []
    async with AsyncSentinelClient(kafka.bootstrap, topic=kafka_topic) as client:
        send = client._sink.send

        async def counting(batch: Any) -> None:
            batches.append(len(batch.events))
            await send(batch)

        client._sink.send = counting  # type: ignore[method-assign]
        async with anyio.create_task_group() as group:
            for _ in range(200):
                group.start_soon(lambda: client.track(**TRACKED))
    assert sum(batches) == 200
    assert len(batches) <= 20, batches  # how many fit one depends on how busy the machine is
    assert len(arrived(kafka, kafka_topic, 200)) == 200


async def test_a_cancelled_send_leaves_the_event_queued(kafka: Kafka, kafka_topic: str) -> None:
    async with AsyncSentinelClient(kafka.bootstrap, topic=kafka_topic, linger_ms=60_000) as client:
        with anyio.move_on_after(0.05) as scope:
            await client.send(make_event())
        assert scope.cancelled_caught
    assert len(arrived(kafka, kafka_topic, 1)) == 1


@pytest.mark.row("S033")
def test_one_client_serves_loop_after_loop(kafka: Kafka, kafka_topic: str) -> None:
    client = AsyncSentinelClient(kafka.bootstrap, topic=kafka_topic)
    asyncio.run(client.send(make_event()))
    asyncio.run(client.start())
    asyncio.run(client.send(make_event()))
    asyncio.run(client.close())
    assert llmobs_threads() == []
    assert len(arrived(kafka, kafka_topic, 2)) == 2
