"""
Those who watch a store: however many, it is looked at once, and each is told what is new to them.

There is no task behind it that somebody would have to start and to end: of those who wait, one looks for
all, and another goes on when that one leaves.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, Final

import anyio

from llmobs.answers.asked import Asked
from llmobs.answers.live import News, Now, news, now, opened, sealed
from llmobs.errors import SinkUnavailableError, StoreError
from llmobs.runtime.troubles import Troubles
from llmobs.store.engine import ReadsStore
from llmobs.viewer.live import news_as_json
from llmobs.viewer.page import Site

__all__ = ["FULL", "RETRY_SECONDS", "SLOW_SECONDS", "WATCHERS", "Watching", "say_late"]

WATCHERS: Final = 50
"""That watch one store in one process; more are asked to come again."""
RETRY_SECONDS: Final = 3
"""After which a browser comes again that lost us."""
BUSY_SECONDS: Final = 0.25
"""Between two looks, while there is something new."""
IDLE_SECONDS: Final = 0.5
"""While there is not: what is recorded is seen within a second."""
SHARE: Final = 4
"""Times as long as a look took, nobody looks again: those who write have the processor meanwhile."""
BEAT_SECONDS: Final = 10.0
"""Between two signs of life."""
LIFE_SECONDS: Final = 60.0
"""That somebody watches at a stretch. Then they come again where they were: whether they may is asked anew."""
SLOW_SECONDS: Final = 10.0
"""In which what somebody is told must be taken."""
MAX_CURSOR: Final = 200
"""Characters."""

FULL: Final = f"{WATCHERS} watch already; this page tries again"
"""What one more is told."""

_AGAIN: Final = b"retry: 100\n\n"
_BEGIN: Final = f"retry: {RETRY_SECONDS * 1000}\n\n".encode()

_troubles = Troubles()

MayStay = Callable[[], Awaitable[bool]]


class _Watcher:
    """Somebody who watches."""

    __slots__ = ("asked", "cursor", "is_late", "message", "sending", "since", "site", "word")

    def __init__(self, asked: Asked, site: Site, cursor: str | None) -> None:
        self.asked = asked
        self.site = site
        self.cursor = cursor
        """Where they were before, until that is known."""
        self.since: Now | None = None
        self.message: bytes = b""
        """What they are to be told."""
        self.sending: float | None = None
        """When they were told something that they have not taken yet."""
        self.word = ""
        """How far they were told, as they say it when they come again."""
        self.is_late = False
        """Whether they had too long for that, and somebody else has their place."""

    @property
    def kind(self) -> Any:
        """What those have in common who are told the same."""
        return self.asked.where, self.site.base, tuple(self.asked.given.items()), self.since


class Watching:
    """
    Tells what is new to those who watch.

    Args:
        open_store: Opens the store.
        most: How many may watch.
        is_ending: Whether the server is about to end, and waits for those who watch.
    """

    def __init__(
        self,
        open_store: Callable[[], ReadsStore],
        *,
        most: int = WATCHERS,
        is_ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self._open_store = open_store
        self._most = most
        self._is_ending = is_ending
        self._watchers: set[_Watcher] = set()
        self._waiting: set[_Watcher] = set()
        self._turn: anyio.Event | None = None
        self._pause = BUSY_SECONDS
        self.looks = 0
        """How often the store was looked at."""

    def __len__(self) -> int:
        """Count those who watch."""
        return len(self._watchers)

    def has_room(self) -> bool:
        """Whether one more may watch; who did not take for long what they were told makes room."""
        if len(self._watchers) >= self._most:
            until = time.monotonic() - SLOW_SECONDS
            for one in [w for w in self._watchers if w.sending is not None and w.sending < until]:
                one.is_late = True
                self._watchers.discard(one)
                say_late()
        return len(self._watchers) < self._most

    async def stream(
        self, asked: Asked, site: Site, cursor: str | None, may_stay: MayStay | None = None
    ) -> AsyncGenerator[bytes]:
        """
        Yield server-sent events.

        Args:
            asked: Which runs.
            site: Where their pages are.
            cursor: The id of the last event that was received; None or another's: all is told anew.
            may_stay: Asked at each turn whether they may go on.
        """
        watcher = _Watcher(asked, site, (cursor or "")[:MAX_CURSOR] or None)
        self._watchers.add(watcher)
        began = beat = time.monotonic()
        try:
            yield _BEGIN
            while not self._is_ending() and not watcher.is_late:
                if time.monotonic() - began > LIFE_SECONDS:
                    yield _AGAIN
                    return
                await self._next(watcher)
                if may_stay is not None and not await may_stay():
                    yield b"event: over\ndata: You may not see this any longer: reload the page.\n\n"
                    return
                moment = time.monotonic()
                if not watcher.message and moment - beat > BEAT_SECONDS:
                    # An id without data: browsers keep it, and tell no script.
                    watcher.message = f"id: {watcher.word}\n\n".encode()
                if watcher.message:
                    watcher.sending = beat = moment
                    yield watcher.message
                    watcher.sending, watcher.message = None, b""
        finally:
            self._watchers.discard(watcher)

    async def _next(self, watcher: _Watcher) -> None:
        """Wait until the store was looked at again for *watcher*."""
        self._waiting.add(watcher)
        try:
            while watcher in self._waiting:
                if (turn := self._turn) is not None:
                    await turn.wait()
                else:
                    await self._look()
        finally:
            self._waiting.discard(watcher)

    async def _look(self) -> None:
        """Look for all who wait."""
        turn = self._turn = anyio.Event()
        try:
            await anyio.sleep(self._pause)
            waiting = list(self._waiting)
            if not self._is_ending():
                begun = time.monotonic()
                await anyio.to_thread.run_sync(self._read, waiting)
                is_busy = any(one.message for one in waiting)
                least = BUSY_SECONDS if is_busy else min(IDLE_SECONDS, self._pause * 1.5)
                self._pause = min(max(least, SHARE * (time.monotonic() - begun)), 2 * IDLE_SECONDS)
            self._waiting.difference_update(waiting)
        finally:
            self._turn = None
            turn.set()

    def _read(self, waiting: Iterable[_Watcher]) -> None:
        self.looks += 1
        messages: dict[Any, bytes] = {}
        try:
            with self._open_store() as store:
                until = now(store)
                word = sealed(store, until)
                for one in waiting:
                    if one.cursor is not None:
                        one.since, one.cursor = opened(store, one.cursor), None
                    if (kind := one.kind) not in messages:
                        found = news(store, one.asked, one.since, until)
                        messages[kind] = _message(found, word, one)
                    one.message, one.since, one.word = messages[kind], until, word
        except (StoreError, SinkUnavailableError) as error:
            _troubles.log("live", "llmobs: a live page cannot go on: %s", error)
            for one in waiting:
                one.message = b"event: trouble\ndata: The store cannot be read now.\n\n"


def _message(found: News, word: str, watcher: _Watcher) -> bytes:
    if not (found.runs or found.gone or found.whole):
        return b""
    data = news_as_json(found, watcher.asked, watcher.site)
    return b"id: %b\nevent: runs\ndata: %b\n\n" % (word.encode(), data)


def say_late() -> None:
    """Say that somebody was let go."""
    _troubles.log(
        "slow",
        "llmobs: somebody who watches a live page does not take what they are told, and was let go: "
        "their browser comes again",
    )
