"""The viewer's pages, on the collector's port."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llmobs.server.access import access_of, may_evaluate, require
from llmobs.server.api import ROOT
from llmobs.store.engine import open_reader
from llmobs.viewer.page import HEADERS, STATIC, Page, Site, static_file
from llmobs.viewer.pages import PAGES, Listed, draw

__all__ = ["answer_page", "routes", "site_of"]

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
            return answer_page(made)

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


def answer_page(page: Page, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    """Return *page* as an answer, with *headers* beside those of every page."""
    return Response(page.html, page.status, {**HEADERS, **headers}, page.type)


def site_of(request: Request) -> Site:
    """Return where the pages are, as whoever asks sees it."""
    access = access_of(request)
    base = request.scope.get("root_path", "")
    return Site(
        base,
        f"{request.url.scheme}://{request.url.netloc}",
        f"{base}{ROOT}",
        form_token=access.form_token,
        may_rate=bool(access.form_token) and may_evaluate(access),
        is_session=access.is_session,
    )
