"""The event of the LLM Sentinel document, checked by its server's rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from llmobs.codec import clean_text
from llmobs.recorded.printable import quoted
from llmobs.sentinel import _rules as rules
from llmobs.sentinel.exceptions import ValidationError

__all__ = ["PromptInfo", "ResponseInfo", "TelemetryEvent"]


def _utcnow() -> datetime:
    """The time now in UTC, without an offset: what ``datetime.utcnow`` returned."""
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass
class PromptInfo:
    """
    What the model was asked.

    Raises:
        ValidationError: A field is not what the server takes.
    """

    text: str
    """At most 100,000 characters."""
    tokens: int
    """0 to 4,294,967,295."""
    embedding: list[float] | None = None

    def __post_init__(self) -> None:
        self._check()

    def _check(self, prefix: str = "") -> None:
        rules.text(f"{prefix}text", self.text, most=rules.MAX_TEXT_CHARS)
        rules.count(f"{prefix}tokens", self.tokens)
        rules.embedding(f"{prefix}embedding", self.embedding)

    def to_dict(self) -> dict[str, Any]:
        """Return it as the server's JSON has it."""
        return {
            "text": clean_text(self.text),
            "tokens": self.tokens,
            "embedding": None if self.embedding is None else list(self.embedding),
        }


@dataclass
class ResponseInfo:
    """
    What the model answered.

    Raises:
        ValidationError: A field is not what the server takes.
    """

    text: str
    """At most 100,000 characters."""
    tokens: int
    """0 to 4,294,967,295."""
    finish_reason: str
    """Why the model stopped: ``stop``, ``length``, ``tool_calls``, or the provider's own word."""
    embedding: list[float] | None = None

    def __post_init__(self) -> None:
        self._check()

    def _check(self, prefix: str = "") -> None:
        rules.text(f"{prefix}text", self.text, most=rules.MAX_TEXT_CHARS)
        rules.count(f"{prefix}tokens", self.tokens)
        rules.text(f"{prefix}finish_reason", self.finish_reason)
        rules.embedding(f"{prefix}embedding", self.embedding)

    def to_dict(self) -> dict[str, Any]:
        """Return it as the server's JSON has it."""
        return {
            "text": clean_text(self.text),
            "tokens": self.tokens,
            "finish_reason": clean_text(self.finish_reason),
            "embedding": None if self.embedding is None else list(self.embedding),
        }


