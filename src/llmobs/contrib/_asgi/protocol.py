"""What ASGI calls things, without importing a framework for it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["ASGIApp", "Message", "Receive", "Scope", "Send", "headers_of"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[Any]]


def headers_of(scope: Scope) -> dict[Any, Any]:
    """Return the headers by name; what cannot be read as headers is left to the application."""
    headers = scope.get("headers")
    if headers is None:
        return {}
    try:
        if type(headers) is not list and iter(headers) is headers:
            # It can be read once: keep what we read for the application, as Starlette does.
            headers = scope["headers"] = list(headers)
        return dict(headers)
    except (TypeError, ValueError):
        return {}
