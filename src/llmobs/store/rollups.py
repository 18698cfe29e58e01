"""
Sums of the calls of an hour, and how long they took: counts that outlive the calls themselves.

All sums are whole numbers, so that what is taken off again leaves nothing behind. Times are kept as
histograms with buckets that grow by four percent: any percentile is right to two percent.
"""

from collections.abc import Iterable, Sequence
from math import ceil, isfinite, log
from struct import unpack
from typing import Any, Final, NamedTuple, Self

__all__ = ["COUNTS", "Histogram", "Key", "Sums", "bucket_of", "unpacked"]

GROWTH: Final = 1.04
"""Of a bucket's bound over the one before: what lies within is off by two percent at most."""
_LOG: Final = log(GROWTH)
SMALLEST_MS: Final = 0.01
"""Shorter times are in the first bucket."""
BUCKETS: Final = 1_024
LARGEST_MS: Final = SMALLEST_MS * GROWTH ** (BUCKETS - 1)
"""Longer times are in the last bucket."""
_BITS: Final = 32
_MASK: Final = (1 << _BITS) - 1
MAX_NANO: Final = 10**15
"""A million dollars: what is beyond, for one call, is not believed here."""
MAX_MICRO: Final = 10**15


class Key(NamedTuple):
    """Which calls: nothing in it tells of a person."""

    hour: int
    """Hours since 1970."""
    model: str
    provider: str
    route: str
    """Name of the run, empty until the run's own event has come."""
    release: str
    project: str


def bucket_of(milliseconds: float) -> int:
    """Return the number of the bucket of a time."""
    if milliseconds <= SMALLEST_MS:
        return 0
    if milliseconds >= LARGEST_MS:
        return BUCKETS - 1
    return min(ceil(log(milliseconds / SMALLEST_MS) / _LOG), BUCKETS - 1)


