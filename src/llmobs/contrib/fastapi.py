"""The door for FastAPI: the middleware, a dependency, and the viewer to mount."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from llmobs.capture.tracker import Tracker
from llmobs.contrib._web.viewing import ANYBODY, Anybody, check_may_see, check_packages, leave_out
from llmobs.contrib.starlette import LLMObsMiddleware, get_tracker, run_of, tracker_of

__all__ = ["LLMObsMiddleware", "TrackerDep", "get_tracker", "run_of", "tracker_of", "viewer"]

TrackerDep = Annotated[Tracker, Depends(get_tracker)]
"""Annotation for endpoint parameters: ``tracker: TrackerDep``."""


def viewer(
    store: str | Path | None = None,
    *,
    may_see: Callable[..., Any] | Anybody | None = None,
    project: str | None = None,
) -> APIRouter:
    """
    Return the viewer's pages: ``app.mount("/llmobs", viewer(may_see=current_admin))``.

    ``app.include_router(viewer(...), prefix="/llmobs")`` does the same, and heeds the application's
    ``dependency_overrides``. They read the store, and write to it
    only the index of its texts and what people say of runs. No run is recorded of a look at them.

    Args:
        store: Path or URL of the SQLite file; by default the one that ``LLMOBS_SINK`` names.
        may_see: Your own authentication: a dependency of any kind, with dependencies of its own. It
            returns something true, a user for instance, for who may see every prompt and answer; for
            who may not it raises ``HTTPException``, or returns a response or nothing. ``"anybody"``: no
            question is asked.
        project: The one project that is shown; all by default.

    Raises:
        ConfigurationError: *may_see* is missing, or there is no such store to show.
        MissingExtraError: ``llmobs[serve]`` is not installed.
    """
    check_may_see(may_see)
    check_packages()
    from llmobs.contrib._starlette.mounting import admitted, asked_by, mounted

    async def admitted_already(request: Request) -> bool:
        return True

    pages = mounted(store, project, admitted_already)
    router = APIRouter()

    @router.api_route("/{path:path}", methods=["GET", "HEAD", "POST"], include_in_schema=False)
    async def page(
        request: Request,
        path: str,
        answer: Annotated[Any, Depends(may_see if callable(may_see) else asked_by(ANYBODY))],
    ) -> Response:
        leave_out(tracker_of(request))
        return admitted(request, answer) or _Page(pages, path)

    return router


class _Page(Response):
    """The answer of an application below this path."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        super().__init__()
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        base = scope["path"].removesuffix(self._path).rstrip("/")
        await self._app({**scope, "root_path": base}, receive, send)
