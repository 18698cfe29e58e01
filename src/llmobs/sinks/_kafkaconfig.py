"""
The options of the Kafka sink: their names, their checks, and what aiokafka is told.

Names are those of LLM Sentinel's configuration, which are Kafka's own. Whatever can be known to
be wrong is said when the sink is built, not when the first event is due.
"""

import re
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, cast
from urllib.parse import unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from llmobs.errors import ConfigurationError, MissingExtraError
from llmobs.recorded.printable import quoted
from llmobs.runtime.log import own_logger

__all__ = ["KafkaConfig", "check_topic"]

DEFAULT_TOPIC: Final = "llm-telemetry"
"""LLM Sentinel's SDK writes here; its servers read ``llm.telemetry`` unless configured."""

_MAX_TOPIC = 249
_TOPIC = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_BROKER = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s,:/@\[\]]+)(?::(?P<port>\d{1,5}))?", re.ASCII
)
_CRAMJAM = ("snappy", "lz4", "zstd")
_ACKS: Mapping[object, str | int] = {"all": "all", "-1": "all", "1": 1, "0": 0}

_Positive = Annotated[int, Field(strict=True, ge=1)]
_NotNegative = Annotated[int, Field(strict=True, ge=0)]

logger = own_logger("llmobs")


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


def check_topic(name: str, topic: str) -> None:
    """
    See that Kafka takes *topic* as a topic's name.

    Args:
        name: The option that names it.
        topic: What it says.

    Raises:
        ConfigurationError: It does not.
    """
    if len(topic) > _MAX_TOPIC or not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise ConfigurationError(
            f"{name}: {quoted(topic, 300)} is not a topic's name; Kafka takes letters, digits, "
            f"'.', '_' and '-', at most {_MAX_TOPIC} of them"
        )


def _acks(value: object) -> str | int:
    if str(value) not in _ACKS:
        raise ConfigurationError(f"acks must be all, -1, 1 or 0, not {value!r}")
    return _ACKS[str(value)]


def _installed(codec: str | None) -> str | None:
    # Looked for, not imported: that takes 0.2 s, and belongs into the sink's thread.
    if find_spec("aiokafka") is None:
        raise MissingExtraError("aiokafka", "kafka")
    if codec in _CRAMJAM and find_spec("cramjam") is None:
        missing = MissingExtraError("cramjam", "kafka")
        raise ConfigurationError(f"compression_type={codec}: {missing}, or use gzip") from missing
    return None if codec == "none" else codec


@contextmanager
def _explained(known_options: Iterable[str]) -> Iterator[None]:
    """Say what is wrong in our words, and with none of the values that may be secret."""
    try:
        yield
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        context, value = problem.get("ctx", {}), problem["input"]
        if isinstance(ours := context.get("error"), ConfigurationError):
            raise ours from None
        name, kind = problem["loc"][0], problem["type"]
        if kind == "literal_error":
            known = context["expected"].replace("'", "").replace(" or ", ", ")
            words = f"{name} must be one of {known}, not {value!r}"
        elif kind.startswith(("int_", "greater_")):
            least = f", at least {context['ge']}" if "ge" in context else ""
            words = f"{name} must be a whole number{least}, not {value!r}"
        elif kind.startswith("bool_"):
            words = f"{name} must be true or false, not {value!r}"
        elif kind == "extra_forbidden":
            words = f"no such option {name!r}; options are: {', '.join(known_options)}"
        else:
            words = f"{name}: {problem['msg']}"
        raise ConfigurationError(words) from None


