"""How many requests somebody may send, however many somebodies there are."""

import time
from collections import OrderedDict
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

__all__ = ["Limit", "neighbourhood"]

WHO: Final = 10_000
"""Somebodies remembered; beyond, those who came longest ago are forgotten, and begin anew."""


class Limit:
    """
    A bucket of tokens for everybody: each request takes one, and they come back at a steady rate.

    Args:
        rate: Tokens that come back in a second.
        burst: Tokens in a full bucket.
        most: For how many somebodies, at most.
    """

    def __init__(self, rate: float, burst: float, most: int = WHO) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def acquire(self, who: str) -> float:
        """Take a token from the bucket of *who*; return 0, or in how many seconds there is one."""
        # Monotonic: a clock that is set lets nobody in, and keeps nobody out.
        now = time.monotonic()
        tokens, since = self._buckets.get(who, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        if tokens < 1:
            return (1 - tokens) / self._rate  # not written down: who goes on asking waits no longer
        self._buckets[who] = tokens - 1, now
        self._buckets.move_to_end(who)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0.0


@lru_cache(maxsize=4096)
def neighbourhood(address: str) -> str:
    """Return who is behind an IP address: of IPv6 the network, since each of its hosts has 2**64 addresses."""
    try:
        found = ip_address(address)
    except ValueError:
        return "elsewhere"  # a socket of the file system; a proxy's own word for something
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((int(found) >> 64 << 64, 64)))
    return str(found)
