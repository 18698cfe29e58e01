"""A stream of server-sent events, to whoever takes them in time."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from llmobs.viewer.page import HEADERS
from llmobs.viewer.watching import SLOW_SECONDS, say_late

__all__ = ["EventStream"]


class EventStream(Response):
    """
    Answers with what *chunks* yields, until it ends, the client leaves, or does not take it.

    Args:
        chunks: Closed with the answer.
    """

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncGenerator[bytes]) -> None:
        # nginx would keep back what is short.
        super().__init__(headers={**HEADERS, "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        error: Exception | None = None
        async with anyio.create_task_group() as tasks:

            async def leave() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(leave)
            try:
                await self._send(send)
            except Exception as raised:  # noqa: BLE001 - raised below, outside the group
                error = raised
            tasks.cancel_scope.cancel()
        if error is not None:
            raise error

    async def _send(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async with aclosing(self._chunks) as chunks:
            async for chunk in chunks:
                body = {"type": "http.response.body", "body": chunk, "more_body": True}
                with anyio.move_on_after(SLOW_SECONDS) as taking:
                    await send(body)
                if taking.cancelled_caught:
                    say_late()
                    return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
