"""
The client of an application whose server runs no lifespan: a thread delivers.

Nothing tells it when the server shuts down, but servers wait for the tasks of requests: so the
request that ended last waits, after its body is out, until what was recorded is delivered.
"""

import _thread
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import anyio

from llmobs.guard import internal_errors
from llmobs.pipeline.statistics import SinkState, Statistics
from llmobs.pipeline.wakeup import call_soon_threadsafe
from llmobs.settings import Settings
from llmobs.sync import Client

__all__ = ["UnattendedClient"]

FAILED_SECONDS: Final = 0.1
"""How long a request waits that failed: the framework has yet to answer it."""
LOOK_SECONDS: Final = 0.05
"""How often the waiting request looks whether the sink has gone down."""
_AWAY: Final = frozenset({SinkState.RETRYING, SinkState.UNAUTHORIZED, SinkState.CLOSED})


class UnattendedClient:
    """
    A sync client that lives as long as the middleware that made it.

    Args:
        settings: What the client is configured with.
        owner: When it goes (an application per test, say), the client is closed.
    """

    def __init__(self, settings: Settings, owner: object) -> None:
        self.client = Client(settings)
        self._release: Callable[[], None] | None = None
        self._gave_up_at: int | None = None
        finalizer = weakref.finalize(owner, _close_aside, self.client)
        finalizer.atexit = False  # the client's own exit hook is there for that

    async def drain(self, *, failed: bool) -> None:
        """
        Wait until what was recorded is delivered, in the place of whoever waits for that already.

        One request at a time waits, and none while every sink that has something is known to be
        away, or has taken nothing since somebody waited in vain.

        Args:
            failed: Whether the request has yet to be answered by the framework: then not for long.
        """
        if not self._is_worth_waiting():
            return
        limit = self.client.settings.shutdown_timeout
        with anyio.CancelScope(shield=True) as scope:
            if failed:
                limit = min(limit, FAILED_SECONDS)
            else:
                self._take_over(scope)
            async with anyio.create_task_group() as group:
                group.start_soon(self._look, group.cancel_scope)
                await self.client.drain(limit)
                group.cancel_scope.cancel()
        if not scope.cancelled_caught:
            counts = self.client.statistics()
            self._gave_up_at = _settled(counts) if counts.pending else None

    def _take_over(self, scope: anyio.CancelScope) -> None:
        # Requests may run in event loops of their own, as those of a test client do.
        schedule = call_soon_threadsafe()
        previous, self._release = self._release, lambda: schedule(scope.cancel)
        if previous is not None:
            previous()

    async def _look(self, scope: anyio.CancelScope) -> None:
        while self._is_worth_waiting():  # noqa: ASYNC110 - counters have no event to wait for
            await anyio.sleep(LOOK_SECONDS)
        scope.cancel()

    def _is_worth_waiting(self) -> bool:
        counts = self.client.statistics()
        if self._gave_up_at is not None and self._gave_up_at == _settled(counts):
            return False
        sinks = counts.sinks.values() or (counts,)
        return any(sink.pending and sink.state not in _AWAY for sink in sinks)


def _settled(counts: Statistics) -> int:
    return counts.delivered + counts.total_dropped + counts.spooled


def _close_aside(client: Client) -> None:
    # In a thread, because a finalizer may run anywhere, the event loop included; and not one of
    # `threading`, whose locks the interrupted code may hold.
    with suppress(RuntimeError):  # the interpreter is ending: the exit hook closes it
        _thread.start_new_thread(_close, (client,))


def _close(client: Client) -> None:
    with internal_errors("close the client of a middleware that is gone"):
        client.close()
