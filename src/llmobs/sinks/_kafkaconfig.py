"""
The options of the Kafka sink: their names, their checks, and what aiokafka is told.

Names are those of LLM Sentinel's configuration, which are Kafka's own. Whatever can be known to
be wrong is said when the sink is built, not when the first event is due.
"""

import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from typing import Any, Final, Literal, TypedDict, cast
from urllib.parse import unquote, urlsplit

from llmobs.errors import ConfigurationError, MissingExtraError
from llmobs.runtime.log import own_logger

__all__ = ["DEFAULT_TOPIC", "KafkaConfig", "KafkaOptions", "options_of_url"]

DEFAULT_TOPIC: Final = "llm-telemetry"
"""LLM Sentinel's SDK writes here; its servers read ``llm.telemetry`` unless configured."""

_MAX_TOPIC = 249
_TOPIC = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_BROKER = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s,:/@\[\]]+)(?::(?P<port>\d{1,5}))?", re.ASCII
)
_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_CRAMJAM = ("snappy", "lz4", "zstd")
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_WIRES = ("sentinel", "native")
_ACKS: Mapping[object, str | int] = {"all": "all", "-1": "all", "1": 1, "0": 0}

logger = own_logger("llmobs")


class KafkaOptions(TypedDict, total=False):
    """Keywords of ``KafkaSink``; see `KafkaConfig` for what each means."""

    wire: Literal["sentinel", "native"]
    annotate: bool
    events_topic: str | None
    client_id: str
    acks: str | int
    enable_idempotence: bool | None
    compression_type: str | None
    retries: int
    retry_backoff_ms: int
    request_timeout_ms: int
    linger_ms: int
    batch_size: int
    max_request_size: int
    max_in_flight_requests: int
    buffer_memory: int
    metadata_max_age_ms: int
    security_protocol: str
    sasl_mechanism: str | None
    sasl_username: str | None
    sasl_password: str | None
    ssl_ca_location: str | None
    ssl_cert_location: str | None
    ssl_key_location: str | None
    ssl_key_password: str | None
    ssl_context: ssl.SSLContext | None
    producer: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class KafkaConfig:
    """
    What the Kafka sink is configured with; checked when built.

    Raises:
        ConfigurationError: An option is wrong; the message names it and what would be right.
        MissingExtraError: aiokafka, or the library of a codec, is not installed.
    """

    brokers: Sequence[str] | str
    """``host:port`` of some brokers (port 9092 if left out); they name the others."""
    topic: str = DEFAULT_TOPIC
    """Where prompt calls go (everything, if ``wire="native"``)."""
    wire: str = "sentinel"
    """``sentinel``: prompt calls as LLM Sentinel's TelemetryEvent; ``native``: llmobs' own JSON."""
    annotate: bool = True
    """Say in a TelemetryEvent's metadata what it has no field for (run, status, provider, …)."""
    events_topic: str | None = None
    """Where ``wire="sentinel"`` sends all other events, as native JSON; default ``<topic>.events``."""
    client_id: str = "llmobs"
    """What the brokers' logs and quotas call this client."""
    acks: str | int = "all"
    """Who must have an event before it counts as delivered: ``all`` (or -1), 1 the leader, 0 nobody."""
    enable_idempotence: bool | None = None
    """Let brokers recognise a batch sent again; None: wherever ``acks`` and ``retries`` allow it."""
    compression_type: str | None = "zstd"
    """``none``, ``gzip``, ``snappy``, ``lz4`` or ``zstd``."""
    retries: int = 3
    """0 turns idempotence off. Delivery is retried by the client in any case, for as long as it runs."""
    retry_backoff_ms: int = 100
    """Pause before a broker is asked again."""
    request_timeout_ms: int = 10_000
    """How long one request may take before its connection is given up and another broker asked."""
    linger_ms: int = 0
    """How long a batch that is not full waits; the client's ``flush_interval_seconds`` has gathered already."""
    batch_size: int = 262_144
    """Bytes of one Kafka batch before compression, at most; a single larger event makes its own."""
    max_request_size: int = 1_048_576
    """Bytes of one event before compression, at most; a larger one is given up as ``too_large``."""
    max_in_flight_requests: int = 5
    """Taken for LLM Sentinel's sake: aiokafka keeps one request per broker in flight, within any limit."""
    buffer_memory: int = 33_554_432
    """Taken for LLM Sentinel's sake: the queue is the client's, bounded by ``max_queue_bytes``."""
    metadata_max_age_ms: int = 300_000
    """How often to look for new brokers and partitions without a reason."""
    security_protocol: str = "PLAINTEXT"
    """``PLAINTEXT``, ``SSL``, ``SASL_PLAINTEXT`` or ``SASL_SSL``."""
    sasl_mechanism: str | None = None
    """``PLAIN`` (default with SASL), ``SCRAM-SHA-256`` or ``SCRAM-SHA-512``."""
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_ca_location: str | None = None
    """PEM file of the authorities to trust; the system's if left out."""
    ssl_cert_location: str | None = None
    """PEM file of the client's certificate, if the brokers ask for one."""
    ssl_key_location: str | None = None
    """PEM file of its key, unless the certificate's file holds it."""
    ssl_key_password: str | None = field(default=None, repr=False)
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    """A context of your own instead of the four files above; keyword only."""
    producer: Mapping[str, Any] | None = field(default=None, repr=False)
    """Further keywords of aiokafka's producer; they win over the options above; keyword only."""

    def __post_init__(self) -> None:
        self._set("brokers", _brokers(self.brokers))
        _check_topic("topic", self.topic)
        _one_of("wire", self.wire, _WIRES)
        if self.wire == "sentinel":
            self._set("events_topic", self.events_topic or f"{self.topic}.events")
            _check_topic("events_topic", cast(str, self.events_topic))
        elif self.events_topic is not None:
            raise ConfigurationError("events_topic needs wire=sentinel; native has one topic")
        self._set("compression_type", _codec(self.compression_type))
        if str(self.acks) not in _ACKS:
            raise ConfigurationError(f"acks must be all, -1, 1 or 0, not {self.acks!r}")
        self._set("acks", _ACKS[str(self.acks)])
        for name, least in _NUMBERS.items():
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ConfigurationError(
                    f"{name} must be a whole number, at least {least}, not {value!r}"
                )
        self._resolve_idempotence()
        self._check_security()
        _check_installed(self.compression_type)
        self._set("ssl_context", self._make_ssl_context())

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the dataclass's own way around `frozen`

    def _resolve_idempotence(self) -> None:
        possible = self.acks == "all" and self.retries > 0
        if self.enable_idempotence and not possible:
            logger.warning(
                "llmobs: kafka: enable_idempotence needs acks=all and retries above 0; with "
                "acks=%s and retries=%d it is off, and a retry may write an event twice",
                self.acks,
                self.retries,
            )
        self._set("enable_idempotence", possible and self.enable_idempotence is not False)

    def _check_security(self) -> None:
        _one_of("security_protocol", self.security_protocol, _PROTOCOLS)
        if self.security_protocol.startswith("SASL"):
            self._set("sasl_mechanism", self.sasl_mechanism or "PLAIN")
            _one_of("sasl_mechanism", cast(str, self.sasl_mechanism), _MECHANISMS)
            for name in ("sasl_username", "sasl_password"):
                if not getattr(self, name):
                    raise ConfigurationError(
                        f"{name} is missing; security_protocol={self.security_protocol} needs it"
                    )
        else:
            self._only_with("SASL_PLAINTEXT or SASL_SSL", "sasl_")
        if not self.security_protocol.endswith("SSL"):
            self._only_with("SSL or SASL_SSL", "ssl_")

    def _only_with(self, protocols: str, prefix: str) -> None:
        # Credentials that would silently go unused are a mistake somewhere else.
        for option in fields(self):
            if option.name.startswith(prefix) and getattr(self, option.name) is not None:
                raise ConfigurationError(
                    f"{option.name} needs security_protocol={protocols}, "
                    f"which is {self.security_protocol}"
                )

    def _make_ssl_context(self) -> ssl.SSLContext | None:
        if self.ssl_context is not None or not self.security_protocol.endswith("SSL"):
            return self.ssl_context
        try:
            context = ssl.create_default_context(cafile=self.ssl_ca_location)
        except (OSError, ssl.SSLError) as error:
            raise _unreadable("ssl_ca_location", self.ssl_ca_location, error) from None
        if self.ssl_cert_location is None:
            if self.ssl_key_location is not None:
                raise ConfigurationError("ssl_key_location needs ssl_cert_location too")
            return context
        try:
            context.load_cert_chain(
                self.ssl_cert_location, self.ssl_key_location, password=self._key_password
            )
        except (OSError, ssl.SSLError) as error:
            name = "ssl_cert_location" if self.ssl_key_location is None else "ssl_key_location"
            shown = ", ".join(filter(None, (self.ssl_cert_location, self.ssl_key_location)))
            raise _unreadable(f"ssl_cert_location or {name}", shown, error) from None
        return context

    def _key_password(self) -> str:
        # Without an answer here, OpenSSL would ask at the terminal and wait.
        if self.ssl_key_password is None:
            raise ConfigurationError("ssl_key_password is missing; the client's key is encrypted")
        return self.ssl_key_password

    def producer_options(self) -> dict[str, Any]:
        """Return the keywords of ``aiokafka.AIOKafkaProducer``; they hold the password."""
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.brokers),
            "client_id": self.client_id,
            "acks": self.acks,
            "enable_idempotence": self.enable_idempotence,
            "compression_type": self.compression_type,
            "retry_backoff_ms": self.retry_backoff_ms,
            "request_timeout_ms": self.request_timeout_ms,
            "linger_ms": self.linger_ms,
            "max_batch_size": self.batch_size,
            "max_request_size": self.max_request_size,
            "metadata_max_age_ms": self.metadata_max_age_ms,
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context,
        }
        if self.sasl_mechanism is not None:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        return options | dict(self.producer or {})


