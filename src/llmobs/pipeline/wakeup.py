"""Wake a task from any thread, on asyncio and trio."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel

__all__ = ["Wakeup", "call_soon_threadsafe", "inside_event_loop", "start_task"]


def call_soon_threadsafe() -> Callable[[Callable[[], Any]], None]:
    """
    Return a function that schedules a callback in the event loop running now, from any thread.

    It does nothing once that loop is closed.
    """
    # anyio's own `from_thread.run_sync` waits for the result; capture must not wait.
    native: Any = anyio.lowlevel.current_token().native_token
    schedule = getattr(native, "call_soon_threadsafe", None) or native.run_sync_soon

    def call(callback: Callable[[], Any]) -> None:
        # asyncio: "Event loop is closed"; trio.RunFinishedError is a RuntimeError too.
        with suppress(RuntimeError):
            schedule(callback)

    return call


def start_task(function: Callable[[], Coroutine[Any, Any, None]]) -> object:
    """
    Run *function* in a task of the event loop running now that is nobody's child; hold on to what
    is returned. The end of the loop cancels it. It must not raise.
    """
    native: Any = anyio.lowlevel.current_token().native_token
    if hasattr(native, "create_task"):
        return native.create_task(function(), name="llmobs")
    from trio.lowlevel import spawn_system_task

    return spawn_system_task(function, name="llmobs")


def inside_event_loop() -> bool:
    """Tell whether the caller runs in an event loop, and so must not block."""
    try:
        anyio.lowlevel.current_token()
    except RuntimeError:
        return False
    return True


class Wakeup:
    """
    An event that any thread may set and one task waits for. Made inside the task's event loop.
    """

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._schedule = call_soon_threadsafe()
        self._scheduled = False

    def set(self) -> None:
        """Wake the task; from any thread, also when nobody waits."""
        # Unlocked on purpose: a lost race costs one spare callback, never a wake-up, because
        # the flag is cleared (in `_fire`) before the task looks at what it was woken for.
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self._fire)

    def _fire(self) -> None:
        self._scheduled = False
        self._event.set()

    async def wait(self, timeout: float | None = None) -> bool:
        """
        Wait until set, at most *timeout* seconds (None: for ever); tell whether it was set.

        Clears itself, so that the next wait waits for the next `set`.
        """
        with anyio.move_on_after(timeout):
            await self._event.wait()
        was_set = self._event.is_set()
        if was_set:
            self._event = anyio.Event()
        return was_set
