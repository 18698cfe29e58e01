"""Who asks, and what they may: read by every way in from ``request.state.access``."""

from typing import Final

import msgspec
from starlette.requests import HTTPConnection

__all__ = ["EVERYTHING", "Access", "access_of"]


class Access(msgspec.Struct, frozen=True):
    """What a request may do."""

    project: str | None = None
    """The one project it writes to and reads from; None: all of them."""
    may: frozenset[str] = frozenset({"ingest", "evaluate", "read"})
    """Any of ``ingest``, ``evaluate`` and ``read``."""


EVERYTHING: Final = Access()


def access_of(request: HTTPConnection) -> Access:
    """Return what *request* may do."""
    access: Access = getattr(request.state, "access", EVERYTHING)
    return access
