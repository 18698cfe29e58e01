"""The application's lifespan, and the client's life in it."""

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final, TypeVar

import anyio
import anyio.lowlevel

from llmobs.client import AsyncClient
from llmobs.contrib._asgi.protocol import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ClientLife", "in_thread", "refuse", "run_lifespan"]

T = TypeVar("T")

logger = logging.getLogger("llmobs")

_STARTED: Final = "lifespan.startup.complete"
_REFUSING: Final = ("django.core.handlers.asgi", "channels.routing")
"""Modules of applications that know no lifespan and say so with a ValueError."""


async def in_thread(build: Callable[[], T]) -> T:
    """Call *build*, which blocks, beside the event loop and beside the application's own threads."""
    return await anyio.to_thread.run_sync(build, limiter=anyio.CapacityLimiter(1))


class ClientLife:
    """
    A client that runs in the server's event loop, in a task of its own.

    Of its own, because the lifespan's task may await nothing once the application has said that
    its shutdown is complete: servers end the loop then, and log whatever is still waiting as a
    failure. Leaving ``async with client`` there would be such a wait.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._task: Any = None
        self._failure: Exception | None = None
        self._listening = anyio.Event()
        self._leave = anyio.Event()
        self._ended = anyio.Event()

    async def start(self) -> None:
        """
        Enter the client.

        Raises:
            Exception: What entering it raised.
        """
        loop: Any = anyio.lowlevel.current_token().native_token
        if isinstance(loop, asyncio.AbstractEventLoop):
            self._task = loop.create_task(self._run(), name="llmobs", context=Context())
        else:
            import trio

            trio.lowlevel.spawn_system_task(self._run, name="llmobs")
        try:
            await self._listening.wait()
        except BaseException:
            await self.end()
            raise
        if self._failure is not None:
            raise self._failure

    async def _run(self) -> None:
        try:
            async with self._client:
                self._listening.set()
                await self._leave.wait()
        except Exception as error:
            self._failure = error
            if self._listening.is_set():
                logger.exception("llmobs: the client ended early")
        finally:
            self._listening.set()
            self._ended.set()

    async def end(self) -> None:
        """Deliver what is queued and leave the client; awaits nothing the second time."""
        self._leave.set()
        if not self._ended.is_set():
            with anyio.CancelScope(shield=True):
                await self._ended.wait()


async def run_lifespan(
    app: ASGIApp, life: ClientLife, scope: Scope, receive: Receive, send: Send
) -> Any:
    """Run *app*'s lifespan and end *life* before the server hears of the end."""
    asked: set[str] = set()
    answered: set[str] = set()
    called = False

    async def receive_and_note() -> Message:
        nonlocal called
        called = True
        message = await receive()
        asked.add(message["type"])
        return message

    async def deliver_then_send(message: Message) -> None:
        answered.add(message["type"])
        if message["type"] != _STARTED:
            # Servers end the process right after this message: deliver before, not after.
            await life.end()
        await send(message)

    result = None
    try:
        result = await app(scope, receive_and_note, deliver_then_send)
    except Exception as error:
        if called or answered or not _knows_no_lifespan(error):
            raise
        logger.info(
            "llmobs: the application knows no lifespan (%s); the middleware answers the server",
            error,
        )
    # An application may ignore its lifespan, or the end of it: the client has one all the same.
    if "lifespan.shutdown" not in asked and (not called or _STARTED in answered):
        await _answer(receive, deliver_then_send)
    return result


def _knows_no_lifespan(error: Exception) -> bool:
    # Not by its words, which change, but by who raised it.
    if not isinstance(error, ValueError) or error.__traceback__ is None:
        return False
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_globals.get("__name__") in _REFUSING


async def _answer(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def refuse(problem: Exception, receive: Receive, send: Send) -> None:
    """
    Let the server refuse to start, with the words of *problem*.

    As Starlette does when its lifespan fails: the answer first, which servers log, then the
    exception, which test clients raise.
    """
    await receive()
    await send({"type": "lifespan.startup.failed", "message": f"llmobs: {problem}"})
    raise problem
