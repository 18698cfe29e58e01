"""``GET /health`` and ``GET /ready``: for whoever starts the server, and whoever sends it work."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from llmobs.errors import LLMObsError

__all__ = ["routes"]

UNCACHED: Final = {"cache-control": "no-store"}


def routes(
    check: Callable[[], Awaitable[LLMObsError | None]], is_stopping: Callable[[], bool]
) -> list[Route]:
    """
    Return the routes.

    Args:
        check: Tries the store; returns why it cannot be written, or None.
        is_stopping: Whether the server was asked to end.
    """

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=UNCACHED)

    async def ready(request: Request) -> Response:
        status = "stopping" if is_stopping() else "ready"
        # Why is for the log: it may name a file.
        if status == "ready" and await check() is not None:
            status = "store unavailable"
        return JSONResponse({"status": status}, 200 if status == "ready" else 503, headers=UNCACHED)

    return [Route("/health", health, methods=["GET"]), Route("/ready", ready, methods=["GET"])]
