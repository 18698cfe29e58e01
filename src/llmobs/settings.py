"""
Every setting of a client, in one place.

Each is a keyword of ``Client``, ``AsyncClient`` and the middlewares, and an environment variable
``LLMOBS_<NAME>``; keywords win. Imported when a client is built, not before: pydantic is slow to
import.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypedDict

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from llmobs.errors import ConfigurationError
from llmobs.events import Event
from llmobs.policy import Drop, Judge, Rules, Stage
from llmobs.recorded.printable import one_line, redacted
from llmobs.recorded.values import readable
from llmobs.runtime.log import own_logger

__all__ = ["Settings", "SettingsKeywords", "refuse_unknown"]

logger = own_logger("llmobs")

ENV_PREFIX = "LLMOBS_"

Overflow = Literal["drop_oldest", "drop_newest", "block", "spill"]
CaptureContent = Literal["full", "redacted", "metadata"]
Durability = Literal["memory", "disk"]


class Settings(BaseSettings):
    """
    What a client is configured with; frozen, checked when built.

    Raises:
        ConfigurationError: A value is wrong, or a name is unknown; the message lists each with
            its variable and what would be right.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        # Secrets must not reach a traceback through pydantic's own messages.
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    sink: Annotated[Any, Field(repr=False)] = "sqlite:///llmobs.db"
    """Where events go: a URL, several separated by spaces, a Sink object, or a list of these."""

    api_key: SecretStr | None = None
    """Key for sinks that ask for one; a key in the sink's URL wins."""

    project_id: Annotated[str, Field(min_length=1)] = "default"
    """Project the events belong to."""

    service_name: Annotated[
        str,
        Field(
            min_length=1,
            validation_alias=AliasChoices(
                "service_name", "LLMOBS_SERVICE_NAME", "OTEL_SERVICE_NAME"
            ),
        ),
    ] = "unknown_service"
    """Name of this service (``service.name``)."""

    environment: Annotated[str, Field(min_length=1)] = "development"
    """Deployment environment: production, staging, development, or your own word."""

    release: str | None = None
    """Version of the application."""

    sample_rate: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 1.0
    """Share of runs to keep, 0 to 1. All events of a run are kept, or none."""

    tail_sampling: str | Callable[..., Any] | None = None
    """
    Which runs to keep once they are over: any of ``errors``, ``slow>5s``, ``cost>0.05`` (US dollars),
    and ``rate=0.1`` of the rest, separated by commas; or a function of a run's events that returns
    whether to keep it, or the share of runs like it to keep. None keeps all.
    """

    tail_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024
    """Bytes of events that may wait for ``tail_sampling``; beyond, the run that waits longest is kept."""

    tail_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0
    """Seconds a run may wait for ``tail_sampling``; one that is not over by then is kept."""

    stages: Sequence[Any] = ()
    """
    Your own functions of an event, in order, that may change it or drop it (`llmobs.Stage`,
    `llmobs.Drop`); they see it before redaction. A keyword only.
    """

    redact_pii: bool = True
    """Replace e-mail addresses, card numbers, API keys and tokens before anything is stored or sent."""

    redactor: Callable[[str], str] | None = None
    """
    Your own redaction, after the built-in one (if that is on), of content, people and labels, but not of
    names and identifiers (reference, `privacy-fields.md`); a keyword only.
    """

    capture_content: CaptureContent = "full"
    """
    ``full``: everything, subject to ``redact_pii``; ``redacted``: always redacted; ``metadata``: nothing
    that people, models and tools wrote, and the rest redacted.
    """

    batch_size: Annotated[int, Field(ge=1)] = 512
    """Events per batch, at most."""

    batch_bytes: Annotated[int, Field(ge=1024)] = 4 * 1024 * 1024
    """Bytes of events per batch, at most (one larger event makes a batch of its own)."""

    flush_interval_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Seconds an event waits for company before its batch leaves."""

    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
    """Seconds one delivery attempt may take; also how long ``overflow="block"`` blocks."""

    max_queue_events: Annotated[int, Field(ge=1)] = 100_000
    """Events that may wait for delivery."""

    max_queue_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    """Bytes of events that may wait for delivery."""

    overflow: Overflow = "drop_oldest"
    """What gives way when the queue is full. Failures outlive successes."""

    spool_dir: Path | None = None
    """Directory for events that cannot be delivered now; None keeps them in memory only."""

    spool_bytes: Annotated[int, Field(ge=1024)] = 512 * 1024 * 1024
    """Size of each sink's part of the spool; the oldest batches go first."""

    durability: Durability = "memory"
    """``disk`` writes events to the spool before they are sent, so that kill -9 loses at most the last 100 ms."""

    capture_bytes: Annotated[int, Field(ge=0)] = 1024 * 1024
    """Bytes of a provider's request or response kept for reading, each."""

    prices: Mapping[str, Mapping[str, Decimal]] | None = None
    """Your own prices, US dollars per million tokens: ``{"my-model": {"input": 1, "output": 4}}``."""

    shutdown_timeout: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """Seconds that closing may spend on what is still queued."""

    enabled: bool = True
    """False: nothing is recorded; no thread, no task, no file."""

    def __init__(self, **values: Any) -> None:
        refuse_unknown(values)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(_explain(error, values)) from None
        except SettingsError as error:
            raise ConfigurationError(
                f"an environment variable {ENV_PREFIX}* is not readable: {error}"
            ) from None

        _warn_of_unknown_variables()

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        # What is printed while somebody looks for a mistake ends in logs and tickets.
        for name, value in super().__repr_args__():
            clean = redacted(text := value if isinstance(value, str) else repr(value))
            yield name, value if clean == text else clean

    @field_validator("sink", mode="after")
    @classmethod
    def _sink_is_named(cls, value: Any) -> Any:
        if isinstance(value, str) and not value.split():
            raise ValueError("must name a sink, for instance sqlite:///llmobs.db")
        if isinstance(value, Sequence) and not value:
            raise ValueError("must name at least one sink")
        return value

    @field_validator("tail_sampling", mode="after")
    @classmethod
    def _tail_rules_are_readable(cls, value: Any) -> Any:
        if isinstance(value, str):
            return Rules.parse(value)
        return value

    @field_validator("stages", mode="before")
    @classmethod
    def _stages_can_be_called(cls, value: Any) -> Any:
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise ValueError("must be a list of functions, each of one event")
        return tuple(Stage.of(stage) for stage in value)

    @field_validator("spool_dir", mode="after")
    @classmethod
    def _home_is_known(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        try:
            return value.expanduser()
        except RuntimeError:
            raise ValueError(f"there is no home directory for {value.parts[0]}") from None

    @model_validator(mode="after")
    def _spool_is_there(self) -> Self:
        if self.spool_dir is None and self.overflow == "spill":
            raise ValueError("overflow='spill' needs spool_dir (LLMOBS_SPOOL_DIR)")
        if self.spool_dir is None and self.durability == "disk":
            raise ValueError("durability='disk' needs spool_dir (LLMOBS_SPOOL_DIR)")
        return self


_SECRET: Final = frozenset({"api_key", "sink"})
"""Settings whose value no message may show; a sink's URL holds a key."""


def refuse_unknown(keywords: Iterable[str], own: Iterable[str] = ()) -> None:
    """
    Check the names of keywords given to a client or a middleware.

    Args:
        keywords: Names given.
        own: Names that the caller takes itself, beside the settings.

    Raises:
        ConfigurationError: There is no such setting; with the nearest name, and all there are.
    """
    known = [*own, *Settings.model_fields]
    lines = [
        f"{redacted(one_line(name))[:100]}: no such setting{_nearest(name, known)}; the settings are {', '.join(known)}"
        for name in keywords
        if name not in known and name != "_env_file"
    ]
    if lines:
        raise ConfigurationError("; ".join(lines))


def _nearest(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # slow to import, and hardly ever needed

    near = get_close_matches(name, list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""


_warned: set[str] = set()


def _warn_of_unknown_variables() -> None:
    """Log each variable ``LLMOBS_*`` that is no setting, once per process: a typing error is silent."""
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in list(os.environ):
        upper = name.upper()
        if upper.startswith(ENV_PREFIX) and upper not in known and upper not in _warned:
            _warned.add(upper)
            near = _nearest(upper, known)
            logger.warning(
                "llmobs: environment variable %s: no such setting%s", one_line(name), near
            )


def _explain(error: ValidationError, keywords: Mapping[str, Any]) -> str:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        name = name.removeprefix(ENV_PREFIX).lower()
        words = _words(problem["msg"])
        if name:
            inner = "".join(f"[{part!r}]" for part in problem["loc"][1:] if isinstance(part, str))
            if name not in keywords:
                lines.append(
                    f"{name}{inner} (environment variable {ENV_PREFIX}{name.upper()}): {words}"
                )
            elif name in _SECRET or inner:
                lines.append(f"{name}{inner}: {words}")
            else:
                lines.append(f"{name}={redacted(readable(keywords[name]))[:100]}: {words}")
        else:
            lines.append(words)
    return "; ".join(lines)


def _words(message: str) -> str:
    if message.startswith("Input should be a valid boolean"):
        return "must be a boolean: true or false"
    return message.removeprefix("Value error, ")


class SettingsKeywords(TypedDict, total=False):
    """The keywords of ``Client``, ``AsyncClient`` and the middlewares: the fields of `Settings`."""

    sink: Any
    api_key: str | None
    project_id: str
    service_name: str
    environment: str
    release: str | None
    sample_rate: float
    tail_sampling: str | Judge | None
    tail_bytes: int
    tail_seconds: float
    stages: Sequence[Stage | Callable[[Event], Event | Drop | None]]
    redact_pii: bool
    redactor: Callable[[str], str] | None
    capture_content: CaptureContent
    batch_size: int
    batch_bytes: int
    flush_interval_seconds: float
    timeout: float
    max_queue_events: int
    max_queue_bytes: int
    overflow: Overflow
    spool_dir: str | Path | None
    spool_bytes: int
    durability: Durability
    capture_bytes: int
    prices: Mapping[str, Mapping[str, Any]] | None
    shutdown_timeout: float
    enabled: bool
