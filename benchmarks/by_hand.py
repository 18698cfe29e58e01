"""
The floor of delivery: a deque, msgspec, zstd level 1, httpx2.

No redaction, bounds, retries, accounting, and nothing at exit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2
import msgspec
from backports import zstd

BATCH = 500


class Call(msgspec.Struct):
    """What was logged."""

    run_id: str
    prompt: str
    model: str
    response: str
    tokens_input: int
    tokens_output: int
    latency_ms: float
    fields: dict[str, Any]
    timestamp: datetime


class Shipper:
    """Keeps calls until told to ship them."""

    def __init__(self, url: str, client: httpx2.AsyncClient) -> None:
        self._url = f"{url}/v1/events/batch"
        self._client = client
        self._encoder = msgspec.json.Encoder()
        self.queue: deque[Call] = deque()

    def log(self, *args: Any, **kwargs: Any) -> None:
        """Keep one."""
        self.queue.append(Call(*args, kwargs, datetime.now(UTC)))

    async def ship(self) -> None:
        """Send all that is kept, batch after batch."""
        while self.queue:
            batch = [self.queue.popleft() for _ in range(min(BATCH, len(self.queue)))]
            body = zstd.compress(self._encoder.encode({"events": batch}), 1)
            headers = {"content-encoding": "zstd", "content-type": "application/json"}
            answer = await self._client.post(self._url, content=body, headers=headers)
            answer.raise_for_status()

    async def ship_for_ever(self, period: float = 1.0) -> None:
        """Ship every *period* seconds."""
        while True:
            await asyncio.sleep(period)
            await self.ship()


@asynccontextmanager
async def shipper(url: str) -> AsyncIterator[Shipper]:
    """One that waits for answers as long as it takes."""
    async with httpx2.AsyncClient(timeout=None) as client:
        yield Shipper(url, client)
