"""The JSON API: every question under ``/api/v1``, and the document that describes them."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llmobs.answers.asked import Asked
from llmobs.answers.asking import NoAnswer, ask
from llmobs.answers.questions import QUESTIONS, Question
from llmobs.codec import encode
from llmobs.contrib._starlette.pages import route_of
from llmobs.server.access import access_of, require
from llmobs.server.bodies import RefusedError
from llmobs.server.openapi import openapi
from llmobs.server.refusals import AWAY_SECONDS
from llmobs.store.engine import ReadsStore, open_reader

__all__ = ["ROOT", "routes"]

ROOT: Final = "/api/v1"
AT_ONCE: Final = 4
"""Answers that are looked for at the same time: each has a thread and a connection."""
HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def routes(store: Path) -> list[Route]:
    """
    Return the ways to ask.

    Args:
        store: The store that is asked about.
    """
    limiter = anyio.CapacityLimiter(AT_ONCE)

    def answered(question: Question) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            access = access_of(request)
            require(access, "read")
            query = _query(request, question)
            names = request.path_params

            def found() -> bytes:
                return _answer(store, question, query, access.project, names)

            body = await anyio.to_thread.run_sync(found, limiter=limiter)
            return Response(body, 200, HEADERS, "application/json")

        return answer

    return [
        Route(f"{ROOT}/openapi.json", _document),
        *(route_of(f"{ROOT}{each.path}", answered(each)) for each in QUESTIONS),
    ]


def _answer(
    store: Path,
    question: Question,
    query: Mapping[str, str],
    project: str | None,
    names: Mapping[str, Any],
) -> bytes:
    def encoded(reader: ReadsStore, asked: Asked) -> bytes:
        return encode(question.ask(reader, asked, **names))

    opener = partial(open_reader, store)
    found = ask(opener, query, encoded, period=question.period, project=project)
    if not isinstance(found, NoAnswer):
        return found
    if found.status == 503:
        raise RefusedError(503, found.words, retry_after=AWAY_SECONDS)
    words = ": ".join(filter(None, [found.words, ", ".join(found.candidates)]))
    raise RefusedError(found.status, words, found.field)


def _query(request: Request, question: Question) -> Mapping[str, str]:
    """Return what the address says, and refuse what would be understood otherwise than it is meant."""
    query: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in question.takes:
            known = ", ".join(question.takes) or "nothing"
            raise RefusedError(400, f"{name[:80]}: not known here; this takes {known}", name[:80])
        if name in query:
            raise RefusedError(400, f"{name}: given twice", name)
        if not value:
            raise RefusedError(400, f"{name}: empty; leave it out to ask for any", name)
        query[name] = value
    return query


async def _document(request: Request) -> Response:
    require(access_of(request), "read")
    base = request.scope.get("root_path", "")
    # Its words are read from our source once.
    document = await anyio.to_thread.run_sync(openapi, f"{base}{ROOT}")
    return Response(encode(document), 200, HEADERS, "application/json")
