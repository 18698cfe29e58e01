"""SentinelConfig: fields, environment, and what today's Kafka libraries make of it."""

import asyncio
import dataclasses
import json
import logging
import ssl
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmobs.sentinel import (
    AsyncSentinelClient,
    ConfigurationError,
    SentinelClient,
    SentinelConfig,
    SentinelError,
)
from tests.dialects.rows import checklist
from tests.support.consumer import read_topic
from tests.support.kafka import KafkaCluster
from tests.support.kafka_handle import Kafka
from tests.support.kafka_security import USERS

# row, field, default, kafka-python's option and value, aiokafka's option and value
FIELDS: list[tuple[str, str, Any, tuple[str, Any] | None, tuple[str, Any] | None]] = [
    ("S089", "topic", "llm-telemetry", None, None),
    ("S090", "client_id", "sentinel-sdk-python", ("client_id", "sentinel-sdk-python"),
     ("client_id", "sentinel-sdk-python")),
    ("S091", "compression_type", "gzip", ("compression_type", "gzip"),
     ("compression_type", "gzip")),
    ("S092", "acks", "all", ("acks", "all"), ("acks", "all")),
    ("S093", "retries", 3, ("retries", 3), None),
    ("S094", "retry_backoff_ms", 100, ("retry_backoff_ms", 100), ("retry_backoff_ms", 100)),
    ("S095", "request_timeout_ms", 30000, ("request_timeout_ms", 30000),
     ("request_timeout_ms", 30000)),
    ("S096", "linger_ms", 10, ("linger_ms", 10), ("linger_ms", 10)),
    ("S097", "batch_size", 16384, ("batch_size", 16384), ("max_batch_size", 16384)),
    ("S098", "max_in_flight_requests", 5, ("max_in_flight_requests_per_connection", 5), None),
    ("S099", "enable_idempotence", True, ("enable_idempotence", True),
     ("enable_idempotence", True)),
    ("S100", "buffer_memory", 33554432, None, None),
    ("S101", "max_request_size", 1048576, ("max_request_size", 1048576),
     ("max_request_size", 1048576)),
    ("S102", "metadata_max_age_ms", 300000, ("metadata_max_age_ms", 300000),
     ("metadata_max_age_ms", 300000)),
    ("S103", "security_protocol", "PLAINTEXT", ("security_protocol", "PLAINTEXT"),
     ("security_protocol", "PLAINTEXT")),
    ("S104", "sasl_mechanism", None, None, None),
    ("S105", "sasl_username", None, None, None),
    ("S106", "sasl_password", None, None, None),
    ("S107", "ssl_ca_location", None, None, None),
    ("S108", "ssl_cert_location", None, None, None),
    ("S109", "ssl_key_location", None, None, None),
    ("S110", "additional_config", {}, None, None),
]  # fmt: skip

VARIABLES = [
    ("S155", "TOPIC", "t", "topic", "t"),
    ("S156", "CLIENT_ID", "c", "client_id", "c"),
    ("S157", "COMPRESSION_TYPE", "zstd", "compression_type", "zstd"),
    ("S158", "ACKS", "1", "acks", "1"),
    ("S159", "RETRIES", "7", "retries", 7),
    ("S160", "SECURITY_PROTOCOL", "SASL_SSL", "security_protocol", "SASL_SSL"),
    ("S161", "SASL_MECHANISM", "SCRAM-SHA-512", "sasl_mechanism", "SCRAM-SHA-512"),
    ("S162", "SASL_USERNAME", "u", "sasl_username", "u"),
    ("S163", "SASL_PASSWORD", "p", "sasl_password", "p"),
    ("S164", "SSL_CA_LOCATION", "ca.pem", "ssl_ca_location", "ca.pem"),
    ("S165", "SSL_CERT_LOCATION", "cert.pem", "ssl_cert_location", "cert.pem"),
    ("S166", "SSL_KEY_LOCATION", "key.pem", "ssl_key_location", "key.pem"),
]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, name, *_ in VARIABLES:
        monkeypatch.delenv(f"SENTINEL_{name}", raising=False)
    monkeypatch.delenv("SENTINEL_BROKERS", raising=False)


