"""The life of an `llmobs.AsyncClient` in its caller's event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio
import anyio.lowlevel

from llmobs.pipeline.wakeup import start_task
from llmobs.runtime.troubles import foreign_code

__all__ = ["Life", "Stopping"]


class Stopping(Protocol):
    """An event of the loop that the workers run in."""

    async def wait(self) -> object:
        """Wait until it is set."""


class Life:
    """
    The task that runs a client's workers.

    It is nobody's child: whoever enters the client may be cancelled, now or later, and another task
    may leave it. Only `stop`, and the end of the event loop, end it.

    Args:
        serve: Runs the workers: says when they listen, and delivers what is left once told to stop.
        ended: Called with this when it has ended.
    """

    def __init__(
        self,
        serve: Callable[[Callable[[], object], Stopping], Awaitable[None]],
        ended: Callable[[Life], object],
    ) -> None:
        self._serve = serve
        self._tell_ended = ended
        self._loop: Any = anyio.lowlevel.current_token()
        self._scope = anyio.CancelScope()
        self._stopping = anyio.Event()
        self._ready = anyio.Event()
        self._ended = anyio.Event()
        self._failure: Exception | None = None
        self._task: object = None

    async def start(self, warm_up: Callable[[], Awaitable[None]]) -> None:
        """Begin, and wait until the workers listen; if that fails or is cancelled, it has ended."""
        try:
            await warm_up()
            self._task = start_task(self._run)
            await self._ready.wait()
        except BaseException:
            self._scope.cancel()
            if self._task is None:
                self._end()
            with anyio.CancelScope(shield=True):
                await self._ended.wait()
            raise

    async def stop(self) -> None:
        """Deliver what is queued, and end."""
        if self._loop != anyio.lowlevel.current_token():
            raise RuntimeError(
                "this AsyncClient runs in another event loop: leave it where it was entered "
                "(with pytest-asyncio, give the fixture and its tests the same loop_scope)"
            )
        self._stopping.set()
        # The host may be cancelled, again and again: delivering goes on, with deadlines of its own.
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
        if self._failure is not None:
            raise self._failure

    async def _run(self) -> None:
        try:
            with self._scope, foreign_code("run the workers"):
                await self._serve(self._ready.set, self._stopping)
        except Exception as error:  # noqa: BLE001 - in our own tests
            self._failure = error
        except BaseExceptionGroup as group:
            # A signal's handler ends the program: event loops know these only by themselves.
            ends = group.subgroup((SystemExit, KeyboardInterrupt))
            while ends is not None and isinstance(first := ends.exceptions[0], BaseExceptionGroup):
                ends = first
            raise group if ends is None else ends.exceptions[0] from None
        finally:
            self._end()

    def _end(self) -> None:
        self._tell_ended(self)
        self._ready.set()
        self._ended.set()
