"""
What other peers' SDKs ask beside sending spans, so that they neither stop nor complain.

Langfuse asks which projects its keys open, sends scores, and offers media; Logfire and LangSmith ask who is
there. Scores are kept as evaluations. Media are not kept, as nowhere in llmobs: what was said names them.
"""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from llmobs.events import EvaluationEvent
from llmobs.recorded.ids import derived_id
from llmobs.server.access import access_of, check_events
from llmobs.server.bodies import RefusedError, read_body
from llmobs.server.collector import Collector
from llmobs.store.spans import event_id_of

__all__ = ["routes"]

_LANGFUSE: Final = "/api/public"
MAX_SCORES: Final = 10_000
"""In one request."""
_EVERYTHING: Final = "llmobs"
"""Name of the project of who may write to all."""


class _Score(msgspec.Struct, rename="camel"):
    """What Langfuse's SDKs say of a trace, or of an observation in it."""

    name: str
    value: bool | float | str
    trace_id: str
    id: str | None = None
    observation_id: str | None = None
    session_id: str | None = None
    comment: str | None = None
    environment: str | None = None
    metadata: Any = None
    timestamp: datetime | None = None


class _Entry(msgspec.Struct):
    """What SDKs of Langfuse before their fifth version send scores, and everything else, in."""

    id: str
    type: str
    body: msgspec.Raw


class _Ingestion(msgspec.Struct):
    batch: list[_Entry]


class _Media(msgspec.Struct, rename="camel"):
    sha256_hash: str = msgspec.field(name="sha256Hash")


def routes(collector: Collector) -> list[Route]:
    """Return the routes."""

    async def projects(request: Request) -> Response:
        """Tell Langfuse's SDK that its keys are right: else they would not have come this far."""
        name = access_of(request).project or _EVERYTHING
        found = {
            "id": name,
            "name": name,
            "organization": {"id": _EVERYTHING, "name": _EVERYTHING},
            "metadata": {},
        }
        return JSONResponse({"data": [found]})

    async def who(request: Request) -> Response:
        from llmobs import __version__

        name = access_of(request).project or _EVERYTHING
        answer = {"version": __version__, "status": "OK", "project_name": name}
        return JSONResponse({**answer, "project_url": str(request.base_url)})

    async def scores(request: Request) -> Response:
        found = _decode(await read_body(request), msgspec.Raw)
        listed = bytes(found).lstrip()[:1] == b"["
        raws = _decode(found, list[msgspec.Raw]) if listed else [found]
        refused = await _store_scores(request, raws)
        if not listed and refused:
            raise RefusedError(400, refused[0], None)
        if not listed:
            return JSONResponse({"id": _decode(found, _Score).id or ""})
        if not refused:
            return JSONResponse({"message": "Accepted"}, 202)
        errors = [{"message": words} for words in refused.values()]
        answer = {"accepted": len(raws) - len(refused), "rejected": len(refused), "errors": errors}
        return JSONResponse(answer, 207)

    async def ingestion(request: Request) -> Response:
        entries = _decode(await read_body(request), _Ingestion).batch
        score_entries = [entry for entry in entries if entry.type == "score-create"]
        refused = await _store_scores(request, [entry.body for entry in score_entries])
        words = {score_entries[place].id: why for place, why in refused.items()}
        other = (
            "spans come to /api/public/otel/v1/traces: use an SDK of Langfuse of version 3 or later"
        )
        words |= {entry.id: other for entry in entries if entry.type != "score-create"}
        return JSONResponse(
            {
                "successes": [
                    {"id": e.id, "status": 201} for e in score_entries if e.id not in words
                ],
                "errors": [
                    {"id": id_, "status": 400, "message": why} for id_, why in words.items()
                ],
            },
            207,
        )

    async def media(request: Request) -> Response:
        """Say that there is nothing to upload."""
        digest = _decode(await read_body(request), _Media).sha256_hash
        media_id = digest.translate(str.maketrans("+/", "-_"))[:22]
        return JSONResponse({"mediaId": media_id, "uploadUrl": None}, 201)

    async def _store_scores(request: Request, raws: list[msgspec.Raw]) -> dict[int, str]:
        """Store scores; return why those that are none are not, by their places."""
        if len(raws) > MAX_SCORES:
            raise RefusedError(413, f"more than {MAX_SCORES} scores", None)
        refused: dict[int, str] = {}
        events: dict[int, EvaluationEvent] = {}
        for place, raw in enumerate(raws):
            try:
                events[place] = _evaluation(msgspec.json.decode(raw, type=_Score))
            except (msgspec.DecodeError, RecursionError) as error:
                refused[place] = str(error)
        access = access_of(request)
        check_events(access, list(events.values()))
        if events:
            why = await collector.store(list(events.values()), project=access.project)
            refused |= {p: why[e.event_id] for p, e in events.items() if e.event_id in why}
        return refused

    return [
        Route(f"{_LANGFUSE}/projects", projects, methods=["GET"]),
        Route(f"{_LANGFUSE}/scores", scores, methods=["POST"]),
        Route(f"{_LANGFUSE}/ingestion", ingestion, methods=["POST"]),
        Route(f"{_LANGFUSE}/media", media, methods=["POST"]),
        *(
            Route(path, who, methods=["GET"])
            for path in (f"{_LANGFUSE}/health", "/info", "/v1/info")
        ),
    ]


def _decode(body: Any, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RefusedError(400, f"the body is not what Langfuse's SDKs send: {error}") from None


def _evaluation(score: _Score) -> EvaluationEvent:
    is_word = type(score.value) is str
    # The same score again is the same event.
    parts = (score.trace_id, score.observation_id or "", score.name, str(score.timestamp))
    return EvaluationEvent(
        event_id=derived_id("score", score.id) if score.id else derived_id("score", *parts),
        run_id=score.trace_id,
        parent_id=event_id_of(score.trace_id, score.observation_id)
        if score.observation_id
        else None,
        timestamp=_aware(score.timestamp),
        trace_id=score.trace_id,
        session_id=score.session_id,
        environment=score.environment,
        name=score.name,
        score=None if is_word else float(score.value),
        label=str(score.value) if is_word else None,
        explanation=score.comment,
        metadata=score.metadata if type(score.metadata) is dict else None,
        standalone=True,
    )


def _aware(moment: datetime | None) -> datetime:
    if moment is None:
        return datetime.now(UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
