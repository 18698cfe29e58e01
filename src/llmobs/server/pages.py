"""The viewer's pages, on the collector's port."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llmobs.contrib._starlette.pages import Visitor, page_routes
from llmobs.errors import StoreError
from llmobs.server.access import access_of, may_evaluate, require
from llmobs.server.api import ROOT
from llmobs.server.keys import Keys
from llmobs.store.engine import open_reader
from llmobs.viewer.page import HEADERS, STATIC, Site, static_file

__all__ = ["routes", "site_of"]


def routes(
    store: Path, *, keys: Keys | None = None, is_ending: Callable[[], bool] = lambda: False
) -> list[Route]:
    """
    Return the pages.

    Args:
        store: The store they show.
        keys: Of those who read; who watches with one that is revoked is shown no more.
        is_ending: Whether the server is about to end.
    """

    async def is_there(key: str) -> bool:
        assert keys is not None
        try:
            return await keys.known(key) is not None
        except StoreError:
            return False

    async def admit(request: Request) -> Visitor:
        access = access_of(request)
        require(access, "read")
        key = access.key
        stays = partial(is_there, key) if keys is not None and key is not None else None
        return Visitor(access.project, stays)

    made = page_routes(partial(open_reader, store), admit, site_of=site_of, is_ending=is_ending)
    return [*made, Route("/favicon.ico", _icon)]


async def _icon(request: Request) -> Response:
    """What browsers ask for beside text and JSON, which cannot name an icon."""
    return Response(static_file("icon.svg"), headers=HEADERS, media_type=STATIC["icon.svg"])


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
