"""SentinelClient, against a real broker: what arrives, how long it waits, what it raises."""

import inspect
import json
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llmobs.sentinel import (
    SendError,
    SentinelClient,
    SentinelConfig,
    SentinelError,
    TelemetryEvent,
    TimeoutError,
    ValidationError,
)
from llmobs.settings import Settings
from tests.dialects.sentinel_events import OPTIONAL, TRACKED, make_event
from tests.dialects.test_sentinel_events import WRONG, spoil
from tests.helpers import llmobs_threads
from tests.support.kafka_handle import Kafka
from tests.support.ports import free_ports
from tests.support.sentinel import validate_sentinel

pytestmark = pytest.mark.kafka


@pytest.fixture
def client(kafka: Kafka, kafka_topic: str) -> Iterator[SentinelClient]:
    with SentinelClient(kafka.bootstrap, topic=kafka_topic) as client:
        yield client


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The address of a broker that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def arrived(kafka: Kafka, topic: str, count: int) -> list[dict[str, Any]]:
    """Return the events on *topic*, of which there must be *count*, checked as the server does."""
    values = [record.value or b"" for record in kafka.read(topic, at_least=count)]
    assert [validate_sentinel(value) for value in values] == [[]] * count
    return [json.loads(value) for value in values]


def hopeless(broker: str, **options: Any) -> SentinelClient:
    """Return a client of a broker that will never answer."""
    client = SentinelClient([broker], **options)
    client._client.settings = Settings(**{**client._client.settings.given, "shutdown_timeout": 0.1})
    return client


@pytest.mark.row("S001", "S003", "S006")
def test_an_event_arrives_as_its_dict(kafka: Kafka, kafka_topic: str) -> None:
    event = make_event()
    with SentinelClient(brokers=kafka.bootstrap, topic=kafka_topic) as client:
        assert client.send(event) is None
        (record,) = kafka.read(kafka_topic, at_least=1)  # before close: it waited
    assert json.loads(record.value or b"") == event.to_dict()
    assert validate_sentinel(record.value or b"") == []
    assert TelemetryEvent.from_dict(json.loads(record.value or b"")) == event
    assert record.key == b"chat-api"
    assert dict(record.headers)["event_id"] == str(event.event_id).encode()


@pytest.mark.row("S003")
def test_nothing_connects_before_the_first_event() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        client = SentinelClient([f"127.0.0.1:{server.getsockname()[1]}"])
        with pytest.raises(OSError, match="timed out"):
            server.accept()
        assert llmobs_threads() == []
        client.flush()
        client.close()
        assert llmobs_threads() == []


@pytest.mark.row("S002", "S004")
def test_a_config_is_used_as_it_is(
    kafka: Kafka, kafka_topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    parameters = inspect.signature(SentinelClient).parameters
    assert {name: p.default for name, p in parameters.items()} == {
        "brokers": None, "config": None, "kwargs": inspect.Parameter.empty,
    }  # fmt: skip
    assert parameters["kwargs"].kind is inspect.Parameter.VAR_KEYWORD
    config = SentinelConfig(kafka.bootstrap, topic=kafka_topic)
    client = SentinelClient(["127.0.0.1:1"], config, topic="elsewhere")
    assert client.config is config
    assert "brokers and keywords are unused" in caplog.text
    with client:
        client.track(**TRACKED)
    assert len(arrived(kafka, kafka_topic, 1)) == 1


@pytest.mark.row("S005", "S089")
def test_keywords_are_options(kafka: Kafka, kafka_topic: str) -> None:
    with SentinelClient(kafka.bootstrap, topic=kafka_topic, client_id="me", acks="1") as client:
        assert (client.config.client_id, client.config.acks) == ("me", "1")
        client.track(**TRACKED)
    assert len(arrived(kafka, kafka_topic, 1)) == 1
    with pytest.raises(TypeError, match="no_such_option"):
        SentinelClient(kafka.bootstrap, no_such_option=1)


@pytest.mark.row("S007")
@pytest.mark.parametrize("thing", [None, "text", make_event().to_dict(), object()])
def test_what_is_no_event_is_refused(thing: Any) -> None:
    client = SentinelClient(["127.0.0.1:1"])
    with pytest.raises(ValidationError, match="event must be a TelemetryEvent"):
        client.send(thing)
    assert llmobs_threads() == []


@pytest.mark.row("S011", "S149")
def test_an_event_spoiled_later_is_refused_before_anything_is_sent(
    client: SentinelClient, kafka: Kafka, kafka_topic: str
) -> None:
    for path, value, words in WRONG:
        event = make_event()
        spoil(event, path, value)
        with pytest.raises(ValidationError, match=words):
            client.send(event)
    for name, value in [
        ("prompt_tokens", -1), ("completion_tokens", 2**32), ("latency_ms", math.nan),
        ("metadata", {"k": 1}), ("errors", [None]), ("service", ""), ("prompt", None),
    ]:  # fmt: skip
        with pytest.raises(ValidationError):
            client.track(**{**TRACKED, name: value})
    assert client._client.statistics().accepted == 0
    client.send(make_event())
    assert arrived(kafka, kafka_topic, 1) == [make_event().to_dict()]


@pytest.mark.row("S008", "S010", "S152")
@pytest.mark.parametrize("timeout", [0, 0.2])
def test_the_timeout_is_in_seconds(timeout: float, black_hole: str) -> None:
    client = hopeless(black_hole)
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="may still arrive") as caught:
        client.send(make_event(), timeout=timeout)
    assert timeout <= time.monotonic() - started < timeout + 1
    assert isinstance(caught.value, SentinelError)
    assert isinstance(caught.value, __builtins__["TimeoutError"])  # type: ignore[index]
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="1 events"):
        client.flush(timeout)
    assert time.monotonic() - started < timeout + 1
    client.close()
    assert llmobs_threads() == []


