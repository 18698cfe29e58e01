"""
The client of an application whose server runs no lifespan: a thread delivers.

Nothing tells it when the server shuts down, but servers wait for the tasks of requests: so one
request at a time, the one that ended last, waits after its body is out until what was recorded
is delivered.
"""

import _thread
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import anyio

from llmobs.client.sync_client import Client
from llmobs.pipeline.statistics import SinkState, Statistics
from llmobs.pipeline.wakeup import call_soon_threadsafe
from llmobs.runtime.troubles import internal_errors

__all__ = ["FAILED_SECONDS", "UnattendedClient", "close_aside"]

FAILED_SECONDS: Final = 0.1
"""How long a request waits that failed: the framework has yet to answer it."""
TURN_SECONDS: Final = 1.0
"""How long a request waits for the others too, before the next that ends takes its place."""
LOOK_SECONDS: Final = 0.05
"""How often the waiting request looks whether the sink has gone down."""
_AWAY: Final = frozenset({SinkState.RETRYING, SinkState.UNAUTHORIZED, SinkState.CLOSED})


class _Turn:
    """One request's turn to wait; requests may run in event loops of their own, in test clients."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.again = True
        """Whether others have recorded something since it last looked."""
        self.scope = anyio.CancelScope(shield=True)
        self._schedule = call_soon_threadsafe()

    def end(self) -> None:
        """Let the request go; from any thread."""
        self._schedule(self.scope.cancel)


class UnattendedClient:
    """
    A sync client, and the requests that wait for it.

    Args:
        client: What delivers.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._turn: _Turn | None = None
        self._settled = 0
        self._waiting_since: float | None = None

    def close_with(self, owner: object) -> None:
        """Close the client when *owner* goes: an application per test, say."""
        finalizer = weakref.finalize(owner, close_aside, self.client)
        finalizer.atexit = False  # the client's own exit hook is there for that

    async def drain(self, *, failed: bool, most: float = FAILED_SECONDS) -> None:
        """
        Wait until what was recorded is delivered, unless another request does that already.

        Nobody waits while every sink that has something is known to be away, or when none has
        taken anything for the time that closing may take.

        Args:
            failed: Whether the request has yet to be answered by the framework: then not for long.
            most: Seconds to wait at most for one that failed; with 0 a thread delivers meanwhile.
        """
        limit = self.client.settings.shutdown_timeout
        if failed:
            limit = min(limit, most)
            if self._is_worth_waiting(limit):
                with anyio.CancelScope(shield=True):
                    await self._wait(limit)
            elif self._is_in_reach(self.client.statistics()):
                await self.client.drain(0)  # soon: the server may be ending
        elif self._is_worth_waiting(limit):
            before = self._turn
            if before is not None and time.monotonic() - before.began < TURN_SECONDS:
                before.again = True
                return
            self._turn = turn = _Turn()
            if before is not None:
                before.end()
            with turn.scope:
                while turn.again and self._is_worth_waiting(limit):
                    turn.again = False
                    await self._wait(limit)
            if self._turn is turn:
                self._turn = None

    async def _wait(self, limit: float) -> None:
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        async with anyio.create_task_group() as group:
            group.start_soon(self._look, limit, group.cancel_scope.cancel)
            await self.client.drain(limit)
            group.cancel_scope.cancel()

    async def _look(self, limit: float, give_up: Callable[[], None]) -> None:
        while self._is_worth_waiting(limit):  # noqa: ASYNC110 - counters have no event to wait for
            await anyio.sleep(LOOK_SECONDS)
        give_up()

    def _is_worth_waiting(self, limit: float) -> bool:
        counts = self.client.statistics()
        settled = _settled(counts)
        if settled != self._settled or not counts.pending:
            self._settled, self._waiting_since = settled, None
        elif self._waiting_since is not None and time.monotonic() - self._waiting_since >= limit:
            return False
        return self._is_in_reach(counts)

    def _is_in_reach(self, counts: Statistics) -> bool:
        sinks = counts.sinks.values() or (counts,)
        return any(sink.pending and sink.state not in _AWAY for sink in sinks)


def _settled(counts: Statistics) -> int:
    return counts.delivered + counts.total_dropped + counts.spooled


def close_aside(client: Client) -> None:
    """Deliver what *client* has, and end it, without waiting for that."""
    # In a thread, because a finalizer may run anywhere, the event loop included; and not one of
    # `threading`, whose locks the interrupted code may hold.
    with suppress(RuntimeError):  # the interpreter is ending: the exit hook closes it
        _thread.start_new_thread(_close, (client,))


def _close(client: Client) -> None:
    with internal_errors("close the client of a middleware that is gone"):
        client.close()
