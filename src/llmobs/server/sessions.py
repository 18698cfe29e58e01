"""
Who has shown a key in a browser: sessions, and what makes sure that a form is one of ours.

A session is 256 random bits in a cookie; which key opened it is known here alone, under a hash, in
memory. So a cookie tells nothing of the key, logging out ends it for whoever has a copy, revoking the
key ends it, and so does the end of the process. For one event loop.
"""

import secrets
import time
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Self

import msgspec

__all__ = ["Cookie", "Session", "Sessions"]

SESSION_SECONDS: Final = 7 * 24 * 3600.0
"""From logging in until the key is asked for again."""
MOST_OF_A_KEY: Final = 100
"""Sessions; one more ends the oldest."""
LONGEST: Final = 8_192
"""Bytes of a ``Cookie`` header that is looked at."""


class Session(NamedTuple):
    """A browser that has shown a key."""

    key: str
    """Id of the key."""
    until: float
    """On the clock that nobody sets, in seconds."""


class Cookie(msgspec.Struct, frozen=True):
    """One of our cookies: what it is called and how it is set depend on how browsers come here."""

    name: str
    is_secure: bool

    @classmethod
    def of(cls, name: str, scope: Mapping[str, Any]) -> Self:
        """
        Return the cookie *name* for a request; its port is in it, since browsers do not tell ports apart.

        Over TLS no other host, and nobody on the way, can set it: browsers see to that by its prefix.

        Args:
            name: In one word.
            scope: ASGI's.
        """
        is_secure = scope.get("scheme") == "https"
        _, port = scope.get("server") or ("", 0)
        return cls(f"{'__Host-' if is_secure else ''}llmobs-{name}-{port or 0}", is_secure)

    def value_in(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """
        Return what it holds in a request; None without it.

        None, too, where it stands there with several values: somebody else has set one of them.

        Args:
            headers: As ASGI gives them.
        """
        start = f"{self.name}="
        found: set[str] = set()
        for name, value in headers:
            if name == b"cookie" and len(value) <= LONGEST:
                parts = (part.strip() for part in value.decode("latin-1").split(";"))
                found |= {part.removeprefix(start) for part in parts if part.startswith(start)}
        return found.pop() if len(found) == 1 else None

    def set(self, value: str, seconds: float) -> str:
        """Return the value of a ``Set-Cookie`` header; 0 seconds take it away."""
        secure = "; Secure" if self.is_secure else ""
        return (
            f"{self.name}={value}; Path=/; Max-Age={seconds:.0f}; HttpOnly; SameSite=Strict{secure}"
        )


class Sessions:
    """The sessions of one server."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._open: dict[bytes, Session] = {}

    def begin(self, key: str) -> str:
        """
        Begin a session for the key with this id; return what its cookie holds.

        Always a new one: whatever cookie came along, somebody else may have put it there.
        """
        now = time.monotonic()
        self._open = {name: each for name, each in self._open.items() if each.until > now}
        of_key = [name for name, each in self._open.items() if each.key == key]
        for name in of_key[: max(0, len(of_key) + 1 - MOST_OF_A_KEY)]:
            del self._open[name]
        value = secrets.token_urlsafe(32)
        self._open[self._hash("session", value)] = Session(key, now + SESSION_SECONDS)
        return value

    def find(self, value: str) -> Session | None:
        """Return the session whose cookie holds *value*, if it goes on."""
        # Looked up by a hash with our secret: the time that takes says nothing of what is known.
        found = self._open.get(self._hash("session", value))
        return found if found is not None and found.until > time.monotonic() else None

    def end(self, value: str) -> None:
        """End the session whose cookie holds *value*."""
        self._open.pop(self._hash("session", value), None)

    def form_token(self, visitor: str) -> str:
        """
        Return what a form of ours holds, and no form of a stranger can.

        Args:
            visitor: To whom it was given: what their cookie holds, or who they are else.
        """
        return self._hash("form", visitor).hex()

    def _hash(self, what: str, text: str) -> bytes:
        data = text.encode("utf-8", "surrogatepass")
        return blake2b(data, key=self._secret, person=what.encode(), digest_size=32).digest()
