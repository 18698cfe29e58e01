"""Pages of other origins: from which ones evaluations may come, and what browsers are told of that."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Send

from llmobs.contrib._web.hosts import Authority
from llmobs.errors import ConfigurationError

__all__ = ["EVALUATIONS", "Origins"]

EVALUATIONS: Final = "/v1/evaluations"
"""The one path that pages of other origins may send to."""
REMEMBERED_SECONDS: Final = 600
"""For which a browser does not ask again."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Origins:
    """
    The origins from whose pages evaluations are taken.

    Browsers send no cookie along, since they are not told that they may; what comes needs a key.

    Args:
        allowed: As browsers write them: ``https://shop.example``.

    Raises:
        ConfigurationError: One of them is no origin.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(map(_origin, allowed))

    def allows(self, origin: str, scope: Mapping[str, Any]) -> bool:
        """
        Whether a page of *origin* may ask what it asks.

        Args:
            origin: As it stands in the request.
            scope: ASGI's.
        """
        is_asked = scope["path"] == EVALUATIONS and scope["method"] in ("POST", "OPTIONS")
        return is_asked and origin.lower() in self._allowed

    def answer_preflight(self) -> Response:
        """Return what a browser is told that asks first whether it may send."""
        return Response(
            status_code=204,
            headers={
                "access-control-allow-methods": "POST",
                "access-control-allow-headers": "authorization, content-type, x-api-key, api-key",
                "access-control-max-age": str(REMEMBERED_SECONDS),
            },
        )

    def let_read(self, origin: str, send: Send) -> Send:
        """Return a *send* that tells the browser that pages of *origin* may read the answer."""

        async def send_with_origin(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["access-control-allow-origin"] = origin
                headers["access-control-expose-headers"] = "retry-after"
                headers.add_vary_header("Origin")
            await send(message)

        return send_with_origin


def _origin(text: str) -> str:
    scheme, mark, rest = text.partition("://")
    host = Authority.parse(rest)
    if not mark or host is None or scheme.lower() not in _DEFAULT_PORTS:
        words = "a page that may send evaluations, as browsers write it: https://shop.example"
        if text == "*":
            words += "; not all pages there are"
        raise ConfigurationError(f"--allow-origin: {text!r} is no origin; name {words}")
    name = f"[{host.name}]" if ":" in host.name else host.name
    port = "" if host.port in (None, _DEFAULT_PORTS[scheme.lower()]) else f":{host.port}"
    return f"{scheme.lower()}://{name}{port}"