_NUMBERS = {
    "retries": 0,
    "retry_backoff_ms": 1,
    "request_timeout_ms": 1,
    "linger_ms": 0,
    "batch_size": 1,
    "max_request_size": 1,
    "max_in_flight_requests": 1,
    "buffer_memory": 1,
    "metadata_max_age_ms": 1,
}
"""The whole numbers among the options, and the least each may be."""

_OBJECTS = ("ssl_context", "producer")
_URL_OPTIONS: dict[str, type] = {
    **{name: str for name in KafkaOptions.__annotations__ if name not in _OBJECTS},
    **dict.fromkeys(_NUMBERS, int),
    "enable_idempotence": bool,
    "annotate": bool,
}


def options_of_url(url: str) -> dict[str, Any]:
    """
    Return what ``kafka://user:password@b1:9092,b2:9092/topic?option=value`` says, as keywords.

    Raises:
        ConfigurationError: It says nothing to be understood; names the part.
    """
    from llmobs.sinks import check_credentials, parse_options

    check_credentials(url)
    options = parse_options(url, _URL_OPTIONS)
    parts = urlsplit(url)
    credentials, _, brokers = parts.netloc.rpartition("@")
    if credentials:
        user, _, password = credentials.partition(":")
        options = {
            "sasl_username": unquote(user),
            "sasl_password": unquote(password),
            **options,
        }
    topic = unquote(parts.path.removeprefix("/"))
    if topic:
        options["topic"] = topic
    return {"brokers": brokers, **options}