class Histogram:
    """
    How many times fell into each bucket: one large integer, 32 bits a bucket, added in one step.

    Args:
        counts: That integer.
    """

    __slots__ = ("counts",)

    def __init__(self, counts: int = 0) -> None:
        self.counts = counts

    @classmethod
    def stored(cls, data: Any) -> Self:
        """Read what `to_bytes` wrote; empty for anything else."""
        return cls(_from(data, 0))

    def to_bytes(self) -> bytes | None:
        """Return it for storing: the number of the first bucket, and the counts from there on."""
        if self.counts <= 0:
            return None
        first = ((self.counts & -self.counts).bit_length() - 1) // _BITS
        rest = self.counts >> (_BITS * first)
        return first.to_bytes(2, "little") + rest.to_bytes((rest.bit_length() + 7) // 8, "little")

    def add(self, milliseconds: float, times: int = 1) -> None:
        """Count a time."""
        self.add_to(bucket_of(milliseconds), times)

    def add_to(self, bucket: int, times: int = 1) -> None:
        """Count times that fall into *bucket*."""
        self.counts += times << (_BITS * bucket)

    def _filled(self) -> list[tuple[int, int]]:
        if self.counts <= 0:
            return []
        first = ((self.counts & -self.counts).bit_length() - 1) // _BITS
        rest = self.counts >> (_BITS * first)
        buckets = -(-rest.bit_length() // _BITS)
        every = unpack(f"<{buckets}I", rest.to_bytes(4 * buckets, "little"))
        return [(bucket, count) for bucket, count in enumerate(every, first) if count]

    def __len__(self) -> int:
        return sum(count for _, count in self._filled())

    def up_to(self, bounds: Sequence[float]) -> list[int]:
        """Return how many took no longer than each of *bounds*, milliseconds that grow; right to two percent."""
        filled = self._filled()
        return [sum(count for at, count in filled if at <= bucket_of(bound)) for bound in bounds]

    def percentile(self, share: float) -> float | None:
        """Return the time, in milliseconds, that *share* (0 to 1) of them did not pass; None if empty."""
        filled = self._filled()
        wanted = max(1, ceil(share * sum(count for _, count in filled)))
        for bucket, count in filled:
            wanted -= count
            if wanted <= 0:
                # Off by the same share from both bounds of the bucket.
                return SMALLEST_MS * GROWTH**bucket * 2 / (1 + GROWTH)
        return None


COUNTS: Final = (
    "calls", "failed", "weight_micro", "tokens_input", "tokens_output", "tokens_cached",
    "tokens_cache_write", "tokens_reasoning", "priced", "cost_nano", "weighted_cost_nano",
    "unpriced", "uncounted", "timed", "latency_micro",
)  # fmt: skip
"""Columns that are added up; see `Sums`."""


class Sums:
    """
    What calls add up to, in the order of `COUNTS`: numbers, tokens by kind, cost in billionths of a
    dollar (as it is, and weighted for what sampling left out), answered calls without a known cost or
    without known tokens; and of those that did not fail: how many are timed, how long they took in
    microseconds, and histograms of that and of the time to the first token.
    """

    __slots__ = ("counts", "first_tokens", "latencies")

    def __init__(self) -> None:
        self.counts = [0] * len(COUNTS)
        self.latencies = Histogram()
        self.first_tokens = Histogram()

    def add(self, calls: Iterable[Any], sign: int = 1) -> None:
        """
        Count calls, or with ``sign=-1`` take them off again.

        Args:
            calls: Have the columns of ``events`` as attributes; what makes no sense there is left out.
            sign: 1 or -1.
        """
        number = failed = weights = sent = made = cached = cache_write = reasoning = 0
        priced = nanos = weighted = unpriced = uncounted = timed = micros = 0
        latencies: dict[int, int] = {}
        first_tokens: dict[int, int] = {}
        for call in calls:
            number += 1
            asked, answered = call.tokens_input, call.tokens_output
            if type(asked) is not int:
                asked = _count(asked)
            if type(answered) is not int:
                answered = _count(answered)
            sent += asked or 0
            made += answered or 0
            if call.tokens_cached is not None:
                cached += _count(call.tokens_cached) or 0
            if call.tokens_cache_write is not None:
                cache_write += _count(call.tokens_cache_write) or 0
            if call.tokens_reasoning is not None:
                reasoning += _count(call.tokens_reasoning) or 0
            weight = 1_000_000
            if call.weight != 1:
                weight = _scaled(call.weight, 1e6, MAX_MICRO) or 0
            weights += weight
            nano = None if call.cost_usd is None else _scaled(call.cost_usd, 1e9, MAX_NANO)
            if nano is not None:
                priced += 1
                nanos += nano
                weighted += nano * weight // 1_000_000
            if call.failed:
                failed += 1
                if nano is None and (asked is not None or answered is not None):
                    unpriced += 1
                continue
            if nano is None:
                unpriced += 1
            if asked is None or answered is None:
                uncounted += 1
            took = call.latency_ms
            micro = None if took is None else _scaled(took, 1e3, MAX_MICRO)
            if took is not None and micro is not None:
                timed += 1
                micros += micro
                bucket = bucket_of(took)
                latencies[bucket] = latencies.get(bucket, 0) + 1
            first = call.time_to_first_token_ms
            if first is not None and _scaled(first, 1e3, MAX_MICRO) is not None:
                bucket = bucket_of(first)
                first_tokens[bucket] = first_tokens.get(bucket, 0) + 1
        parts = (
            number, failed, weights, sent, made, cached, cache_write, reasoning, priced, nanos,
            weighted, unpriced, uncounted, timed, micros,
        )  # fmt: skip
        self.counts = [a + sign * b for a, b in zip(self.counts, parts, strict=True)]
        for bucket, times in latencies.items():
            self.latencies.add_to(bucket, sign * times)
        for bucket, times in first_tokens.items():
            self.first_tokens.add_to(bucket, sign * times)

    def merge(self, other: Self) -> None:
        """Add what *other* holds."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.latencies.counts += other.latencies.counts
        self.first_tokens.counts += other.first_tokens.counts

    def taken_off(self) -> Self:
        """Return what takes this off when it is merged."""
        sums = type(self)()
        sums.counts = [-count for count in self.counts]
        sums.latencies.counts = -self.latencies.counts
        sums.first_tokens.counts = -self.first_tokens.counts
        return sums

    def __getitem__(self, name: str) -> int:
        return self.counts[COUNTS.index(name)]

    @classmethod
    def total(cls, rows: Sequence[Sequence[Any]], first: int) -> Self:
        """Add up rows that `unpacked` returned, whatever stands in them, and histograms from bucket *first* on."""
        sums = cls()
        *sums.counts, latencies, first_tokens = map(_added_up, zip(*rows, strict=True))
        sums.latencies.counts = latencies << (_BITS * first)
        sums.first_tokens.counts = first_tokens << (_BITS * first)
        return sums

    @classmethod
    def stored(cls, counts: Any, latencies: Any, first_tokens: Any) -> Self:
        """Return what the columns of a row say, whatever stands in them."""
        sums = cls()
        sums.counts = [_whole(value) for value in counts]
        sums.latencies = Histogram.stored(latencies)
        sums.first_tokens = Histogram.stored(first_tokens)
        return sums


def unpacked(rows: Sequence[Sequence[Any]]) -> tuple[list[tuple[Any, ...]], int]:
    """
    Return rows of counts and two histograms with these as numbers, so that columns can be added up.

    Returns:
        The rows, and the bucket at which the numbers begin: the smaller these are, the sooner it is done.
    """
    first = min((_first(data) for row in rows for data in row[-2:]), default=BUCKETS)
    return [(*row[:-2], _from(row[-2], first), _from(row[-1], first)) for row in rows], first


def _first(data: Any) -> int:
    """Return the first bucket of a histogram as it is stored; the last one for what is none."""
    if type(data) is bytes and 3 <= len(data) <= 2 + BUCKETS * _BITS // 8:
        first = data[0] | data[1] << 8
        if first * _BITS + 8 * (len(data) - 2) <= BUCKETS * _BITS:
            return first
    return BUCKETS


def _from(data: Any, first: int) -> int:
    begin = _first(data)
    if begin == BUCKETS:
        return 0
    return int.from_bytes(data[2:], "little") << (_BITS * (begin - first))


def _added_up(column: Sequence[Any]) -> int:
    try:
        total = sum(column)
    except (TypeError, OverflowError):
        total = None
    return total if type(total) is int else sum(map(_whole, column))


def _whole(value: Any) -> int:
    if type(value) is int:
        return value
    return int(value) if type(value) is float and isfinite(value) else 0


def _count(value: Any) -> int | None:
    if value is None or type(value) is int:
        return value
    return int(value) if type(value) is float and isfinite(value) else None


def _scaled(value: Any, factor: float, limit: int) -> int | None:
    if type(value) is not float and type(value) is not int:
        return None
    scaled = value * factor
    return round(scaled) if 0 <= scaled <= limit else limit if scaled > limit else None
