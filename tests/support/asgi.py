"""Call an ASGI application as a server does, message by message."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


def http_scope(
    path: str = "/",
    *,
    method: str = "GET",
    headers: Iterable[tuple[bytes, bytes]] = (),
    **more: Any,
) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        **more,
    }


async def call(
    app: Any, scope: dict[str, Any] | None = None, send: Send | None = None
) -> list[Message]:
    """Send one request without a body, and return the messages of the answer."""
    sent: list[Message] = []
    requests = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if requests:
            return requests.pop()
        await anyio.sleep_forever()
        raise AssertionError

    async def keep(message: Message) -> None:
        sent.append(message)
        if send is not None:
            await send(message)

    await app(http_scope() if scope is None else scope, receive, keep)
    return sent


class Lifespan:
    """Drive an application's lifespan as a server does."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.scope: dict[str, Any] = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": {},
        }
        self.answers: list[Message] = []
        self.on_answer: Callable[[Message], None] = lambda message: None

    async def run(self, *requests: str) -> list[Message]:
        """Send these requests (`startup`, `shutdown`), and return the answers when the app ends."""
        waiting = [{"type": f"lifespan.{name}"} for name in requests]

        async def receive() -> Message:
            if waiting:
                return waiting.pop(0)
            await anyio.sleep_forever()
            raise AssertionError

        async def send(message: Message) -> None:
            self.on_answer(message)
            self.answers.append(message)

        await self.app(self.scope, receive, send)
        return self.answers

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.answers]
