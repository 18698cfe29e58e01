"""
Where events go, by URL.

=========================  ==================================================================
``sqlite:///llmobs.db``    SQLite file, relative to the working directory (four slashes: absolute)
``jsonl:///runs.jsonl``    one JSON object per line, same rule for the path
``console:``               one readable line per event on standard error
``memory:``                a list, for tests
``kafka://b1:9092/topic``  a Kafka cluster; several brokers are separated by commas
``https://key@host/v1``    an HTTP collector (and ``http://``), see `llmobs.sinks.http`
``otlp+https://host``      an OpenTelemetry backend (and ``otlp+http://``), see `llmobs.sinks.otlp`
=========================  ==================================================================

A third party adds a scheme with an entry point in the group ``llmobs.sinks``: its name is the
scheme, its object a class with ``from_url(url, settings)``.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from llmobs.errors import ConfigurationError
from llmobs.pipeline.sink import Batch, Sink

__all__ = [
    "Batch",
    "Sink",
    "SinkFactory",
    "check_credentials",
    "parse_options",
    "resolve",
    "safe_url",
    "split_url",
]

_BUILT_IN = {
    "sqlite": "llmobs.sinks.sqlite:SQLiteSink",
    "jsonl": "llmobs.sinks.jsonl:JSONLSink",
    "console": "llmobs.sinks.console:ConsoleSink",
    "memory": "llmobs.sinks.memory:MemorySink",
    "kafka": "llmobs.sinks.kafka:KafkaSink",
    "http": "llmobs.sinks.http:HTTPSink",
    "https": "llmobs.sinks.http:HTTPSink",
    "otlp+http": "llmobs.sinks.otlp:OTLPSink",
    "otlp+https": "llmobs.sinks.otlp:OTLPSink",
}


class SinkFactory(Protocol):
    """What a scheme names: usually the sink's class."""

    def from_url(self, url: str, settings: Any) -> Sink:
        """
        Build the sink; connect to nothing yet.

        Args:
            url: The whole URL as given.
            settings: The client's `llmobs.Settings`.

        Raises:
            ConfigurationError: The URL is wrong; says what would be right.
        """
        ...


def resolve(spec: Any, settings: Any) -> list[Sink]:
    """
    Build the sinks that *spec* names: a URL, several separated by spaces, sinks, or a list of these.

    Raises:
        ConfigurationError: A URL is wrong, its scheme unknown, or its extra missing.
    """
    if isinstance(spec, str):
        sinks = [_from_url(url, settings) for url in spec.split()]
    elif isinstance(spec, Sequence):
        sinks = [sink for part in spec for sink in resolve(part, settings)]
    elif isinstance(spec, Sink):
        sinks = [spec]
    else:
        raise ConfigurationError(
            f"sink (LLMOBS_SINK): {type(spec).__name__} is neither a URL nor a Sink"
        )
    taken: dict[str, int] = {}
    for sink in sinks:
        taken[sink.name] = taken.get(sink.name, 0) + 1
        if taken[sink.name] > 1:
            sink.name = f"{sink.name}#{taken[sink.name]}"
    return sinks


def _from_url(url: str, settings: Any) -> Sink:
    scheme = url.partition(":")[0].lower()
    if ":" not in url or not scheme:
        raise ConfigurationError(
            f"sink (LLMOBS_SINK): {safe_url(url)!r} is not a URL; for instance sqlite:///llmobs.db"
        )
    if scheme in _BUILT_IN:
        module, _, name = _BUILT_IN[scheme].partition(":")
        factory = getattr(import_module(module), name)
    else:
        factory = _from_entry_point(scheme)
    try:
        return cast(Sink, factory.from_url(url, settings))
    # urlsplit raises ValueErrors for bad ports and brackets, pathlib RuntimeErrors for ~nobody and
    # OSErrors where the working directory is gone.
    except (ValueError, RuntimeError, OSError) as error:
        raise ConfigurationError(f"sink (LLMOBS_SINK) {safe_url(url)!r}: {error}") from None


def _from_entry_point(scheme: str) -> Any:
    from importlib.metadata import entry_points  # 20 ms, and few have sinks of their own

    for entry_point in entry_points(group="llmobs.sinks", name=scheme):
        return entry_point.load()
    known = sorted({*_BUILT_IN, *entry_points(group="llmobs.sinks").names})
    raise ConfigurationError(
        f"sink (LLMOBS_SINK): no sink for {scheme!r}; known schemes are {', '.join(known)}"
    )


def safe_url(url: str) -> str:
    """Return *url* for logs: without user, password and query, which may hold secrets."""
    head, separator, tail = url.partition("?")[0].partition("://")
    if tail.startswith("/"):  # a path
        return head + separator + tail
    # After the last @, wherever: a key that holds a slash is not parsed as one.
    if separator:
        return head + separator + tail.rpartition("@")[2]
    return head.rpartition("@")[2]


def check_credentials(url: str) -> None:
    """
    See that what stands before the ``@`` of *url* was not cut short.

    Raises:
        ConfigurationError: It holds a ``/`` or a ``#``, which end it in a URL.
    """
    parts = urlsplit(url)
    if "@" in parts.path or parts.fragment:
        raise ConfigurationError(
            "in a key or a password write / as %2F and # as %23; an @ in a path is %40"
        )


def split_url(url: str) -> tuple[str, str | None, str | None]:
    """
    Return the URL without credentials and query, the user (usually a key) and the password in it.

    Raises:
        ConfigurationError: It has no host, or its credentials are not percent-encoded.
    """
    check_credentials(url)
    parts = urlsplit(url)
    if not parts.hostname:
        raise ConfigurationError("needs a host, for instance https://key@collector.example/v1")
    _ = parts.port  # raises ValueError if it is none
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    user, password = (
        None if part is None else unquote(part) for part in (parts.username, parts.password)
    )
    return bare, user or None, password


def parse_options(url: str, allowed: dict[str, type]) -> dict[str, Any]:
    """
    Return the options in the query of *url*, converted to the types in *allowed*.

    Raises:
        ConfigurationError: An option is unknown or its value does not convert; names it.
    """
    options: dict[str, Any] = {}
    for name, text in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if name not in allowed:
            known = ", ".join(sorted(allowed)) or "none"
            raise ConfigurationError(f"no such option {name!r}; options are: {known}")
        options[name] = _convert(name, text, allowed[name])
    return options


def _convert(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise ConfigurationError(f"option {name!r} must be true or false, not {text!r}")
    try:
        return kind(text)
    except ValueError:
        raise ConfigurationError(f"option {name!r} must be {kind.__name__}, not {text!r}") from None
