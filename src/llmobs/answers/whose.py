"""Users, and sessions: whose runs there are."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from llmobs.answers.asked import Asked, cursor_after
from llmobs.store.engine import ReadsStore
from llmobs.store.records import Whose

__all__ = ["WHOSE", "Sessions", "Users", "sessions", "users"]

WHOSE: Final = 50
"""In one answer, unless another number is asked for."""


class Users(msgspec.Struct, frozen=True):
    """Users, those with the latest run first."""

    users: Sequence[Whose]
    """A page of them."""
    next_cursor: str | None
    """Where to go on; None if these are the last."""


class Sessions(msgspec.Struct, frozen=True):
    """Sessions, those with the latest run first."""

    sessions: Sequence[Whose]
    """A page of them."""
    next_cursor: str | None
    """Where to go on; None if these are the last."""


def users(store: ReadsStore, asked: Asked) -> Users:
    """Return users with what their runs that fit add up to."""
    return Users(*_whose(store, asked, "user"))


def sessions(store: ReadsStore, asked: Asked) -> Sessions:
    """Return sessions with what their runs that fit add up to."""
    return Sessions(*_whose(store, asked, "session"))


def _whose(
    store: ReadsStore, asked: Asked, kind: Literal["user", "session"]
) -> tuple[Sequence[Whose], str | None]:
    limit = asked.limit(WHOSE)
    found = store.whose(kind, limit + 1, before=asked.position(), where=asked.where)
    shown, more = found[:limit], len(found) > limit
    return shown, cursor_after(shown[-1].latest, shown[-1].id) if more else None
