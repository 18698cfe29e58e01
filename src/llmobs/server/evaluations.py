"""``POST /v1/evaluations``: what somebody thinks of a run, or of something in it, told by anybody."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, NamedTuple

import anyio
import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llmobs.answers.subjects import MAX_EXPLANATION, find_subject
from llmobs.events import EvaluationEvent
from llmobs.recorded.ids import derived_id, new_id
from llmobs.server.access import Access, access_of, may_evaluate, require
from llmobs.server.bodies import RefusedError, as_strict_json, read_body
from llmobs.server.collector import Collector
from llmobs.server.origins import EVALUATIONS
from llmobs.server.verdicts import Verdict, field_of, words_of
from llmobs.store.engine import ReadsStore

__all__ = ["MAX_EVALUATIONS", "routes"]

MAX_EVALUATIONS: Final = 1_000
"""In one request."""
AT_ONCE: Final = 4
"""Requests that are read at the same time: each has a thread and a connection."""
MAX_BYTES: Final = 4 * 1024 * 1024
"""Of its body."""

_Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]


class _EvaluationRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An evaluation as it is sent."""

    name: _Name
    run_id: _Name | None = None
    event_id: _Name | None = None
    score: Annotated[float, Meta(ge=-1e15, le=1e15)] | None = None
    label: Annotated[str, Meta(max_length=200)] | None = None
    explanation: Annotated[str, Meta(max_length=MAX_EXPLANATION)] | None = None
    source: Literal["user", "code", "model"] = "code"
    id: _Name | None = None


class _Understood(NamedTuple):
    """What came."""

    total: int
    is_list: bool
    refused: list[Verdict]
    events: dict[int, EvaluationEvent]
    """By their places."""
    unfound: list[Verdict]
    """On what is about nothing that is known."""


class _Answer(msgspec.Struct):
    success: bool
    stored: int
    ids: Sequence[str | None]
    """Of the events that they are, in their order; None for one that was refused."""
    refused: Sequence[Verdict]


_encoder = msgspec.json.Encoder()


def routes(collector: Collector, open_store: Callable[[], ReadsStore]) -> list[Route]:
    """
    Return the route.

    Args:
        collector: Where evaluations go.
        open_store: Opens the store for reading. Called in a thread.
    """

    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def evaluations(request: Request) -> Response:
        access = access_of(request)
        if not may_evaluate(access):
            require(access, "evaluate")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RefusedError(415, "evaluations come as application/json", "content-type")
        body = await read_body(request, max_bytes=MAX_BYTES)

        def understood() -> _Understood:
            raws, is_list = _read(body)
            valid, refused = _check(raws)
            return _Understood(len(raws), is_list, refused, *_events(valid, access, open_store))

        total, is_list, refused, events, unfound = await anyio.to_thread.run_sync(
            understood, limiter=limiter
        )
        request.state.events = total
        unstored = await collector.store(list(events.values()), project=access.project)
        refused += [
            *unfound,
            *(
                Verdict(index, unstored[event.event_id], event.event_id)
                for index, event in events.items()
                if event.event_id in unstored
            ),
        ]
        if refused and not is_list:
            (verdict,) = refused
            status = 404 if unfound else 400
            raise RefusedError(status, verdict.message, verdict.field)
        ids = [
            None if (one := events.get(index)) is None else one.event_id for index in range(total)
        ]
        answer = _Answer(
            not refused,
            total - len(refused),
            [None if id in unstored else id for id in ids],
            sorted(refused, key=lambda verdict: verdict.index),
        )
        return Response(_encoder.encode(answer), media_type="application/json")

    return [Route(EVALUATIONS, evaluations, methods=["POST"])]


def _read(body: bytes) -> tuple[list[msgspec.Raw], bool]:
    """Return what came, each unread, and whether it came as a list."""
    try:
        found = msgspec.json.decode(body, type=list[msgspec.Raw] | dict[str, msgspec.Raw])
    except RecursionError:
        raise RefusedError(400, "the body is nested too deeply", "body") from None
    except msgspec.ValidationError:
        raise RefusedError(
            400, "an evaluation is an object; several are a list of them", "body"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if (mended := as_strict_json(body)) is not None and mended != body:
            return _read(mended)
        raise RefusedError(400, f"the body is not JSON: {words_of(error)}", "body") from None
    if isinstance(found, dict):
        return [msgspec.Raw(body)], False
    if len(found) > MAX_EVALUATIONS:
        raise RefusedError(413, f"{len(found)} evaluations; {MAX_EVALUATIONS} fit", "body")
    return found, True


def _check(raws: Sequence[msgspec.Raw]) -> tuple[dict[int, _EvaluationRequest], list[Verdict]]:
    valid: dict[int, _EvaluationRequest] = {}
    refused: list[Verdict] = []
    for index, raw in enumerate(raws):
        try:
            one = valid[index] = msgspec.json.decode(raw, type=_EvaluationRequest)
        except msgspec.ValidationError as error:
            refused.append(Verdict(index, words_of(error), field=field_of(error)))
            continue
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            refused.append(Verdict(index, words_of(error)))
            continue
        if one.run_id is None and one.event_id is None:
            words, field = "say what it is about: run_id, event_id, or both", "run_id"
        elif one.score is None and not one.label and not one.explanation:
            words, field = "say how good it was: a score, a label or an explanation", "score"
        else:
            continue
        del valid[index]
        refused.append(Verdict(index, words, field=field))
    return valid, refused


def _events(
    valid: Mapping[int, _EvaluationRequest], access: Access, open_store: Callable[[], ReadsStore]
) -> tuple[dict[int, EvaluationEvent], list[Verdict]]:
    """Return *valid* as events, by their places; and a verdict on what is about nothing that is known."""
    events: dict[int, EvaluationEvent] = {}
    unfound: list[Verdict] = []
    with open_store() as store:
        for index, one in valid.items():
            subject = find_subject(store, one.run_id, one.event_id, access.project)
            if subject is None:
                words = "no event of this id is here yet: send run_id, too"
                unfound.append(Verdict(index, words, field="event_id"))
                continue
            events[index] = EvaluationEvent(
                # Two projects may call theirs the same.
                event_id=derived_id("evaluation", access.project or "", one.id)
                if one.id
                else new_id(),
                run_id=subject.run_id,
                parent_id=subject.event_id,
                project_id=subject.project,
                timestamp=datetime.now(UTC),
                name=one.name,
                score=one.score,
                label=one.label or None,
                explanation=one.explanation or None,
                source=one.source,
                standalone=True,
            )
    return events, unfound
