"""A line for every request: what it was and what came of it, and nothing of what it said."""

import logging
import sys
import threading
import time
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any, Final, Literal, TextIO

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmobs.server.metrics import Requests

__all__ = ["AccessLog", "Form", "log_to_stdout"]

Form = Literal["text", "json", "off"]
"""How lines are written: for people, for programs, or not at all."""

MAX_LINES: Final = 10_000
"""That wait to be written."""
UNKNOWN: Final = "-"
"""The route of a path that is none: it may hold anything, a key for instance."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

logger = logging.getLogger("llmobs.access")


class AccessLog:
    """
    ASGI middleware, the outermost: counts and logs every request.

    Args:
        app: What answers.
        form: How lines are written.
        requests: Where they are counted.
    """

    def __init__(self, app: ASGIApp, *, form: Form, requests: Requests) -> None:
        self._app = app
        self._form = form
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 500
        taken = sent = 0

        async def count_received() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            return message

        async def count_sent(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        state = scope.setdefault("state", {})
        try:
            await self._app(scope, count_received, count_sent)
        finally:
            seconds = time.perf_counter() - begun
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            route = getattr(scope.get("route"), "path", None) or UNKNOWN
            self._requests.count(method, route, status, seconds)
            if self._form != "off":
                access = state.get("access")
                self._log(
                    {
                        "method": method,
                        "route": route,
                        "status": status,
                        "ms": round(seconds * 1000, 1),
                        "bytes": taken,
                        "sent": sent,
                        "events": state.get("events", 0),
                        "key": getattr(access, "key", None),
                    }
                )

    def _log(self, line: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._form == "json":
            text = msgspec.json.encode({"time": now, **line}).decode()
        else:
            text = (
                f"{now} {line['method']} {line['route']} {line['status']} {line['ms']}ms"
                f" {line['bytes']}B {line['events']} events key {line['key'] or UNKNOWN}"
            )
        logger.info("%s", text)


class _Lines(logging.Handler):
    """Writes from a thread of its own: who does not read our output holds up no request."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        self._left_out = 0
        self._thread = threading.Thread(target=self._write, name="llmobs-access-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the line over, or leave it out where too many wait."""
        if self._waiting.qsize() >= MAX_LINES:
            self._left_out += 1
            return
        if self._left_out:
            self._waiting.put(f"{self._left_out} lines were left out: nobody read them in time")
            self._left_out = 0
        self._waiting.put(record.getMessage())

    def _write(self) -> None:
        while (line := self._waiting.get()) is not None:
            try:
                self._stream.write(f"{line}\n")
                if self._waiting.empty():
                    self._stream.flush()
            except (OSError, ValueError):  # the reader is gone; requests go on
                return

    def close(self) -> None:
        """Write what waits, for as long as that takes no longer than a second."""
        self._waiting.put(None)
        self._thread.join(1.0)
        super().close()


def log_to_stdout() -> None:
    """Write the lines to standard output, as they are."""
    logger.handlers = [_Lines(sys.stdout)]  # closed by `logging.shutdown`, when the process ends
    logger.propagate = False
    logger.setLevel(logging.INFO)
