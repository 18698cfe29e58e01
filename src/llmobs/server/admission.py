"""Who somebody is: by a key that comes along, or by the session that a browser began with one."""

from collections.abc import Collection, Sequence
from typing import Final

from msgspec.structs import replace
from starlette.types import Scope

from llmobs.errors import StoreError
from llmobs.server.access import EVERYTHING, Access
from llmobs.server.bodies import RefusedError
from llmobs.server.credentials import offered
from llmobs.server.keys import Key, Keys
from llmobs.server.limits import Limit, neighbourhood
from llmobs.server.sessions import Cookie, Sessions

__all__ = ["FORMS", "LOGIN", "Admission", "NotLetInError", "is_for_all", "session_cookie"]

LOGIN: Final = "/login"
STATIC: Final = "/static/"
"""Where the files of pages are, the login's among them."""
FORMS: Final = frozenset({LOGIN, "/logout", "/feedback"})
"""Paths that our own forms are posted to: each has a token, which these check, and so a cookie counts."""
FAILURES: Final = (1.0, 20.0)
"""Requests without a right key, from one address: a second, and at once."""
BURST_SECONDS: Final = 2.0
"""Of the rate allowed, that may come at once."""

_FORWARDED: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"}
)
_READS: Final = frozenset({"GET", "HEAD"})


class NotLetInError(RefusedError):
    """
    Somebody is refused at the door.

    Args:
        word: Under which that is counted.
        status: The HTTP status.
        message: Why, and the way out.
        field: Which header is at fault.
        retry_after: Seconds until it may be tried again.
    """

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


def session_cookie(scope: Scope) -> Cookie:
    """Return the cookie that holds the session of whoever asks."""
    return Cookie.of("session", scope)