@pytest.mark.row("S087")
def test_the_config_is_a_dataclass_with_the_printed_fields() -> None:
    assert dataclasses.is_dataclass(SentinelConfig)
    names = [f.name for f in dataclasses.fields(SentinelConfig)]
    assert names == ["brokers", *(name for _, name, *_ in FIELDS)] and len(names) == 23
    with pytest.raises(TypeError, match="brokers"):
        SentinelConfig()  # type: ignore[call-arg]


@pytest.mark.row("S088")
@pytest.mark.parametrize("brokers", [[], None, [""], ["b", 7], "localhost:9092"])
def test_brokers_must_be_a_list_of_addresses(brokers: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^brokers must"):
        SentinelConfig(brokers)


@pytest.mark.parametrize(
    ("name", "default", "kafka_python", "aiokafka"),
    [pytest.param(*rest, marks=pytest.mark.row(row)) for row, *rest in FIELDS],
)
def test_a_field_has_its_default_and_reaches_the_producers(
    name: str, default: Any, kafka_python: tuple[str, Any] | None, aiokafka: tuple[str, Any] | None
) -> None:
    config = SentinelConfig(["b:9092"])
    assert getattr(config, name) == default
    options = (config.to_kafka_config(), config.to_aiokafka_config())
    for option, found in zip((kafka_python, aiokafka), options, strict=True):
        assert found["bootstrap_servers"] == ["b:9092"]
        if option is not None:
            assert found[option[0]] == option[1]
        else:
            assert name not in found or found[name] is None


@pytest.mark.row("S110")
def test_every_config_has_its_own_additional_options() -> None:
    one, two = SentinelConfig(["b"]), SentinelConfig(["b"])
    one.additional_config["linger_ms"] = "5"
    assert two.additional_config == {}


@pytest.mark.row("S091", "S092", "S103", "S151")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("compression_type", "brotli"), ("compression_type", None), ("acks", "2"), ("acks", 1),
        ("security_protocol", "TLS"), ("sasl_mechanism", "KERBEROS"), ("topic", ""),
        ("client_id", None), ("retries", -1), ("retries", "3"), ("retries", True),
        ("linger_ms", 0.5), ("batch_size", -1), ("request_timeout_ms", 0), ("buffer_memory", -5),
        ("max_in_flight_requests", 0), ("enable_idempotence", "yes"), ("additional_config", None),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} must ") as caught:
        SentinelConfig(["b"], **{name: value})
    assert isinstance(caught.value, SentinelError)
    config = SentinelConfig(["b"])
    setattr(config, name, value)
    for use in (
        config.to_kafka_config,
        config.to_aiokafka_config,
        lambda: SentinelClient(config=config),
    ):
        with pytest.raises(ConfigurationError, match=f"^{name} must "):
            use()


@pytest.mark.row("S106")
def test_the_password_is_not_shown() -> None:
    secret = "hunter2-secret"
    config = SentinelConfig(
        ["b"], security_protocol="SASL_PLAINTEXT", sasl_username="u", sasl_password=secret,
        additional_config={"sasl_plain_password": secret},
    )  # fmt: skip
    clients = (SentinelClient(config=config), AsyncSentinelClient(config=config))
    for shown in (config, *clients, *(client._sink for client in clients)):
        assert secret not in repr(shown) and secret not in str(shown)
    assert config.to_kafka_config()["sasl_plain_password"] == secret


def test_credentials_that_go_unused_are_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "llmobs"):
        SentinelConfig(["b"], sasl_username="u", sasl_password="secret").to_aiokafka_config()
    assert "sasl_username is not used: security_protocol is PLAINTEXT" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.row("S111")
def test_without_variables_the_defaults_hold() -> None:
    assert SentinelConfig.from_env() == SentinelConfig(["localhost:9092"])


