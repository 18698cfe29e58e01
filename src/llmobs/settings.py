"""
Every setting of a client, in one place.

Each is a keyword of ``Client``, ``AsyncClient`` and the middlewares, and an environment variable
``LLMOBS_<NAME>``; keywords win. What is plainly right is read here; about everything else
`llmobs.validation` is asked, which has the library for it, and the words.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypedDict, Unpack

import msgspec
from msgspec import Meta

from llmobs.errors import ConfigurationError
from llmobs.events import Event
from llmobs.policy import Drop, Judge, Rules, Stage
from llmobs.recorded.printable import brief, one_line, redacted
from llmobs.runtime.log import own_logger

__all__ = ["NAMES", "Secret", "Settings", "SettingsKeywords", "refuse_unknown"]

logger = own_logger("llmobs")

ENV_PREFIX: Final = "LLMOBS_"
FURTHER_VARIABLES: Final = {"service_name": "OTEL_SERVICE_NAME"}

Overflow = Literal["drop_oldest", "drop_newest", "block", "spill"]
CaptureContent = Literal["full", "redacted", "metadata"]
Durability = Literal["memory", "disk"]


class Secret:
    """A text that no ``repr`` and no message shows."""

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """Return the text."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('**********')"


class Settings:
    """
    What a client is configured with; frozen, checked when built.

    Raises:
        ConfigurationError: A value is wrong, or a name is unknown; the message lists each with
            its variable and what would be right.
    """

    sink: Any = "sqlite:///llmobs.db"
    """Where events go: a URL, several separated by spaces, a Sink object, or a list of these."""

    api_key: Secret | None = None
    """Key for sinks that ask for one; a key in the sink's URL wins."""

    project_id: Annotated[str, Meta(min_length=1)] = "default"
    """Project the events belong to."""

    service_name: Annotated[str, Meta(min_length=1)] = "unknown_service"
    """Name of this service (``service.name``)."""

    environment: Annotated[str, Meta(min_length=1)] = "development"
    """Deployment environment: production, staging, development, or your own word."""

    release: str | None = None
    """Version of the application."""

    sample_rate: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Share of runs to keep, 0 to 1. All events of a run are kept, or none."""

    tail_sampling: str | Callable[..., Any] | None = None
    """
    Which runs to keep once they are over: any of ``errors``, ``slow>5s``, ``cost>0.05`` (US dollars),
    and ``rate=0.1`` of the rest, separated by commas; or a function of a run's events that returns
    whether to keep it, or the share of runs like it to keep. None keeps all.
    """

    tail_bytes: Annotated[int, Meta(ge=1024)] = 32 * 1024 * 1024
    """Bytes of events that may wait for ``tail_sampling``; beyond, the run that waits longest is kept."""

    tail_seconds: Annotated[float, Meta(gt=0)] = 60.0
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
    names and identifiers (reference, `privacy-fields.md`); a keyword only. It is called in a thread; what
    it raises at, or is not done with in two seconds for a few events, is left out.
    """

    redaction: Any = None
    """
    What redaction looks for and what it does, instead of ``redact_pii``: a mapping, or a JSON or TOML
    file of one, with ``kinds`` (a list, or which to switch), ``patterns`` (regular expressions by
    name), ``names`` (more names whose values are secret), ``allow`` (what stays, such as
    ``*@our-company.example``), ``action`` (``plain``, ``numbered``, ``hashed`` with a ``key``,
    ``last4``, ``drop``), a ``key`` by which identifiers are renamed alike everywhere, and ``integers``
    (true: whole numbers that are card numbers go, too).
    Kinds: reference, `redaction.md`. A pattern that may take for ever is refused; one that is slow
    costs the field.
    """

    capture_content: CaptureContent = "full"
    """
    ``full``: everything, subject to ``redact_pii``; ``redacted``: always redacted; ``metadata``: nothing
    that people, models and tools wrote, and the rest redacted.
    """

    batch_size: Annotated[int, Meta(ge=1)] = 512
    """Events per batch, at most."""

    batch_bytes: Annotated[int, Meta(ge=1024)] = 4 * 1024 * 1024
    """Bytes of events per batch, at most (one larger event makes a batch of its own)."""

    flush_interval_seconds: Annotated[float, Meta(gt=0)] = 1.0
    """Seconds an event waits for company before its batch leaves."""

    timeout: Annotated[float, Meta(gt=0)] = 30.0
    """Seconds one delivery attempt may take; also how long ``overflow="block"`` blocks."""

    max_queue_events: Annotated[int, Meta(ge=1)] = 100_000
    """Events that may wait for delivery."""

    max_queue_bytes: Annotated[int, Meta(ge=1024)] = 64 * 1024 * 1024
    """Bytes of events that may wait for delivery."""

    overflow: Overflow = "drop_oldest"
    """What gives way when the queue is full. Failures outlive successes."""

    spool_dir: Path | None = None
    """Directory for events that cannot be delivered now; None keeps them in memory only."""

    spool_bytes: Annotated[int, Meta(ge=1024)] = 512 * 1024 * 1024
    """Size of each sink's part of the spool; the oldest batches go first."""

    durability: Durability = "memory"
    """``disk`` writes events to the spool before they are sent, so that kill -9 loses at most the last 100 ms."""

    capture_bytes: Annotated[int, Meta(ge=0)] = 1024 * 1024
    """Bytes of a provider's request or response kept for reading, each."""

    prices: Mapping[str, Mapping[str, Decimal]] | None = None
    """Your own prices, US dollars per million tokens: ``{"my-model": {"input": 1, "output": 4}}``."""

    shutdown_timeout: Annotated[float, Meta(ge=0)] = 10.0
    """Seconds that closing may spend on what is still queued."""

    enabled: bool = True
    """False: nothing is recorded; no thread, no task, no file."""

    def __init__(
        self,
        *,
        _env_file: str | Path | None = None,
        **values: Unpack["SettingsKeywords"],
    ) -> None:
        refuse_unknown(values)
        try:
            given = None if _env_file is not None else dict(_plainly_right(values))
        except Exception:  # noqa: BLE001 - of any kind, and perhaps right in another form
            given = None
        if given is None:
            given = _validated(values, _env_file)
        _refuse_contradictions(given)
        self.__dict__.update(given)  # what is not given is the class's
        _warn_of_unknown_variables()

    @classmethod
    def disabled(cls) -> "Settings":
        """Return settings of a client that records nothing; the environment is not read."""
        settings = cls.__new__(cls)
        settings.__dict__["enabled"] = False
        return settings

    @property
    def given(self) -> dict[str, Any]:
        """What was set, by keyword or in the environment."""
        return dict(self.__dict__)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"settings are frozen: make new ones to change {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"settings are frozen: make new ones to change {name}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not Settings:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in NAMES)

    __hash__ = None  # type: ignore[assignment] # a sink may be anything

    def __repr__(self) -> str:
        # What is printed while somebody looks for a mistake ends in logs and tickets.
        shown = (
            f"{name}={redacted(repr(getattr(self, name)))}"
            for name in NAMES
            if name not in _UNSHOWN
        )
        return f"Settings({', '.join(shown)})"