class Admission:
    """
    Finds out who asks.

    Args:
        keys: Those there are.
        needs_key: Whether nobody comes in without a key. Else a request needs one only if a proxy has
            passed it on, which nobody had spoken of.
        is_insecure: Whether none needs one, come what may.
        rate: Requests a second, for each key, or for each address without one; None: any number.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        needs_key: bool,
        is_insecure: bool = False,
        rate: float | None = None,
    ) -> None:
        self.sessions = Sessions()
        self._keys = keys
        self._needs_key = needs_key and not is_insecure
        self._is_insecure = is_insecure
        self._limit = None if rate is None else Limit(rate, max(1.0, rate * BURST_SECONDS))
        self._failures = Limit(*FAILURES)

    async def access(self, scope: Scope) -> Access:
        """
        Return what a request may do.

        Raises:
            NotLetInError: 401 it needs a key, or has a wrong one; 429; 503 the keys cannot be read.
        """
        address = address_of(scope)
        texts = offered(scope["headers"])
        is_form = scope["method"] not in _READS and scope["path"] in FORMS
        session, key = "", None
        # A cookie comes along whoever makes a browser ask: alone it opens nothing but what cannot be
        # made use of from elsewhere.
        if not texts and (is_form or scope["method"] in _READS):
            session, key = await self._in_session(scope)
        if key is None:
            key = await self._with_key(scope, texts, address)
        if self._limit is not None and (wait := self._limit.acquire(key.id if key else address)):
            raise NotLetInError(
                "rate", 429, "too many requests: send more at once, less often", retry_after=wait
            )
        access = EVERYTHING
        if key is not None:
            may = _of_browser(key.may) if session else key.may
            access = Access(key.project, may, key.id, bool(session))
        if is_form or scope["method"] in _READS:
            visitor = f"session {session}" if session else f"key {access.key}"
            access = replace(access, form_token=self.sessions.form_token(visitor))
        return access

    async def log_in(self, text: str, scope: Scope) -> tuple[Access, str]:
        """
        Begin a session with a key.

        Args:
            text: What was given as the key.
            scope: ASGI's, of the request.

        Returns:
            What it may do, and what the cookie is to hold.

        Raises:
            NotLetInError: 401 the key is wrong; 403 it may not read; 429; 503.
        """
        key = await self._find(text)
        if key is None:
            self._count_failure(address_of(scope))
            raise NotLetInError(
                "wrong_key", 401, "This key is wrong, or was revoked. Another is made with llmobs keys add."
            )  # fmt: skip
        if "read" not in key.may:
            raise NotLetInError(
                "forbidden", 403,
                "This key may not read, so there is nothing it could show you: make one that may with "
                "llmobs keys add --may read.",
            )  # fmt: skip
        return Access(key.project, key.may, key.id), self.sessions.begin(key.id)

    async def _in_session(self, scope: Scope) -> tuple[str, Key | None]:
        value = session_cookie(scope).value_in(scope["headers"])
        session = self.sessions.find(value) if value else None
        if value is None or session is None:
            return "", None
        try:
            key = await self._keys.known(session.key)
        except StoreError:
            raise _unreadable() from None
        if key is None:
            self.sessions.end(value)  # it was revoked
            return "", None
        return value, key

    async def _with_key(self, scope: Scope, texts: Collection[str], address: str) -> Key | None:
        needs_key = self._needs_key or (
            not self._is_insecure and any(name in _FORWARDED for name, _ in scope["headers"])
        )
        # What is no key of ours is none for us: SDKs send whatever they were given for somebody else.
        if not texts and not needs_key:
            return None
        found = [await self._find(text) for text in texts]
        if len(found) == 1 and found[0] is not None:
            return found[0]
        # Who shows none has guessed nothing; browsers come so, to be sent to the login.
        if found or not (wants_page(scope) or is_for_all(scope)):
            self._count_failure(address)
        elif self._limit is not None and (wait := self._limit.acquire(address)):
            raise NotLetInError("rate", 429, "too many requests", retry_after=wait)
        if len(found) > 1:
            raise NotLetInError(
                "wrong_key", 401, "several keys came along: send one", "authorization"
            )
        if found:
            words = "this key is wrong, or was revoked: make one with llmobs keys add --project ID"
            raise NotLetInError("wrong_key", 401, words, "authorization")
        raise NotLetInError(
            "no_key",
            401,
            "a key is needed here: make one with llmobs keys add --project ID, and send it as "
            "Authorization: Bearer KEY, as x-api-key or api-key, or as the password of Basic",
            "authorization",
        )

    async def _find(self, text: str) -> Key | None:
        try:
            return await self._keys.find(text)
        except StoreError:
            raise _unreadable() from None

    def _count_failure(self, address: str) -> None:
        # Whoever shows the right key comes in all the same: nobody guesses one, and neighbours behind
        # one address are not to lock each other out.
        if wait := self._failures.acquire(address):
            raise NotLetInError(
                "rate", 429, "too many requests without a right key", "authorization", wait
            )


def address_of(scope: Scope) -> str:
    """Return who is behind the address that a request comes from."""
    client = scope.get("client")
    return neighbourhood(client[0] if client else "")


def is_for_all(scope: Scope) -> bool:
    """Whether this needs no key: the login, and what its page looks like."""
    path: str = scope["path"]
    return path == LOGIN or path.startswith(STATIC)


def wants_page(scope: Scope) -> bool:
    """Whether somebody with a browser waits for a page, rather than a program for an answer."""
    accepted: Sequence[bytes] = [value for name, value in scope["headers"] if name == b"accept"]
    may_be = scope["method"] in _READS or scope["path"] in FORMS
    return may_be and b"text/html" in b",".join(accepted).lower()


def _of_browser(may: Collection[str]) -> frozenset[str]:
    """Return what a session may that a key with these rights began: nobody sends batches from a form."""
    rates = {"evaluate"} if {"ingest", "evaluate"} & {*may} else set()
    return frozenset({"read"} & {*may} | rates)


def _unreadable() -> NotLetInError:
    return NotLetInError("keys", 503, "keys cannot be read now", retry_after=5.0)
