"""A plain HTTP/1.1 server on a loopback port that answers what a test tells it to, TLS included."""

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Seen:
    """A request as it came in; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    port: int
    """Of the client's end: the same for two requests on one connection."""


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    endless: bool = False
    """Write the body over and over until the client leaves."""


class ScriptedServer:
    """Answers with `replies` in order, then with `otherwise`; a context manager.

    `respond`, if set, is asked first; it may return None.
    """

    def __init__(self, *, tls: tuple[str, str] | None = None, port: int = 0) -> None:
        self.requests: list[Seen] = []
        self.replies: list[Reply] = []
        self.otherwise = Reply()
        self.respond: Callable[[Seen], Reply | None] = lambda seen: None
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server._serve(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
            self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{self._scheme}://{self.address}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("content-length", 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = handler.rfile.read(length)
        seen = Seen(handler.path, headers, body, handler.client_address[1])
        self.requests.append(seen)
        reply = self.respond(seen) or (self.replies.pop(0) if self.replies else self.otherwise)
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if not reply.endless:
            handler.send_header("content-length", str(len(reply.body)))
        handler.end_headers()
        try:
            handler.wfile.write(reply.body)
            while reply.endless:
                handler.wfile.write(reply.body)
        except OSError:
            handler.close_connection = True