@pytest.mark.row("S008")
@pytest.mark.parametrize("timeout", [-1, math.nan, "1", True])
def test_a_timeout_that_is_none_is_refused(timeout: Any) -> None:
    client = SentinelClient(["127.0.0.1:1"])
    with pytest.raises(ValidationError, match="timeout must be a number of seconds"):
        client.send(make_event(), timeout=timeout)
    with pytest.raises(ValidationError, match="timeout must be a number of seconds"):
        client.flush(timeout)


@pytest.mark.row("S008")
def test_without_a_timeout_it_waits_for_request_timeout_ms(black_hole: str) -> None:
    client = hopeless(black_hole, request_timeout_ms=300)
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"within 0\.3 s"):
        client.send(make_event())
    assert time.monotonic() - started < 1.5
    client.close()


@pytest.mark.row("S010")
def test_a_broker_that_is_away_is_named_as_the_cause() -> None:
    client = hopeless(f"127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(TimeoutError) as caught:
        client.send(make_event(), timeout=1)
    assert "Unable to bootstrap" in str(caught.value.cause)
    client.close()


@pytest.mark.row("S009", "S150")
def test_what_the_broker_refuses_is_a_send_error(kafka: Kafka) -> None:
    if kafka.kind == "mock":
        pytest.skip("the mock has no topic settings")
    topic = kafka.new_topic(config={"max.message.bytes": "700"})
    with SentinelClient(kafka.bootstrap, topic=topic, compression_type="none") as client:
        with pytest.raises(SendError, match="too_large") as caught:
            client.track(**{**TRACKED, "prompt": "x" * 2000}, timeout=20)
        assert isinstance(caught.value.cause, Exception)
        assert "max.message.bytes" in str(caught.value)
        client.track(**TRACKED)
    assert len(arrived(kafka, topic, 1)) == 1


@pytest.mark.row("S009")
def test_what_the_client_refuses_is_a_send_error(kafka: Kafka, kafka_topic: str) -> None:
    options: dict[str, Any] = {"topic": kafka_topic, "max_request_size": 500}
    with (
        SentinelClient(kafka.bootstrap, **options) as client,
        pytest.raises(SendError, match="max_request_size"),
    ):
        client.track(**{**TRACKED, "prompt": "x" * 5000})
    with SentinelClient(kafka.bootstrap, topic=kafka_topic, buffer_memory=4000) as client:
        with pytest.raises(SendError, match="too_large"):
            client.track(**{**TRACKED, "prompt": "x" * 5000})
        client.track(**TRACKED)
    assert len(arrived(kafka, kafka_topic, 1)) == 1


@pytest.mark.row("S009")
def test_a_refused_login_is_told_at_once(kafka_cluster: Any) -> None:
    cluster = kafka_cluster(security="SASL_PLAINTEXT")
    client = SentinelClient(
        cluster.bootstrap, security_protocol="SASL_PLAINTEXT", sasl_username="alice",
        sasl_password="wrong",
    )  # fmt: skip
    started = time.monotonic()
    with pytest.raises(SendError, match="refuse user 'alice'") as caught:
        client.send(make_event(), timeout=25)
    assert time.monotonic() - started < 20
    assert "wrong" not in str(caught.value)
    client.close()


@pytest.mark.row("S012")
def test_the_signature_of_track() -> None:
    parameters = inspect.signature(SentinelClient.track).parameters
    wanted = {**dict.fromkeys(TRACKED, inspect.Parameter.empty), **dict.fromkeys(OPTIONAL)}
    wanted |= {"finish_reason": "stop", "timeout": None}
    found = {name: p.default for name, p in parameters.items() if name != "self"}
    assert found == wanted and list(found) == list(wanted) and len(found) == 16


PLACES = {
    "service": ("service_name",), "model": ("model",), "prompt": ("prompt", "text"),
    "response": ("response", "text"), "latency_ms": ("latency_ms",),
    "prompt_tokens": ("prompt", "tokens"), "completion_tokens": ("response", "tokens"),
    "cost_usd": ("cost_usd",), "finish_reason": ("response", "finish_reason"),
    "trace_id": ("trace_id",), "span_id": ("span_id",), "metadata": ("metadata",),
    "errors": ("errors",), "prompt_embedding": ("prompt", "embedding"),
    "response_embedding": ("response", "embedding"),
}  # fmt: skip
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(OPTIONAL), "finish_reason": "stop", "metadata": {}, "errors": [],
}  # fmt: skip


