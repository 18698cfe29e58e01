"""The viewer in an application of Starlette or FastAPI."""

from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from llmobs.contrib._starlette.pages import Visitor, answer_page, page_routes
from llmobs.contrib._starlette.rating import keep_token, rating_route, token_of
from llmobs.contrib._web.behind import index_behind
from llmobs.contrib._web.options import is_async
from llmobs.contrib._web.viewing import (
    ANYBODY,
    FORBIDDEN,
    is_meant_for_this_machine,
    leave_out,
    server_is_ending,
    store_of,
)
from llmobs.contrib.asgi import tracker_of
from llmobs.settings import Settings
from llmobs.store.engine import open_reader
from llmobs.viewer.page import Site, trouble

__all__ = ["admitted", "asked_by", "mounted"]


def mounted(
    store: str | Path | None,
    project: str | None,
    allows: Callable[[Request], Awaitable[Any]],
) -> ASGIApp:
    """
    Return the pages as an application to mount.

    Args:
        store: Path or URL; None: as the settings say.
        project: The one project that is shown; None: all of them.
        allows: Returns whether the request may see them, or what is answered instead.

    Raises:
        ConfigurationError: There is no such store, or a setting is wrong.
    """
    path = store_of(store, None if store is not None else Settings().sink)

    async def admit(request: Request) -> Visitor | Response:
        refused = admitted(request, await allows(request))
        return Visitor(project) if refused is None else refused

    def finish(request: Request, response: Response) -> None:
        keep_token(request, response)
        index_behind(path)

    pages = Router(
        [
            *page_routes(
                partial(open_reader, path),
                admit,
                site_of=_site_of,
                is_ending=server_is_ending,
                finish=finish,
            ),
            rating_route(path, admit, _site_of),
        ]
    )

    async def unrecorded(scope: Scope, receive: Receive, send: Send) -> None:
        leave_out(tracker_of(scope))
        await pages(scope, receive, send)

    return unrecorded


def _site_of(request: Request) -> Site:
    origin = f"{request.url.scheme}://{request.url.netloc}"
    base = request.scope.get("root_path", "")
    return Site(base, origin, form_token=token_of(request), may_rate=True)


def admitted(request: Request, answer: Any) -> Response | None:
    """Return what is answered to somebody of whom *answer* was said; None: they may see the pages."""
    if isinstance(answer, Response):
        return answer
    if answer:
        return None
    title, words = FORBIDDEN
    return answer_page(trouble(_site_of(request), 403, title, words))


def asked_by(may_see: Any) -> Callable[[Request], Awaitable[Any]]:
    """Return *may_see*, of whatever colour, as a function to await."""
    if may_see == ANYBODY:

        async def anybody(request: Request) -> bool:
            return is_meant_for_this_machine(request.headers.get("host"))

        return anybody

    async def ask(request: Request) -> Any:
        if is_async(may_see):
            return await may_see(request)
        answer = await run_in_threadpool(may_see, request)  # it may well ask a database
        return await answer if isawaitable(answer) else answer

    return ask