def _brokers(value: Sequence[str] | str) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else list(value)
    found = tuple(part.strip() for part in parts if str(part).strip())
    if not found:
        raise ConfigurationError(
            "brokers are missing, for instance kafka://b1:9092,b2:9092/llm-telemetry"
        )
    for broker in found:
        match = _BROKER.fullmatch(broker)
        if match is None or not 0 < int(match["port"] or 9092) < 65536:
            raise ConfigurationError(f"brokers: {broker!r} is not host:port")
    return found


def _check_topic(name: str, topic: str) -> None:
    if len(topic) > _MAX_TOPIC or not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise ConfigurationError(
            f"{name}: {topic[:300]!r} is not a topic's name; Kafka takes letters, digits, "
            f"'.', '_' and '-', at most {_MAX_TOPIC} of them"
        )


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigurationError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


def _codec(value: str | None) -> str | None:
    name = "none" if value is None else value
    _one_of("compression_type", name, _CODECS)
    return None if name == "none" else name


def _check_installed(codec: str | None) -> None:
    # Looked for, not imported: that takes 0.2 s, and belongs into the sink's thread.
    if find_spec("aiokafka") is None:
        raise MissingExtraError("aiokafka", "kafka")
    if codec in _CRAMJAM and find_spec("cramjam") is None:
        missing = MissingExtraError("cramjam", "kafka")
        raise ConfigurationError(f"compression_type={codec}: {missing}, or use gzip") from missing


def _unreadable(option: str, path: str | None, error: Exception) -> ConfigurationError:
    return ConfigurationError(f"{option}: cannot use {path!r}: {error}")
