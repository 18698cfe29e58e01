"""The Kafka sink with TLS, SASL and access rules, against real brokers."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest

from llmobs import Client, SinkState
from llmobs.errors import ConfigurationError, SinkError, SinkUnauthorizedError, SinkUnavailableError
from llmobs.pipeline.sink import Batch
from llmobs.server.collector import Collector
from llmobs.server.kafka.intake import KafkaIntake
from llmobs.server.kafka.source import KafkaSource
from llmobs.settings import Settings
from llmobs.sinks.kafka import KafkaConfig, KafkaSink
from llmobs.store.engine import open_reader, writer_of
from tests.helpers import make_event, poll
from tests.support.certificates import make_certificates
from tests.support.consumer import read_topic
from tests.support.kafka import KafkaCluster
from tests.support.kafka_python import ACLOperation, ACLPermissionType, ResourceType
from tests.support.kafka_runtime import Unavailable
from tests.support.kafka_security import Protocol

pytestmark = [pytest.mark.kafka]


def started(protocol: Protocol) -> Iterator[KafkaCluster]:
    try:
        with KafkaCluster(security=protocol) as cluster:
            cluster.create_topic("calls", 1)
            yield cluster
    except Unavailable as why:
        pytest.skip(f"no Kafka broker: {why}")


@pytest.fixture(scope="module")
def sasl() -> Iterator[KafkaCluster]:
    yield from started("SASL_SSL")


@pytest.fixture(scope="module")
def tls() -> Iterator[KafkaCluster]:
    yield from started("SSL")


def ca(cluster: KafkaCluster) -> str:
    assert cluster.security is not None
    assert cluster.security.certificates is not None
    return str(cluster.security.certificates.ca)


def login(cluster: KafkaCluster, user: str = "alice", **options: Any) -> dict[str, Any]:
    return {
        "security_protocol": "SASL_SSL",
        "ssl_ca_location": ca(cluster),
        "sasl_username": user,
        "sasl_password": f"{user}-secret",
        **options,
    }


def attempt(sink: KafkaSink, *events: Any) -> None:
    """Open, send, close."""

    async def once() -> None:
        try:
            await sink.open()
            await sink.send(Batch(list(events) or [make_event()]))
        finally:
            await sink.aclose()

    anyio.run(once)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sasl_over_tls(sasl: KafkaCluster, mechanism: str) -> None:
    event = make_event(model=mechanism)
    attempt(
        KafkaSink(
            KafkaConfig(
                brokers=sasl.bootstrap, topic="calls", **login(sasl, sasl_mechanism=mechanism)
            )
        ),
        event,
    )
    records = read_topic(sasl.bootstrap, "calls", **reader(sasl))
    assert dict(records[-1].headers)["event_id"] == event.event_id.encode()


def reader(cluster: KafkaCluster) -> dict[str, Any]:
    options = cluster.client_options()
    del options["bootstrap_servers"]
    return options


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_the_collector_reads_by_a_login_and_says_whose_was_refused(
    sasl: KafkaCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture, mechanism: str
) -> None:
    topic = f"read-{mechanism}"
    sasl.create_topic(topic, 1)
    event = make_event()
    attempt(KafkaSink(KafkaConfig(brokers=sasl.bootstrap, topic=topic, **login(sasl))), event)

    def source(password: str) -> KafkaSource:
        options = urlencode(
            {
                "security_protocol": "SASL_SSL", "sasl_mechanism": mechanism, "group": "readers",
                "ssl_ca_location": ca(sasl),
            }
        )  # fmt: skip
        return KafkaSource.from_url(
            f"kafka://alice:{password}@{','.join(sasl.bootstrap)}/{topic}?{options}"
        )

    async def read() -> None:
        collector = Collector(writer_of(tmp_path / "llmobs.db", durable=True), Settings(prices={}))
        await collector.open()
        try:
            with anyio.fail_after(30):
                async with KafkaIntake(collector, source("nonsense")):
                    while "refuse user 'alice'" not in caplog.text:
                        await anyio.sleep(0.02)
                async with KafkaIntake(collector, source("alice-secret")) as intake:
                    while intake.stored != 1:
                        await anyio.sleep(0.02)
        finally:
            await collector.aclose()

    anyio.run(read)
    with open_reader(tmp_path / "llmobs.db") as reader:
        assert [found.decode().event_id for found in reader.tail(0)] == [event.event_id]
    assert "nonsense" not in caplog.text
    assert "alice-secret" not in caplog.text


def test_a_client_certificate(tls: KafkaCluster) -> None:
    assert tls.security is not None
    made = tls.security.certificates
    assert made is not None
    event = make_event()
    sink = KafkaSink(
        KafkaConfig(
            brokers=tls.bootstrap,
            topic="calls",
            security_protocol="SSL",
            ssl_ca_location=str(made.ca),
            ssl_cert_location=str(made.client),
            ssl_key_location=str(made.client_key),
        )
    )
    attempt(sink, event)
    (record,) = read_topic(tls.bootstrap, "calls", at_least=1, **reader(tls))
    assert dict(record.headers)["event_id"] == event.event_id.encode()


def test_no_client_certificate_where_one_is_wanted(tls: KafkaCluster) -> None:
    sink = KafkaSink(
        KafkaConfig(
            brokers=tls.bootstrap, topic="calls", security_protocol="SSL", ssl_ca_location=ca(tls)
        )
    )
    with pytest.raises(SinkUnavailableError):
        attempt(sink)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"sasl_password": "nonsense"}, SinkUnauthorizedError, "check sasl_username"),
        (
            {"sasl_password": "nonsense", "sasl_mechanism": "SCRAM-SHA-512"},
            SinkUnauthorizedError,
            "refuse user 'alice' by SCRAM-SHA-512",
        ),
        (
            {"security_protocol": "SASL_PLAINTEXT", "ssl_ca_location": None},
            SinkUnavailableError,
            "",
        ),
    ],
)
def test_a_refused_login_is_explained(
    sasl: KafkaCluster,
    options: dict[str, Any],
    kind: type[SinkError],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(kind) as caught:
        attempt(
            KafkaSink(
                KafkaConfig(
                    brokers=sasl.bootstrap,
                    topic="calls",
                    request_timeout_ms=2000,
                    **login(sasl, **options),
                )
            )
        )
    assert words in str(caught.value)
    assert "nonsense" not in f"{caught.value!r} {caplog.text}"
    assert caplog.text == ""


def test_a_certificate_of_somebody_else(sasl: KafkaCluster, tmp_path: Path) -> None:
    other = make_certificates(tmp_path)
    with pytest.raises(ConfigurationError, match=r"not trusted.*ssl_ca_location"):
        attempt(
            KafkaSink(
                KafkaConfig(
                    brokers=sasl.bootstrap,
                    topic="calls",
                    **login(sasl, ssl_ca_location=str(other.ca)),
                )
            )
        )


def test_a_certificate_for_another_name(sasl: KafkaCluster) -> None:
    context = ssl.create_default_context(cafile=ca(sasl))
    options = login(sasl, ssl_ca_location=None, ssl_context=context)
    port = sasl.bootstrap[0].rpartition(":")[2]
    with pytest.raises(ConfigurationError, match="host names in brokers"):
        attempt(KafkaSink(KafkaConfig(brokers=f"127.1:{port}", topic="calls", **options)))


def test_a_forbidden_topic_keeps_events_until_it_is_allowed(sasl: KafkaCluster) -> None:
    sasl.create_topic("guarded", 1)
    sasl.deny("mallory", "guarded")
    sink = KafkaSink(KafkaConfig(brokers=sasl.bootstrap, topic="guarded", **login(sasl, "mallory")))
    with Client(sink=sink, flush_interval_seconds=0.01) as client:
        for n in range(10):
            client.log_prompt_call("r", "p", f"m{n}", "a")
        poll(lambda: client.statistics().state is SinkState.UNAUTHORIZED, timeout=20)
        found = client.statistics()
        assert (found.delivered, found.pending, dict(found.dropped)) == (0, 10, {})
        assert found.last_error is not None
        assert "user 'mallory' may not write to topic 'guarded'" in found.last_error
        assert "mallory-secret" not in found.last_error
        allow(sasl, "guarded")

        def flushed() -> bool:  # a flush asks again at once instead of in a minute
            return client.flush(2).pending == 0

        poll(flushed, timeout=20)
        assert client.statistics().delivered == 10
    records = read_topic(sasl.bootstrap, "guarded", at_least=10, **reader(sasl))
    assert [dict(r.headers)["model"].decode() for r in records] == [f"m{n}" for n in range(10)]


def allow(cluster: KafkaCluster, topic: str) -> None:
    from kafka.admin import ACLFilter, ACLResourcePatternType, ResourcePatternFilter

    with cluster.admin() as admin:
        admin.delete_acls(
            [
                ACLFilter(
                    None,
                    None,
                    ACLOperation.ANY,
                    ACLPermissionType.ANY,
                    ResourcePatternFilter(ResourceType.TOPIC, topic, ACLResourcePatternType.ANY),
                )
            ]
        )


def test_a_forbidden_events_topic_costs_its_own_events_only(sasl: KafkaCluster) -> None:
    sasl.create_topic("open", 1)
    sasl.create_topic("open.events", 1)
    sasl.deny("mallory", "open.events")
    sink = KafkaSink(KafkaConfig(brokers=sasl.bootstrap, topic="open", **login(sasl, "mallory")))
    with Client(sink=sink) as client:
        for n in range(10):
            client.log_prompt_call("r", "p", f"m{n}", "a")
            client.log_error("r", "boom")
        report = client.flush()
        assert (report.delivered, dict(report.dropped), report.pending) == (10, {"rejected": 10}, 0)
        client.log_error("r", "boom")  # not asked again for a while
        assert dict(client.flush().dropped) == {"rejected": 1}
    records = read_topic(sasl.bootstrap, "open", at_least=10, **reader(sasl))
    assert [dict(r.headers)["model"].decode() for r in records] == [f"m{n}" for n in range(10)]
