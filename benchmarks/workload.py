"""The event every row logs, and sinks that do nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from typing import Any

from llmobs.pipeline.sink import Batch

_WORDS = (  # noqa: SIM905 - prose reads better as prose
    "the model answers a question about orders and refunds in plain words because customers ask "
    "when their parcel arrives, what it costs to return it and who pays; the agent looks up stock, "
    "compares prices between suppliers, writes a short summary and cites two sources from memory"
).split()
_TEXTS = 512


@cache
def _texts(size: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    texts = []
    for _ in range(_TEXTS):
        words: list[str] = []
        while sum(map(len, words)) + len(words) < size:
            words += rng.choices(_WORDS, k=20)
        texts.append(" ".join(words)[:size])
    return texts


def calls(count: int) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Arguments of *count* `log_prompt_call`s; a new run every fourth call, as a request would."""
    prompts, answers = cycle(_texts(2_000, 1)), cycle(_texts(1_000, 2))
    return [
        (
            (f"request-{number // 4}", next(prompts), "gpt-4o", next(answers), 512, 256, 1250.5),
            {
                "cost_usd": 0.00123,
                "metadata": {
                    "tenant": f"t{number % 97}",
                    "feature": "chat",
                    "attempt": 1,
                    "temperature": 0.2,
                    "beta": number % 2 == 0,
                },
                "tags": ["prod", "chat", "eu-west"],
            },
        )
        for number in range(count)
    ]


def endless() -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The same, for ever."""
    return cycle(calls(4 * _TEXTS))


class NullSink:
    """Confirms everything and keeps nothing."""

    name = "null"
    max_batch_events: int | None = None
    max_batch_bytes: int | None = None

    async def open(self) -> None:
        """Nothing to open."""

    async def send(self, batch: Batch) -> None:
        """Nothing to send."""

    async def aclose(self) -> None:
        """Nothing to close."""
