"""Spans and log records as they came over the wire, whatever it spelled them in."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

__all__ = [
    "MAX_DEPTH",
    "Event",
    "Kind",
    "Link",
    "Log",
    "Resource",
    "Scope",
    "Span",
    "Status",
    "StatusCode",
    "has_remote_parent",
]

MAX_DEPTH: Final = 64
"""Of values inside values; what is deeper is left out."""
_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200


def has_remote_parent(flags: int) -> bool:
    """Whether a span's ``flags`` say that its parent is in another process (``SpanFlags``)."""
    return flags & _HAS_IS_REMOTE != 0 and flags & _IS_REMOTE != 0


class Kind(Enum):
    """``SpanKind``, with its numbers."""

    UNSPECIFIED = 0
    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class StatusCode(Enum):
    """``Status.StatusCode``, with its numbers."""

    UNSET = 0
    OK = 1
    ERROR = 2


class Status(NamedTuple):
    """How a span ended."""

    status_code: StatusCode
    description: str | None


class Scope(NamedTuple):
    """Who wrote it."""

    name: str


class Event(NamedTuple):
    """Something that happened while a span was open."""

    name: str
    timestamp: int
    attributes: Mapping[str, Any]
    dropped_attributes: int = 0


class Context(NamedTuple):
    """A span elsewhere."""

    trace_id: int
    span_id: int


class Link(NamedTuple):
    """Another span that one has to do with."""

    context: Context


class Resource(NamedTuple):
    """Who sent it."""

    attributes: Mapping[str, Any]


class Span:
    """A span that has ended; what `llmobs.contrib._spans.span.SpanLike` asks for, and its ids."""

    __slots__ = (
        "attributes", "dropped_attributes", "dropped_events", "dropped_links", "end_time", "events",
        "instrumentation_scope", "is_remote", "kind", "links", "name", "parent_id", "resource",
        "span_id", "start_time", "status", "trace_id",
    )  # fmt: skip

    def __init__(
        self,
        *,
        resource: Resource,
        scope: Scope,
        trace_id: str,
        span_id: str,
        parent_id: str,
        is_remote: bool,
        name: str,
        kind: Kind,
        start_time: int,
        end_time: int,
        attributes: dict[str, Any],
        events: Sequence[Event],
        links: Sequence[Link],
        status: Status,
        dropped: tuple[int, int, int],
    ) -> None:
        self.resource = resource
        self.instrumentation_scope = scope
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.is_remote = is_remote
        """Whether it says that its parent is a span of another process."""
        self.name = name
        self.kind = kind
        self.start_time = start_time
        self.end_time = end_time
        self.attributes = attributes
        self.events = events
        self.links = links
        self.status = status
        self.dropped_attributes, self.dropped_events, self.dropped_links = dropped


class Log(NamedTuple):
    """A log record."""

    resource: Resource
    scope: Scope
    trace_id: str
    """Empty if it belongs to no span, as is the next one."""
    span_id: str
    name: str
    """Of the event that it is; empty if it is none."""
    time: int
    body: Any
    attributes: dict[str, Any]
