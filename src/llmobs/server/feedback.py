"""Thumbs and comments that people leave in the viewer: evaluations with the source ``user``."""

from collections.abc import Callable

import anyio
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from llmobs.answers.subjects import Subject
from llmobs.server.access import access_of, may_evaluate, require
from llmobs.server.bodies import RefusedError
from llmobs.server.collector import Collector
from llmobs.server.forms import check_token, read_form, told_as_page
from llmobs.store.engine import ReadsStore
from llmobs.viewer.feedback import evaluation_of, local_path, subject_of

__all__ = ["routes"]


def routes(collector: Collector, open_store: Callable[[], ReadsStore]) -> list[Route]:
    """
    Return the route.

    Args:
        collector: Where evaluations go.
        open_store: Opens the store for reading. Called in a thread.
    """

    async def feedback(request: Request) -> Response:
        access = access_of(request)
        form = await read_form(request)
        check_token(access.form_token, form)
        if not may_evaluate(access):
            require(access, "evaluate")

        def found() -> Subject:
            with open_store() as store:
                return subject_of(store, form, access.project)

        event = evaluation_of(form, await anyio.to_thread.run_sync(found))
        refused = await collector.store([event], project=access.project)
        if refused:
            raise RefusedError(400, "This cannot be stored.", "comment")
        request.state.events = 1
        place = local_path(form.get("next", "")) or f"{request.scope.get('root_path', '')}/"
        return RedirectResponse(f"{place}#evaluations", 303, {"cache-control": "no-store"})

    return [Route("/feedback", told_as_page(feedback), methods=["POST"])]
