"""What a call cost: the user's own prices first, then the public price table, else unknown.

A cost is never invented. A model without a price, a usage that contradicts itself, a missing table:
each gives ``None``, and one line in the log that says what to do. Where the tokens have a price and
a fee has none (a search, say), the cost is that of the rest, and where it comes from names what is
missing: left out of a sum altogether, the call would count as free.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from llmobs.pipeline._price_table import Inquiry, PriceTable, listed
from llmobs.pipeline._usage import Usage
from llmobs.runtime.forks import ForkLock
from llmobs.runtime.log import own_logger
from llmobs.runtime.troubles import Troubles

__all__ = ["Cost", "Price", "PriceBook", "Usage", "load_prices"]

logger = own_logger("llmobs")

_MILLION = Decimal(1_000_000)
_REMEMBERED = 1_024  # models already complained about
_NAMED = 20  # of these, how many by name
_LONGEST_NAME = 256  # characters; longer is no model's name


@dataclass(frozen=True, slots=True)
class Cost:
    """
    A cost in US dollars, and where its prices come from: ``user`` or ``genai-prices 0.2.3``, with
    `BY_NAME` after it if only the model's name told the provider, and ``without web_searches`` for
    what has no price.
    """

    usd: Decimal
    version: str


@dataclass(frozen=True, slots=True, init=False)
class Price:
    """A user's price of one model, in US dollars per million tokens.

    ``cached`` and ``cache_write`` default to the price of other input tokens. Numbers are taken by
    their decimal text: 0.1 is one tenth.

    Raises:
        ValueError: A price is not a finite number, or is negative.
    """

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    cache_write: Decimal | None = None

    def __init__(
        self,
        input: Decimal | float | str,
        output: Decimal | float | str,
        cached: Decimal | float | str | None = None,
        cache_write: Decimal | float | str | None = None,
    ) -> None:
        given = {"input": input, "output": output, "cached": cached, "cache_write": cache_write}
        for name, value in given.items():
            optional = value is None and name.startswith("cache")
            object.__setattr__(self, name, None if optional else _amount(name, value))

    def of(self, usage: Usage) -> Decimal:
        """Return what ``usage`` costs, in US dollars."""
        total = self.input * usage.tokens_input + self.output * usage.tokens_output
        if usage.tokens_cached and self.cached is not None:
            total += (self.cached - self.input) * usage.tokens_cached
        if usage.tokens_cache_write and self.cache_write is not None:
            total += (self.cache_write - self.input) * usage.tokens_cache_write
        return total / _MILLION


def _amount(name: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ValueError(f"price {name!r} must be a number, not {value!r}")
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"price {name!r} must be a number, not {value!r}") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"price {name!r} must be finite and not negative, not {value!r}")
    return amount


def load_prices(source: Mapping[str, Any] | str) -> dict[str, Price]:
    """Return the prices in ``source``, a mapping or its JSON text, as a setting holds them.

    It maps a model, or the beginning of its name and ``*``, to a `Price` or to its fields::

        {"my-model": {"input": 0.5, "output": 1.5}, "llama-*": {"input": 0, "output": 0}}

    Raises:
        ValueError: It is something else; the message names the model and what is wrong.
    """
    if isinstance(source, str):
        try:
            source = json.loads(source, parse_float=Decimal) if source.strip() else {}
        except ValueError as error:
            raise ValueError(f"prices are not valid JSON: {error}") from None
    if not isinstance(source, Mapping):
        raise ValueError(f"prices must map models to prices, not be a {type(source).__name__}")
    return {_model(model): _price(model, value) for model, value in source.items()}


def _model(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or "*" in name[:-1]:
        raise ValueError(f"prices: {name!r} is not a model; a '*' may only stand at its end")
    return name


def _price(model: str, value: Any) -> Price:
    if isinstance(value, Price):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"prices of {model!r} must have 'input' and 'output', not be {value!r}")
    fields = ("input", "output", "cached", "cache_write")
    unknown = sorted(str(field) for field in value if field not in fields)
    if unknown:
        raise ValueError(f"prices of {model!r}: unknown {', '.join(unknown)}; known: {fields}")
    missing = [field for field in fields[:2] if field not in value]
    if missing:
        raise ValueError(f"prices of {model!r}: {' and '.join(missing)} missing")
    try:
        return Price(**value)
    except ValueError as error:
        raise ValueError(f"prices of {model!r}: {error}") from None


def _user_source(usage: Usage) -> str:
    fees = [kind for kind, count in usage.more.items() if count and not kind.endswith("_tokens")]
    return f"user without {listed(fees)}" if fees else "user"


class PriceBook:
    """Prices calls. One instance may serve several threads and tasks.

    ``prices`` are the user's own, by model name or by the beginning of it and ``*`` (the longest
    wins); upper and lower case are the same. They win over the table of ``genai-prices``, which is
    imported when first needed, unless ``use_genai_prices`` is false.
    """

    def __init__(
        self, prices: Mapping[str, Price] | None = None, use_genai_prices: bool = True
    ) -> None:
        own = {_model(name).lower(): price for name, price in (prices or {}).items()}
        self._exact = {name: price for name, price in own.items() if name[-1] != "*"}
        prefixes = [(name[:-1], price) for name, price in own.items() if name[-1] == "*"]
        self._prefixes = sorted(prefixes, key=lambda item: -len(item[0]))
        self._use_table = use_genai_prices
        self._table: PriceTable | None = None
        self._complaints: dict[str, None] = {}
        self._named = 0
        self._troubles = Troubles()
        # A child forked in the middle of an import waits for that import for ever.
        self._lock = ForkLock()

    def load(self) -> None:
        """Import the price table now (about half a second) instead of with the first look-up."""
        self._ready_table()

    def cost(
        self,
        model: str | None,
        provider: str | None,
        usage: Usage,
        at: datetime | None = None,
        service_tier: str | None = None,
        host: str | None = None,
    ) -> Cost | None:
        """Return what ``usage`` of ``model`` cost, or None if that is not known.

        ``provider`` is a name as OpenTelemetry or genai-prices write it; without one the model's
        name has to tell. ``at`` is when the call was made (now by default; naive is UTC), for
        prices that changed. ``service_tier`` is the tier the provider billed (``flex``, ``batch``).
        ``host`` is where the call went: behind one that no provider is known
        by, only models that nobody else serves have a price.
        """
        if not model or len(model) > _LONGEST_NAME:
            return None
        if not usage.is_consistent():
            self._complain(model, "usage of model %r contradicts itself: its cost is unknown")
            return None
        price = self._own(model)
        if price is not None:
            return Cost(price.of(usage), _user_source(usage))
        table = self._ready_table()
        if table is None:
            return None
        inquiry = Inquiry(model, provider or None, host or None, service_tier or None)
        try:
            found = table.cost(inquiry, usage, at)
        except ValueError as error:
            self._complain(model, "usage of model %r has no cost: " + str(error).replace("%", "%%"))
            return None
        if found is None:
            if table.installed:
                self._complain(model, "no price for model %r: set its price in LLMOBS_PRICES")
            return None
        return Cost(*found)

    def _own(self, model: str) -> Price | None:
        if not self._exact and not self._prefixes:
            return None
        name = model.lower()
        price = self._exact.get(name)
        if price is not None:
            return price
        return next((own for start, own in self._prefixes if name.startswith(start)), None)

    def _ready_table(self) -> PriceTable | None:
        if self._table is None and self._use_table:
            with self._lock:
                if self._table is None:
                    self._table = PriceTable()
                    if not self._table.installed:
                        logger.warning("llmobs: costs are unknown: pip install 'llmobs[prices]'")
        return self._table

    def _complain(self, model: str, message: str) -> None:
        """Log once per model; of endless models the first by name, then only how many they are."""
        with self._lock:
            if model in self._complaints:
                return
            if len(self._complaints) >= _REMEMBERED:
                del self._complaints[next(iter(self._complaints))]
            self._complaints[model] = None
            is_named = self._named < _NAMED
            self._named += is_named
        key, more = (f"{message}:{model}", "") if is_named else (message, ", as of many before")
        self._troubles.log(key, f"llmobs: {message}{more}", model)
