"""
What is read of a span: the same of one that ended in this process and of one that came over a wire.

OpenTelemetry's ``ReadableSpan`` is one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

__all__ = ["SpanEvent", "SpanLike"]

Attributes = Mapping[str, Any]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class _Status(Protocol):
    @property
    def status_code(self) -> _Named: ...
    @property
    def description(self) -> str | None: ...


class _Context(Protocol):
    @property
    def trace_id(self) -> int: ...
    @property
    def span_id(self) -> int: ...


class _Link(Protocol):
    @property
    def context(self) -> _Context: ...


class SpanEvent(Protocol):
    """Something that happened while a span was open."""

    @property
    def name(self) -> str:
        """Which event of the conventions it is."""
        ...

    @property
    def timestamp(self) -> int:
        """Nanoseconds since the epoch."""
        ...

    @property
    def attributes(self) -> Attributes | None:
        """What it tells."""
        ...

    @property
    def dropped_attributes(self) -> int:
        """How many limits took from it."""
        ...


class SpanLike(Protocol):
    """A span that has ended."""

    @property
    def name(self) -> str:
        """What it calls itself."""
        ...

    @property
    def kind(self) -> _Named:
        """Its kind, named INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER."""
        ...

    @property
    def status(self) -> _Status:
        """How it ended; the code is named UNSET, OK or ERROR."""
        ...

    @property
    def start_time(self) -> int | None:
        """Nanoseconds since the epoch."""
        ...

    @property
    def end_time(self) -> int | None:
        """Nanoseconds since the epoch."""
        ...

    @property
    def attributes(self) -> Attributes | None:
        """What it tells."""
        ...

    @property
    def events(self) -> Sequence[SpanEvent]:
        """What happened meanwhile."""
        ...

    @property
    def links(self) -> Sequence[_Link]:
        """Other spans it has to do with."""
        ...

    @property
    def instrumentation_scope(self) -> _Named | None:
        """Who wrote it."""
        ...

    @property
    def dropped_attributes(self) -> int:
        """How many limits took from it."""
        ...

    @property
    def dropped_events(self) -> int:
        """How many limits took from it."""
        ...

    @property
    def dropped_links(self) -> int:
        """How many limits took from it."""
        ...
