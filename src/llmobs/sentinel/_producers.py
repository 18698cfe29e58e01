"""
A `SentinelConfig` in the words of those who carry it out: kafka-python, aiokafka, and our own sink.

The original's words are accepted by no current release: numbers came as text, "none" as a codec,
a dict for a TLS context, idempotence together with settings that exclude it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

from llmobs.errors import ConfigurationError as LLMObsConfigurationError
from llmobs.sentinel.exceptions import ConfigurationError

if TYPE_CHECKING:
    from llmobs.sentinel.config import SentinelConfig

__all__ = ["aiokafka_options", "kafka_python_options", "sink_options", "whole"]

MAX_IN_FLIGHT: Final = 5
"""Requests in flight with which Kafka can still recognise a batch sent again."""
DELIVERY_MS: Final = 120_000
"""kafka-python's own limit for a delivery, which must be longer than one request."""

_SASL: Final = ("sasl_mechanism", "sasl_username", "sasl_password")
_TLS: Final = ("ssl_ca_location", "ssl_cert_location", "ssl_key_location")

logger = logging.getLogger("llmobs")


def kafka_python_options(config: "SentinelConfig") -> dict[str, Any]:
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


def aiokafka_options(config: "SentinelConfig") -> dict[str, Any]:
    """Return the keywords of ``aiokafka.AIOKafkaProducer``; see `SentinelConfig.to_aiokafka_config`."""
    from llmobs.sinks.kafka import KafkaConfig

    try:
        return KafkaConfig(**sink_options(config)).producer_options()
    except LLMObsConfigurationError as error:
        raise ConfigurationError(str(error), error) from error


def sink_options(config: "SentinelConfig") -> dict[str, Any]:
    """
    Return the keywords of llmobs' Kafka sink.

    Raises:
        ConfigurationError: A field is wrong, or an additional option is not aiokafka's.
    """
    config, additional = _with_additional(config)
    names = (*(_SASL if _has_sasl(config) else ()), *(_TLS if _has_tls(config) else ()))
    _warn_of_unused(config, names)
    return {
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
    }


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


def _acks(config: "SentinelConfig") -> str | int:
    return "all" if config.acks in ("all", "-1") else int(config.acks)


def _is_idempotent(config: "SentinelConfig") -> bool:
    return (
        config.enable_idempotence
        and _acks(config) == "all"
        and config.retries > 0
        and config.max_in_flight_requests <= MAX_IN_FLIGHT
    )


def _has_sasl(config: "SentinelConfig") -> bool:
    return config.security_protocol.startswith("SASL")


def _has_tls(config: "SentinelConfig") -> bool:
    return config.security_protocol.endswith("SSL")


def _warn_of_unused(config: "SentinelConfig", used: tuple[str, ...]) -> None:
    for name in (*_SASL, *_TLS):
        if name not in used and getattr(config, name):
            logger.warning(
                "llmobs: sentinel: %s is not used: security_protocol is %s",
                name,
                config.security_protocol,
            )


def _with_additional(config: "SentinelConfig") -> "tuple[SentinelConfig, dict[str, str]]":
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
