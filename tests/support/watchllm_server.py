"""WatchLLM's ingestion, as its worker was seen to behave: both validators, every answer, any fault.

with WatchLLMServer() as server:
    server.faults.add(Fault.answer(503, retry_after=1))
    ...  # a client sends to server.base_url with the key "test-key"
    assert [event["event_id"] for event in server.events] == [...]
"""

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmobs.server.watchllm.rules import parse_batch, parse_event, refusals
from tests.support.faults import FaultLayer, FaultQueue
from tests.support.http_server import ThreadedServer

EVERY_PROJECT = frozenset({"*"})
"""Projects of a key that may write to all of them."""

_NO_ACCESS = "Invalid API key or project access"
_BAD_HEADER = "Missing or invalid Authorization header"
_NOT_JSON = "Invalid JSON payload"


@dataclass(frozen=True)
class SeenRequest:
    """A request as it came in, whatever became of it.

    `headers` have lower-case names; `body` is what was read of it, as sent; `time` is
    `time.monotonic()` when the head had arrived; `status` is None if nothing was answered.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    time: float
    status: int | None

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self.body)


class WatchLLMServer(ThreadedServer):
    """The stand-in; a context manager.

    Args:
        keys: API key -> projects it may write to (`EVERY_PROJECT` for all). By default the key
            `test-key` may write everywhere, as at the original.
        most_bytes: refuse a longer body with 413, as the proxy in front of other routes does;
            None: no limit, as the ingestion routes have.
    """

    def __init__(
        self,
        keys: Mapping[str, Collection[str]] | None = None,
        *,
        most_bytes: int | None = None,
    ) -> None:
        self.faults = FaultQueue()
        self._keys: dict[str, Collection[str]] = (
            {"test-key": EVERY_PROJECT} if keys is None else dict(keys)
        )
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._events: list[dict[str, Any]] = []
        self._requests: list[SeenRequest] = []
        app = Starlette(
            routes=[
                Route("/v1/events/batch", self._take_batch, methods=["POST"]),
                Route("/v1/projects/{project}/events", self._take_one, methods=["POST"]),
                Route("/v1/projects/{project}/health", self._health, methods=["GET"]),
            ]
        )
        super().__init__(_Witness(FaultLayer(app, self.faults), self._remember))

    @property
    def base_url(self) -> str:
        """What a client is configured with; ends in `/v1`."""
        return f"http://{self.address}/v1"

    @property
    def events(self) -> list[dict[str, Any]]:
        """Events stored so far, unknown keys dropped, duplicates kept."""
        with self._lock:
            return list(self._events)

    @property
    def requests(self) -> list[SeenRequest]:
        """Requests seen so far, in the order they ended."""
        with self._lock:
            return list(self._requests)

    def forget(self) -> None:
        """Forget events and requests."""
        with self._lock:
            self._events.clear()
            self._requests.clear()

    def _remember(self, request: SeenRequest) -> None:
        with self._lock:
            self._requests.append(request)

    async def _take_batch(self, request: Request) -> JSONResponse:
        key = _key(request)
        if key is None:
            return JSONResponse({"error": _BAD_HEADER}, 401)
        raw = await request.body()
        if self._most_bytes is not None and len(raw) > self._most_bytes:
            error = {
                "message": "Request body too large",
                "type": "invalid_request_error",
                "code": "request_too_large",
            }
            return JSONResponse({"error": error}, 413)
        try:
            body = _json(raw)
        except ValueError:
            return JSONResponse({"error": _NOT_JSON}, 400)
        events, issues = parse_batch(body)
        if issues:
            listed = ", ".join(map(str, issues))
            return JSONResponse({"error": f"Batch validation failed: {listed}"}, 400)
        by_project: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            by_project.setdefault(event["project_id"], []).append(event)
        results = [self._store(key, project, held) for project, held in by_project.items()]
        errors = sum(len(result["errors"]) for result in results)
        return JSONResponse(
            {
                "success": errors == 0,
                "total_processed": sum(result["processed"] for result in results),
                "total_errors": errors,
                "results": results,
            }
        )

    def _store(self, key: str, project: str, events: list[dict[str, Any]]) -> dict[str, Any]:
        """Store one project's events and return its part of the answer."""
        errors = []
        stored = []
        if self._may_write(key, project):
            for event in events:
                if reasons := refusals(event):
                    listed = ", ".join(reasons)
                    errors.append(f"Event {event['event_id']}: Invalid event: {listed}")
                else:
                    stored.append(event)
        else:
            errors.append(_NO_ACCESS)
        with self._lock:
            self._events += stored
        return {
            "projectId": project,
            "success": not errors,
            "processed": len(stored),
            "errors": errors,
        }

    async def _take_one(self, request: Request) -> JSONResponse:
        key = _key(request)
        if key is None:
            return JSONResponse({"error": _BAD_HEADER}, 401)
        try:
            body = _json(await request.body())
        except ValueError:
            return JSONResponse({"error": _NOT_JSON}, 400)
        event, issues = parse_event(body)
        if issues:
            listed = ", ".join(map(str, issues))
            return JSONResponse({"error": f"Validation failed: {listed}"}, 400)
        project = request.path_params["project"]
        if event["project_id"] != project:
            text = "project_id in event does not match URL parameter"
            return JSONResponse({"error": text}, 400)
        result = self._store(key, project, [event])
        if result["errors"]:
            return JSONResponse({"error": result["errors"][0]}, 400)
        return JSONResponse({"success": True, "event_id": event["event_id"]})

    async def _health(self, request: Request) -> JSONResponse:
        key = _key(request)
        if key is None or not self._may_write(key, request.path_params["project"]):
            return JSONResponse({"error": _NO_ACCESS if key else _BAD_HEADER}, 401)
        return JSONResponse({"status": "healthy"})

    def _may_write(self, key: str, project: str) -> bool:
        allowed = self._keys.get(key, ())
        return project in allowed or allowed is EVERY_PROJECT


