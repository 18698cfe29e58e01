"""Thumbs and comments that people leave in the viewer: evaluations with the source ``user``."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial

import anyio
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from llmobs.events import EvaluationEvent, EvaluationSource
from llmobs.recorded.ids import derived_id
from llmobs.server.access import access_of, may_evaluate, require
from llmobs.server.bodies import RefusedError
from llmobs.server.collector import Collector
from llmobs.server.forms import check_token, local_path, read_form, told_as_page
from llmobs.server.subjects import MAX_EXPLANATION, Subject, find_subject
from llmobs.store.engine import ReadsStore
from llmobs.viewer.feedback import COMMENT, RATINGS, THUMBS

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
        run_id, event_id = form.get("run") or None, form.get("event") or None
        find = partial(_find, open_store, run_id, event_id, access.project)
        subject = await anyio.to_thread.run_sync(find)
        if subject is None:
            raise RefusedError(404, "The run, or what it is about, is not there any more.", "run")
        event = _evaluation(form, subject)
        refused = await collector.take([event], project=access.project)
        if refused:
            raise RefusedError(400, "This cannot be stored.", "comment")
        request.state.events = 1
        place = local_path(form.get("next", "")) or f"{request.scope.get('root_path', '')}/"
        return RedirectResponse(f"{place}#evaluations", 303, {"cache-control": "no-store"})

    return [Route("/feedback", told_as_page(feedback), methods=["POST"])]


def _find(
    open_store: Callable[[], ReadsStore],
    run_id: str | None,
    event_id: str | None,
    project: str | None,
) -> Subject | None:
    with open_store() as store:
        found = find_subject(store, None if event_id else run_id, event_id, project)
    return found if found is not None and found.is_known else None


def _evaluation(form: Mapping[str, str], subject: Subject) -> EvaluationEvent:
    """
    Return the event that a form amounts to.

    Raises:
        RefusedError: 400 it says nothing, or too much.
    """
    rating, comment = form.get("rating", ""), form.get("comment", "").strip()
    if rating not in RATINGS and not comment:
        raise RefusedError(400, "Say good or bad, or leave a comment.", "comment")
    if len(comment) > MAX_EXPLANATION:
        raise RefusedError(400, f"A comment has up to {MAX_EXPLANATION:,} characters.", "comment")
    return EvaluationEvent(
        # A form that is sent twice says it once; who changes their mind says another thing.
        event_id=derived_id(
            "feedback", form.get("id", ""), subject.run_id, subject.event_id or "", rating, comment
        ),
        run_id=subject.run_id,
        parent_id=subject.event_id,
        project_id=subject.project,
        timestamp=datetime.now(UTC),
        name=THUMBS if rating in RATINGS else COMMENT,
        score=RATINGS.get(rating),
        label=rating if rating in RATINGS else None,
        explanation=comment or None,
        source=EvaluationSource.USER,
        standalone=True,
    )
