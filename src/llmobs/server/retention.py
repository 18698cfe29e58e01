"""Looks after the store while a collector fills it: what is kept, and for how long."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Protocol

import anyio

from llmobs.errors import ConfigurationError, LLMObsError
from llmobs.runtime.troubles import Troubles
from llmobs.store.engine import WritesStore
from llmobs.store.records import RetentionPolicy

__all__ = ["Retention"]

REST_SECONDS: Final = 10.0
"""Between two looks whether something is too old or too much."""
REST: Final = 4
"""Times as long as what was done, between two steps that nobody is in a hurry for."""
MOST_SECONDS: Final = 0.5
"""At a stretch; who sends waits as long."""
LEAST_BYTES: Final = 1_000_000
"""Below this hardly a run would stay."""


class Upkeep(Protocol):
    """Runs a step in the thread that writes, between two transactions."""

    def __call__(self, step: Callable[[WritesStore], float], /) -> Awaitable[float]:
        """Return what the step returned."""
        ...


class Retention:
    """
    Brings what an older llmobs wrote into this one's form, ends runs whose own span never comes, and
    removes runs, each whole, the oldest first.

    In steps of some ten milliseconds. To remove what is too much takes as much of the writing thread's
    time as it takes to store what comes, at most: else a store would outgrow its limit under load.
    What nobody is in a hurry for takes a fifth. Sums by the hour stay.

    Args:
        upkeep: How a step is run.
        retain: How long runs are kept after they ended. None: for ever.
        max_bytes: How large the store may become. None: as large as it likes.

    Raises:
        ConfigurationError: One of these would keep nothing.
    """

    def __init__(
        self, upkeep: Upkeep, *, retain: timedelta | None = None, max_bytes: int | None = None
    ) -> None:
        if retain is not None and not retain:
            raise ConfigurationError("--retain must be above 0; leave it out to keep all")
        if max_bytes is not None and max_bytes < LEAST_BYTES:
            raise ConfigurationError("--max-size must be 1MB or more; leave it out to keep all")
        self._upkeep = upkeep
        self._retain = retain
        self._max_bytes = max_bytes
        self._troubles = Troubles()

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            rest = REST_SECONDS
            try:
                rest = await self._upkeep(partial(self._turn, time.monotonic()))
            except LLMObsError:
                pass  # what is written next meets it, too, and says so
            except Exception as error:  # noqa: BLE001 - the collector is there for the events
                self._troubles.log("tidy", "llmobs: cannot look after the store: %r", error)
            await anyio.sleep(rest)

    def _turn(self, asked_at: float, writer: WritesStore) -> float:
        """Do some of it, having asked for the turn at *asked_at*; return the seconds until the next one."""
        begun = time.monotonic()
        if writer.adopt(wait=False):
            return REST * (time.monotonic() - begun)
        writer.look_after_spans()
        if self._retain is None and self._max_bytes is None:
            return REST_SECONDS
        # Others have had the thread while this waited for its turn.
        until = begun + min(begun - asked_at, MOST_SECONDS)
        while True:
            since = None if self._retain is None else datetime.now(UTC) - self._retain
            if not writer.prune(RetentionPolicy(since=since, bytes=self._max_bytes), wait=False):
                return REST_SECONDS
            if (now := time.monotonic()) > until:
                return now - until
