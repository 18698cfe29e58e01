"""WatchLLM's routes, which answer as its server does: see the statuses in the reference."""

from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from llmobs.errors import SinkUnavailableError, StoreError
from llmobs.events import Event
from llmobs.recorded.printable import one_line, redacted
from llmobs.server.access import NOTHING, access_of, check_events
from llmobs.server.bodies import RefusedError, read_body
from llmobs.server.collector import Collector
from llmobs.server.preparing import ReadsBody
from llmobs.server.refusals import refusal_of
from llmobs.server.room import BusyError
from llmobs.server.watchllm.reading import CheckedEvent, ReadWires, read_batch, read_one
from llmobs.store.filed import Filed

__all__ = ["Batches"]

NOT_JSON: Final = "Invalid JSON payload"
BAD_HEADER: Final = "Missing or invalid Authorization header"
NO_ACCESS: Final = "Invalid API key or project access"
MAX_BYTES: Final = 8 * 1024 * 1024
"""Of a batch: 80 KB an event."""
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

    async def _read(self, request: Request, read: ReadsBody[ReadWires]) -> ReadWires:
        body = await self._body(request)
        if body is None:
            return ReadWires(is_json=False)
        return await self._collector.read(read, ReadWires, body, access_of(request).project)

    async def _store(self, request: Request, events: list[Event | Filed]) -> list[str | None]:
        """Store *events*, which have been read; return of each why it cannot be, None if it is."""
        access = access_of(request)
        if events:
            check_events(access, events)
        refused = await self._collector.store(events, project=access.project, is_prepared=True)
        return [refused.get(event.event_id) for event in events]

    async def _batch(self, request: Request) -> Response:
        read = await self._read(request, read_batch)
        if not read.is_json:
            return JSONResponse({"error": NOT_JSON}, 400)
        if read.issues:
            return JSONResponse({"error": f"Batch validation failed: {_listed(read)}"}, 400)
        request.state.events = len(read.checked)
        results: dict[str, dict[str, Any]] = {}
        waiting = iter(read.events)
        taken: list[CheckedEvent] = []
        events: list[Event | Filed] = []
        for checked in read.checked:
            event = None if checked.reasons else next(waiting)
            result = results.setdefault(
                checked.project,
                {"projectId": checked.project, "success": True, "processed": 0, "errors": []},
            )
            if not _opens(request, checked.project):
                result["errors"] = [NO_ACCESS]
            elif event is None:
                result["errors"].append(_invalid(checked, ", ".join(checked.reasons)))
            else:
                result["processed"] += 1
                taken.append(checked)
                events.append(event)
        for checked, why in zip(taken, await self._store(request, events), strict=True):
            if why is not None:
                results[checked.project]["processed"] -= 1
                results[checked.project]["errors"].append(_invalid(checked, why))
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
        read = await self._read(request, read_one)
        if not read.is_json:
            return JSONResponse({"error": NOT_JSON}, 400)
        project = request.path_params["project"]
        if read.issues:
            return JSONResponse({"error": f"Validation failed: {_listed(read)}"}, 400)
        (checked,) = read.checked
        if checked.project != project:
            error = "project_id in event does not match URL parameter"
        elif not _opens(request, project):
            error = NO_ACCESS
        elif checked.reasons:
            error = _invalid(checked, ", ".join(checked.reasons))
        else:
            request.state.events = 1
            (why,) = await self._store(request, read.events)
            if why is None:
                return JSONResponse({"success": True, "event_id": checked.event_id})
            error = _invalid(checked, why)
        return JSONResponse({"error": error}, 400)


def _invalid(checked: CheckedEvent, why: str) -> str:
    return f"Event {checked.event_id}: Invalid event: {why}"


def _names_a_key(request: Request) -> bool:
    # Spelled exactly so: its server does not know "bearer".
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return scheme == "Bearer" and bool(key)


def _opens(request: Request, project: str) -> bool:
    access = access_of(request)
    return bool(access.may) and access.project in (None, project)


def _listed(read: ReadWires) -> str:
    listed = ", ".join(read.issues)
    return one_line(redacted(f"{listed} and {read.more} more" if read.more else listed))
