"""Thumbs and comments in a viewer that is mounted: a form, and a cookie that shows whose page it stood in."""

import re
import secrets
from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from llmobs.contrib._starlette.pages import Admit, answer_page
from llmobs.contrib._web.behind import not_taken, rate
from llmobs.errors import LLMObsError
from llmobs.settings import Settings
from llmobs.viewer.feedback import FORM, MAX_BYTES, FormError, fields_of, local_path
from llmobs.viewer.page import Site

__all__ = ["keep_token", "rating_route", "token_of"]

COOKIE: Final = "llmobs-form"
FIELD: Final = "token"
NOTED: Final = "llmobs.form_token"
"""In the scope: a token that the browser is yet to be given."""
_is_token = re.compile(r"[A-Za-z0-9_-]{43}").fullmatch


def token_of(request: Request) -> str:
    """
    Return what forms on a page hold, which the browser's cookie has, too.

    Strangers' pages can send a form here, but neither read the cookie nor set it.
    """
    known = request.cookies.get(_cookie(request), "")
    if _is_token(known):
        return known
    made: str = request.scope.setdefault(NOTED, secrets.token_urlsafe(32))
    return made


def keep_token(request: Request, response: Response) -> None:
    """Give the browser the cookie that goes with a page's forms, if it has none."""
    if (made := request.scope.get(NOTED)) is not None:
        response.set_cookie(
            _cookie(request),
            made,
            path="/",
            httponly=True,
            samesite="strict",
            secure=_secure(request),
        )


def rating_route(store: Path, admit: Admit, site_of: Callable[[Request], Site]) -> Route:
    """
    Return the route that takes them.

    Args:
        store: Where they go, and what they are about is.
        admit: Called first, as for pages.
        site_of: Returns where the pages are.
    """

    async def rated(request: Request) -> Response:
        visitor = await admit(request)
        if isinstance(visitor, Response):
            return visitor
        site = site_of(request)
        try:
            form = fields_of(await _body(request))
            _check(request, form.get(FIELD, ""))
            await run_in_threadpool(lambda: rate(store, form, visitor.project, Settings()))
        except (FormError, LLMObsError) as error:
            return answer_page(not_taken(site, error))
        place = local_path(form.get("next", "")) or f"{site.base}/"
        return RedirectResponse(f"{place}#evaluations", 303, {"cache-control": "no-store"})

    return Route("/feedback", rated, methods=["POST"])


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise FormError(415, f"this takes forms, as {FORM}", "content-type")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise FormError(413, f"a form has up to {MAX_BYTES:,} bytes", "body")
    return body


def _check(request: Request, given: str) -> None:
    known = request.cookies.get(_cookie(request), "")
    is_ours = request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
    is_same = compare_digest(known.encode(), given.encode("utf-8", "surrogatepass"))
    if not (is_ours and is_same and _is_token(known)):
        raise FormError(
            403,
            "This form is not from here, or the browser keeps no cookies: go back, load the page again, "
            "and try once more.",
            FIELD,
        )


def _secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _cookie(request: Request) -> str:
    # With this prefix no neighbour below the same domain can set it.
    return f"__Host-{COOKIE}" if _secure(request) else COOKIE
