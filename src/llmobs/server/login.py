"""Logging in with a key, so that a browser need not send it, and out again."""

import re
import secrets
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from llmobs.contrib._starlette.pages import answer_page
from llmobs.server.access import NOTHING, access_of
from llmobs.server.admission import Admission, NotLetInError, session_cookie
from llmobs.server.bodies import RefusedError
from llmobs.server.forms import check_token, read_form, told_as_page
from llmobs.server.pages import site_of
from llmobs.server.sessions import SESSION_SECONDS, Cookie
from llmobs.viewer.feedback import local_path
from llmobs.viewer.login import login_page, once_more_page

__all__ = ["routes"]

FORM_SECONDS: Final = 3600.0
"""For which a form may be left alone before it is sent."""
_ELSEWHERE: Final = frozenset({"cross-site", "same-site"})
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_is_visitor = re.compile(r"[A-Za-z0-9_-]{22}").fullmatch


def routes(admission: Admission, count: Callable[[str], None] = lambda word: None) -> list[Route]:
    """
    Return the routes.

    Args:
        admission: Knows keys and sessions.
        count: Called with a word for each refusal.
    """

    def form(request: Request, target: str, error: RefusedError | None = None) -> Response:
        # Who is not logged in yet has a cookie for the form's sake: else somebody else's form could
        # log them in, with somebody else's key, and they would take what they see for their own.
        cookie = Cookie.of("visit", request.scope)
        visitor = _visitor(request) or secrets.token_urlsafe(16)
        page = login_page(
            site_of(request),
            token=_token(visitor),
            target=target,
            error=error.message if error else "",
            status=error.status if error else 200,
            is_readable=request.url.scheme != "https" and request.url.hostname not in _THIS_MACHINE,
        )
        answer = answer_page(page, error.headers if error else {})
        answer.headers.append("set-cookie", cookie.set(visitor, FORM_SECONDS))
        return answer

    def _token(visitor: str) -> str:
        return admission.sessions.form_token(f"login {visitor}") if visitor else ""

    async def show(request: Request) -> Response:
        target = local_path(request.query_params.get("next", "")) or ""
        if access_of(request) is not NOTHING:
            return _go_on(request, target)
        # A link on somebody else's page brings no cookie along; going on from ours does.
        if request.headers.get("sec-fetch-site") in _ELSEWHERE:
            return answer_page(once_more_page(site_of(request), target))
        return form(request, target)

    async def log_in(request: Request) -> Response:
        fields = await read_form(request)
        target = local_path(fields.get("next", "")) or ""
        cookie = session_cookie(request.scope)
        try:
            check_token(_token(_visitor(request)), fields)
            access, value = await admission.log_in(fields.get("key", "").strip(), request.scope)
        except RefusedError as error:
            count(error.word if isinstance(error, NotLetInError) else "forbidden")
            return form(request, target, error)
        if before := cookie.value_in(request.scope["headers"]):
            admission.sessions.end(before)
        request.state.access = access
        answer = _go_on(request, target)
        answer.headers.append("set-cookie", cookie.set(value, SESSION_SECONDS))
        answer.headers.append("set-cookie", Cookie.of("visit", request.scope).set("", 0))
        return answer

    async def log_out(request: Request) -> Response:
        check_token(access_of(request).form_token, await read_form(request))
        cookie = session_cookie(request.scope)
        if value := cookie.value_in(request.scope["headers"]):
            admission.sessions.end(value)
        answer = RedirectResponse(
            f"{site_of(request).base}/login", 303, {"cache-control": "no-store"}
        )
        answer.headers.append("set-cookie", cookie.set("", 0))
        return answer

    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", told_as_page(log_in), methods=["POST"]),
        Route("/logout", told_as_page(log_out), methods=["POST"]),
    ]


def _visitor(request: Request) -> str:
    """Return what the cookie for the form's sake holds; empty without a right one."""
    value = Cookie.of("visit", request.scope).value_in(request.scope["headers"]) or ""
    return value if _is_visitor(value) else ""


def _go_on(request: Request, target: str) -> Response:
    place = target or f"{site_of(request).base}/"
    return RedirectResponse(place, 303, {"cache-control": "no-store"})
