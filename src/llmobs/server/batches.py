"""``POST …/events/batch`` and what belongs to it: WatchLLM's wire, and our own, by content type."""

import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llmobs.codec import NATIVE_TYPE
from llmobs.server import native
from llmobs.server.collector import Collector
from llmobs.server.watchllm import routes as watchllm

__all__ = ["answers_itself", "routes"]

_PATHS: Final = re.compile(r"(?:/v1)?/(?:events/batch|projects/[^/]+/(?:events|health))")


def routes(collector: Collector) -> list[Route]:
    """Return the routes, with and without ``/v1``."""
    ours = native.Batches(collector)
    theirs = watchllm.Batches(collector)

    async def batch(request: Request) -> Response:
        return await (ours if _is_ours(request) else theirs).batch(request)

    return [
        route
        for lead in ("", "/v1")
        for route in (
            Route(f"{lead}/events/batch", batch, methods=["POST"]),
            Route(f"{lead}/projects/{{project}}/events", theirs.one, methods=["POST"]),
            Route(f"{lead}/projects/{{project}}/health", theirs.health, methods=["GET"]),
        )
    ]


def answers_itself(scope: Mapping[str, Any]) -> bool:
    """
    Whether who asks speaks WatchLLM's wire, on which a wrong key has an answer of its own.

    Args:
        scope: ASGI's, of a request.
    """
    return _PATHS.fullmatch(scope["path"]) is not None and not _is_ours(Request(dict(scope)))


def _is_ours(request: Request) -> bool:
    # WatchLLM's server does not look at the content type: whatever is not ours is theirs.
    kind = request.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower() == NATIVE_TYPE
