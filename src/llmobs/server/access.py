"""Who asks, and what they may: read by every way in from ``request.state.access``."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

import msgspec
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from llmobs.errors import StoreError
from llmobs.events import AssertionFailedEvent, EvaluationEvent, Event, HallucinationDetectedEvent
from llmobs.server.bodies import RefusedError, answer_refused
from llmobs.server.credentials import offered
from llmobs.server.hosts import Authority, Hosts
from llmobs.server.keys import MAY, Key, Keys
from llmobs.server.limits import Limit, neighbourhood

__all__ = [
    "EVERYTHING",
    "MCP",
    "NOTHING",
    "OPEN",
    "Access",
    "Gate",
    "access_of",
    "check_events",
    "require",
]

EVALUATIONS: Final = (EvaluationEvent, AssertionFailedEvent, HallucinationDetectedEvent)
"""What says how good something was that others recorded."""
OPEN: Final = frozenset({"/health", "/ready"})
"""Paths that tell nobody anything, and that load balancers ask by whatever name."""
MCP: Final = "/mcp"
"""Where agents ask: by POST, and for reading all the same."""
PROBES: Final = frozenset({"/api/public/health", "/api/public/projects", "/info", "/v1/info"})
"""Paths that SDKs ask with a key that need not read, to see whether it is right."""
FAILURES: Final = (1.0, 20.0)
"""Requests without a right key, from one address: a second, and at once."""
BURST_SECONDS: Final = 2.0
"""Of the rate allowed, that may come at once."""

_FORWARDED: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"}
)


class Access(msgspec.Struct, frozen=True):
    """What a request may do."""

    project: str | None = None
    """The one project it writes to and reads from; None: all of them."""
    may: frozenset[str] = frozenset(MAY)
    """Any of ``ingest``, ``evaluate`` and ``read``."""
    key: str | None = None
    """Id of the key it came with."""


EVERYTHING: Final = Access()
NOTHING: Final = Access(may=frozenset())
"""Whose key is wrong, and whom the way in tells so: WatchLLM's wire has an answer of its own."""


def access_of(request: HTTPConnection) -> Access:
    """Return what *request* may do."""
    access: Access = getattr(request.state, "access", EVERYTHING)
    return access


def require(access: Access, right: str, *, every_project: bool = False) -> None:
    """
    See that a request may do something.

    Args:
        access: What it may.
        right: ``ingest``, ``evaluate`` or ``read``.
        every_project: Whether it concerns all projects.

    Raises:
        RefusedError: 403; names the way out.
    """
    if right not in access.may:
        raise RefusedError(
            403,
            f"this key may not {right}: make one that may with llmobs keys add --may {right}",
            "authorization",
        )
    if every_project and access.project is not None:
        raise RefusedError(
            403,
            "this key is for one project, and this tells of all: make one with llmobs keys add --all-projects",
            "authorization",
        )


def check_events(access: Access, events: Sequence[Event]) -> None:
    """
    See that a request may send *events*.

    Raises:
        RefusedError: 403: its key is for evaluations alone, or for reading; names the way out.
    """
    if "ingest" not in access.may and not (
        "evaluate" in access.may and all(isinstance(event, EVALUATIONS) for event in events)
    ):
        require(access, "ingest")


