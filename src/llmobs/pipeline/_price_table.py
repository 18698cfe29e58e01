"""The public price table (the package ``genai-prices``), fast enough for every event.

Its own look-up takes about 0.1 ms. But a cost is linear in the tokens of each kind, piece by piece:
between two thresholds of input tokens the rates are constant. So the rates are found by asking it
about a few probe usages, checked with two more, and kept. Where that does not hold, because prices
depend on the hour or the check fails, the package is asked each time.

Only documented behaviour of the package is relied on, none of its private parts.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llmobs.forks import ForkLock
from llmobs.pipeline._usage import Usage

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, Provider

__all__ = ["PriceTable"]

_REMEMBERED = 1_024  # models, and days of one model
_PROBED_DAYS = 32

# OpenTelemetry's names of providers that the table knows by another one.
_PROVIDERS = {
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "gcp.gen_ai": "google",
    "x_ai": "x-ai",
}


@dataclass(frozen=True, slots=True)
class _Rates:
    """US dollars per token of each kind, for calls with more than ``above`` input tokens."""

    above: int
    fixed: Decimal
    input: Decimal
    output: Decimal
    cached: Decimal  # what a cached token costs more (usually: less) than another input token
    cache_write: Decimal
    reasoning: Decimal

    def of(self, usage: Usage) -> Decimal:
        total = self.fixed + self.input * usage.tokens_input + self.output * usage.tokens_output
        if usage.tokens_cached:
            total += self.cached * usage.tokens_cached
        if usage.tokens_cache_write:
            total += self.cache_write * usage.tokens_cache_write
        if usage.tokens_reasoning:
            total += self.reasoning * usage.tokens_reasoning
        return total


class _Model:
    """One model of the table, with its rates by day."""

    def __init__(self, model: ModelInfo, provider: Provider, context: dict[str, str]) -> None:
        from genai_prices.types import StartDateConstraint

        self._model = model
        self._provider = provider
        self._context = context
        conditional = model.prices if isinstance(model.prices, list) else []
        constraints = {
            type(item.constraint)
            for item in (*conditional, *(model.price_variants or ()))
            if item.constraint is not None
        }
        self._by_day = constraints == {StartDateConstraint}
        self._by_hour = bool(constraints) and not self._by_day
        self._rates: dict[date, tuple[_Rates, ...] | None] = {}

    def cost(self, usage: Usage, at: datetime | None) -> Decimal:
        if self._by_hour:
            return self._ask(usage, at or datetime.now(UTC))
        day = _day(at) if self._by_day else date.min
        try:
            rates = self._rates[day]
        except KeyError:
            moment = at or datetime.now(UTC)
            rates = _probe(lambda probe: self._ask(probe, moment), self._thresholds(moment))
            if len(self._rates) >= _PROBED_DAYS:
                self._rates = {}  # a new one, since another thread may be reading
            self._rates[day] = rates
        if rates is None:
            return self._ask(usage, at or datetime.now(UTC))
        for rate in rates:
            if usage.tokens_input > rate.above:
                return rate.of(usage)
        raise AssertionError("the last rates are for all input")

    def _ask(self, usage: Usage, at: datetime) -> Decimal:
        from genai_prices import Usage as TableUsage

        calculation = self._model.calc_price(
            TableUsage(
                input_tokens=usage.tokens_input,
                output_tokens=usage.tokens_output,
                cache_read_tokens=usage.tokens_cached,
                cache_write_tokens=usage.tokens_cache_write,
                output_reasoning_tokens=usage.tokens_reasoning,
            ),
            self._provider,
            genai_request_timestamp=at,
            price_context=self._context or None,
        )
        return calculation.total_price

    def _thresholds(self, at: datetime) -> list[int]:
        from genai_prices.types import TieredPrices

        prices = vars(self._model.get_prices(at, self._context or None)).values()
        tiered = [price for price in prices if isinstance(price, TieredPrices)]
        return sorted({tier.start for price in tiered for tier in price.tiers})


def _day(at: datetime | None) -> date:
    """Return the UTC day of ``at``; a naive one is UTC, as in the table."""
    if at is None:
        return datetime.now(UTC).date()
    return (at if at.tzinfo is None else at.astimezone(UTC)).date()


def _probe(ask: Any, thresholds: list[int]) -> tuple[_Rates, ...] | None:
    """Return the rates that explain what ``ask`` answers, highest threshold first, or None."""
    rates: list[_Rates] = []
    for above, below in zip([-1, *thresholds], [*thresholds, None], strict=True):
        n = above + 2
        if below is not None and below < n + 1:
            return None  # too narrow for two probes
        base = ask(Usage(n, 0))
        per_input = ask(Usage(n + 1, 0)) - base
        one = ask(Usage(n, 1))
        rate = _Rates(
            above=above,
            fixed=base - per_input * n,
            input=per_input,
            output=one - base,
            cached=ask(Usage(n, 0, tokens_cached=1)) - base,
            cache_write=ask(Usage(n, 0, tokens_cache_write=1)) - base,
            reasoning=ask(Usage(n, 1, tokens_reasoning=1)) - one,
        )
        far = above + 500_009 if below is None else below
        part = far // 7
        for usage in (Usage(far, 7_919, part, part, 6_007), Usage(n + 1, 104_729, 1, 0, 3)):
            if rate.of(usage) != ask(usage):
                return None
        rates.append(rate)
    return tuple(reversed(rates))


class PriceTable:
    """The installed price table; all of it is imported when the first one is made."""

    def __init__(self) -> None:
        self.installed = True
        """Whether the package is there; if not, every cost is None."""
        self._models: dict[tuple[str, str | None, str | None], tuple[_Model, str] | None] = {}
        self._source: Any = None
        self._lookup: DataSnapshot | None = None
        self._version = ""
        self._lock = ForkLock()
        try:
            import genai_prices
            from genai_prices.data_snapshot import get_snapshot
        except ImportError:
            self.installed = False
        else:
            self._version = f"genai-prices {genai_prices.__version__}"
            self._snapshot = get_snapshot
            with suppress(LookupError):  # with its first answer it imports the rest
                genai_prices.calc_price(genai_prices.Usage(input_tokens=1), "gpt-4o")

    def cost(
        self,
        model: str,
        provider: str | None,
        usage: Usage,
        at: datetime | None,
        service_tier: str | None,
    ) -> tuple[Decimal, str] | None:
        """Return the cost of a consistent ``usage`` and the table's version, or None if unknown."""
        if not self.installed:
            return None
        if self._snapshot() is not self._source:  # the first one, or the user updated the prices
            self._renew()
        key = (model, provider, service_tier)
        try:
            found = self._models[key]
        except KeyError:
            found = self._find(key)
        if found is None:
            return None
        try:
            return found[0].cost(usage, at), found[1]
        except ValueError:  # the table does not accept this usage or has no valid price
            return None

    def _renew(self) -> None:
        from genai_prices.data_snapshot import DataSnapshot

        with self._lock:
            source = self._snapshot()
            # Our own, because a snapshot remembers every name it was ever asked for.
            self._lookup = DataSnapshot(source.providers, source.from_auto_update)
            self._models = {}
            self._source = source

    def _find(self, key: tuple[str, str | None, str | None]) -> tuple[_Model, str] | None:
        if len(self._models) >= _REMEMBERED:
            self._renew()
        model, provider, service_tier = key
        context = {} if service_tier is None else {"service_tier": service_tier}
        if service_tier == "batch":
            context["processing"] = "batch"
        if provider is not None:
            provider = _PROVIDERS.get(provider.lower(), provider)
        with self._lock:
            lookup = self._lookup
            assert lookup is not None
            found: tuple[_Model, str] | None
            try:
                owner, info = lookup.find_provider_model(model, None, provider, None)
                found = (_Model(info, owner, context), self._described())
            except LookupError:
                found = None
            self._models[key] = found
        return found

    def _described(self) -> str:
        if not self._source.from_auto_update:
            return self._version
        return f"{self._version} updated {self._source.timestamp:%Y-%m-%d}"