def _key(request: Request) -> str | None:
    """Return the key of `Authorization: Bearer <key>`, spelled exactly so."""
    scheme, blank, key = request.headers.get("authorization", "").partition(" ")
    return key if scheme == "Bearer" and blank and key else None


def _json(raw: bytes) -> Any:
    """Read JSON as JavaScript does: replace bad UTF-8, skip a BOM, know no NaN."""

    def no_constant(token: str) -> Any:
        raise ValueError(token)

    return json.loads(raw.decode("utf-8-sig", "replace"), parse_constant=no_constant)


class _Witness:
    """Notes every request, also those a fault took."""

    def __init__(self, app: ASGIApp, remember: Callable[[SeenRequest], None]) -> None:
        self._app = app
        self._remember = remember

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = time.monotonic()
        chunks: list[bytes] = []
        transport = send.__self__.transport  # type: ignore[attr-defined]
        noted = False

        def note() -> None:
            nonlocal noted
            if not noted:
                noted = True
                headers = {k.decode().lower(): v.decode("latin-1") for k, v in scope["headers"]}
                body = b"".join(chunks)
                method, path = scope["method"], scope["path"]
                self._remember(SeenRequest(method, path, headers, body, arrived, witness.status))

        witness = _Sender(send, transport, note)

        async def noting_receive() -> Message:
            message = await receive()
            chunks.append(message.get("body", b""))
            return message

        try:
            await self._app(scope, noting_receive, witness.send)
        finally:
            note()


class _Sender:
    """A `send` that notes the status and keeps the way to the connection that faults need."""

    def __init__(self, send: Send, transport: Any, note: Callable[[], None]) -> None:
        self.transport = transport
        self.status: int | None = None
        self._send = send
        self._note = note

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif not message.get("more_body"):
            self._note()  # before the client has its answer and looks
        await self._send(message)