_UNSHOWN: Final = frozenset({"sink", "redaction"})
"""Settings of which no ``repr`` says what they are."""
NAMES: Final = tuple(Settings.__annotations__)
"""Every setting, in order."""


# What is made of a value, whoever has read it.


def _sink_is_named(value: Any) -> Any:
    if isinstance(value, str) and not value.split():
        raise ValueError("must name a sink, for instance sqlite:///llmobs.db")
    if isinstance(value, Sequence) and not value:
        raise ValueError("must name at least one sink")
    return value


def _rules(value: Any) -> Any:
    return Rules.parse(value) if isinstance(value, str) else value


def _stages(value: Any) -> Any:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ValueError("must be a list of functions, each of one event")
    return tuple(Stage.of(stage) for stage in value)


def _directory(value: Any) -> Path | None:
    if value is None:
        return None
    path = Path(value)
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"there is no home directory for {path.parts[0]}") from None


_VALIDATORS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "sink": _sink_is_named,
    "tail_sampling": _rules,
    "stages": _stages,
    "spool_dir": _directory,
}


def _refuse_contradictions(given: Mapping[str, Any]) -> None:
    spools = given.get("spool_dir") is not None
    if not spools and given.get("overflow") == "spill":
        raise ConfigurationError("overflow='spill' needs spool_dir (LLMOBS_SPOOL_DIR)")
    if not spools and given.get("durability") == "disk":
        raise ConfigurationError("durability='disk' needs spool_dir (LLMOBS_SPOOL_DIR)")


