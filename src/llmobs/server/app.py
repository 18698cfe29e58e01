"""The application of ``llmobs serve``: its ways in, and what an error looks like from outside."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from llmobs.errors import SinkUnavailableError, StoreError
from llmobs.server import batches, otlp, peers
from llmobs.server.bodies import RefusedError, answer_refused
from llmobs.server.collector import Collector
from llmobs.server.refusals import refusal_of
from llmobs.server.room import BusyError, Roomy

__all__ = ["create_app"]


def create_app(
    collector: Collector,
    *,
    routes: Sequence[BaseRoute] = (),
    middleware: Sequence[Middleware] = (),
    tasks: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
) -> Starlette:
    """
    Return the application: every way in, and what stands before them.

    Args:
        collector: Where events go; opened and closed with the application's lifespan.
        routes: Further ways in, and pages.
        middleware: What each request passes first.
        tasks: What goes on beside the requests, until the application ends: then it is cancelled.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await collector.open()
        beside = [asyncio.create_task(task()) for task in tasks]
        try:
            yield
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await collector.aclose()

    return Starlette(
        routes=[
            *batches.routes(collector),
            *otlp.routes(collector),
            *peers.routes(collector),
            *routes,
        ],
        middleware=[*middleware, Middleware(Roomy, room=collector.room)],
        lifespan=lifespan,
        exception_handlers={
            RefusedError: _refused,
            BusyError: _refused,
            StoreError: _refused,
            SinkUnavailableError: _refused,
            HTTPException: _refused,
            ClientDisconnect: _refused,
            Exception: _refused,
        },
    )


async def _refused(request: Request, error: Exception) -> Response:
    answer = answer_refused(refusal_of(error))
    if isinstance(error, HTTPException):
        answer.headers.update(error.headers or {})  # which methods a path takes, for instance
    return answer
