"""``POST …/events/batch``: WatchLLM's wire, and our own."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from llmobs.server.bodies import read_body
from llmobs.server.collector import Collector

__all__ = ["routes"]


def routes(collector: Collector) -> list[Route]:
    """Return the routes, with and without ``/v1``."""

    async def batch(request: Request) -> Response:
        await read_body(request)
        return JSONResponse({})

    return [Route(f"{lead}/events/batch", batch, methods=["POST"]) for lead in ("", "/v1")]
