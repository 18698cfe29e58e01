"""What pricing one call costs: llmobs' cached rates beside `genai_prices.calc_price`.

    python benchmarks/pricing.py

Microseconds per call of CPU time; rounds are interleaved, figures are medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

from genai_prices import Usage as TableUsage
from genai_prices import calc_price

from llmobs.pipeline.pricing import Price, PriceBook, Usage

_AT = datetime(2026, 6, 15, tzinfo=UTC)


def micros(call: Callable[[], object], times: int) -> float:
    begin = time.process_time_ns()
    for _ in range(times):
        call()
    return (time.process_time_ns() - begin) / times / 1e3


def main() -> None:
    book = PriceBook({"mine-*": Price(1, 2)})
    usage = Usage(1_500, 500, tokens_cached=1_000)
    theirs = TableUsage(input_tokens=1_500, output_tokens=500, cache_read_tokens=1_000)
    print(f"{'model':34}{'first us':>10}{'llmobs us':>11}{'calc_price us':>15}")
    for model, provider in (
        ("gpt-4o", "openai"),
        ("gemini-2.5-pro", "google"),
        ("gpt-5", "openai"),
        ("claude-sonnet-4-5", "anthropic"),
        ("mine-1", None),
        ("nobody-knows-this", "openai"),
    ):

        def ours(model: str = model, provider: str | None = provider) -> object:
            return book.cost(model, provider, usage, _AT)

        def table(model: str = model, provider: str | None = provider) -> object:
            try:
                return calc_price(theirs, model, provider_id=provider, genai_request_timestamp=_AT)
            except LookupError:
                return None

        first = micros(ours, 1)
        rounds = [(micros(ours, 2_000), micros(table, 50)) for _ in range(9)]
        cached, asked = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{model:34}{first:10.0f}{cached:11.2f}{asked:15.1f}")


if __name__ == "__main__":
    main()
