"""The server's own account of what it answered, so that a test can compare what others noted of it."""

import time
from collections import deque
from contextvars import ContextVar
from dataclasses import asdict
from typing import Any

from .conversation import Json, Reply
from .errors import WireError

_FIXED = 1_700_000_000
_arrived: ContextVar[float | None] = ContextVar("arrived", default=None)


class Answered:
    """
    What was answered, oldest first, in no provider's words; noted before the first byte goes out.

    Args:
        repeatable: The same request gets the same ids and times, so that answers can be compared as
            they are. Errors "once" still happen once.
        size: So many answers are remembered.
    """

    def __init__(self, *, repeatable: bool = False, size: int = 1000) -> None:
        self._repeatable = repeatable
        self._entries: deque[Json] = deque(maxlen=size)

    def arrive(self, number: int, started: float) -> tuple[Any, ...]:
        """Note when a request comes; returns what makes the ids of its answer."""
        _arrived.set(_FIXED if self._repeatable else time.time())
        return () if self._repeatable else (number, started)

    def note(self, path: str, asked: Json, reply: Reply) -> None:
        """Remember an answer that is on its way."""
        said = [
            {
                "text": each.text,
                "thinking": each.thinking,
                "calls": [[call.name, call.arguments] for call in each.calls],
                "ending": each.ending,
            }
            for each in reply.said
        ]
        streamed = isinstance(reply.content, list)
        self._add(path, asked, 200, said=said, usage=asdict(reply.usage), streamed=streamed)

    def note_error(self, path: str, asked: Json, error: WireError) -> None:
        """Remember a refusal."""
        self._add(path, asked, error.status, error=error.message)

    def _add(self, path: str, asked: Json, status: int, **more: Any) -> None:
        entry = {"path": path, "model": asked.get("model"), "status": status, "asked": asked}
        self._entries.append(entry | more)

    def take(self) -> list[Json]:
        """Return what was answered since the last time, and forget it."""
        taken = list(self._entries)
        self._entries.clear()
        return taken


def arrived() -> int:
    """Return when the request came that is being answered, in seconds since 1970; now outside of one."""
    return int(_arrived.get() or time.time())
