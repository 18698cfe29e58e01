"""The configuration of the LLM Sentinel document."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from llmobs.sentinel._producers import aiokafka_options, kafka_python_options, whole
from llmobs.sentinel.exceptions import ConfigurationError

__all__ = ["SentinelConfig"]

ENV_PREFIX: Final = "SENTINEL_"
DEFAULT_BROKERS: Final = "localhost:9092"
"""Where `from_env` looks for Kafka unless told."""

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
