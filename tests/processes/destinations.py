"""Sinks that leave the machine, and which events came there: each as often as it came."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backports import zstd

from llmobs.recorded import semconv
from tests.sinks.test_otlp import spans_of
from tests.support.arrivals import Arrivals
from tests.support.kafka_handle import Kafka
from tests.support.scripted_server import ScriptedServer
from tests.support.watchllm_server import WatchLLMServer


@dataclass(frozen=True)
class Destination:
    """Somewhere events go."""

    name: str
    url: str
    arrived: Callable[[], list[str]]
    """Event ids."""


def by_name(server: ScriptedServer) -> str:
    """Return host and port: a name, not an address, must be resolved while the interpreter exits."""
    return server.address.replace("127.0.0.1", "localhost")


def native_ids(server: ScriptedServer) -> list[str]:
    bodies = [json.loads(zstd.decompress(seen.body)) for seen in server.requests]
    return [event["event_id"] for body in bodies for event in body["events"]]


@contextmanager
def http() -> Iterator[Destination]:
    with ScriptedServer() as server:
        url = f"http://{by_name(server)}/v1?wire=native"
        yield Destination("http", url, lambda: native_ids(server))


@contextmanager
def watchllm() -> Iterator[Destination]:
    with WatchLLMServer() as server:
        url = server.base_url.replace("//", "//test-key@")
        yield Destination("watchllm", url, lambda: [event["event_id"] for event in server.events])


@contextmanager
def otlp() -> Iterator[Destination]:
    with ScriptedServer() as server:

        def ids() -> list[str]:
            spans = [{a.key: a.value.string_value for a in s.attributes} for s in spans_of(server)]
            return [attributes[semconv.EVENT_ID] for attributes in spans]

        yield Destination("otlp+http", f"otlp+http://{by_name(server)}", ids)


def kafka(broker: Kafka) -> Destination:
    topic = broker.new_topic()

    def ids() -> list[str]:
        return [dict(record.headers)["event_id"].decode() for record in broker.read(topic)]

    return Destination("kafka", f"kafka://{','.join(broker.bootstrap)}/{topic}", ids)


def sqlite(path: Path) -> Destination:
    return Destination(
        "sqlite",
        f"sqlite:///{path}",
        lambda: list(Arrivals.read(path.parent / "ledger", path).stored),
    )
