"""The public price table (the package ``genai-prices``), fast enough for every event.

Its own look-up takes about 0.1 ms and more. But a cost is linear in the counts of each kind, piece
by piece: between two thresholds of input tokens the rates are constant. So the rates for the kinds
that a call has are found by asking it about a few probe usages, checked with two more, and kept.
Where that does not hold, because prices depend on the hour, on seconds with a minimum, or the check
fails, the package is asked each time.

Only documented behaviour of the package is relied on, none of its private parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from llmobs.pipeline._price_names import candidates
from llmobs.pipeline._usage import Usage
from llmobs.runtime.forks import ForkLock

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, Provider

__all__ = ["Inquiry", "PriceTable", "listed"]

_REMEMBERED = 1_024  # models
_NAMED = 4  # kinds without a price
BATCH = "batch"
_PROBED = 128  # days and kinds of usage of one model

Counts = Mapping[str, int]


class Inquiry(NamedTuple):
    """Whose price is asked for."""

    model: str
    provider: str | None
    host: str | None = None
    service_tier: str | None = None


@dataclass(frozen=True, slots=True)
class _Rates:
    """US dollars per unit of each kind, for calls with more than ``above`` input tokens."""

    above: int
    fixed: Decimal
    per: Mapping[str, Decimal]
    """Of a part: what it costs more (or less) than the rest of its whole."""

    def of(self, counts: Counts) -> Decimal:
        total = self.fixed
        for kind, count in counts.items():
            total += self.per[kind] * count
        return total


@dataclass(frozen=True, slots=True)
class _Tariff:
    """The rates for one combination of kinds."""

    rates: tuple[_Rates, ...] | None
    """Highest threshold first; None: ask each time."""
    unpriced: tuple[str, ...]
    """Kinds the table has no price for."""
    is_known: bool
    """Whether it has a price for any of them."""
    inside: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Kinds with a price, the most special first, each with those that are parts of it."""

    def check(self, counts: Counts) -> None:
        """
        Refuse what the table would: rates alone give any usage a cost.

        Raises:
            ValueError: The parts of a count are more than the whole.
        """
        rest: dict[str, int] = {}
        for kind, parts in self.inside:
            rest[kind] = counts[kind] - sum(rest[part] for part in parts)
            if rest[kind] < 0:
                raise ValueError(
                    f"{kind} ({counts[kind]}) is less than {', '.join(parts)} together"
                )


class _Model:
    """One model of the table, with its rates by day and kinds of usage."""

    def __init__(
        self, model: ModelInfo, provider: Provider, context: dict[str, str], may_be_free: bool
    ) -> None:
        from genai_prices.types import StartDateConstraint

        self._model = model
        self._provider = provider
        self._context = context
        self._may_be_free = may_be_free
        self._variants = [
            variant.constraint
            for variant in model.price_variants or ()
            if BATCH in variant.when.values()
        ]
        conditional = model.prices if isinstance(model.prices, list) else []
        constraints = {
            type(item.constraint)
            for item in (*conditional, *(model.price_variants or ()))
            if item.constraint is not None
        }
        self._by_day = constraints == {StartDateConstraint}
        self._by_hour = bool(constraints) and not self._by_day
        self._tariffs: dict[tuple[date, tuple[str, ...]], _Tariff | ValueError] = {}

    def cost(self, usage: Usage, at: datetime | None) -> tuple[Decimal, tuple[str, ...]] | None:
        """
        Return the cost and what it leaves out, or None if nothing of *usage* has a price.

        Raises:
            ValueError: The usage contradicts itself, or leaves open what the price depends on.
        """
        counts = usage.counts()
        day = _day(at) if self._by_day else date.min
        key = (day, tuple(counts))
        tariff = self._tariffs.get(key)
        if tariff is None:
            try:
                tariff = self._find(key[1], at or datetime.now(UTC))
            except ValueError as error:
                tariff = error.with_traceback(None)
            if len(self._tariffs) >= _PROBED:
                self._tariffs = {}  # a new one, since another thread may be reading
            self._tariffs[key] = tariff
        if isinstance(tariff, ValueError):
            raise ValueError(str(tariff))
        if not tariff.is_known:
            return None
        if tariff.rates is None:
            return self._ask(counts, at or datetime.now(UTC)), tariff.unpriced
        tariff.check(counts)
        taken = counts.get("input_tokens", 0)
        rates = next(rates for rates in tariff.rates if taken > rates.above)
        return rates.of(counts), tariff.unpriced

    def lacks_batches(self, at: datetime | None) -> bool:
        """Whether this is about a batch, and only single calls have a price."""
        at = at or datetime.now(UTC)
        return self._context.get("service_tier") == BATCH and not any(
            constraint is None or constraint.active(at) for constraint in self._variants
        )

    def _find(self, kinds: tuple[str, ...], at: datetime) -> _Tariff:
        prices = {
            name: price
            for name, price in vars(self._model.get_prices(at, self._context or None)).items()
            if price is not None
        }
        unpriced = _unpriced(kinds, prices)
        whole = [kind for kind in kinds if not _is_part(kind)]
        is_known = (
            self._may_be_free if not prices else not whole or len(unpriced) < len(whole)
        ) or "requests_kcount" in prices
        rates = None
        if is_known and not self._by_hour and not any("seconds" in kind for kind in kinds):
            thresholds = _thresholds(prices.values()) if "input_tokens" in kinds else []
            rates = _probe(lambda counts: self._ask(counts, at), kinds, thresholds)
        return _Tariff(rates, () if not prices else unpriced, is_known, _inside(kinds, prices))

    def _ask(self, counts: Counts, at: datetime) -> Decimal:
        from genai_prices import Usage as TableUsage

        known = _units()
        calculation = self._model.calc_price(
            TableUsage(**{kind: count for kind, count in counts.items() if kind in known}),
            self._provider,
            genai_request_timestamp=at,
            price_context=self._context or None,
        )
        return calculation.total_price