@dataclass
class TelemetryEvent:
    """
    One call of a model.

    A timestamp without an offset is UTC. Two events are equal if their fields are, and their
    timestamps name the same moment.

    Raises:
        ValidationError: A field is not what the server takes.
    """

    service_name: str
    """Never empty; the server keeps its baselines by service and model."""
    model: str
    """Never empty."""
    prompt: PromptInfo
    response: ResponseInfo
    latency_ms: float
    """Milliseconds, not negative."""
    cost_usd: float
    """US dollars, not negative."""
    event_id: UUID = field(default_factory=uuid4)
    timestamp: datetime = field(default_factory=_utcnow)
    trace_id: str | None = None
    span_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.validate()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TelemetryEvent):
            return NotImplemented
        return self._instant() == other._instant() and all(
            getattr(self, name) == getattr(other, name) for name in _BESIDE_TIMESTAMP
        )

    __hash__ = None  # type: ignore[assignment] # it can change

    def validate(self) -> None:
        """
        Check every field; done on construction, and again before an event is sent.

        Raises:
            ValidationError: A field is not what the server takes; names it.
        """
        rules.text("service_name", self.service_name, filled=True)
        rules.text("model", self.model, filled=True)
        rules.instance_of(PromptInfo, "prompt", self.prompt)
        self.prompt._check("prompt.")  # noqa: SLF001 - of this module
        rules.instance_of(ResponseInfo, "response", self.response)
        self.response._check("response.")  # noqa: SLF001 - of this module
        rules.measure("latency_ms", self.latency_ms)
        rules.measure("cost_usd", self.cost_usd)
        rules.instance_of(UUID, "event_id", self.event_id)
        rules.moment("timestamp", self.timestamp)
        rules.optional_text("trace_id", self.trace_id)
        rules.optional_text("span_id", self.span_id)
        rules.metadata("metadata", self.metadata)
        rules.texts("errors", self.errors)

    def _instant(self) -> datetime:
        return rules.moment("timestamp", self.timestamp)

    def has_errors(self) -> bool:
        """Whether it holds any errors."""
        return bool(self.errors)

    def total_tokens(self) -> int:
        """Tokens of the prompt and the answer together."""
        return self.prompt.tokens + self.response.tokens

    def error_rate(self) -> float:
        """1.0 if it holds any errors, else 0.0."""
        return 1.0 if self.errors else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as the server's JSON has it; the timestamp in UTC, with exactly one ``Z``."""
        timestamp = datetime.isoformat(self._instant().replace(tzinfo=None))
        return {
            "event_id": str(self.event_id),
            "timestamp": f"{timestamp}Z",
            "service_name": clean_text(self.service_name),
            "trace_id": None if self.trace_id is None else clean_text(self.trace_id),
            "span_id": None if self.span_id is None else clean_text(self.span_id),
            "model": clean_text(self.model),
            "prompt": self.prompt.to_dict(),
            "response": self.response.to_dict(),
            "latency_ms": self.latency_ms,
            "cost_usd": self.cost_usd,
            "metadata": {clean_text(k): clean_text(v) for k, v in self.metadata.items()},
            "errors": [clean_text(error) for error in self.errors],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TelemetryEvent":
        """
        Return the event that *data* describes; what `to_dict` returned, or a message of the topic.

        Unknown keys are ignored; whatever has a default may be missing. A timestamp with any offset
        is taken, fractions of a second beyond microseconds are cut.

        Raises:
            ValidationError: A field is missing, or not what the server takes; names it.
        """
        return cls(**_fields("data", data))


_BESIDE_TIMESTAMP: Final = tuple(
    name for name in TelemetryEvent.__dataclass_fields__ if name != "timestamp"
)


@rules.rule
def _fields(about: str, data: Any) -> dict[str, Any]:
    rules.instance_of(Mapping, about, data)
    fields: dict[str, Any] = {
        name: _required(data, name) for name in ("service_name", "model", "latency_ms", "cost_usd")
    }
    prompt = _required(data, "prompt")
    rules.instance_of(Mapping, "prompt", prompt)
    response = _required(data, "response")
    rules.instance_of(Mapping, "response", response)
    fields["prompt"] = PromptInfo(
        text=_required(prompt, "text", "prompt."),
        tokens=_required(prompt, "tokens", "prompt."),
        embedding=prompt.get("embedding"),
    )
    fields["response"] = ResponseInfo(
        text=_required(response, "text", "response."),
        tokens=_required(response, "tokens", "response."),
        finish_reason=_required(response, "finish_reason", "response."),
        embedding=response.get("embedding"),
    )
    if data.get("event_id") is not None:
        fields["event_id"] = _uuid(data["event_id"])
    if data.get("timestamp") is not None:
        fields["timestamp"] = _moment(data["timestamp"])
    for name in ("trace_id", "span_id"):
        fields[name] = data.get(name)
    for name, kind in (("metadata", dict), ("errors", list)):
        if data.get(name) is not None:
            held = data[name]
            # A copy, unless it is of a kind that `validate` will refuse in better words.
            fields[name] = kind(held) if rules.is_a(held, kind) else held
    return fields


def _required(data: Mapping[str, Any], name: str, prefix: str = "") -> Any:
    if name not in data:
        raise ValidationError(f"{prefix}{name} is required")
    return data[name]


def _uuid(value: Any) -> UUID:
    if rules.is_a(value, UUID):
        return value  # type: ignore[no-any-return]
    rules.text("event_id", value)
    try:
        return UUID(value)
    except ValueError as error:
        raise ValidationError(f"event_id must be a UUID, not {quoted(value)}", error) from None


def _moment(value: Any) -> datetime:
    if rules.is_a(value, datetime):
        return value  # type: ignore[no-any-return]
    rules.text("timestamp", value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValidationError(f"timestamp must be RFC 3339, not {quoted(value)}", error) from None
    # A "Z" reads as it was written: as UTC without an offset, like the default.
    return moment.replace(tzinfo=None) if value[-1:] in "Zz" else moment
