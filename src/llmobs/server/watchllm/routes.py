"""WatchLLM's routes, which answer as its server does: see the statuses in the reference."""

import json
from typing import Any, Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from llmobs.errors import SinkUnavailableError, StoreError
from llmobs.events import Event
from llmobs.recorded.printable import one_line, redacted
from llmobs.server.access import NOTHING, access_of, check_events
from llmobs.server.bodies import RefusedError, check_json, read_body
from llmobs.server.collector import Collector
from llmobs.server.refusals import refusal_of
from llmobs.server.room import BusyError
from llmobs.server.watchllm.events import from_watchllm
from llmobs.server.watchllm.rules import parse_batch, parse_event, refusals
from llmobs.server.watchllm.schema import Issue

__all__ = ["Batches"]

NOT_JSON: Final = "Invalid JSON payload"
BAD_HEADER: Final = "Missing or invalid Authorization header"
NO_ACCESS: Final = "Invalid API key or project access"
MAX_BYTES: Final = 8 * 1024 * 1024
"""Of a batch: 80 KB an event."""
MAX_ISSUES: Final = 100
"""Complaints that an answer repeats; a batch of nonsense has millions."""
_CODES: Final = {
    413: ("invalid_request_error", "request_too_large"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}


class Batches:
    """
    Takes events in WatchLLM's form.

    Args:
        collector: Where they go.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    async def batch(self, request: Request) -> Response:
        """``POST …/events/batch``: up to 100 events."""
        return await self._answered(request, self._batch)

    async def one(self, request: Request) -> Response:
        """``POST …/projects/{project}/events``: one."""
        return await self._answered(request, self._one)

    async def health(self, request: Request) -> Response:
        """``GET …/projects/{project}/health``: whether the key opens the project."""
        if not _opens(request, request.path_params["project"]):
            return JSONResponse({"error": NO_ACCESS}, 401)
        return JSONResponse({"status": "healthy"})

    async def _answered(self, request: Request, answer: Any) -> Response:
        if access_of(request) is NOTHING and not _names_a_key(request):
            return JSONResponse({"error": BAD_HEADER}, 401)
        try:
            response: Response = await answer(request)
        except (
            RefusedError,
            BusyError,
            StoreError,
            SinkUnavailableError,
            ClientDisconnect,
        ) as error:
            refusal = refusal_of(error)
            kind, code = _CODES.get(refusal.status, ("api_error", "internal_error"))
            words = {"message": refusal.message, "type": kind, "code": code}
            return JSONResponse({"error": words}, refusal.status, refusal.headers)
        return response

    async def _body(self, request: Request) -> bytes | None:
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            return None  # its server reads plain JSON, whatever the header says
        return await read_body(request, max_bytes=MAX_BYTES)

    async def _batch(self, request: Request) -> Response:
        raw = await self._body(request)
        read = None if raw is None else await self._collector.work(_read_batch, raw)
        if read is None:
            return JSONResponse({"error": NOT_JSON}, 400)
        wires, issues = read
        if issues:
            return JSONResponse({"error": f"Batch validation failed: {_listed(issues)}"}, 400)
        request.state.events = len(wires)
        results: dict[str, dict[str, Any]] = {}
        events: list[Event] = []
        for wire in wires:
            project = wire["project_id"]
            result = results.setdefault(
                project, {"projectId": project, "success": True, "processed": 0, "errors": []}
            )
            if not _opens(request, project):
                result["errors"] = [NO_ACCESS]
            elif reasons := refusals(wire):
                listed = ", ".join(reasons)
                result["errors"].append(f"Event {wire['event_id']}: Invalid event: {listed}")
            else:
                result["processed"] += 1
                events.append(from_watchllm(wire))
        if events:
            check_events(access_of(request), events)
        refused = await self._collector.take(events, project=access_of(request).project)
        for event in events:
            if (why := refused.get(event.event_id)) is not None:
                result = results[event.project_id or ""]
                result["processed"] -= 1
                result["errors"].append(f"Event {event.event_id}: Invalid event: {why}")
        for result in results.values():
            result["success"] = not result["errors"]
        errors = sum(len(result["errors"]) for result in results.values())
        return JSONResponse(
            {
                "success": not errors,
                "total_processed": sum(result["processed"] for result in results.values()),
                "total_errors": errors,
                "results": list(results.values()),
            }
        )

    async def _one(self, request: Request) -> Response:
        raw = await self._body(request)
        read = None if raw is None else await self._collector.work(_read_one, raw)
        if read is None:
            return JSONResponse({"error": NOT_JSON}, 400)
        wire, issues = read
        project = request.path_params["project"]
        if issues:
            error = f"Validation failed: {_listed(issues)}"
        elif wire["project_id"] != project:
            error = "project_id in event does not match URL parameter"
        elif not _opens(request, project):
            error = NO_ACCESS
        elif reasons := refusals(wire):
            error = f"Event {wire['event_id']}: Invalid event: {', '.join(reasons)}"
        else:
            request.state.events = 1
            event = from_watchllm(wire)
            check_events(access_of(request), [event])
            refused = await self._collector.take([event], project=access_of(request).project)
            if not refused:
                return JSONResponse({"success": True, "event_id": wire["event_id"]})
            error = f"Event {event.event_id}: Invalid event: {refused[event.event_id]}"
        return JSONResponse({"error": error}, 400)


def _names_a_key(request: Request) -> bool:
    # Spelled exactly so: its server does not know "bearer".
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return scheme == "Bearer" and bool(key)


def _opens(request: Request, project: str) -> bool:
    access = access_of(request)
    return bool(access.may) and access.project in (None, project)


def _listed(issues: list[Issue]) -> str:
    listed = ", ".join(map(str, issues[:MAX_ISSUES]))
    more = len(issues) - MAX_ISSUES
    return one_line(redacted(listed if more <= 0 else f"{listed} and {more} more"))


def _read_batch(raw: bytes) -> tuple[list[dict[str, Any]], list[Issue]] | None:
    try:
        return parse_batch(_json(raw))
    except (ValueError, RecursionError):
        return None


def _read_one(raw: bytes) -> tuple[dict[str, Any], list[Issue]] | None:
    try:
        return parse_event(_json(raw))
    except (ValueError, RecursionError):
        return None


def _json(raw: bytes) -> Any:
    """Read JSON as JavaScript does: replace bad UTF-8, skip a BOM, know no NaN, take half of a pair."""
    check_json(raw)
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(raw.decode("utf-8", "replace"), parse_constant=_no_constant)


def _no_constant(word: str) -> Any:
    raise ValueError(word)