class KafkaConfig(BaseModel):
    """
    What the Kafka sink is configured with; frozen, checked when built.

    Raises:
        ConfigurationError: An option is wrong; the message names it and what would be right.
        MissingExtraError: aiokafka, or the library of a codec, is not installed.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    brokers: Annotated[Sequence[str] | str, PlainValidator(_brokers)]
    """``host:port`` of some brokers (port 9092 if left out); they name the others."""
    topic: str = DEFAULT_TOPIC
    """Where prompt calls go (everything, if ``wire="native"``)."""
    wire: Literal["sentinel", "native"] = "sentinel"
    """``sentinel``: prompt calls as LLM Sentinel's TelemetryEvent; ``native``: llmobs' own JSON."""
    annotate: bool = True
    """Say in a TelemetryEvent's metadata what it has no field for (run, status, provider, …)."""
    events_topic: str | None = None
    """Where ``wire="sentinel"`` sends all other events, as native JSON; default ``<topic>.events``."""
    client_id: str = "llmobs"
    """What the brokers' logs and quotas call this client."""
    acks: Annotated[str | int, PlainValidator(_acks)] = "all"
    """Who must have an event before it counts as delivered: ``all`` (or -1), 1 the leader, 0 nobody."""
    enable_idempotence: bool | None = None
    """Let brokers recognise a batch sent again; None: wherever ``acks`` and ``retries`` allow it."""
    compression_type: Annotated[
        Literal["none", "gzip", "snappy", "lz4", "zstd"] | None, AfterValidator(_installed)
    ] = Field("zstd", validate_default=True)
    """``none``, ``gzip``, ``snappy``, ``lz4`` or ``zstd``."""
    retries: _NotNegative = 3
    """0 turns idempotence off. Delivery is retried by the client in any case, for as long as it runs."""
    retry_backoff_ms: _Positive = 100
    """Pause before a broker is asked again."""
    request_timeout_ms: _Positive = 10_000
    """How long one request may take before its connection is given up and another broker asked."""
    linger_ms: _NotNegative = 0
    """How long a batch that is not full waits; the client's ``flush_interval_seconds`` has gathered already."""
    batch_size: _Positive = 262_144
    """Bytes of one Kafka batch before compression, at most; a single larger event makes its own."""
    max_request_size: _Positive = 1_048_576
    """Bytes of one event before compression, at most; a larger one is given up as ``too_large``."""
    max_in_flight_requests: _Positive = 5
    """Taken for LLM Sentinel's sake: aiokafka keeps one request per broker in flight, within any limit."""
    buffer_memory: _Positive = 33_554_432
    """Taken for LLM Sentinel's sake: the queue is the client's, bounded by ``max_queue_bytes``."""
    metadata_max_age_ms: _Positive = 300_000
    """How often to look for new brokers and partitions without a reason."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """``PLAINTEXT``, ``SSL``, ``SASL_PLAINTEXT`` or ``SASL_SSL``."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """``PLAIN`` (default with SASL), ``SCRAM-SHA-256`` or ``SCRAM-SHA-512``."""
    sasl_username: str | None = None
    sasl_password: str | None = Field(default=None, repr=False)
    ssl_ca_location: str | None = None
    """PEM file of the authorities to trust; the system's if left out."""
    ssl_cert_location: str | None = None
    """PEM file of the client's certificate, if the brokers ask for one."""
    ssl_key_location: str | None = None
    """PEM file of its key, unless the certificate's file holds it."""
    ssl_key_password: str | None = Field(default=None, repr=False)
    ssl_context: ssl.SSLContext | None = Field(default=None, repr=False)
    """A context of your own instead of the four files above; keyword only."""
    producer: Mapping[str, Any] | None = Field(default=None, repr=False)
    """Further keywords of aiokafka's producer; they win over the options above; keyword only."""

    if not TYPE_CHECKING:  # checkers know the fields

        def __init__(self, **options: Any) -> None:
            with _explained(type(self).model_fields):
                super().__init__(**options)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """
        Read ``kafka://user:password@b1:9092,b2:9092/topic?option=value``.

        Raises:
            ConfigurationError: It says nothing to be understood; names the part.
        """
        from llmobs.sinks import check_credentials, parse_options

        check_credentials(url)
        parts = urlsplit(url)
        credentials, _, brokers = parts.netloc.rpartition("@")
        said: dict[str, Any] = {"brokers": brokers}
        if credentials:
            user, _, password = credentials.partition(":")
            said |= {"sasl_username": unquote(user), "sasl_password": unquote(password)}
        if topic := unquote(parts.path.removeprefix("/")):
            said["topic"] = topic
        kinds = {name: field.annotation for name, field in cls.model_fields.items()}
        options: dict[str, type] = {
            name: int if kind is int else bool if kind in (bool, bool | None) else str
            for name, kind in kinds.items()
            if name not in ("brokers", "ssl_context", "producer")
        }
        chosen = parse_options(url, options)
        if chosen.get("topic", topic) != topic != "":
            raise ConfigurationError(
                f"topic: {topic!r} in the path, {chosen['topic']!r} as an option"
            )
        return cls(**said | chosen)

    @model_validator(mode="after")
    def _resolve(self) -> Self:
        check_topic("topic", self.topic)
        if self.wire == "sentinel":
            self._set("events_topic", self.events_topic or f"{self.topic}.events")
            check_topic("events_topic", cast(str, self.events_topic))
        elif self.events_topic is not None:
            raise ConfigurationError("events_topic needs wire=sentinel; native has one topic")
        self._resolve_idempotence()
        self._check_security()
        self._set("ssl_context", self._make_ssl_context())
        return self

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the one way around `frozen`

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
        if self.security_protocol.startswith("SASL"):
            self._set("sasl_mechanism", self.sasl_mechanism or "PLAIN")
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
        for name in type(self).model_fields:
            if name.startswith(prefix) and getattr(self, name) is not None:
                raise ConfigurationError(
                    f"{name} needs security_protocol={protocols}, which is {self.security_protocol}"
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

    def connection_options(self) -> dict[str, Any]:
        """Return the keywords that aiokafka's producer and consumer share; they hold the password."""
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.brokers),
            "client_id": self.client_id,
            "retry_backoff_ms": self.retry_backoff_ms,
            "request_timeout_ms": self.request_timeout_ms,
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
        return options

    def producer_options(self) -> dict[str, Any]:
        """Return the keywords of ``aiokafka.AIOKafkaProducer``; they hold the password."""
        options = {
            "acks": self.acks,
            "enable_idempotence": self.enable_idempotence,
            "compression_type": self.compression_type,
            "linger_ms": self.linger_ms,
            "max_batch_size": self.batch_size,
            "max_request_size": self.max_request_size,
        }
        return self.connection_options() | options | dict(self.producer or {})


def _unreadable(option: str, path: str | None, error: Exception) -> ConfigurationError:
    return ConfigurationError(f"{option}: cannot use {path!r}: {error}")
