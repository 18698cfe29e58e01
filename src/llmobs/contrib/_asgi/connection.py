"""One connection: what is sent over it, how it ended, and the run event that says so."""

import sys
import time
from collections.abc import Awaitable
from typing import Any

from llmobs.contrib._asgi.origin import LateTracker
from llmobs.contrib._asgi.protocol import Message, Scope, Send
from llmobs.contrib._asgi.routes import route_of
from llmobs.events import Status
from llmobs.ids import is_valid_run_id
from llmobs.tracker import Tracker

__all__ = ["Connection"]


class Connection:
    """
    What the middleware keeps about one connection.

    Args:
        tracker: The connection's run.
        scope: Its scope.
        send: The server's function.
        header: Name of the answer's header that has the run's id; None for none.
    """

    __slots__ = (
        "_header",
        "_run_id",
        "_send",
        "ended",
        "error",
        "root_path",
        "scope",
        "send",
        "status",
        "tracker",
    )

    def __init__(self, tracker: Tracker, scope: Scope, send: Send, header: bytes | None) -> None:
        self.tracker = tracker
        self.scope = scope
        root_path = scope.get("root_path")
        self.root_path = root_path if isinstance(root_path, str) else ""
        self.status: int | None = None
        self.ended: float | None = None
        self.error: BaseException | None = None
        self._header = header
        self._run_id = tracker.run_id
        self._send = send
        self.send = self._send_http if tracker.kind == "http" else self._send_websocket

    # Not coroutine functions: they return the server's own awaitable, which costs nothing per chunk.

    def _send_http(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "http.response.body" or kind == "http.response.zerocopysend":
            if not message.get("more_body"):
                self.ended = time.perf_counter()
        elif kind == "http.response.start":
            message = self._start(message, message.get("status"))
        elif kind == "http.response.pathsend":
            self.ended = time.perf_counter()
        return self._send(message)

    def _send_websocket(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "websocket.accept":
            message = self._start(message, 101)
        elif kind == "websocket.http.response.start":
            message = self._start(message, message.get("status"))
        elif kind == "websocket.close" and self.status is None:
            self.status = 403  # what servers answer to a handshake that was closed, not accepted
        return self._send(message)

    def _start(self, message: Message, status: int | None) -> Message:
        self.status = status
        tracker, header = self.tracker, self._header
        if type(tracker) is LateTracker and not tracker.adopted:
            tracker.adopt()
        if header is None:
            return message
        run_id = tracker.run_id
        if run_id is not self._run_id and not is_valid_run_id(run_id):
            return message  # the application's own id: recorded as it is, but not fit for a header
        length = len(header)
        try:
            headers = [
                pair
                for pair in message.get("headers") or ()
                if len(pair[0]) != length or pair[0].lower() != header
            ]
        except Exception:  # noqa: BLE001 - no headers at all: the server has the words for it
            return message
        headers.append((header, run_id.encode("ascii")))
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
        route = route_of(scope, self.root_path)
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


def _client_left(error: BaseException | None) -> bool:
    if error is None:
        return False
    # How Starlette and FastAPI tell an application that its client is gone.
    kinds = (
        getattr(sys.modules.get("starlette.requests"), "ClientDisconnect", None),
        getattr(sys.modules.get("starlette.websockets"), "WebSocketDisconnect", None),
    )
    return isinstance(error, tuple(kind for kind in kinds if kind is not None))