def _units() -> Mapping[str, Any]:
    """Return what the table can count: ``price_key`` and ``dimensions`` of each kind."""
    from genai_prices.data_units import unit_data

    return unit_data


def _is_part(kind: str) -> bool:
    """Whether *kind* is a part of the input or output tokens, and has their price at least."""
    unit = _units().get(kind)
    family = None if unit is None else unit["dimensions"]["family"]
    return (family == "tokens" and kind not in ("input_tokens", "output_tokens")) or (
        kind == "input_audio_seconds"
    )


def _unpriced(kinds: Iterable[str], prices: Mapping[str, Any]) -> tuple[str, ...]:
    units = _units()
    return tuple(
        kind
        for kind in kinds
        if not _is_part(kind) and (kind not in units or units[kind]["price_key"] not in prices)
    )


_PLAIN = frozenset(Usage(1, 1, 1, 1, 1).counts())
"""Kinds whose sums `Usage.is_consistent` looks at."""


def _inside(
    kinds: tuple[str, ...], prices: Mapping[str, Any]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if _PLAIN.issuperset(kinds):
        return ()
    units = _units()
    dimensions = {
        kind: units[kind]["dimensions"].items()
        for kind in kinds
        if kind in units and units[kind]["price_key"] in prices
    }
    return tuple(
        (kind, tuple(k for k, inner in dimensions.items() if own < inner))
        for kind, own in sorted(dimensions.items(), key=lambda item: -len(item[1]))
    )


def _thresholds(prices: Iterable[Any]) -> list[int]:
    from genai_prices.types import TieredPrices

    tiered = [price for price in prices if isinstance(price, TieredPrices)]
    return sorted({tier.start for price in tiered for tier in price.tiers})


def _day(at: datetime | None) -> date:
    """Return the UTC day of ``at``; a naive one is UTC, as in the table."""
    if at is None:
        return datetime.now(UTC).date()
    return (at if at.tzinfo is None else at.astimezone(UTC)).date()


_SIZES = {0: 10_000, 1: 10_000, 2: 10_000, 3: 500, 4: 20}
"""A count for the probes by how many dimensions its kind has: parts are smaller than their wholes."""
_ROOM = 50_000


def _probe(
    ask: Callable[[Counts], Decimal], kinds: tuple[str, ...], thresholds: list[int]
) -> tuple[_Rates, ...] | None:
    """
    Return the rates that explain what ``ask`` answers, highest threshold first, or None.

    Raises:
        ValueError: ``ask`` cannot answer for these kinds.
    """
    units = _units()
    sizes = {
        kind: _SIZES.get(len(units[kind]["dimensions"]) if kind in units else 0, 1)
        for kind in kinds
    }
    found: list[_Rates] = []
    for above, below in zip([-1, *thresholds], [*thresholds, None], strict=True):
        start = above + 1 + sizes.get("input_tokens", 0)
        if below is not None and below < start + _ROOM:
            return None  # too narrow for the probes
        base = {**sizes, "input_tokens": start} if "input_tokens" in sizes else sizes
        answer = ask(base)
        per = {kind: ask({**base, kind: base[kind] + 1}) - answer for kind in kinds}
        rate = _Rates(above, answer - sum(per[kind] * base[kind] for kind in kinds), per)
        far = start + _ROOM if below is None else below
        steps = {kind: base[kind] + 3 * number for number, kind in enumerate(kinds, 1)}
        triple = {kind: 3 * size for kind, size in sizes.items()}
        for probe in (
            steps,
            {**triple, "input_tokens": far} if "input_tokens" in sizes else triple,
        ):
            if rate.of(probe) != ask(probe):
                return None
        found.append(rate)
    return tuple(reversed(found))


def listed(kinds: Sequence[str]) -> str:
    """Return *kinds* as words, a few at most: they are a part of where a cost comes from."""
    more = f" and {len(kinds) - _NAMED} more" if len(kinds) > _NAMED else ""
    return ", ".join(kinds[:_NAMED]) + more


class PriceTable:
    """The installed price table; all of it is imported when the first one is made."""

    def __init__(self) -> None:
        self.installed = True
        """Whether the package is there; if not, every cost is None."""
        self._models: dict[Inquiry, tuple[_Model, str] | None] = {}
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
        self, inquiry: Inquiry, usage: Usage, at: datetime | None
    ) -> tuple[Decimal, str] | None:
        """
        Return the cost of a consistent ``usage`` and where it comes from, or None if unknown.

        Raises:
            ValueError: The table has the model, but cannot price this usage.
        """
        if not self.installed:
            return None
        if self._snapshot() is not self._source:  # the first one, or the user updated the prices
            self._renew()
        try:
            found = self._models[inquiry]
        except KeyError:
            found = self._find(inquiry)
        priced = None if found is None else found[0].cost(usage, at)
        if found is None or priced is None:
            return None
        usd, unpriced = priced
        source = found[1]
        if found[0].lacks_batches(at):
            source += " at the price of single calls"
        return usd, f"{source} without {listed(unpriced)}" if unpriced else source

    def _renew(self) -> None:
        from genai_prices.data_snapshot import DataSnapshot

        with self._lock:
            source = self._snapshot()
            # Our own, because a snapshot remembers every name it was ever asked for.
            self._lookup = DataSnapshot(source.providers, source.from_auto_update)
            self._models = {}
            self._source = source

    def _find(self, inquiry: Inquiry) -> tuple[_Model, str] | None:
        if len(self._models) >= _REMEMBERED:
            self._renew()
        tier = inquiry.service_tier
        context = {} if tier is None else {"service_tier": tier}
        if tier == BATCH:
            context["processing"] = tier
        elif tier == "fast":
            context["speed"] = tier  # Anthropic's word for it
        found: tuple[_Model, str] | None = None
        with self._lock:
            lookup = self._lookup
            assert lookup is not None
            for wanted in candidates(
                inquiry.model, inquiry.provider, inquiry.host, lookup.providers
            ):
                try:
                    owner, info = lookup.find_provider_model(
                        wanted.model, None, wanted.provider, None
                    )
                except LookupError:
                    continue
                source = f"{self._described()} {wanted.source}".rstrip()
                # On Vertex one deploys open models oneself; elsewhere no price means free.
                model = _Model(info, owner, context, inquiry.provider != "gcp.vertex_ai")
                found = (model, source)
                break
            self._models[inquiry] = found
        return found

    def _described(self) -> str:
        if not self._source.from_auto_update:
            return self._version
        return f"{self._version} updated {self._source.timestamp:%Y-%m-%d}"