@pytest.mark.row("S154")
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("b1:9092", ["b1:9092"]),
        (" b1:9092 , b2:9092,", ["b1:9092", "b2:9092"]),
        ("", ["localhost:9092"]),
    ],
)
def test_the_brokers_of_the_environment(
    written: str, meant: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTINEL_BROKERS", written)
    assert SentinelConfig.from_env().brokers == meant
    monkeypatch.setenv("SENTINEL_BROKERS", " , ")
    with pytest.raises(ConfigurationError, match="brokers"):
        SentinelConfig.from_env()


@pytest.mark.row("S111", "S153")
@pytest.mark.parametrize(
    ("variable", "written", "field", "meant"),
    [pytest.param(*rest, marks=pytest.mark.row(row)) for row, *rest in VARIABLES],
)
def test_a_variable_sets_its_field(
    variable: str, written: str, field: str, meant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (default,) = (row.promise for row in checklist() if f"SENTINEL_{variable}`" in row.promise)
    before = getattr(SentinelConfig.from_env(), field)
    assert default.endswith(f"default `{before}`") or (before is None and "None" in default)
    monkeypatch.setenv(f"SENTINEL_{variable}", written)
    assert getattr(SentinelConfig.from_env(), field) == meant
    monkeypatch.setenv(f"SENTINEL_{variable}", "")
    assert getattr(SentinelConfig.from_env(), field) == before


@pytest.mark.row("S111", "S153")
def test_keywords_win_and_clients_take_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_BROKERS", "b1:9092")
    monkeypatch.setenv("SENTINEL_TOPIC", "t")
    monkeypatch.setenv("SENTINEL_RETRIES", "abc")
    config = SentinelConfig.from_env(brokers=["b2:9092"], retries=1, linger_ms=0)
    assert (config.brokers, config.topic, config.retries) == (["b2:9092"], "t", 1)
    with pytest.raises(ConfigurationError, match="SENTINEL_RETRIES must be a whole number"):
        SentinelConfig.from_env()
    monkeypatch.delenv("SENTINEL_RETRIES")
    for kind in (SentinelClient, AsyncSentinelClient):
        assert kind().config == SentinelConfig(["b1:9092"], topic="t")
        assert kind(["b2:9092"]).config == SentinelConfig(["b2:9092"], topic="t")
        assert kind.from_env(topic="u").config == SentinelConfig(["b1:9092"], topic="u")


@pytest.mark.row("S110")
def test_additional_options_are_converted_and_win() -> None:
    config = SentinelConfig(
        ["b"],
        additional_config={
            "linger_ms": "5", "acks": "1", "compression_type": "none",
            "connections_max_idle_ms": "60000", "sasl_kerberos_service_name": "k",
        },
    )  # fmt: skip
    for options in (config.to_kafka_config(), config.to_aiokafka_config()):
        assert options["linger_ms"] == 5
        assert (options["acks"], options["enable_idempotence"]) == (1, False)
        assert options["compression_type"] is None
        assert options["connections_max_idle_ms"] == 60000
        assert options["sasl_kerberos_service_name"] == "k"
    config.additional_config = {"max_block_ms": "5", "metrics_enabled": "false"}
    assert config.to_kafka_config()["max_block_ms"] == 5
    assert config.to_kafka_config()["metrics_enabled"] is False
    with pytest.raises(ConfigurationError, match="aiokafka has no option 'max_block_ms'"):
        config.to_aiokafka_config()
    for wrong, words in [
        ({"no_such_option": "1"}, "has no option 'no_such_option'"),
        ({"linger_ms": "soon"}, "linger_ms must be a whole number, not 'soon'"),
        ({"acks": "7"}, "^acks must be one of"),
        ({"enable_idempotence": "maybe"}, "enable_idempotence must be true or false"),
    ]:
        config.additional_config = wrong
        with pytest.raises(ConfigurationError, match=words):
            config.to_kafka_config()
        with pytest.raises(ConfigurationError, match=words):
            config.to_aiokafka_config()


# With real producers and a real broker.


@pytest.fixture
def kafka_python_producer() -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Make kafka-python's producer from options."""
    from tests.support.kafka_python import KafkaProducer

    made = []

    def make(options: dict[str, Any]) -> Any:
        made.append(KafkaProducer(**options))
        return made[-1]

    yield make
    for producer in made:
        producer.close(5)


def send_with_both(config: SentinelConfig, make: Callable[[dict[str, Any]], Any]) -> None:
    """Write one record with each library, and one with each of our clients."""
    topic = config.topic
    make(config.to_kafka_config()).send(topic, b"kafka-python").get(20)

    async def send() -> None:
        from aiokafka import AIOKafkaProducer

        async with AIOKafkaProducer(**config.to_aiokafka_config()) as producer:
            await producer.send_and_wait(topic, b"aiokafka")
        async with AsyncSentinelClient(config=config) as client:
            await client.track("async", "m", "p", "r", 1, 1, 1, 0.0)

    asyncio.run(send())
    with SentinelClient(config=config) as client:
        client.track("sync", "m", "p", "r", 1, 1, 1, 0.0)


def check_all_four(values: list[bytes | None]) -> None:
    assert values[:2] == [b"kafka-python", b"aiokafka"]
    names = [json.loads(value or b"")["service_name"] for value in values[2:]]
    assert names == ["async", "sync"]


VALUES: list[dict[str, Any]] = [
    {},
    *({"compression_type": codec} for codec in ("none", "snappy", "lz4", "zstd")),
    *({"acks": acks} for acks in ("-1", "1", "0")),
    {"acks": "1", "enable_idempotence": False, "compression_type": "none"},
    {"acks": "0", "enable_idempotence": False},
    {"enable_idempotence": False},
    {"retries": 0},
    {"max_in_flight_requests": 10},
    {"linger_ms": 0, "batch_size": 0, "retry_backoff_ms": 0, "request_timeout_ms": 200_000},
    {"buffer_memory": 1 << 20, "max_request_size": 2 << 20, "metadata_max_age_ms": 1000},
    {"additional_config": {"linger_ms": "5", "connections_max_idle_ms": "60000"}},
    {"sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "p"},
]


@pytest.mark.kafka
@pytest.mark.row("S089", "S091", "S092", "S099", "S100", "S110", "S112", "S113")
@pytest.mark.parametrize("values", VALUES, ids=lambda values: ",".join(values) or "defaults")
def test_both_libraries_send_with_every_documented_value(
    kafka: Kafka,
    kafka_topic: str,
    kafka_python_producer: Callable[[dict[str, Any]], Any],
    values: dict[str, Any],
) -> None:
    if kafka.kind == "mock":
        pytest.skip("kafka-python cannot talk to the mock")
    config = SentinelConfig(kafka.bootstrap, topic=kafka_topic, **values)
    send_with_both(config, kafka_python_producer)
    check_all_four([record.value for record in kafka.read(kafka_topic, at_least=4)])


@pytest.mark.kafka
@pytest.mark.row("S103", "S104", "S105", "S106", "S107", "S108", "S109", "S112", "S113")
@pytest.mark.parametrize("protocol", ["SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_both_libraries_send_over_tls_and_with_a_login(
    protocol: Any,
    kafka_cluster: Callable[..., KafkaCluster],
    kafka_python_producer: Callable[[dict[str, Any]], Any],
) -> None:
    cluster = kafka_cluster(security=protocol)
    assert cluster.security is not None
    values: dict[str, Any] = {"security_protocol": protocol}
    if (files := cluster.security.certificates) is not None:
        values["ssl_ca_location"] = str(files.ca)
        if protocol == "SSL":
            values["ssl_cert_location"] = str(files.client)
            values["ssl_key_location"] = str(files.client_key)
    if protocol.startswith("SASL"):
        values |= {"sasl_username": "alice", "sasl_password": USERS["alice"]}
    mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] if "SASL" in protocol else [None]
    for mechanism in mechanisms:
        topic = f"topic-{uuid.uuid4().hex}"
        cluster.create_topic(topic)
        config = SentinelConfig(cluster.bootstrap, topic=topic, sasl_mechanism=mechanism, **values)
        context = config.to_aiokafka_config()["ssl_context"]
        assert isinstance(context, ssl.SSLContext if files else type(None))
        assert config.to_kafka_config().get("ssl_cafile") == values.get("ssl_ca_location")
        send_with_both(config, kafka_python_producer)
        options = cluster.client_options()
        found = read_topic(options.pop("bootstrap_servers"), topic, at_least=4, **options)
        check_all_four([record.value for record in found])


def test_a_file_that_is_not_there_is_named() -> None:
    config = SentinelConfig(["b"], security_protocol="SSL", ssl_ca_location="no-such.pem")
    for use in (config.to_aiokafka_config, lambda: SentinelClient(config=config)):
        with pytest.raises(ConfigurationError, match=r"ssl_ca_location: cannot use 'no-such\.pem'"):
            use()
