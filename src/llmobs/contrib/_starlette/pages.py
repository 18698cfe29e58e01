"""The table of pages as routes."""

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from llmobs.answers.asked import braced, read_address
from llmobs.answers.errors import AddressError
from llmobs.contrib._starlette.stream import EventStream
from llmobs.store.engine import ReadsStore
from llmobs.viewer.page import HEADERS, STATIC, Page, Site, static_file
from llmobs.viewer.pages import PAGES, Listed, draw
from llmobs.viewer.watching import FULL, RETRY_SECONDS, Watching

__all__ = ["Admit", "Visitor", "answer_page", "page_routes", "route_of"]

AT_ONCE: Final = 4
"""Pages that are made at the same time: each has a thread and a connection."""
FOR_EVER: Final = {"cache-control": "public, max-age=31536000, immutable"}


class Visitor(msgspec.Struct, frozen=True):
    """Who may see the pages."""

    project: str | None = None
    """The one project they may see; None: all of them."""
    may_stay: Callable[[], Awaitable[bool]] | None = None
    """Asked again and again while they watch; None: they may."""


Admit = Callable[[Request], Awaitable[Visitor | Response]]
"""Returns who asks, or the answer to somebody who may not."""


def page_routes(
    open_store: Callable[[], ReadsStore],
    admit: Admit,
    *,
    site_of: Callable[[Request], Site],
    is_ending: Callable[[], bool] = lambda: False,
    finish: Callable[[Request, Response], None] = lambda request, response: None,
) -> list[Route]:
    """
    Return the pages, the files they load, and the stream of the live page.

    Args:
        open_store: Opens the store they show.
        admit: Called first.
        site_of: Returns where the pages are, as whoever asks sees it.
        is_ending: Whether the server is about to end: then streams do.
        finish: Called with each page before it is sent.
    """
    limiter = anyio.CapacityLimiter(AT_ONCE)
    watching = Watching(open_store, is_ending=is_ending)

    def shown(page: Listed) -> Callable[[Request], Awaitable[Response]]:
        wanted = braced(page.path)

        async def answer(request: Request) -> Response:
            visitor = await admit(request)
            if isinstance(visitor, Response):
                return visitor
            made = await anyio.to_thread.run_sync(
                partial(
                    draw,
                    page,
                    open_store,
                    request.query_params,
                    site_of(request),
                    project=visitor.project,
                    # What the path has that this is mounted at is the host's.
                    names={name: request.path_params[name] for name in wanted},
                ),
                limiter=limiter,
            )
            page_made = answer_page(made)
            finish(request, page_made)
            return page_made

        return answer

    async def live(request: Request) -> Response:
        visitor = await admit(request)
        if isinstance(visitor, Response):
            return visitor
        try:
            asked = read_address(request.query_params, project=visitor.project)
        except AddressError as error:
            return PlainTextResponse(str(error), 400, HEADERS)
        if not watching.has_room():
            later = {"retry-after": str(RETRY_SECONDS)}
            return PlainTextResponse(FULL, 503, {**HEADERS, **later})
        # A browser that comes again by itself says in this header how far it came.
        cursor = request.headers.get("last-event-id") or asked.cursor
        return EventStream(watching.stream(asked, site_of(request), cursor, visitor.may_stay))

    return [
        *(route_of(page.path, shown(page)) for page in PAGES),
        Route("/live/stream", live),
        Route("/static/{name}", _static),
    ]


def route_of(path: str, answer: Callable[[Request], Awaitable[Response]]) -> Route:
    """Return a route of a table's path, in whose braces any text may stand, of several lines, too."""
    route = Route(path.replace("}", ":path}"), answer)
    route.path_regex = re.compile(route.path_regex.pattern, re.DOTALL)
    return route


def answer_page(page: Page, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    """Return *page* as an answer, with *headers* beside those of every page."""
    return Response(page.html, page.status, {**HEADERS, **headers}, page.type)


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return Response(status_code=404)
    return Response(static_file(name), headers={**HEADERS, **FOR_EVER}, media_type=STATIC[name])
