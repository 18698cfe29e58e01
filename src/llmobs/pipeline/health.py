"""How a sink fares: what failed last, how often in a row, and how long to leave it alone."""

import random
from typing import Final

from llmobs.errors import (
    LLMObsError,
    SinkError,
    SinkMisconfiguredError,
    SinkUnauthorizedError,
)
from llmobs.pipeline.delivery import SinkCrashError
from llmobs.pipeline.statistics import SinkState

__all__ = ["Health", "backoff"]

DOWN_AFTER: Final = 3
"""Failed attempts in a row after which a sink counts as down,"""
LONG_PAUSE: Final = 5.0
"""and at once if it asks for a pause of so many seconds."""


BASE: Final = 0.2
"""Upper end of the first pause, in seconds."""
CEILING: Final = 30.0
"""Longest pause of our own choice, in seconds."""
MAX_RETRY_AFTER: Final = 300.0
"""Longest pause a sink can ask for, in seconds: a broken clock must not silence us for a day."""
UNAUTHORIZED_PAUSE: Final = 60.0
"""Seconds between attempts while only a hand can mend the sink: a wrong key, a wrong URL."""

_random = random.Random()  # noqa: S311 - jitter; a generator of our own leaves the host's state alone


def backoff(attempt: int, retry_after: float | None = None) -> float:
    """
    Return the seconds to wait before trying again.

    Uniform between 0 and ``min(30, 0.2 * 2**(attempt - 1))`` ("full jitter", from the AWS
    Architecture Blog's comparison of backoff schemes); never sooner than the sink asked for.

    Args:
        attempt: Failed attempts so far, from 1.
        retry_after: Seconds the sink asked for, at most 300 of which are honoured.
    """
    pause = _random.uniform(0, min(CEILING, BASE * 2 ** min(attempt - 1, 16)))
    if retry_after is not None:
        # Jitter on top, so that many clients told the same time do not come back together.
        pause += min(max(retry_after, 0.0), MAX_RETRY_AFTER)
    return pause


class Health:
    """What is known of a sink from the attempts so far."""

    def __init__(self) -> None:
        self.retries = 0
        """Failed attempts, of all times."""
        self.succeeded()

    def succeeded(self) -> None:
        """Note that it took something."""
        self.error: LLMObsError | None = None
        """Why the last attempt failed; None if it did not."""
        self._failures = 0

    def failed(self, error: LLMObsError) -> None:
        """Note that an attempt ended with *error*."""
        self.error = error
        self._failures += 1
        self.retries += 1

    @property
    def is_hopeless(self) -> bool:
        """Whether only a hand mends it: a wrong key or URL, a damaged store, a missing package."""
        if isinstance(self.error, SinkUnauthorizedError | SinkMisconfiguredError):
            return True
        return self.error is not None and not isinstance(self.error, SinkError | SinkCrashError)

    @property
    def is_down(self) -> bool:
        """Whether events should rather go to disk than wait for it."""
        return self._failures >= DOWN_AFTER or self._asked >= LONG_PAUSE or self.is_hopeless

    @property
    def _asked(self) -> float:
        return getattr(self.error, "retry_after", None) or 0.0

    @property
    def state(self) -> SinkState:
        """What to call it while it is left alone."""
        unauthorized = isinstance(self.error, SinkUnauthorizedError)
        return SinkState.UNAUTHORIZED if unauthorized else SinkState.RETRYING

    def pause(self) -> float:
        """Return the seconds to leave it alone before the next attempt."""
        return UNAUTHORIZED_PAUSE if self.is_hopeless else backoff(self._failures, self._asked)
