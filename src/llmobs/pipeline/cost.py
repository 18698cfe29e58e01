"""Put a price on prompt calls, where one is known."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import anyio.to_thread

from llmobs.errors import ConfigurationError
from llmobs.events import PromptCallEvent
from llmobs.pipeline.pricing import PriceBook, Usage, load_prices

__all__ = ["Pricing"]


class Pricing:
    """
    Sets ``cost_usd`` and ``cost_source`` of prompt calls; a cost given by the caller stays.

    Args:
        prices: The caller's own prices, by model; see `llmobs.Settings.prices`.

    Raises:
        ConfigurationError: A price is not one.
    """

    def __init__(self, prices: Mapping[str, Mapping[str, Decimal]] | None = None) -> None:
        try:
            self._book = PriceBook(load_prices(prices) if prices else None)
        except ValueError as error:
            raise ConfigurationError(f"prices (LLMOBS_PRICES): {error}") from None
        self._loaded = False

    async def load(self) -> None:
        """Load the price table, once: importing it takes about half a second, so in a thread."""
        if not self._loaded:
            self._loaded = True
            try:
                # With a limiter of its own: the host may keep all threads of the common one busy.
                await anyio.to_thread.run_sync(self._book.load, limiter=anyio.CapacityLimiter(1))
            except RuntimeError:  # the interpreter is ending and starts no more threads
                self._book.load()

    def load_now(self) -> None:
        """Load the price table, once, in this thread."""
        self._loaded = True
        self._book.load()

    @staticmethod
    def wants(event: Any) -> bool:
        """Whether *event* is a call that could be priced."""
        return (
            type(event) is PromptCallEvent
            and event.cost_usd is None
            and (
                event.tokens_input is not None
                or event.tokens_output is not None
                or bool(event.usage)
            )
        )

    def price(self, event: PromptCallEvent) -> None:
        """Set the cost of *event* if its price is known."""
        if event.cost_usd is not None:
            event.cost_source = event.cost_source or "caller"
            return
        if not self.wants(event):
            return
        usage = Usage(
            tokens_input=event.tokens_input or 0,
            tokens_output=event.tokens_output or 0,
            tokens_cached=event.tokens_cached or 0,
            tokens_cache_write=event.tokens_cache_write or 0,
            tokens_reasoning=event.tokens_reasoning or 0,
            more=event.usage or {},
        )
        for model in _names(event):
            if model:
                cost = self._book.cost(
                    model,
                    event.provider,
                    usage,
                    at=event.timestamp,
                    service_tier=event.service_tier,
                    host=event.server_address,
                )
                if cost is not None:
                    event.cost_usd = float(cost.usd)
                    event.cost_source = cost.version
                    return


def _names(event: PromptCallEvent) -> tuple[str | None, str | None]:
    """
    Return the names of the model, the more precise one first.

    That is the one that answered, ``gpt-4o-2024-11-20``; but Azure answers ``gpt-4`` for a
    ``gpt-4-1106`` that costs a third of it.
    """
    asked, answered = event.model, event.model_version
    if answered and asked and asked.startswith(f"{answered}-"):
        return asked, answered
    return answered, asked
