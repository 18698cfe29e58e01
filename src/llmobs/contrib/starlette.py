"""The door for Starlette: the middleware, the tracker of a request or WebSocket, and the viewer to mount."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp

from llmobs.capture.tracker import NO_RECORDER, Tracker
from llmobs.contrib._web.viewing import Anybody, check_may_see, check_packages
from llmobs.contrib.asgi import (
    LLMObsMiddleware,
    run_of,
    tracker_of,
    warn_of_missing_middleware,
)

__all__ = ["LLMObsMiddleware", "get_tracker", "run_of", "tracker_of", "viewer"]


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


def viewer(
    store: str | Path | None = None,
    *,
    may_see: Callable[[Request], Any] | Anybody | None = None,
    project: str | None = None,
) -> ASGIApp:
    """
    Return the viewer's pages, to be mounted: ``app.mount("/llmobs", viewer(may_see=is_staff))``.

    They read the store, and write to it only the index of its texts and what people say of runs, thumbs and
    comments. No run is recorded of a look at them.

    Args:
        store: Path or URL of the SQLite file; by default the one that ``LLMOBS_SINK`` names.
        may_see: Your own authentication: a function, sync or async, that takes the request and returns
            something true for who may see every prompt and answer, or a response for who may not, such
            as a redirection to a login; it may raise ``HTTPException``, too. ``"anybody"``: no question
            is asked.
        project: The one project that is shown; all by default.

    Raises:
        ConfigurationError: *may_see* is missing, or there is no such store to show.
        MissingExtraError: ``llmobs[serve]`` is not installed.
    """
    check_may_see(may_see)
    check_packages()
    from llmobs.contrib._starlette.mounting import asked_by, mounted

    return mounted(store, project, asked_by(may_see))
