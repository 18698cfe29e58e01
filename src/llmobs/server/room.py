"""How much may be under way at once: what is beyond comes again later, and costs no memory."""

from collections.abc import Callable
from typing import Any, Final

from starlette.requests import HTTPConnection

from llmobs.errors import LLMObsError

__all__ = ["BusyError", "Room", "Roomy", "room_of"]

BUSY_SECONDS: Final = 1.0
"""When somebody who found no room may come again."""


class BusyError(LLMObsError):
    """
    There is no room for more now.

    Args:
        message: What there is no room for.
        retry_after: Seconds until it may be tried again.
    """

    def __init__(self, message: str, retry_after: float = BUSY_SECONDS) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Room:
    """
    Counts what is under way. For one event loop.

    Args:
        max_events: Events that may be.
        max_bytes: Bytes of what they come in that may be; one body alone always may.
    """

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self.events = 0
        """Under way now."""
        self.bytes = 0
        """Of bodies that are read or being answered."""

    def take_up(self, size: int, *, events: int = 0, own: int = 0) -> None:
        """
        Count *size* bytes and so many *events* in.

        Args:
            size: Bytes.
            events: How many.
            own: What who asks takes up already.

        Raises:
            BusyError: There is no room for them; nothing is counted.
        """
        if self.bytes > own and self.bytes + size > self._max_bytes:
            raise BusyError("more bytes are under way than there is room for; try again")
        if events and self.events and self.events + events > self._max_events:
            raise BusyError("more events are under way than there is room for; try again")
        self.bytes += size
        self.events += events

    def leave(self, size: int, *, events: int = 0) -> None:
        """Count them out."""
        self.bytes -= size
        self.events -= events


class Roomy:
    """Middleware: what `room_of` counts in for a request is counted out when it has been answered."""

    def __init__(self, app: Any, room: Room) -> None:
        self._app = app
        self._room = room

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        taken = 0

        def take_up(size: int) -> None:
            nonlocal taken
            self._room.take_up(size, own=taken)
            taken += size

        scope.setdefault("state", {})["take_up"] = take_up
        try:
            await self._app(scope, receive, send)
        finally:
            self._room.leave(taken)


def room_of(request: HTTPConnection) -> Callable[[int], None]:
    """Return what counts bytes of *request* in; it raises `BusyError`."""
    take_up: Callable[[int], None] = request.state.take_up
    return take_up
