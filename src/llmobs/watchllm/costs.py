"""``calculate_cost`` and ``MODEL_PRICING`` with today's prices instead of a table grown old."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Final

from llmobs.codec import text_of
from llmobs.pipeline.pricing import PriceBook, Usage
from llmobs.pipeline.sanitise import MAX_COUNT

__all__ = ["MODEL_PRICING", "calculate_cost"]

_NAMES: Final = (
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4-turbo",
    "gpt-4",
    "gpt-3.5-turbo",
    "o1",
    "o1-mini",
    "claude-3-5-sonnet-20241022",
    "claude-3-opus-20240229",
    "claude-3-haiku-20240307",
)
"""What iterating `MODEL_PRICING` gives; looking up works for every model with a known price."""


@cache
def _book() -> PriceBook:
    return PriceBook()


def calculate_cost(model: str, tokens_input: int, tokens_output: int) -> float:
    """
    Return what a call costs in US dollars; 0.0 if that is not known, and for what are no counts.

    Args:
        model: The model's name, as the provider writes it.
        tokens_input: Tokens of the prompt.
        tokens_output: Tokens of the answer.
    """
    cost = _cost(text_of(model), _count(tokens_input), _count(tokens_output))
    return 0.0 if cost is None else float(cost)


def _count(value: int | None) -> int:
    # What a price list counts in; asks no value for anything.
    return value if type(value) is int and 0 <= value <= MAX_COUNT else 0


def _cost(model: str, tokens_input: int, tokens_output: int) -> Decimal | None:
    usage = Usage(tokens_input=tokens_input, tokens_output=tokens_output)
    cost = _book().cost(model, None, usage)
    return None if cost is None else cost.usd


class _Pricing(Mapping[str, Mapping[str, float]]):
    def __getitem__(self, model: str) -> Mapping[str, float]:
        prices = {"input": _cost(model, 1000, 0), "output": _cost(model, 0, 1000)}
        known = {side: float(price) for side, price in prices.items() if price is not None}
        if not known:
            raise KeyError(model)
        return MappingProxyType({"input": 0.0, "output": 0.0, **known})

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


MODEL_PRICING: Final[Mapping[str, Mapping[str, float]]] = _Pricing()
"""Model to ``{"input": …, "output": …}``, US dollars per 1,000 tokens; looked up when asked."""
