"""The viewer's pages, on the collector's port."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llmobs.server.access import access_of, require
from llmobs.server.api import ROOT
from llmobs.store.engine import open_reader
from llmobs.viewer.page import HEADERS, STATIC, Site, static_file
from llmobs.viewer.pages import PAGES, Listed, draw

__all__ = ["routes"]

AT_ONCE: Final = 4
"""Pages that are made at the same time: each has a thread and a connection."""
FOR_EVER: Final = {"cache-control": "public, max-age=31536000, immutable"}


def routes(store: Path) -> list[Route]:
    """
    Return the pages.

    Args:
        store: The store they show.
    """
    limiter = anyio.CapacityLimiter(AT_ONCE)

    def shown(page: Listed) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            access = access_of(request)
            require(access, "read")
            made = await anyio.to_thread.run_sync(
                partial(
                    draw,
                    page,
                    partial(open_reader, store),
                    request.query_params,
                    site_of(request),
                    project=access.project,
                    names=request.path_params,
                ),
                limiter=limiter,
            )
            return Response(made.html, made.status, HEADERS, made.type)

        return answer

    return [
        *(Route(page.path.replace("}", ":path}"), shown(page)) for page in PAGES),
        Route("/static/{name}", _static),
    ]


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return Response(status_code=404)
    return Response(static_file(name), headers={**HEADERS, **FOR_EVER}, media_type=STATIC[name])


def site_of(request: Request) -> Site:
    """Return where the pages are, as whoever asks sees it."""
    base = request.scope.get("root_path", "")
    return Site(base, f"{request.url.scheme}://{request.url.netloc}", f"{base}{ROOT}")