def at(event: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        event = event[name]
    return event


@pytest.fixture(scope="module")
def tracked(kafka: Kafka) -> list[dict[str, Any]]:
    """What arrives of a ``track`` with the required arguments, and of one with all."""
    topic = kafka.new_topic()
    with SentinelClient(kafka.bootstrap, topic=topic) as client:
        assert client.track(**TRACKED) is None
        client.track(**TRACKED, **OPTIONAL)
    return arrived(kafka, topic, 2)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.row(f"S{row:03}"))
        for row, name in enumerate(TRACKED, start=13)
    ],
)
def test_a_required_argument_arrives(name: str, tracked: list[dict[str, Any]]) -> None:
    for event in tracked:
        assert at(event, PLACES[name]) == TRACKED[name]
    with pytest.raises(TypeError, match=name):
        SentinelClient(["b"]).track(**{k: v for k, v in TRACKED.items() if k != name})


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.row(f"S{row:03}"))
        for row, name in enumerate(OPTIONAL, start=21)
    ],
)
def test_an_optional_argument_arrives(name: str, tracked: list[dict[str, Any]]) -> None:
    plain, full = tracked
    assert at(plain, PLACES[name]) == DEFAULTS[name]
    assert at(full, PLACES[name]) == OPTIONAL[name]


@pytest.mark.row("S028")
def test_track_hands_its_timeout_on(black_hole: str) -> None:
    client = hopeless(black_hole)
    with pytest.raises(TimeoutError, match=r"within 0\.1 s"):
        client.track(**TRACKED, timeout=0.1)
    client.close()


@pytest.mark.row("S029")
def test_track_sends_what_send_would(
    client: SentinelClient, kafka: Kafka, kafka_topic: str
) -> None:
    client.track(**TRACKED, **OPTIONAL)
    (tracked,) = arrived(kafka, kafka_topic, 1)
    client.send(TelemetryEvent.from_dict({**tracked, "event_id": None, "timestamp": None}))
    _, sent = arrived(kafka, kafka_topic, 2)
    assert sent.pop("event_id") != tracked.pop("event_id")
    assert sent.pop("timestamp") != tracked.pop("timestamp")
    assert sent == tracked


@pytest.mark.row("S030")
def test_after_flush_nothing_is_pending(kafka: Kafka, kafka_topic: str) -> None:
    with SentinelClient(kafka.bootstrap, topic=kafka_topic, linger_ms=60_000) as client:
        with pytest.raises(TimeoutError):
            client.send(make_event(), timeout=0)
        assert client.flush() is None
        assert client._client.statistics().pending == 0
        client.flush(timeout=0)
        assert len(arrived(kafka, kafka_topic, 1)) == 1


