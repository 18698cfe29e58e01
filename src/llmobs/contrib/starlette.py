"""The door for Starlette: the middleware, and the tracker of a request or WebSocket."""

from typing import Any

from starlette.requests import HTTPConnection

from llmobs.contrib.asgi import LLMObsMiddleware, tracker_of
from llmobs.guard import Troubles
from llmobs.tracker import NO_RECORDER, Tracker

__all__ = ["LLMObsMiddleware", "get_tracker"]

_troubles = Troubles()


async def get_tracker(conn: HTTPConnection) -> Tracker:
    """
    Return the tracker of a request or WebSocket; also a FastAPI dependency.

    Without the middleware it is a tracker that records nothing, and one warning says so.
    """
    # A coroutine function on purpose: FastAPI runs plain functions in a worker thread. And an
    # HTTPConnection, because a dependency that asks for a Request breaks on WebSockets.
    return _tracker(conn.scope)


def _tracker(scope: Any) -> Tracker:
    tracker = tracker_of(scope)
    if tracker is None:
        _troubles.log(
            "no-middleware",
            "llmobs: get_tracker() was used without the middleware; nothing is recorded. "
            "Add it with: app.add_middleware(LLMObsMiddleware)",
        )
        tracker = Tracker(NO_RECORDER)
    return tracker
