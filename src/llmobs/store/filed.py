"""
Events as the store takes them: what can be made of them without it, be it in another process.

Whoever stores then only inserts. An event is filed once it is as it is to be: redacted, and priced.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from llmobs.codec import clean_text, decode, text_of
from llmobs.events import (
    AssertionFailedEvent,
    EvaluationEvent,
    Event,
    HallucinationDetectedEvent,
    RunEvent,
)
from llmobs.store.pieces import Piece, put_together, take_apart
from llmobs.store.rows import Row, row_of

__all__ = ["Filed", "file", "note", "number", "unfile", "whole"]


class Filed(Struct, gc=False, array_like=True):
    """An event as the store takes it; it passes between processes."""

    row: Row
    """Its number is not known before it is inserted, nor whether it is booked."""
    tags: Sequence[str]
    standalone: bool
    own: tuple[str | None, str | None, str | None] | None = None
    """Of a run's own event: its kind, what the client called it, and which run started it."""
    judgement: tuple[float | None, str | None, str | None, str | None] | None = None
    """Of what was said of how good something was: score, label, explanation, source."""
    body: str = ""
    """Its JSON, with references."""
    pieces: list[Piece] = []
    """What these stand for."""
    salt: bytes = b""
    """Of the store whose references these are."""

    @property
    def event_id(self) -> str:
        """The event's."""
        event_id: str = self.row.event_id
        return event_id

    @property
    def run_id(self) -> str:
        """The event's."""
        run_id: str = self.row.run_id
        return run_id

    @property
    def project_id(self) -> str | None:
        """The event's."""
        project_id: str | None = self.row.project_id
        return project_id

    def inside(self, parent_id: str | None) -> "Filed":
        """Return it, put inside another event: one whose id needs no mending, of a span."""
        if self.row.parent_id == parent_id:
            return self
        if parent_id is None or self.row.parent_id is not None:
            event = unfile(self)
            event.parent_id = parent_id
            return file(event, self.salt)
        # Behind the first member, which says what kind of event it is.
        head = len('{"event_type":""') + len(self.row.event_type)
        self.body = f'{self.body[:head]},"parent_id":"{parent_id}"{self.body[head:]}'
        self.row.parent_id = parent_id
        return self


def file(event: Event, salt: bytes) -> Filed:
    """
    Return *event* as the store with this salt takes it.

    Raises:
        Exception: What the event's own values raise.
    """
    one = note(row_of(event, 0, 0), event)
    one.body, one.pieces = take_apart(event, salt)
    one.salt = salt
    return one


def note(row: Row, event: Event) -> Filed:
    """Return what a run learns from *event*, whose row is there."""
    tags = event.tags
    if type(tags) is not tuple:
        tags = ()
    elif not _are_texts(map(type, tags)):
        tags = tuple(tag for tag in tags if type(tag) is str)
    one = Filed(row, tags, event.standalone is True)
    if type(event) is RunEvent:
        one.own = (_text(event.kind), _text(event.client_run_id), _text(event.parent_run_id))
    elif type(event) is EvaluationEvent:
        words = (_text(event.label), _text(event.explanation), _text(event.source))
        one.judgement = (_score(event.score), *words)
    elif type(event) is AssertionFailedEvent:
        one.judgement = (None, "failed", _text(event.severity), "code")
    elif type(event) is HallucinationDetectedEvent:
        one.judgement = (_score(event.confidence_score), "hallucination", None, "code")
    return one


def number(some: Sequence[Filed], first: int, booked_from: int) -> None:
    """Number *some* from *first* on; calls up to *booked_from* are not to be booked."""
    for id, one in enumerate(some, first):
        row = one.row
        row.id = id
        # Numbers: SQLite's module takes many times as long to look at a truth.
        row.booked = 1 if row.timestamp > booked_from else 0


def unfile(one: Filed) -> Event:
    """
    Return the event that was filed.

    Raises:
        msgspec.MsgspecError: Its JSON is not that of an event.
    """
    return decode(whole(one))


def whole(one: Filed) -> str:
    """Return the JSON of the event that was filed."""
    return put_together(one.body, {piece.hash: piece.data for piece in one.pieces}.get)


_are_texts: Final = frozenset({str}).issuperset


def _score(value: Any) -> float | None:
    return value if type(value) in (int, float) else None


def _text(value: Any) -> str | None:
    return None if value is None else clean_text(text_of(value))
