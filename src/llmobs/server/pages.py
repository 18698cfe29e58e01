"""The viewer's pages, on the collector's port."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llmobs.errors import SinkUnavailableError, StoreError
from llmobs.runtime.troubles import Troubles
from llmobs.server.access import access_of, require
from llmobs.store.engine import ReadsStore, open_reader
from llmobs.viewer.asked import AddressError, Asked, read_address
from llmobs.viewer.overview import PERIOD, overview_page
from llmobs.viewer.page import HEADERS, STATIC, Page, Site, static_file, trouble
from llmobs.viewer.run import event_page, run_page
from llmobs.viewer.runs import runs_page
from llmobs.viewer.whose import whose_page

__all__ = ["routes"]

AT_ONCE: Final = 4
"""Pages that are made at the same time: each has a thread and a connection."""
FOR_EVER: Final = {"cache-control": "public, max-age=31536000, immutable"}

_troubles = Troubles()

Draw = Callable[[ReadsStore, Asked, Site], Page]


def routes(store: Path) -> list[Route]:
    """
    Return the pages.

    Args:
        store: The store they show.
    """
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def answer(request: Request, draw: Draw, *, period: str = "") -> Response:
        access = access_of(request)
        require(access, "read")
        site = site_of(request)

        def made() -> Page:
            try:
                asked = read_address(request.query_params, period=period, project=access.project)
                with open_reader(store) as reader:
                    return draw(reader, asked, site)
            except AddressError as error:
                return trouble(site, 400, "This address asks for something else", str(error))
            except (StoreError, SinkUnavailableError) as error:
                _troubles.log("page", "llmobs: a page cannot be shown: %s", error)
                return trouble(
                    site,
                    503,
                    "The store cannot be read now",
                    "What stands in its way is in the collector's log; llmobs store info says more. "
                    "What is sent meanwhile is not lost: senders are asked to come again.",
                )

        page = await anyio.to_thread.run_sync(made, limiter=limiter)
        return Response(page.html, page.status, HEADERS, "text/html; charset=utf-8")

    async def overview(request: Request) -> Response:
        return await answer(request, overview_page, period=PERIOD)

    async def runs(request: Request) -> Response:
        return await answer(request, runs_page)

    async def users(request: Request) -> Response:
        return await answer(request, partial(whose_page, kind="user"))

    async def sessions(request: Request) -> Response:
        return await answer(request, partial(whose_page, kind="session"))

    async def run(request: Request) -> Response:
        return await answer(request, partial(run_page, run_id=request.path_params["run_id"]))

    async def event(request: Request) -> Response:
        return await answer(request, partial(event_page, event_id=request.path_params["event_id"]))

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            return Response(status_code=404)
        return Response(static_file(name), headers={**HEADERS, **FOR_EVER}, media_type=STATIC[name])

    return [
        Route("/", overview),
        Route("/runs", runs),
        Route("/runs/{run_id:path}", run),
        Route("/users", users),
        Route("/sessions", sessions),
        Route("/events/{event_id:path}", event),
        Route("/static/{name}", static),
    ]


def site_of(request: Request) -> Site:
    """Return where the pages are, as whoever asks sees it."""
    return Site(request.scope.get("root_path", ""), f"{request.url.scheme}://{request.url.netloc}")
