"""llmobs.sinks._kafkaconfig: what can be known to be wrong is said at once, and names the option."""

import asyncio
import inspect
import logging
import ssl
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from llmobs import Client, Settings
from llmobs.errors import ConfigurationError, MissingExtraError
from llmobs.sinks import resolve
from llmobs.sinks.kafka import KafkaConfig, KafkaSink
from tests.support.certificates import Certificates, make_certificates

SASL = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "u", "sasl_password": "hunter2"}


def config(**options: Any) -> KafkaConfig:
    return KafkaConfig(**{"brokers": "b1:9092", **options})


def sink(url: str) -> KafkaSink:
    (found,) = resolve(url, Settings())
    assert isinstance(found, KafkaSink)
    return found


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_the_defaults() -> None:
    made = sink("kafka://b1")
    assert made.name == "kafka:llm-telemetry"
    assert made.config.brokers == ("b1",)
    assert made.config.topic == "llm-telemetry"
    assert made.config.events_topic == "llm-telemetry.events"
    assert (made.config.acks, made.config.enable_idempotence) == ("all", True)


def test_url_and_keywords_say_the_same() -> None:
    said: dict[str, Any] = {
        "wire": "sentinel", "annotate": False, "events_topic": "e", "client_id": "me", "acks": "all",
        "enable_idempotence": False, "compression_type": "gzip", "retries": 7,
        "retry_backoff_ms": 8, "request_timeout_ms": 9, "linger_ms": 10, "batch_size": 11,
        "max_request_size": 12, "max_in_flight_requests": 13, "buffer_memory": 14,
        "metadata_max_age_ms": 15, "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "u", "sasl_password": "p",
    }  # fmt: skip
    query = "&".join(f"{name}={value}" for name, value in said.items())
    assert sink(f"kafka://b1:1,b2:2/t?{query}").config == config(
        brokers=["b1:1", "b2:2"], topic="t", **said
    )
    ssl_options = {f"ssl_{n}" for n in ("ca_location", "cert_location", "key_location")}
    others = {*ssl_options, "ssl_key_password", "ssl_context", "producer", "brokers", "topic"}
    assert {*said, *others} == {*KafkaConfig.model_fields}


def test_native_wire_needs_no_second_topic() -> None:
    assert config(topic="x" * 249, wire="native").events_topic is None


@pytest.mark.parametrize(
    ("brokers", "found"),
    [
        ("b1:9092, b2:9093 ,", ("b1:9092", "b2:9093")),
        (["b1", "[::1]:9092"], ("b1", "[::1]:9092")),
        ("10.0.0.1:65535", ("10.0.0.1:65535",)),
    ],
)
def test_brokers(brokers: Any, found: tuple[str, ...]) -> None:
    assert config(brokers=brokers).brokers == found


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"brokers": ""}, "brokers are missing"),
        ({"brokers": [" ", ","]}, "brokers"),
        ({"brokers": "b1:0"}, "'b1:0' is not host:port"),
        ({"brokers": "b1:70000"}, "host:port"),
        ({"brokers": "b1:x"}, "host:port"),
        ({"brokers": "kafka://b1:9092"}, "host:port"),
        ({"topic": "a b"}, "topic: 'a b'"),
        ({"topic": "a/b"}, "letters, digits"),
        ({"topic": "größe"}, "topic"),
        ({"topic": ""}, "topic"),
        ({"topic": ".."}, "topic"),
        ({"topic": "x" * 250}, "249"),
        ({"topic": "x" * 249}, "events_topic"),
        ({"events_topic": "a:b"}, "events_topic"),
        ({"wire": "native", "events_topic": "e"}, "events_topic needs wire=sentinel"),
        ({"wire": "xml"}, "wire must be one of sentinel, native"),
        ({"acks": "some"}, "acks must be all, -1, 1 or 0"),
        ({"acks": 2}, "acks"),
        ({"acks": True}, "acks"),
        ({"compression_type": "brotli"}, "compression_type must be one of none, gzip"),
        ({"retries": -1}, "retries must be a whole number, at least 0"),
        ({"linger_ms": 0.5}, "linger_ms must be a whole number, not 0.5"),
        ({"retries": True}, "retries must be a whole number"),
        ({"ack": "all"}, "no such option 'ack'; options are: brokers, topic"),
        ({"client_id": 7}, "client_id"),
        ({"batch_size": 0}, "batch_size"),
        ({"request_timeout_ms": "5"}, "request_timeout_ms"),
        ({"security_protocol": "TLS"}, "security_protocol must be one of PLAINTEXT, SSL"),
        ({"security_protocol": "SASL_SSL"}, "sasl_username is missing"),
        ({**SASL, "sasl_password": None}, "sasl_password is missing"),
        ({**SASL, "sasl_mechanism": "GSSAPI"}, "sasl_mechanism must be one of PLAIN, SCRAM"),
        ({"sasl_username": "u"}, "sasl_username needs security_protocol=SASL_PLAINTEXT or"),
        ({"ssl_ca_location": "ca.pem"}, "ssl_ca_location needs security_protocol=SSL or"),
        ({"security_protocol": "SSL", "ssl_ca_location": "no.pem"}, "ssl_ca_location: cannot use"),
        ({"security_protocol": "SSL", "ssl_cert_location": "no.pem"}, "ssl_cert_location"),
        ({"security_protocol": "SSL", "ssl_key_location": "no.pem"}, "ssl_cert_location too"),
    ],
)
def test_what_is_wrong_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config(**options)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("kafka://", "brokers are missing"),
        ("kafka:///topic", "brokers are missing"),
        ("kafka://b1/a/b", "topic: 'a/b'"),
        ("kafka://b1/t?acks=9", "acks"),
        ("kafka://b1/t?ack=all", "no such option 'ack'"),
        ("kafka://b1/t?linger_ms=soon", "'linger_ms' must be int"),
        ("kafka://b1/t?enable_idempotence=perhaps", "'enable_idempotence' must be true or false"),
        ("kafka://b1/t?ssl_context=x", "no such option 'ssl_context'"),
    ],
)
def test_a_wrong_url_is_explained_when_the_client_is_built(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match="LLMOBS_SINK") as caught:
        Client(sink=url)
    assert words in str(caught.value)


