"""What pricing one call costs: llmobs' cached rates beside `genai_prices.calc_price`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

from genai_prices import Usage as TableUsage
from genai_prices import calc_price

from benchmarks.harness import Result, interleave
from llmobs.pipeline.pricing import Price, PriceBook, Usage

TITLE = "Pricing one call, µs of CPU time"
MODELS = (
    ("gpt-4o", "openai"),
    ("gemini-2.5-pro", "google"),
    ("gpt-5", "openai"),
    ("claude-sonnet-4-5", "anthropic"),
    ("mine-1", None),
    ("nobody-knows-this", "openai"),
)

_AT = datetime(2026, 6, 15, tzinfo=UTC)


def micros(call: Callable[[], object], times: int) -> float:
    begin = time.process_time_ns()
    for _ in range(times):
        call()
    return (time.process_time_ns() - begin) / times / 1e3


def sample(variant: str, quick: bool) -> dict[str, float]:
    """All models in one process; interleaved rounds."""
    book = PriceBook({"mine-*": Price(1, 2)})
    usage = Usage(1_500, 500, tokens_cached=1_000)
    theirs = TableUsage(input_tokens=1_500, output_tokens=500, cache_read_tokens=1_000)
    metrics: dict[str, float] = {}
    for model, provider in MODELS:

        def ours(model: str = model, provider: str | None = provider) -> object:
            return book.cost(model, provider, usage, _AT)

        def table(model: str = model, provider: str | None = provider) -> object:
            try:
                return calc_price(theirs, model, provider_id=provider, genai_request_timestamp=_AT)
            except LookupError:
                return None

        metrics[f"{model}/first"] = micros(ours, 1)
        rounds = [(micros(ours, 2_000), micros(table, 50)) for _ in range(3 if quick else 9)]
        cached, asked = (statistics.median(column) for column in zip(*rounds, strict=True))
        metrics |= {f"{model}/cached": cached, f"{model}/table": asked}
    return metrics


def run(quick: bool) -> Result:
    """Off the request path, so without a budget; it is part of what delivery costs."""
    found = interleave("pricing", ["all"], rounds=1 if quick else 3, quick=quick)
    return Result(
        TITLE,
        ("model", "llmobs", "calc_price", "llmobs, first call"),
        [
            (model, *(found.median("all", f"{model}/{m}") for m in ("cached", "table", "first")))
            for model, _ in MODELS
        ],
        notes="The very first call reads the price table. mine-1 has a price of the user's own; "
        "nobody-knows-this has none.",
    )
