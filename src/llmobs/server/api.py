"""The JSON API: every question under ``/api/v1``, and the document that describes them."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llmobs.answers.asked import read_address
from llmobs.answers.errors import AddressError, NotFoundError, SeveralError
from llmobs.answers.questions import QUESTIONS, Question
from llmobs.codec import encode
from llmobs.errors import SinkUnavailableError, StoreError
from llmobs.runtime.troubles import Troubles
from llmobs.server.access import access_of, require
from llmobs.server.bodies import RefusedError
from llmobs.server.openapi import openapi
from llmobs.store.engine import open_reader

__all__ = ["ROOT", "routes"]

ROOT: Final = "/api/v1"
AT_ONCE: Final = 4
"""Answers that are looked for at the same time: each has a thread and a connection."""
HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

_troubles = Troubles()


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
        *(Route(f"{ROOT}{each.path.replace('}', ':path}')}", answered(each)) for each in QUESTIONS),
    ]


def _answer(
    store: Path,
    question: Question,
    query: Mapping[str, str],
    project: str | None,
    names: Mapping[str, Any],
) -> bytes:
    try:
        asked = read_address(query, period=question.period, project=project)
        with open_reader(store) as reader:
            return encode(question.ask(reader, asked, **names))
    except AddressError as error:
        raise RefusedError(400, str(error), error.field) from None
    except SeveralError as error:
        words = f"{error}: {', '.join(error.candidates)}"
        raise RefusedError(404, words, f"{error.what}_id") from None
    except NotFoundError as error:
        raise RefusedError(404, str(error), f"{error.what}_id") from None
    except (StoreError, SinkUnavailableError) as error:
        _troubles.log("api", "llmobs: a question cannot be answered: %s", error)
        raise


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
    return Response(encode(openapi(f"{base}{ROOT}")), 200, HEADERS, "application/json")
