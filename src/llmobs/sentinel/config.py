"""
The configuration of the LLM Sentinel document, and what it is in the words of those who carry it
out: kafka-python, aiokafka, and our own sink.

The original's words are accepted by no current release: numbers came as text, "none" as a codec,
a dict for a TLS context, idempotence together with settings that exclude it.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from llmobs.errors import ConfigurationError as LLMObsConfigurationError
from llmobs.runtime.log import own_logger
from llmobs.sentinel.exceptions import ConfigurationError

if TYPE_CHECKING:
    from llmobs.sinks.kafka import KafkaConfig

__all__ = ["SentinelConfig"]

logger = own_logger("llmobs")

ENV_PREFIX: Final = "SENTINEL_"
DEFAULT_BROKERS: Final = "localhost:9092"
"""Where `from_env` looks for Kafka unless told."""

MAX_IN_FLIGHT: Final = 5
"""Requests in flight with which Kafka can still recognise a batch sent again."""
DELIVERY_MS: Final = 120_000
"""kafka-python's own limit for a delivery, which must be longer than one request."""

_SASL: Final = ("sasl_mechanism", "sasl_username", "sasl_password")
_TLS: Final = ("ssl_ca_location", "ssl_cert_location", "ssl_key_location")

_ENVIRONMENT: Final = (
    "topic", "client_id", "compression_type", "acks", "retries", "security_protocol",
    "sasl_mechanism", "sasl_username", "sasl_password", "ssl_ca_location", "ssl_cert_location",
    "ssl_key_location",
)  # fmt: skip
"""Fields that have a variable, beside ``SENTINEL_BROKERS``."""
_CHOICES: Final = {
    "compression_type": ("none", "gzip", "snappy", "lz4", "zstd"),
    "acks": ("all", "-1", "1", "0"),
    "security_protocol": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "sasl_mechanism": (None, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
}
_NUMBERS: Final = {
    "retries": 0,
    "retry_backoff_ms": 0,
    "request_timeout_ms": 1,
    "linger_ms": 0,
    "batch_size": 0,
    "max_in_flight_requests": 1,
    "buffer_memory": 1,
    "max_request_size": 1,
    "metadata_max_age_ms": 1,
}
"""The whole numbers, and the least each may be."""


@dataclass
class SentinelConfig:
    """
    How to reach Kafka; names and defaults are those of the LLM Sentinel document.

    Beware of the default topic: the SDK writes to ``llm-telemetry``, and Sentinel's servers read
    ``llm.telemetry`` unless they are configured otherwise. One of the two has to be told.

    Raises:
        ConfigurationError: A field is wrong; names it.
    """

    brokers: list[str]
    """``host:port`` of some brokers; they name the others."""
    topic: str = "llm-telemetry"
    client_id: str = "sentinel-sdk-python"
    compression_type: str = "gzip"
    """``none``, ``gzip``, ``snappy``, ``lz4`` or ``zstd``."""
    acks: str = "all"
    """Who must have an event before it counts as sent: ``all`` (or ``-1``), ``1``, ``0`` nobody."""
    retries: int = 3
    """0 turns idempotence off; the client itself tries again until ``timeout`` in any case."""
    retry_backoff_ms: int = 100
    request_timeout_ms: int = 30000
    """How long one request may take; also what a ``timeout`` left out stands for."""
    linger_ms: int = 10
    """How long an event waits for company."""
    batch_size: int = 16384
    """Bytes of one Kafka batch."""
    max_in_flight_requests: int = 5
    """Above 5, idempotence is off."""
    enable_idempotence: bool = True
    """In force wherever ``acks``, ``retries`` and ``max_in_flight_requests`` allow it."""
    buffer_memory: int = 33554432
    """Bytes of events that may wait; what does not fit is refused with a `SendError`."""
    max_request_size: int = 1048576
    """Bytes of one event, at most."""
    metadata_max_age_ms: int = 300000
    security_protocol: str = "PLAINTEXT"
    """``PLAINTEXT``, ``SSL``, ``SASL_PLAINTEXT`` or ``SASL_SSL``."""
    sasl_mechanism: str | None = None
    """``PLAIN`` (default where SASL is on), ``SCRAM-SHA-256`` or ``SCRAM-SHA-512``."""
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_ca_location: str | None = None
    """PEM file of the authorities to trust; the system's if left out."""
    ssl_cert_location: str | None = None
    ssl_key_location: str | None = None
    additional_config: dict[str, str] = field(default_factory=dict, repr=False)
    """Further options of the producer, or fields of this class; texts are converted. They win."""

    def __post_init__(self) -> None:
        self.validate()

    @classmethod
    def from_env(cls, **kwargs: Any) -> "SentinelConfig":
        """
        Return what the variables ``SENTINEL_*`` say; an empty one counts as not set.

        Args:
            kwargs: Fields that win over the environment.

        Raises:
            ConfigurationError: A variable is wrong; names it.
        """
        brokers = _variable("brokers") or DEFAULT_BROKERS
        found: dict[str, Any] = {
            "brokers": [part.strip() for part in brokers.split(",") if part.strip()]
        }
        for name in _ENVIRONMENT:
            if (value := _variable(name)) is not None:
                found[name] = value
        if "retries" in found and "retries" not in kwargs:
            found["retries"] = whole(f"{ENV_PREFIX}RETRIES", found["retries"])
        return cls(**{**found, **kwargs})

    def to_kafka_config(self) -> dict[str, Any]:
        """
        Return the keywords of kafka-python's ``KafkaProducer`` (2.3 or newer); they hold the password.

        ``buffer_memory`` is not among them: kafka-python 3 has no such option.

        Raises:
            ConfigurationError: A field is wrong, or an additional option is not kafka-python's.
        """
        return kafka_python_options(self)

    def to_aiokafka_config(self) -> dict[str, Any]:
        """
        Return the keywords of aiokafka's ``AIOKafkaProducer``; they hold the password.

        ``retries``, ``max_in_flight_requests`` and ``buffer_memory`` are not among them: aiokafka
        retries until the request times out, with one request per broker in flight.

        Raises:
            ConfigurationError: A field is wrong, a file cannot be read, a codec's library is
                missing, or an additional option is not aiokafka's.
        """
        return aiokafka_options(self)

    def validate(self) -> None:
        """
        Check every field; done on construction, and again before it is used.

        Raises:
            ConfigurationError: A field is wrong; names it.
        """
        brokers = self.brokers
        if isinstance(brokers, str) or not isinstance(brokers, list | tuple) or not brokers:
            raise ConfigurationError('brokers must be a list, for instance ["localhost:9092"]')
        if not all(isinstance(broker, str) and broker.strip() for broker in brokers):
            raise ConfigurationError("brokers must each be host:port")
        for name in ("topic", "client_id"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ConfigurationError(f"{name} must be a text, and not empty")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                known = ", ".join(str(choice) for choice in choices)
                raise ConfigurationError(
                    f"{name} must be one of {known}, not {getattr(self, name)!r}"
                )
        for name, least in _NUMBERS.items():
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ConfigurationError(
                    f"{name} must be a whole number, at least {least}, not {value!r}"
                )
        if not isinstance(self.enable_idempotence, bool):
            raise ConfigurationError("enable_idempotence must be True or False")
        if not isinstance(self.additional_config, Mapping):
            raise ConfigurationError("additional_config must be a dict")


def _variable(name: str) -> str | None:
    return os.environ.get(ENV_PREFIX + name.upper(), "").strip() or None


def kafka_python_options(config: SentinelConfig) -> dict[str, Any]:
    """Return the keywords of ``kafka.KafkaProducer``; see `SentinelConfig.to_kafka_config`."""
    config, additional = _with_additional(config)
    options: dict[str, Any] = {
        "bootstrap_servers": list(config.brokers),
        "client_id": config.client_id,
        "acks": _acks(config),
        "compression_type": None if config.compression_type == "none" else config.compression_type,
        "retries": config.retries,
        "retry_backoff_ms": config.retry_backoff_ms,
        "request_timeout_ms": config.request_timeout_ms,
        "delivery_timeout_ms": max(DELIVERY_MS, config.request_timeout_ms + config.linger_ms),
        "linger_ms": config.linger_ms,
        "batch_size": config.batch_size,
        "max_in_flight_requests_per_connection": config.max_in_flight_requests,
        "enable_idempotence": _is_idempotent(config),
        "max_request_size": config.max_request_size,
        "metadata_max_age_ms": config.metadata_max_age_ms,
        "security_protocol": config.security_protocol,
    }
    if _has_sasl(config):
        options |= {
            "sasl_mechanism": config.sasl_mechanism or "PLAIN",
            "sasl_plain_username": config.sasl_username,
            "sasl_plain_password": config.sasl_password,
        }
    if _has_tls(config):
        options |= {
            "ssl_cafile": config.ssl_ca_location,
            "ssl_certfile": config.ssl_cert_location,
            "ssl_keyfile": config.ssl_key_location,
        }
    return options | _converted(additional, "kafka-python", _kafka_python_defaults)


def aiokafka_options(config: SentinelConfig) -> dict[str, Any]:
    """Return the keywords of ``aiokafka.AIOKafkaProducer``; see `SentinelConfig.to_aiokafka_config`."""
    return sink_config(config).producer_options()


def sink_config(config: SentinelConfig, **options: Any) -> "KafkaConfig":
    """
    Return what llmobs' Kafka sink is configured with.

    Args:
        config: What to say in its words.
        options: Fields that win.

    Raises:
        ConfigurationError: A field is wrong, a file cannot be read, something is not installed, or
            an additional option is not aiokafka's.
    """
    from llmobs.sinks.kafka import KafkaConfig

    config, additional = _with_additional(config)
    names = (*(_SASL if _has_sasl(config) else ()), *(_TLS if _has_tls(config) else ()))
    _warn_of_unused(config, names)
    fields_of_sink: dict[str, Any] = {
        "brokers": list(config.brokers),
        "topic": config.topic,
        "annotate": False,
        "client_id": config.client_id,
        "acks": config.acks,
        "enable_idempotence": _is_idempotent(config),
        "compression_type": config.compression_type,
        "retries": config.retries,
        "retry_backoff_ms": max(1, config.retry_backoff_ms),
        "request_timeout_ms": config.request_timeout_ms,
        "linger_ms": config.linger_ms,
        "batch_size": max(1, config.batch_size),
        "max_request_size": config.max_request_size,
        "metadata_max_age_ms": config.metadata_max_age_ms,
        "security_protocol": config.security_protocol,
        "producer": _converted(additional, "aiokafka", _aiokafka_defaults),
        **{name: getattr(config, name) for name in names},
        **options,
    }
    try:
        return KafkaConfig(**fields_of_sink)
    except LLMObsConfigurationError as error:
        raise ConfigurationError(str(error), error) from error


def whole(name: str, value: str) -> int:
    """
    Return *value* as a whole number.

    Raises:
        ConfigurationError: It is none; calls it *name*.
    """
    try:
        return int(value)
    except ValueError as error:
        raise ConfigurationError(f"{name} must be a whole number, not {value!r}", error) from None


def _acks(config: SentinelConfig) -> str | int:
    return "all" if config.acks in ("all", "-1") else int(config.acks)


def _is_idempotent(config: SentinelConfig) -> bool:
    return (
        config.enable_idempotence
        and _acks(config) == "all"
        and config.retries > 0
        and config.max_in_flight_requests <= MAX_IN_FLIGHT
    )


def _has_sasl(config: SentinelConfig) -> bool:
    return config.security_protocol.startswith("SASL")


def _has_tls(config: SentinelConfig) -> bool:
    return config.security_protocol.endswith("SSL")


def _warn_of_unused(config: SentinelConfig, used: tuple[str, ...]) -> None:
    for name in (*_SASL, *_TLS):
        if name not in used and getattr(config, name):
            logger.warning(
                "llmobs: sentinel: %s is not used: security_protocol is %s",
                name,
                config.security_protocol,
            )


def _with_additional(config: SentinelConfig) -> tuple[SentinelConfig, dict[str, str]]:
    """Return *config* with those additional options that are its own fields, and the others."""
    config.validate()
    own = {
        f.name: f.default for f in fields(config) if f.name not in ("brokers", "additional_config")
    }
    given = config.additional_config
    mine = {name: _as(name, value, own[name]) for name, value in given.items() if name in own}
    others = {name: value for name, value in given.items() if name not in own}
    return replace(config, **mine, additional_config={}), others


def _converted(
    additional: Mapping[str, str], library: str, defaults: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """Return *additional* with each text converted to the type that *library* has for the option."""
    if not additional:
        return {}
    try:
        known = defaults()
    except ImportError as error:
        raise ConfigurationError(f"additional_config needs {library}", error) from error
    for name in additional:
        if name not in known:
            raise ConfigurationError(f"additional_config: {library} has no option {name!r}")
    return {name: _as(name, value, known[name]) for name, value in additional.items()}


def _kafka_python_defaults() -> Mapping[str, Any]:
    from kafka import KafkaProducer  # type: ignore[import-untyped]

    defaults: Mapping[str, Any] = KafkaProducer.DEFAULT_CONFIG
    return defaults


def _aiokafka_defaults() -> Mapping[str, Any]:
    from inspect import signature

    from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

    return {name: p.default for name, p in signature(AIOKafkaProducer).parameters.items()}


def _as(name: str, value: Any, default: Any) -> Any:
    """Return *value*, if it is a text, as what *default* is: a bool, a number, or a text."""
    name = f"additional_config: {name}"
    if not isinstance(value, str):
        return value
    if isinstance(default, bool):
        if value.lower() not in ("true", "false"):
            raise ConfigurationError(f"{name} must be true or false, not {value!r}")
        return value.lower() == "true"
    if isinstance(default, int):
        return whole(name, value)
    if isinstance(default, float):
        try:
            return float(value)
        except ValueError as error:
            raise ConfigurationError(f"{name} must be a number, not {value!r}", error) from None
    return value
