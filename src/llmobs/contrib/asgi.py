"""
The door for ASGI applications: every request and WebSocket is a run.

Pure ASGI: no framework is imported. The middleware object holds the client; everything about one
connection lives in that connection's own objects.
"""

import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, Unpack

import anyio

from llmobs.client import AsyncClient, Recording
from llmobs.context import current_frame, set_frame
from llmobs.errors import ConfigurationError
from llmobs.events import Status
from llmobs.guard import Troubles, internal_errors
from llmobs.ids import MAX_RUN_ID_LENGTH, is_valid_run_id, parse_traceparent
from llmobs.pipeline.wakeup import inside_event_loop
from llmobs.settings import Settings, SettingsKeywords
from llmobs.sync import Client
from llmobs.tracker import Tracker

__all__ = ["ASGIApp", "LLMObsMiddleware", "Message", "Receive", "Scope", "Send", "tracker_of"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

TRACKER_KEY: Final = "llmobs.tracker"
"""Where a connection's scope carries its tracker."""
LIFESPAN_KEY: Final = "llmobs.lifespan"

_troubles = Troubles()


def tracker_of(scope: Scope) -> Tracker | None:
    """Return the tracker of a connection; None if no middleware of ours saw it."""
    tracker = scope.get(TRACKER_KEY)
    return tracker if isinstance(tracker, Tracker) else None


class LLMObsMiddleware:
    """
    Gives every request and WebSocket a run, and owns the client through the app's lifespan.

    The run's id is taken from the request's ``x-run-id`` header, else from ``x-request-id`` (both
    only if well-formed), else made; it is answered in the response header. A W3C ``traceparent``
    or an active OpenTelemetry span gives the run its trace.

    Args:
        app: The application.
        client: A client you own and close; then no *settings* may be given.
        header_name: Header that carries the run's id, in both directions.
        exclude: Paths that get no run: exact, or a prefix if it ends in ``*``.
        record_empty: Record a run also if nothing was recorded in it.
        settings: Fields of `llmobs.Settings`, for a client that the middleware owns.

    Raises:
        ConfigurationError: A setting is wrong, or both *client* and *settings* are given.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        client: Recording | None = None,
        header_name: str = "x-run-id",
        exclude: Iterable[str] = (),
        record_empty: bool = False,
        **settings: Unpack[SettingsKeywords],
    ) -> None:
        self.app = app
        self._header = header_name.lower().encode("latin-1")
        self._record_empty = record_empty
        self._client = client
        self._owned: AsyncClient | None = None
        self._drain_each_run = False
        self._problem: ConfigurationError | None = None
        try:
            self._configure(client, exclude, settings)
        except ConfigurationError as error:
            # Starlette builds its middleware inside the lifespan call; a server takes an exception
            # there for "knows no lifespan" and goes on. So it is told in the lifespan's own words.
            if not inside_event_loop():
                raise
            self._problem = error

    def _configure(
        self, client: Recording | None, exclude: Iterable[str], settings: SettingsKeywords
    ) -> None:
        if client is not None and settings:
            raise ConfigurationError(
                f"LLMObsMiddleware: give either client= or settings ({', '.join(settings)}), not both"
            )
        if isinstance(exclude, str):
            raise ConfigurationError(
                f"exclude: a list of paths is needed, for instance [{exclude!r}]"
            )
        self._excluded = frozenset(path for path in exclude if not path.endswith("*"))
        self._excluded_prefixes = tuple(path[:-1] for path in exclude if path.endswith("*"))
        self._settings = None if client is not None else Settings(**settings)
        # Built now, so that a wrong setting stops the deployment and not the first request.
        self._owned = None if self._settings is None else AsyncClient(self._settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the lifespan."""
        kind = scope["type"]
        if self._problem is not None:
            await self._live_without_client(self._problem, scope, receive, send)
        elif kind == "http" or kind == "websocket":
            if TRACKER_KEY in scope or self._is_excluded(scope["path"]):
                await self.app(scope, receive, send)
            else:
                await self._serve(scope, receive, send)
        elif kind == "lifespan" and self._owned is not None and LIFESPAN_KEY not in scope:
            scope[LIFESPAN_KEY] = self
            await self._live(self._owned, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_excluded(self, path: str) -> bool:
        return path in self._excluded or (
            bool(self._excluded_prefixes) and path.startswith(self._excluded_prefixes)
        )

    # One connection.

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = _Connection(self._open(scope), scope, send, self._header)
        tracker = connection.tracker
        previous = current_frame()
        set_frame(tracker)
        try:
            await self.app(scope, receive, connection.send)
        except BaseException as error:
            connection.error = error
            raise
        finally:
            frame = current_frame()
            if frame is not None and frame.run is tracker:  # itself, or an operation left open
                set_frame(previous)
            always = self._record_empty or connection.failed
            if tracker.recorded or always:
                with internal_errors("record a request"):
                    connection.finish(always)
                if self._drain_each_run:
                    await self._drain(quickly=connection.error is not None)

    def _open(self, scope: Scope) -> Tracker:
        client = self._client or self._start_without_lifespan()
        headers = dict(scope["headers"])
        run_id = None
        for name in (self._header, b"x-request-id"):
            value = headers.get(name)
            if value is not None and len(value) <= MAX_RUN_ID_LENGTH:
                text = value.decode("latin-1")
                if is_valid_run_id(text):
                    run_id = text
                    break
        tracker = Tracker(client, run_id)
        tracker.kind = scope["type"]
        traceparent = headers.get(b"traceparent")
        if traceparent is not None and (parent := parse_traceparent(traceparent.decode("latin-1"))):
            tracker.trace_id, tracker.span_id = parent.trace_id, parent.span_id
        opentelemetry = sys.modules.get("opentelemetry.trace")
        if opentelemetry is not None:
            _adopt_active_span(tracker, opentelemetry)
        scope[TRACKER_KEY] = tracker
        return tracker

    # The client's life.

    def _start_without_lifespan(self) -> Recording:
        assert self._settings is not None
        _troubles.log(
            "no-lifespan",
            "llmobs: the server runs no lifespan; events are delivered from a thread, "
            "after each request",
        )
        self._client = Client(self._settings)
        self._drain_each_run = True
        return self._client

    async def _live_without_client(
        self, problem: ConfigurationError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": f"llmobs: {problem}"})
            return
        # A server without a lifespan: the application serves, unobserved.
        _troubles.log(
            "misconfigured", "llmobs: nothing is recorded: %s", problem, level=logging.ERROR
        )
        await self.app(scope, receive, send)

    async def _drain(self, *, quickly: bool) -> None:
        # The server waits for this task when it shuts down, and nothing else would hold it back
        # until the events are delivered. Nobody else waits for it, as the body is out; unless the
        # application failed: then the framework has yet to answer, or the server to hang up.
        client = self._client
        if isinstance(client, Client):
            with internal_errors("deliver after a request"), anyio.CancelScope(shield=True):
                await client.drain(1.0 if quickly else client.settings.shutdown_timeout)

    async def _live(self, client: AsyncClient, scope: Scope, receive: Receive, send: Send) -> None:
        answered: set[str] = set()
        asked: set[str] = set()

        async def receive_and_note() -> Message:
            message = await receive()
            asked.add(message["type"])
            return message

        async def deliver_then_send(message: Message) -> None:
            answered.add(message["type"])
            if message["type"] != "lifespan.startup.complete":
                # Servers end the process right after this message: deliver before, not after.
                with internal_errors("deliver at shutdown"):
                    await client.aclose()
            await send(message)

        async with client:
            self._client = client
            self._drain_each_run = False
            try:
                try:
                    await self.app(scope, receive_and_note, deliver_then_send)
                except Exception:
                    if asked:
                        raise
                    # The application knows no lifespan (Django): the client has one all the same.
                if not asked and not answered:
                    await _answer_lifespan(receive, deliver_then_send)
            finally:
                # Servers go on without a lifespan that failed: later requests start lazily.
                self._client = None


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


class _Connection:
    """What the middleware keeps about one connection."""

    __slots__ = (
        "_header",
        "_send",
        "_value",
        "ended",
        "error",
        "root_path",
        "scope",
        "send",
        "status",
        "tracker",
    )

    def __init__(self, tracker: Tracker, scope: Scope, send: Send, header: bytes) -> None:
        self.tracker = tracker
        self.scope = scope
        self.root_path = scope.get("root_path", "")
        self.status: int | None = None
        self.ended: float | None = None
        self.error: BaseException | None = None
        self._header = header
        self._send = send
        self.send = self._send_http if tracker.kind == "http" else self._send_websocket

    # Not coroutine functions: they return the server's own awaitable, which costs nothing per chunk.

    def _send_http(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "http.response.body" or kind == "http.response.zerocopysend":
            if not message.get("more_body"):
                self.ended = time.perf_counter()
        elif kind == "http.response.start":
            self.status = message["status"]
            message = self._with_run_id(message)
        elif kind == "http.response.pathsend":
            self.ended = time.perf_counter()
        return self._send(message)

    def _send_websocket(self, message: Message) -> Awaitable[None]:
        if message["type"] == "websocket.accept":
            self.status = 101
            message = self._with_run_id(message)
        elif message["type"] == "websocket.http.response.start":
            self.status = message["status"]
            message = self._with_run_id(message)
        elif message["type"] == "websocket.close" and self.status is None:
            self.status = 403  # what servers answer to a handshake that was closed, not accepted
        return self._send(message)

    def _with_run_id(self, message: Message) -> Message:
        headers = [pair for pair in message.get("headers") or () if pair[0] != self._header]
        headers.append((self._header, self.tracker.run_id.encode("latin-1")))
        return {**message, "headers": headers}

    @property
    def failed(self) -> bool:
        """Whether it ended in an exception of the application, or in an answer of 500 or more."""
        if isinstance(self.error, Exception):
            return not _client_left(self.error)
        return self.status is not None and self.status >= 500

    def finish(self, always: bool) -> None:
        """Record the run: it ended when the body did, whatever background tasks did after."""
        scope, tracker = self.scope, self.tracker
        method = scope.get("method") if tracker.kind == "http" else None
        route = _route_of(scope, self.root_path)
        if tracker.name is None:
            tracker.name = " ".join(filter(None, (method or tracker.kind, route)))
        left = _client_left(self.error)
        if self.status is None and isinstance(self.error, Exception) and not left:
            self.status = 500  # what the server, or the framework outside us, answers
        ended = self.ended if self.ended is not None else time.perf_counter()
        tracker.finish(
            error=self.error,
            latency_ms=(ended - tracker.started) * 1000,
            always=always,
            method=method,
            route=route,
            http_status=self.status,
            **self._status(left),
        )

    def _status(self, left: bool) -> dict[str, Any]:
        if left:
            return {"status": Status.CANCELLED}
        if self.error is not None:
            return {}
        if self.status is not None and self.status >= 500:
            return {"status": Status.ERROR}
        if self.tracker.kind == "http" and self.status is not None and self.ended is None:
            return {"status": Status.CANCELLED}  # the client left before the body was complete
        return {}


def _route_of(scope: Scope, root_path: str) -> str | None:
    # FastAPI's routes know the prefix of their own router only; what they were included under
    # stands beside them in the scope (0.165; older versions copied routes with the whole path).
    included = scope.get("fastapi")
    context = included.get("effective_route_context") if isinstance(included, dict) else None
    path = getattr(context, "path", None) or getattr(scope.get("route"), "path", None)
    if not isinstance(path, str):
        return None
    # Mounts move what they consumed of the path to the end of `root_path`.
    return str(scope.get("root_path", ""))[len(root_path) :] + path


def _client_left(error: BaseException | None) -> bool:
    if error is None:
        return False
    # How Starlette and FastAPI tell an application that its client is gone.
    kinds = (
        getattr(sys.modules.get("starlette.requests"), "ClientDisconnect", None),
        getattr(sys.modules.get("starlette.websockets"), "WebSocketDisconnect", None),
    )
    return isinstance(error, tuple(kind for kind in kinds if kind is not None))


def _adopt_active_span(tracker: Tracker, opentelemetry: Any) -> None:
    with internal_errors("read the active OpenTelemetry span"):
        context = opentelemetry.get_current_span().get_span_context()
        if context.is_valid:
            tracker.trace_id = f"{context.trace_id:032x}"
            tracker.span_id = f"{context.span_id:016x}"
