"""An event loop for threads of our own: it resolves host names without holding up what else runs in it."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

__all__ = ["OwnLoop"]

T = TypeVar("T")

MAX_LOOKUPS: Final = 8
"""Look-ups under way at once; further ones wait for an answer, or for their own deadline."""


class OwnLoop(asyncio.SelectorEventLoop):
    """
    Resolves names in threads of its own, which hold up neither the loop nor the end of the process.

    The threads of the standard loop's executor are joined at the end, however long DNS takes, and
    are gone while the interpreter exits. Where none can be started, names are resolved in place:
    the only loops left then are those that deliver what is still queued.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[Any, asyncio.Future[Any]] = {}
        self._free = asyncio.Semaphore(MAX_LOOKUPS)

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        """As `socket.getaddrinfo`; several that ask the same wait for one look-up."""
        key = args, tuple(sorted(kwargs.items()))
        lookup = self._lookups.get(key)
        if lookup is None:
            async with self._free:
                lookup = self._lookups.get(key) or self._start(key, *args, **kwargs)
        return await asyncio.shield(lookup)  # who gives up waiting leaves it to the others

    def _start(self, key: Any, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        lookup: asyncio.Future[Any] = self.create_future()
        lookup.add_done_callback(_note)
        self._lookups[key] = lookup

        def tell(settle: Callable[[Any], None], outcome: Any) -> None:
            self._lookups.pop(key, None)
            if not lookup.done():
                settle(outcome)

        def work() -> None:
            try:
                settle, outcome = lookup.set_result, socket.getaddrinfo(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - handed to who asked
                settle, outcome = lookup.set_exception, error  # type: ignore[assignment]
            with suppress(RuntimeError):  # the loop is closed
                self.call_soon_threadsafe(tell, settle, outcome)

        try:
            threading.Thread(target=work, name="llmobs-dns", daemon=True).start()
        except RuntimeError:  # "can't start new thread", "... at interpreter shutdown"
            work()
        return lookup


def _note(lookup: asyncio.Future[Any]) -> None:
    if not lookup.cancelled():
        lookup.exception()  # that nobody waits for it any more is no news
