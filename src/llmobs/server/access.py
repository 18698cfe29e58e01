"""Who asks, and what they may: read by every way in from ``request.state.access``."""

from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.requests import HTTPConnection

from llmobs.events import AssertionFailedEvent, EvaluationEvent, Event, HallucinationDetectedEvent
from llmobs.server.bodies import RefusedError
from llmobs.server.keys import MAY
from llmobs.store.filed import Filed

__all__ = [
    "EVERYTHING",
    "MCP",
    "NOTHING",
    "Access",
    "access_of",
    "check_events",
    "may_evaluate",
    "require",
]

EVALUATIONS: Final = (EvaluationEvent, AssertionFailedEvent, HallucinationDetectedEvent)
"""What says how good something was that others recorded."""
MCP: Final = "/mcp"
"""Where agents ask: by POST, and for reading all the same."""


class Access(msgspec.Struct, frozen=True):
    """What a request may do."""

    project: str | None = None
    """The one project it writes to and reads from; None: all of them."""
    may: frozenset[str] = frozenset(MAY)
    """Any of ``ingest``, ``evaluate`` and ``read``."""
    key: str | None = None
    """Id of the key it came with, or with which its browser logged in."""
    is_session: bool = False
    """Whether its browser logged in."""
    form_token: str = ""
    """What forms hold that are given to it; empty where it can be given none."""


EVERYTHING: Final = Access()
NOTHING: Final = Access(may=frozenset())
"""
Who has no right key, and whom the way in answers itself: WatchLLM's wire has an answer of its own for
who has a wrong one, and the login's page is for who has shown none.
"""


def access_of(request: HTTPConnection) -> Access:
    """Return what *request* may do."""
    access: Access = getattr(request.state, "access", EVERYTHING)
    return access


def require(access: Access, right: str, *, every_project: bool = False) -> None:
    """
    See that a request may do something.

    Args:
        access: What it may.
        right: ``ingest``, ``evaluate`` or ``read``.
        every_project: Whether it concerns all projects.

    Raises:
        RefusedError: 403; names the way out.
    """
    if right not in access.may:
        raise RefusedError(
            403,
            f"this key may not {right}: make one that may with llmobs keys add --may {right}",
            "authorization",
        )
    if every_project and access.project is not None:
        raise RefusedError(
            403,
            "this key is for one project, and this tells of all: make one with llmobs keys add --all-projects",
            "authorization",
        )


def check_events(access: Access, events: Sequence[Event | Filed]) -> None:
    """
    See that a request may send *events*.

    Raises:
        RefusedError: 403: its key is for evaluations alone, or for reading; names the way out.
    """
    if not (may_evaluate(access) and all(map(_is_evaluation, events))):
        require(access, "ingest")


def _is_evaluation(event: Event | Filed) -> bool:
    if isinstance(event, Filed):
        return event.judgement is not None
    return isinstance(event, EVALUATIONS)


def may_evaluate(access: Access) -> bool:
    """Whether a request may send evaluations: who may send everything may, too."""
    return bool(access.may & {"ingest", "evaluate"})
