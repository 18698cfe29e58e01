"""What aiokafka's errors mean for the pipeline, in words that say what to do."""

import ssl
from typing import Final

from aiokafka import errors as kafka  # type: ignore[import-untyped]

from llmobs.errors import (
    ConfigurationError,
    LLMObsError,
    SinkTooLargeError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)
from llmobs.sinks._kafkaconfig import KafkaConfig

__all__ = ["TopicMissingError", "explain"]

_LOGIN: Final = (
    kafka.SaslAuthenticationFailed,
    kafka.AuthenticationFailedError,
    kafka.AuthenticationMethodNotSupported,
    kafka.UnsupportedSaslMechanismError,
    kafka.IllegalSaslStateError,
)
_TOO_LARGE: Final = (kafka.MessageSizeTooLargeError, kafka.RecordListTooLargeError)


class TopicMissingError(SinkUnavailableError):
    """The cluster answers, and does not know the topic."""

    def __init__(self, topic: str, option: str) -> None:
        super().__init__(
            f"the cluster has no topic {topic!r} and does not make it by itself; create it, or "
            f"name another one ({option})"
        )


def explain(error: BaseException, config: KafkaConfig, topic: str | None = None) -> LLMObsError:
    """
    Return what *error* means.

    Anything not known to be for good is worth another try: the events wait meanwhile.

    Args:
        error: Raised, or only logged, by aiokafka.
        config: Whose user and brokers the words name.
        topic: The topic it was about, if it was about one.
    """
    if isinstance(error, LLMObsError):
        return error
    kind, text = type(error).__name__, str(error)
    said = text if kind in text else f"{kind}: {text}".removesuffix(": ")
    if isinstance(error, _LOGIN):
        return SinkUnauthorizedError(
            f"the brokers refuse user {config.sasl_username!r} by {config.sasl_mechanism} ({said}); "
            "check sasl_username, sasl_password and sasl_mechanism"
        )
    if isinstance(error, kafka.TopicAuthorizationFailedError):
        return SinkUnauthorizedError(
            f"{_who(config)} may not write to topic {topic!r}; "
            "grant it WRITE and DESCRIBE on that topic"
        )
    if isinstance(error, kafka.ClusterAuthorizationFailedError):
        return SinkUnauthorizedError(
            f"{_who(config)} may not write idempotently; "
            "grant it IDEMPOTENT_WRITE on the cluster, or set enable_idempotence=false"
        )
    if isinstance(error, _TOO_LARGE):
        return SinkTooLargeError(f"larger than topic {topic!r} takes (max.message.bytes)")
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConfigurationError(
            f"the brokers' certificate is not trusted ({error.verify_message}); "
            "check ssl_ca_location and the host names in brokers"
        )
    if isinstance(error, ssl.SSLError):
        return SinkUnavailableError(
            f"no TLS with the brokers ({said}); check security_protocol and ssl_cert_location"
        )
    if isinstance(error, kafka.IncompatibleBrokerVersion | kafka.UnsupportedVersionError):
        return ConfigurationError(
            f"the brokers are too old for this ({said}); "
            "try compression_type=gzip and enable_idempotence=false"
        )
    return SinkUnavailableError(said)


def _who(config: KafkaConfig) -> str:
    return "this client" if config.sasl_username is None else f"user {config.sasl_username!r}"
