"""When to try again: exponential backoff with full jitter. Pure."""

import random
from typing import Final

__all__ = ["MAX_RETRY_AFTER", "UNAUTHORIZED_PAUSE", "backoff"]

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