@pytest.mark.row("S031")
def test_close_delivers_what_waits_and_ends_everything(kafka: Kafka, kafka_topic: str) -> None:
    client = SentinelClient(kafka.bootstrap, topic=kafka_topic, linger_ms=60_000)
    with pytest.raises(TimeoutError):
        client.send(make_event(), timeout=0)
    assert llmobs_threads()
    client.close()
    client.close()
    assert llmobs_threads() == []
    assert len(arrived(kafka, kafka_topic, 1)) == 1
    for use in (lambda: client.send(make_event()), lambda: client.track(**TRACKED)):
        with pytest.raises(SendError, match="client is closed"):
            use()
    client.flush()
    with client, pytest.raises(TimeoutError):
        client.send(make_event(), timeout=0)
    assert len(arrived(kafka, kafka_topic, 2)) == 2


@pytest.mark.row("S031")
def test_closing_tells_those_who_wait(black_hole: str) -> None:
    client = hopeless(black_hole)
    with ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(client.send, make_event(), 30) for _ in range(4)]
        while client._client.statistics().accepted < 4:
            time.sleep(0.01)
        client.close()
        for future in sending:
            with pytest.raises(SendError):
                future.result(10)


@pytest.mark.row("S031")
def test_an_exit_without_close_delivers(kafka: Kafka, kafka_topic: str) -> None:
    code = f"""
import contextlib
from llmobs.sentinel import SentinelClient, TimeoutError
client = SentinelClient({kafka.bootstrap!r}, topic={kafka_topic!r}, linger_ms=60_000)
with contextlib.suppress(TimeoutError):
    client.track("s", "m", "p", "r", 1, 1, 1, 0.0, timeout=0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
    assert arrived(kafka, kafka_topic, 1)[0]["service_name"] == "s"


def test_threads_share_batches(kafka: Kafka, kafka_topic: str) -> None:
    batches: list[int] = []
    with SentinelClient(kafka.bootstrap, topic=kafka_topic) as client:
        client.track(**TRACKED)
        send = client._sink.send

        async def counting(batch: Any) -> None:
            batches.append(len(batch.events))
            await send(batch)

        client._sink.send = counting  # type: ignore[method-assign]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: client.track(**TRACKED), range(160)))
    assert sum(batches) == 160
    assert len(batches) < 80, batches
    ids = [event["event_id"] for event in arrived(kafka, kafka_topic, 161)]
    assert len(set(ids)) == 161


def test_the_spool_keeps_what_cannot_be_sent_and_says_so(
    kafka: Kafka, kafka_topic: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LLMOBS_SPOOL_DIR", str(tmp_path))
    monkeypatch.setenv("LLMOBS_DURABILITY", "disk")
    with SentinelClient(kafka.bootstrap, topic=kafka_topic) as client:
        client.track(**TRACKED)
    port = free_ports(1)[0]
    client = hopeless(f"127.0.0.1:{port}", topic=kafka_topic, request_timeout_ms=20_000)
    with pytest.raises(SendError, match="kept on disk"):
        client.send(make_event())
    client.close()
    with SentinelClient(kafka.bootstrap, topic=kafka_topic) as client:
        client.track(**TRACKED)
        found = arrived(kafka, kafka_topic, 3)
    assert str(make_event().event_id) in [event["event_id"] for event in found]


def test_texts_are_redacted_only_if_the_environment_says_so(
    kafka: Kafka, kafka_topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOBS_SAMPLE_RATE", "0")
    with SentinelClient(kafka.bootstrap, topic=kafka_topic) as client:
        client.track(**TRACKED)
    monkeypatch.setenv("LLMOBS_REDACT_PII", "true")
    with SentinelClient(kafka.bootstrap, topic=kafka_topic) as client:
        client.track(**TRACKED)
    monkeypatch.setenv("LLMOBS_ENABLED", "false")
    with SentinelClient(["127.0.0.1:1"]) as client:
        client.track(**TRACKED)
    first, second = arrived(kafka, kafka_topic, 2)
    assert first["response"]["text"] == TRACKED["response"]
    assert "jane@example.com" not in second["response"]["text"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_sends(kafka: Kafka, kafka_topic: str) -> None:
    code = f"""
import os
from llmobs.sentinel import SentinelClient
client = SentinelClient({kafka.bootstrap!r}, topic={kafka_topic!r})
client.track("parent", "m", "p", "r", 1, 1, 1, 0.0)
child = os.fork()
if child == 0:
    client.track("child", "m", "p", "r", 1, 1, 1, 0.0, timeout=20)
    client.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
client.track("parent", "m", "p", "r", 1, 1, 1, 0.0)
client.close()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=50)
    names = [event["service_name"] for event in arrived(kafka, kafka_topic, 3)]
    assert names == ["parent", "child", "parent"]