class Gate:
    """
    ASGI middleware before every way in: names, pages of strangers, keys, rates.

    Args:
        app: What it guards.
        keys: Those there are.
        hosts: Names the server answers to.
        needs_key: Whether nobody comes in without a key. Else a request needs one only if a proxy has
            passed it on, which nobody had spoken of.
        is_insecure: Whether none needs one, come what may.
        rate: Requests a second, for each key, or for each address without one; None: any number.
        count: Called with a word for each refusal.
        answers_itself: Whether the way in tells who has no right key itself; it then sees `NOTHING`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Keys,
        hosts: Hosts,
        needs_key: bool,
        is_insecure: bool = False,
        rate: float | None = None,
        count: Callable[[str], None] = lambda word: None,
        answers_itself: Callable[[Scope], bool] = lambda scope: False,
    ) -> None:
        self._app = app
        self._keys = keys
        self._hosts = hosts
        self._needs_key = needs_key and not is_insecure
        self._is_insecure = is_insecure
        self._limit = None if rate is None else Limit(rate, max(1.0, rate * BURST_SECONDS))
        self._failures = Limit(*FAILURES)
        self._count = count
        self._answers_itself = answers_itself

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        try:
            self._check_origin(scope)
            access = await self._access(scope)
            scope.setdefault("state", {})["access"] = access
            if access is not NOTHING and not self._is_probe(scope):
                _check_right(access, scope)
        except RefusedError as error:
            self._count(error.word if isinstance(error, _NotLetInError) else "forbidden")
            answer = answer_refused(error)
            if error.status == 401:
                # A browser then asks for a key: as the password, whatever the name.
                answer.headers["www-authenticate"] = 'Basic realm="llmobs", Bearer'
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_probe(self, scope: Scope) -> bool:
        is_get = scope.get("method") in ("GET", "HEAD")
        return is_get and (scope["path"] in PROBES or self._answers_itself(scope))

    def _check_origin(self, scope: Scope) -> None:
        named = [*_values(scope, b"host")]
        if len(named) > 1:
            raise _NotLetInError("host", 400, "there are several Host headers", "host")
        # Without one it is HTTP/1.0: no browser.
        host = Authority.parse(named[0]) if named else Authority("127.0.0.1", None)
        if host is None:
            raise _NotLetInError("host", 400, "this Host header names no host", "host")
        if not self._hosts.knows(host):
            raise _NotLetInError(
                "host",
                403,
                "this server does not answer to that name, lest a stranger's page speaks to it: "
                "start it with --allow-host NAME, or send to its IP address",
                "host",
            )
        for origin in _values(scope, b"origin"):
            if not self._hosts.is_own_page(origin, host):
                raise _NotLetInError(
                    "origin",
                    403,
                    "this comes from a page of another origin: browsers may send from this server's own alone",
                    "origin",
                )

    async def _access(self, scope: Scope) -> Access:
        texts = offered(scope["headers"])
        client = scope.get("client")
        address = neighbourhood(client[0] if client else "")
        needs_key = self._needs_key or (
            not self._is_insecure and any(name in _FORWARDED for name, _ in scope["headers"])
        )
        try:
            key = await self._key(texts, address, needs_key)
        except _NotLetInError as error:
            if error.status != 401 or not self._answers_itself(scope):
                raise
            self._count(error.word)
            return NOTHING
        if self._limit is not None and (wait := self._limit.take(key.id if key else address)):
            raise _NotLetInError(
                "rate", 429, "too many requests: send more at once, less often", retry_after=wait
            )
        return EVERYTHING if key is None else Access(key.project, key.may, key.id)

    async def _key(self, texts: Collection[str], address: str, needs_key: bool) -> Key | None:
        # What is no key of ours is none for us: SDKs send whatever they were given for somebody else.
        if not texts and not needs_key:
            return None
        try:
            found = [await self._keys.find(text) for text in texts]
        except StoreError:
            raise _NotLetInError("keys", 503, "keys cannot be read now", retry_after=5.0) from None
        if len(found) == 1 and found[0] is not None:
            return found[0]
        if wait := self._failures.take(address):
            raise _NotLetInError(
                "rate", 429, "too many requests without a right key", "authorization", wait
            )
        if len(found) > 1:
            raise _NotLetInError(
                "wrong_key", 401, "several keys came along: send one", "authorization"
            )
        if found:
            words = "this key is wrong, or was revoked: make one with llmobs keys add --project ID"
            raise _NotLetInError("wrong_key", 401, words, "authorization")
        raise _NotLetInError(
            "no_key",
            401,
            "a key is needed here: make one with llmobs keys add --project ID, and send it as "
            "Authorization: Bearer KEY, as x-api-key or api-key, or as the password of Basic",
            "authorization",
        )


class _NotLetInError(RefusedError):
    def __init__(
        self,
        word: str,
        status: int,
        message: str,
        field: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(status, message, field, retry_after)
        self.word = word


def _check_right(access: Access, scope: Scope) -> None:
    """Refuse early what no way in would take: before a body is read, and should one forget to ask."""
    if scope.get("method") not in ("GET", "HEAD") and scope["path"] != MCP:
        if not access.may & {"ingest", "evaluate"}:
            require(access, "ingest")
    else:
        require(access, "read")


def _values(scope: Scope, name: bytes) -> Iterator[str]:
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    return (value.decode("latin-1").strip() for key, value in headers if key == name)
