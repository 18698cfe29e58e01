"""The door for Starlette: the middleware, and the tracker of a request or WebSocket."""

from starlette.requests import HTTPConnection

from llmobs.capture.tracker import NO_RECORDER, Tracker
from llmobs.contrib.asgi import (
    LLMObsMiddleware,
    run_of,
    tracker_of,
    warn_of_missing_middleware,
)

__all__ = ["LLMObsMiddleware", "get_tracker", "run_of", "tracker_of"]


async def get_tracker(conn: HTTPConnection) -> Tracker:
    """
    Return the tracker of a request or WebSocket; also a FastAPI dependency.

    Without the middleware it is a tracker that records nothing, and one warning says so.
    """
    # A coroutine function on purpose: FastAPI runs plain functions in a worker thread. And an
    # HTTPConnection, because a dependency that asks for a Request breaks on WebSockets.
    tracker = tracker_of(conn)
    if tracker is None:
        warn_of_missing_middleware("get_tracker()")
        tracker = Tracker(NO_RECORDER)
    return tracker
