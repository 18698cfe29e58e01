"""The event every row logs, and sinks that do nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from itertools import count as counting
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # peers run without llmobs
    from llmobs.pipeline.sink import Batch

_WORDS = (  # noqa: SIM905 - prose reads better as prose
    "the model answers a question about orders and refunds in plain words because customers ask "
    "when their parcel arrives, what it costs to return it and who pays; the agent looks up stock, "
    "compares prices between suppliers, writes a short summary and cites two sources from memory"
).split()
_TEXTS = 512
_LETTERS = str.maketrans("0123456789", "abcdefghij")

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and named arguments."""


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


def marker(number: int) -> str:
    """
    What the prompt of event *number* starts with, for `benchmarks.collector` to count.

    Letters stand for the digits: the texts have none, and a redactor may look longer at digits.
    """
    return f"event-{number:06d};".translate(_LETTERS)


def calls(count: int, first: int = 0) -> list[Call]:
    """
    Arguments of *count* `log_prompt_call`s; a new run every fourth call, as a request would.

    Prompts are marked with the numbers from *first* on.
    """
    return list(islice(_calls(first), count))


def endless() -> Iterator[Call]:
    """The same, for ever, made beforehand: markers repeat."""
    return cycle(calls(4 * _TEXTS))


def weighty() -> Iterator[Call]:
    """The same, for ever, each with texts of its own: in `calls` answers are shared and weigh nothing."""
    for number, ((run, prompt, model, answer, *rest), kwargs) in enumerate(_calls(0)):
        yield (run, prompt, model, f"{number:08d}{answer}", *rest), kwargs


def _calls(first: int) -> Iterator[Call]:
    prompts, answers = cycle(_texts(2_000, 1)), cycle(_texts(1_000, 2))
    for number, prompt, answer in zip(counting(), prompts, answers):
        prompt = marker(first + number) + prompt
        yield (
            (f"request-{number // 4}", prompt, "gpt-4o", answer, 512, 256, 1250.5),
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
