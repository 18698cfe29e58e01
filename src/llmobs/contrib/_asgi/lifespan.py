"""The application's lifespan, and the client's life in it."""

from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol, TypeVar

import anyio

from llmobs.contrib._asgi.protocol import ASGIApp, Message, Receive, Scope, Send
from llmobs.runtime.log import own_logger

__all__ = ["in_thread", "refuse", "run_lifespan"]

T = TypeVar("T")

logger = own_logger("llmobs")

_STARTED: Final = "lifespan.startup.complete"
_REFUSING: Final = ("django.core.handlers.asgi", "channels.routing")
"""Modules of applications that know no lifespan and say so with a ValueError."""


class Entered(Protocol):
    """What was entered at the start of a lifespan, and is left at its end."""

    async def __aexit__(self, kind: None, error: None, trace: None, /) -> object: ...


async def in_thread(build: Callable[[], T]) -> T:
    """Call *build*, which blocks, beside the event loop and beside the application's own threads."""
    return await anyio.to_thread.run_sync(build, limiter=anyio.CapacityLimiter(1))


async def run_lifespan(
    app: ASGIApp, client: Entered, scope: Scope, receive: Receive, send: Send
) -> Any:
    """
    Run *app*'s lifespan, and leave *client*, which was entered, before the server hears of the end.

    Servers end the loop at that message: what is not delivered by then is lost, and what is still
    awaited by then is logged as a failure of the lifespan.
    """
    asked: set[str] = set()
    answered: set[str] = set()
    called = left = False

    async def leave() -> None:
        nonlocal left
        if not left:
            left = True
            await client.__aexit__(None, None, None)

    async def receive_and_note() -> Message:
        nonlocal called
        called = True
        message = await receive()
        asked.add(message["type"])
        return message

    async def deliver_then_send(message: Message) -> None:
        answered.add(message["type"])
        if message["type"] != _STARTED:
            await leave()
        await send(message)

    result = None
    try:
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
    finally:
        await leave()


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


async def refuse(problem: Exception, receive: Receive, send: Send) -> NoReturn:
    """
    Let the server refuse to start, with the words of *problem*.

    As Starlette does when its lifespan fails: the answer first, which servers log, then the
    exception, which test clients raise.
    """
    await receive()
    await send({"type": "lifespan.startup.failed", "message": f"llmobs: {problem}"})
    raise problem