def test_passwords_show_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    query = "security_protocol=SASL_PLAINTEXT"
    made = sink(f"kafka://user:hunter%402@b1:1/t?{query}&enable_idempotence=1&acks=1")
    assert (made.config.sasl_username, made.config.sasl_password) == ("user", "hunter@2")
    with pytest.raises(ConfigurationError) as caught:
        sink(f"kafka://user:hunter%402@b1:1/t?{query}&sasl_password=hunter%402&acks=7")
    key = KafkaConfig(
        brokers="b1", security_protocol="SSL", ssl_key_password="hunter@2", ssl_context=None
    )
    shown = f"{made!r} {made.config} {made.name} {caught.value} {key} {caplog.text}"
    assert "user" in shown
    assert "hunter" not in shown


@pytest.mark.parametrize(
    ("acks", "idempotence", "retries", "resolved"),
    [
        ("all", None, 3, ("all", True)),
        ("all", True, 3, ("all", True)),
        ("all", False, 3, ("all", False)),
        ("all", True, 0, ("all", False)),
        ("-1", None, 3, ("all", True)),
        (-1, None, 3, ("all", True)),
        ("1", None, 3, (1, False)),
        (1, True, 3, (1, False)),
        ("0", True, 3, (0, False)),
        (0, None, 3, (0, False)),
    ],
)
@pytest.mark.parametrize("compression", [None, "none", "gzip", "snappy", "lz4", "zstd"])
def test_aiokafka_takes_every_combination(
    acks: Any,
    idempotence: bool | None,
    retries: int,
    resolved: tuple[Any, bool],
    compression: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = config(
        acks=acks, enable_idempotence=idempotence, retries=retries, compression_type=compression
    )
    assert (made.acks, made.enable_idempotence) == resolved
    assert ("enable_idempotence needs acks=all" in caplog.text) is (
        idempotence is True and not resolved[1]
    )

    async def construct() -> None:
        producer = AIOKafkaProducer(**made.producer_options())
        await producer.stop()

    asyncio.run(construct())


def test_every_option_reaches_aiokafka_by_a_name_it_has() -> None:
    known = set(inspect.signature(AIOKafkaProducer.__init__).parameters)
    options = config(**SASL, sasl_mechanism="SCRAM-SHA-512").producer_options()
    assert set(options) <= known
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_password"] == "hunter2"
    assert config(**SASL).producer_options()["sasl_mechanism"] == "PLAIN"


def test_tls_files_become_a_context(certificates: Certificates) -> None:
    made = config(
        security_protocol="SSL",
        ssl_ca_location=str(certificates.ca),
        ssl_cert_location=str(certificates.client),
        ssl_key_location=str(certificates.client_key),
    )
    context = made.ssl_context
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert [entry["subject"] for entry in context.get_ca_certs()] == [
        ((("commonName", "llmobs test authority"),),)
    ]
    own = ssl.create_default_context()
    assert config(security_protocol="SSL", ssl_context=own).ssl_context is own


def test_an_encrypted_key_is_not_asked_for_at_the_terminal(
    certificates: Certificates, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.key"
    plain = certificates.client_key
    command = ["openssl", "pkey", "-in", plain, "-aes256", "-passout", "pass:hunter2", "-out"]
    subprocess.run([*command, locked], check=True, capture_output=True, timeout=30)
    options: dict[str, Any] = {
        "security_protocol": "SSL",
        "ssl_cert_location": str(certificates.client),
        "ssl_key_location": str(locked),
    }
    with pytest.raises(ConfigurationError, match="ssl_key_password is missing"):
        config(**options)
    with pytest.raises(ConfigurationError, match="ssl_cert_location or ssl_key_location"):
        config(**options, ssl_key_password="wrong")
    assert config(**options, ssl_key_password="hunter2").ssl_context is not None


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"cramjam"}

    def find(name: str) -> Any:
        return None if name in missing else find_spec(name)

    monkeypatch.setattr("llmobs.sinks._kafkaconfig.find_spec", find)
    assert config(compression_type="gzip").compression_type == "gzip"
    with pytest.raises(ConfigurationError, match=r"compression_type=lz4.*llmobs\[kafka\].*gzip"):
        config(compression_type="lz4")
    missing.add("aiokafka")
    with pytest.raises(MissingExtraError, match=r"aiokafka.*llmobs\[kafka\]"):
        config(compression_type="gzip")
    with pytest.raises(ConfigurationError, match=r"LLMOBS_SINK.*llmobs\[kafka\]"):
        Client(sink="kafka://b1/t")


def test_building_the_sink_imports_no_aiokafka() -> None:
    code = "import sys, llmobs; llmobs.Client(sink='kafka://b1/t'); assert 'aiokafka' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
