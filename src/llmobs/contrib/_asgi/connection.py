"""One connection: what is sent over it, how it ended, and the run event that says so."""

import sys
import time
from collections.abc import Awaitable

from llmobs.capture.tracker import Tracker
from llmobs.contrib._asgi.protocol import Message, Scope, Send
from llmobs.contrib._asgi.routes import route_of
from llmobs.contrib._web.ending import Ending

__all__ = ["Connection"]


class Connection(Ending):
    """
    What the middleware keeps about one connection.

    Args:
        tracker: The connection's run.
        scope: Its scope.
        send: The server's function.
        header: Name of the answer's header that has the run's id; None for none.
    """

    __slots__ = ("_header", "_send", "root_path", "scope", "send")

    def __init__(self, tracker: Tracker, scope: Scope, send: Send, header: bytes | None) -> None:
        super().__init__(tracker)
        self.scope = scope
        root_path = scope.get("root_path")
        self.root_path = root_path if isinstance(root_path, str) else ""
        self._header = header
        self._send = send
        self.send = self._send_http if tracker.kind == "http" else self._send_websocket

    # Not a coroutine function: it returns the server's own awaitable, which costs nothing per chunk.
    # That of WebSockets is one: Channels runs it from threads, and asgiref warns where it is none.

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

    async def _send_websocket(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            message = self._start(message, 101)
        elif kind == "websocket.http.response.start":
            message = self._start(message, message.get("status"))
        elif kind == "websocket.close" and self.status is None:
            self.status = 403  # what servers answer to a handshake that was closed, not accepted
        await self._send(message)

    def _start(self, message: Message, status: int | None) -> Message:
        self.status = status
        run_id, header = self.answered_id(), self._header
        if header is None or run_id is None:
            return message
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

    def client_left(self) -> bool:
        """Whether `error` only says that the client is gone."""
        error = self.error
        if error is None:
            return False
        # How Starlette and FastAPI tell an application that its client is gone.
        kinds = (
            getattr(sys.modules.get("starlette.requests"), "ClientDisconnect", None),
            getattr(sys.modules.get("starlette.websockets"), "WebSocketDisconnect", None),
        )
        return isinstance(error, tuple(kind for kind in kinds if kind is not None))

    def record(self, always: bool) -> None:
        """Record the run; *always*: even if nothing happened in it."""
        scope, kind = self.scope, self.tracker.kind
        method = scope.get("method") if kind == "http" else None
        route = route_of(scope, self.root_path)
        self.finish(always, method, route, " ".join(filter(None, (method or kind, route))))