# Reading.


def _plainly_right(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what is set. Raises where it takes more than a look to tell that it is right."""
    environment = {name.upper(): value for name, value in os.environ.items() if value}
    for name in NAMES:
        if name in values:
            value = _as_it_is(name, values[name])
        else:
            text = environment.get(f"{ENV_PREFIX}{name.upper()}")
            if text is None:
                text = environment.get(FURTHER_VARIABLES.get(name, ""))
            if text is None:
                continue
            value = _read(name, text)
        yield name, _VALIDATORS[name](value) if name in _VALIDATORS else value


_NO_VARIABLES: Final = frozenset({"stages", "redactor", "prices"})
"""Settings that no text is plainly right for."""
_ANYTHING: Final = frozenset({"sink", "stages", "redaction"})
_FUNCTIONS: Final = frozenset({"redactor", "tail_sampling"})
_TEXTS: Final = frozenset({"api_key", "release", "redaction", "sink", "spool_dir", "tail_sampling"})
"""Settings that any text is for, as far as its type says."""


def _as_it_is(name: str, value: Any) -> Any:
    """Return *value*, a keyword's; raises unless it has the right type."""
    if value is None and getattr(Settings, name) is None:
        return None
    if name in _ANYTHING or (name in _FUNCTIONS and callable(value)):
        return value
    if name in _TEXTS:
        if type(value) is str:
            return Secret(value) if name == "api_key" else value
        if (name == "api_key" and type(value) is Secret) or (
            name == "spool_dir" and isinstance(value, Path)
        ):
            return value
        raise ValueError(f"{name} may be wrong")
    return _converted(name, value, strict=True)


def _read(name: str, text: str) -> Any:
    """Return what *text*, a variable's, says; raises unless that is plain."""
    if name in _NO_VARIABLES:
        raise ValueError(f"{name} may be wrong")
    if name in _TEXTS:
        return Secret(text) if name == "api_key" else text
    return _converted(name, text, strict=False)


def _converted(name: str, value: Any, *, strict: bool) -> Any:
    if type(value) not in (str, int, float, bool):
        raise ValueError(f"{name} may be wrong")  # what derives from one would stay what it is
    found = msgspec.convert(value, Settings.__annotations__[name], strict=strict)
    if type(found) is float and not isfinite(found):
        raise ValueError(f"{name} is wrong")
    return found


def _validated(values: Mapping[str, Any], env_file: str | Path | None = None) -> dict[str, Any]:
    from pydantic import SecretStr

    from llmobs.validation import validated

    fields = {name: (Settings.__annotations__[name], getattr(Settings, name)) for name in NAMES}
    # What the library knows by other types.
    fields["api_key"], fields["stages"] = (SecretStr | None, None), (Any, ())
    key = values.get("api_key")
    if isinstance(key, Secret):
        values = {**values, "api_key": key.get_secret_value()}
    given = validated(
        fields,
        _VALIDATORS,
        values,
        env_file=env_file,
        prefix=ENV_PREFIX,
        variables=FURTHER_VARIABLES,
        secret=_SECRET,
    )
    if given.get("api_key") is not None:
        given["api_key"] = Secret(given["api_key"].get_secret_value())
    return given


_SECRET: Final = frozenset({"api_key", "sink", "redaction"})
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
    known = [*own, *NAMES]
    lines = [
        f"{brief(name, 100)}: no such setting{_nearest(name, known)}; the settings are {', '.join(known)}"
        for name in keywords
        if name not in known
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
    known = {f"{ENV_PREFIX}{name.upper()}" for name in NAMES}
    for name in list(os.environ):
        upper = name.upper()
        if upper.startswith(ENV_PREFIX) and upper not in known and upper not in _warned:
            _warned.add(upper)
            near = _nearest(upper, known)
            logger.warning(
                "llmobs: environment variable %s: no such setting%s", one_line(name), near
            )


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
    redaction: Mapping[str, Any] | str | Path | None
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
