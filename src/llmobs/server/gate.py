"""What stands before every way in: names, pages of strangers, keys, rates."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from llmobs.contrib._web.hosts import Authority, Hosts
from llmobs.server.access import MCP, NOTHING, Access, may_evaluate, require
from llmobs.server.admission import (
    FORMS,
    LOGIN,
    Admission,
    NotLetInError,
    address_of,
    is_for_all,
    wants_page,
)
from llmobs.server.bodies import RefusedError, answer_refused
from llmobs.server.limits import Limit
from llmobs.server.origins import Origins

__all__ = ["Gate"]

OPEN: Final = frozenset({"/health", "/ready"})
"""Paths that tell nobody anything, and that load balancers ask by whatever name."""
PROBES: Final = frozenset({"/api/public/health", "/api/public/projects", "/info", "/v1/info"})
"""Paths that SDKs ask with a key that need not read, to see whether it is right."""
FROM_PAGES: Final = (2.0, 30.0)
"""Evaluations from pages of other origins, from one address: requests a second, and at once."""
MAX_NEXT: Final = 2_000
"""Characters of an address that the login remembers."""

Answer = Callable[[RefusedError, Scope], Response]


class Gate:
    """
    ASGI middleware.

    Args:
        app: What it guards.
        admission: Finds out who asks.
        hosts: Names the server answers to.
        origins: Other origins whose pages may send evaluations.
        count: Called with a word for each refusal.
        answers_itself: Whether the way in tells who has no right key itself; it then sees `NOTHING`.
        answer: Says a refusal in the form that the way in has for it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        admission: Admission,
        hosts: Hosts,
        origins: Origins,
        count: Callable[[str], None] = lambda word: None,
        answers_itself: Callable[[Scope], bool] = lambda scope: False,
        answer: Answer = lambda error, scope: answer_refused(error),
    ) -> None:
        self._app = app
        self._admission = admission
        self._hosts = hosts
        self._origins = origins
        self._from_pages = Limit(*FROM_PAGES)
        self._count = count
        self._answers_itself = answers_itself
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        try:
            origin = self._other_origin(scope)
            if origin is not None:
                send = self._origins.let_read(origin, send)
                if scope["method"] == "OPTIONS":
                    await self._origins.answer_preflight()(scope, receive, send)
                    return
            access = await self._access(scope)
            scope.setdefault("state", {})["access"] = access
            if origin is not None:
                self._check_from_page(access, scope)
            if access is not NOTHING and not self._is_probe(scope):
                _check_right(access, scope)
        except RefusedError as error:
            self._count(error.word if isinstance(error, NotLetInError) else "forbidden")
            await _answered(error, scope, self._answer)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _access(self, scope: Scope) -> Access:
        try:
            return await self._admission.access(scope)
        except NotLetInError as error:
            if error.status != 401:
                raise
            if not is_for_all(scope):
                if not self._answers_itself(scope):
                    raise
                self._count(error.word)
            return NOTHING

    def _is_probe(self, scope: Scope) -> bool:
        is_get = scope.get("method") in ("GET", "HEAD")
        return is_get and (scope["path"] in PROBES or self._answers_itself(scope))

    def _other_origin(self, scope: Scope) -> str | None:
        """Return the origin of the page this comes from, if it is none of ours and may ask this."""
        named = [*_values(scope, b"host")]
        if len(named) > 1:
            raise NotLetInError("host", 400, "there are several Host headers", "host")
        # Without one it is HTTP/1.0: no browser.
        host = Authority.parse(named[0]) if named else Authority("127.0.0.1", None)
        if host is None:
            raise NotLetInError("host", 400, "this Host header names no host", "host")
        if not self._hosts.knows(host):
            raise NotLetInError(
                "host",
                403,
                "this server does not answer to that name, lest a stranger's page speaks to it: "
                "start it with --allow-host NAME, or send to its IP address",
                "host",
            )
        others = {
            origin
            for origin in _values(scope, b"origin")
            if not self._hosts.is_own_page(origin, host)
        }
        if not others:
            return None
        if len(others) == 1 and self._origins.allows(origin := others.pop(), scope):
            return origin
        raise NotLetInError(
            "origin",
            403,
            "this comes from a page of another origin: browsers may send from this server's own alone, "
            "and evaluations from those that --allow-origin names",
            "origin",
        )

    def _check_from_page(self, access: Access, scope: Scope) -> None:
        if access.key is not None and access.may != {"evaluate"}:
            raise NotLetInError(
                "forbidden",
                403,
                "who sees a page has the key that is in it, so from pages only those are taken that may "
                "do nothing else: make one with llmobs keys add --project ID --may evaluate",
                "authorization",
            )
        if wait := self._from_pages.acquire(address_of(scope)):
            raise NotLetInError("rate", 429, "too many evaluations from here", retry_after=wait)


def _check_right(access: Access, scope: Scope) -> None:
    """Refuse early what no way in would take: before a body is read, and should one forget to ask."""
    if scope["path"] in FORMS or is_for_all(scope):
        return
    if scope.get("method") not in ("GET", "HEAD") and scope["path"] != MCP:
        if not may_evaluate(access):
            require(access, "ingest")
    else:
        require(access, "read")


def _answered(error: RefusedError, scope: Scope, answer_with: Answer) -> Response:
    if isinstance(error, NotLetInError) and error.word == "no_key" and wants_page(scope):
        return _to_login(scope)
    answer = answer_with(error, scope)
    if error.status == 401:
        # A program then asks for a key: as the password, whatever the name. A page of ours, whose
        # session has ended, does not: its browser would.
        is_page = any(name == b"sec-fetch-mode" for name, _ in scope["headers"])
        answer.headers["www-authenticate"] = "Bearer" if is_page else 'Basic realm="llmobs", Bearer'
    return answer


def _to_login(scope: Scope) -> Response:
    query = scope["query_string"]
    came = (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1")
    is_remembered = scope["method"] == "GET" and came != "/" and len(came) <= MAX_NEXT
    remembered = f"?{urlencode({'next': came})}" if is_remembered else ""
    place = f"{scope.get('root_path', '')}{LOGIN}{remembered}"
    return RedirectResponse(place, 303, {"cache-control": "no-store"})


def _values(scope: Scope, name: bytes) -> Iterator[str]:
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    return (value.decode("latin-1").strip() for key, value in headers if key == name)
