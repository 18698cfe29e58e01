"""
Sums of the calls of an hour, and how long they took: counts that outlive the calls themselves.

All sums are whole numbers, so that what is taken off again leaves nothing behind. Times are kept as
histograms with buckets that grow by four percent: any percentile is right to two percent.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import ceil, isfinite, log
from struct import unpack
from typing import Any, Final, NamedTuple, Self

__all__ = [
    "COUNTS",
    "FIRST_TOKEN",
    "Histogram",
    "Key",
    "Sums",
    "added_up",
    "bucket_of",
    "in_buckets",
]

GROWTH: Final = 1.04
"""Of a bucket's bound over the one before: what lies within is off by two percent at most."""
_LOG: Final = log(GROWTH)
SMALLEST_MS: Final = 0.01
"""Shorter times are in the first bucket."""
BUCKETS: Final = 1_024
LARGEST_MS: Final = SMALLEST_MS * GROWTH ** (BUCKETS - 1)
"""Longer times are in the last bucket."""
_BITS: Final = 64
"""Of a bucket: how many took so long, and above, of how many the first token did."""
_HALF: Final = 32
FIRST_TOKEN: Final = 1 << _HALF
"""One time to the first token, in a bucket."""
MAX_NANO: Final = 10**15
"""A million dollars: what is beyond, for one call, is not believed here."""
MAX_MICRO: Final = 10**15
MAX_COUNT: Final = 2**63 - 1
"""Of tokens of one call: what a column holds."""


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
    How many times fell into each bucket: one large integer, added in one step.

    Args:
        counts: That integer, 64 bits a bucket; the upper half of these is another histogram's.
    """

    __slots__ = ("counts",)

    def __init__(self, counts: int = 0) -> None:
        self.counts = counts

    def add(self, milliseconds: float, times: int = 1) -> None:
        """Count a time."""
        self.counts += times << (_BITS * bucket_of(milliseconds))

    def _passed(self) -> tuple[int, list[int]]:
        """Return the first bucket in which there is something, and how many are in each from there on, or below."""
        if self.counts <= 0:
            return 0, []
        first = _first(self.counts)
        rest = self.counts >> (_BITS * first)
        buckets = -(-rest.bit_length() // _BITS)
        every = unpack(f"<{2 * buckets}I", rest.to_bytes(8 * buckets, "little"))[::2]
        return first, [*accumulate(every)]

    def __len__(self) -> int:
        _, passed = self._passed()
        return passed[-1] if passed else 0

    def up_to(self, bounds: Sequence[float]) -> list[int]:
        """Return how many took no longer than each of *bounds*, milliseconds that grow; right to two percent."""
        first, passed = self._passed()
        within = [min(bucket_of(bound) - first, len(passed) - 1) for bound in bounds]
        return [passed[at] if at >= 0 else 0 for at in within]

    def percentile(self, share: float) -> float | None:
        """Return the time, in milliseconds, that *share* (0 to 1) of them did not pass; None if empty."""
        return self.percentiles(share)[0]

    def percentiles(self, *shares: float) -> list[float | None]:
        """Return the times that *shares* of them did not pass."""
        first, passed = self._passed()
        total = passed[-1] if passed else 0
        if total == 0:
            return [None] * len(shares)
        buckets = [first + bisect_left(passed, max(1, ceil(share * total))) for share in shares]
        # Off by the same share from both bounds of the bucket.
        return [SMALLEST_MS * GROWTH**bucket * 2 / (1 + GROWTH) for bucket in buckets]


def in_buckets(times: Mapping[int, int]) -> int:
    """Return both histograms of `Sums`: how many times by bucket, those to the first token `FIRST_TOKEN` each."""
    return sum(count << (_BITS * bucket) for bucket, count in times.items())


COUNTS: Final = (
    "calls", "failed", "weight_micro", "tokens_input", "tokens_output", "tokens_cached",
    "tokens_cache_write", "tokens_reasoning", "priced", "cost_nano", "weighted_cost_nano",
    "unpriced", "uncounted", "timed", "latency_micro",
)  # fmt: skip
"""What is added up; see `Sums`."""
_BITS_OF_COUNT: Final = 96
"""Room for four billion times the largest number of a column, below zero too."""
_MASK_OF_COUNT: Final = (1 << _BITS_OF_COUNT) - 1
_COUNT_BITS: Final = _BITS_OF_COUNT * len(COUNTS)
_MASK_OF_COUNTS: Final = (1 << _COUNT_BITS) - 1
_STEP: Final = 16
"""Stored histograms begin at a multiple of so many buckets, most of them at the same one."""
_MOST: Final = (_COUNT_BITS + BUCKETS * _BITS) // 8 + 1
"""Bytes of a number, at most."""


class Sums:
    """
    What calls add up to, in the order of `COUNTS`: numbers, tokens by kind, cost in billionths of a
    dollar (as it is, and weighted for what sampling left out), answered calls without a known cost or
    without known tokens; and of those that did not fail: how many are timed, how long they took in
    microseconds, and histograms of that and of the time to the first token.

    Args:
        number: All of it as one integer, so that adding is one step: the counts, 96 bits each, above
            them both histograms, bucket by bucket.
    """

    __slots__ = ("number",)

    def __init__(self, number: int = 0) -> None:
        self.number = number

    @classmethod
    def of(cls, counts: Sequence[Any], times: int = 0) -> Self:
        """Return these counts, whatever they are, and histograms that `in_buckets` made."""
        number = 0
        for count in reversed(counts):
            number = (number << _BITS_OF_COUNT) + _whole(count)
        return cls(number + (times << _COUNT_BITS))

    def add(self, calls: Iterable[Any], sign: int = 1) -> None:
        """
        Count calls, or with ``sign=-1`` take them off again.

        Args:
            calls: Have the columns of ``events`` as attributes; what makes no sense there is left out.
            sign: 1 or -1.
        """
        number = failed = weights = sent = made = cached = cache_write = reasoning = 0
        priced = nanos = weighted = unpriced = uncounted = timed = micros = 0
        times: dict[int, int] = {}
        for call in calls:
            number += 1
            asked, answered = call.tokens_input, call.tokens_output
            if type(asked) is not int or not -MAX_COUNT <= asked <= MAX_COUNT:
                asked = _count(asked)
            if type(answered) is not int or not -MAX_COUNT <= answered <= MAX_COUNT:
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
                times[bucket] = times.get(bucket, 0) + 1
            first = call.time_to_first_token_ms
            if first is not None and _scaled(first, 1e3, MAX_MICRO) is not None:
                bucket = bucket_of(first)
                times[bucket] = times.get(bucket, 0) + FIRST_TOKEN
        parts = (
            number, failed, weights, sent, made, cached, cache_write, reasoning, priced, nanos,
            weighted, unpriced, uncounted, timed, micros,
        )  # fmt: skip
        self.number += sign * type(self).of(parts, in_buckets(times)).number

    def merge(self, other: Self) -> None:
        """Add what *other* holds."""
        self.number += other.number

    def negated(self) -> Self:
        """Return what takes this off when it is merged."""
        return type(self)(-self.number)

    @property
    def counts(self) -> list[int]:
        """The counts, in the order of `COUNTS`."""
        counts = []
        number = _counts_in(self.number)
        for _ in COUNTS:
            count = _first_count(number)
            counts.append(count)
            number = (number - count) >> _BITS_OF_COUNT
        return counts

    def __getitem__(self, name: str) -> int:
        return self.counts[COUNTS.index(name)]

    @property
    def calls(self) -> int:
        """How many: the first of the counts, told apart soon."""
        return _first_count(self.number)

    @property
    def latencies(self) -> Histogram:
        """How long the calls took that did not fail."""
        return Histogram(_parted(self.number)[1])

    @property
    def first_tokens(self) -> Histogram:
        """How long their first token took."""
        return Histogram(_parted(self.number)[1] >> _HALF)

    def to_bytes(self) -> bytes:
        """Return it for storing: the first bucket, and the number without the empty ones below."""
        counts, times = _parted(self.number)
        first = _first(times) // _STEP * _STEP
        number = counts + (times >> (_BITS * first) << _COUNT_BITS)
        size = max(number.bit_length(), _COUNT_BITS) // 8 + 1
        return first.to_bytes(2, "little") + number.to_bytes(size, "little", signed=True)

    @classmethod
    def stored(cls, data: Any) -> Self:
        """Read what `to_bytes` wrote; nothing is added up in anything else."""
        if not _is_stored(data):
            return cls()
        number = int.from_bytes(data[2:], "little", signed=True)
        return cls(_aligned(number, data[:2]))


def added_up(rows: Iterable[Sequence[Any]], keys: int) -> list[dict[Any, Sums]]:
    """
    Add up stored sums, each row by each of its keys.

    Args:
        rows: So many keys, and what `Sums.to_bytes` wrote.
        keys: How many.

    Returns:
        What each key adds up to, by its place.
    """
    # By where their histograms begin: what begins at one bucket is added as it is. And by the first key, and
    # by all others together: of these there are few, which are then told apart.
    starts: dict[bytes, tuple[dict[Any, int], dict[Any, int]]] = {}
    for row in rows:
        data = row[keys]
        if not _is_stored(data):
            continue
        number = int.from_bytes(data[2:], "little", signed=True)
        if (both := starts.get(data[:2])) is None:
            both = starts[data[:2]] = ({}, {})
        by_first, by_others = both
        key, others = row[0], row[1:keys]
        by_first[key] = by_first.get(key, 0) + number
        by_others[others] = by_others.get(others, 0) + number
    found: list[dict[Any, int]] = [{} for _ in range(keys)]
    for bucket, (by_first, by_others) in starts.items():
        added: list[dict[Any, int]] = [by_first, *({} for _ in range(keys - 1))]
        for others, number in by_others.items():
            for numbers, key in zip(added[1:], others, strict=True):
                numbers[key] = numbers.get(key, 0) + number
        for numbers, its in zip(found, added, strict=True):
            for key, number in its.items():
                numbers[key] = numbers.get(key, 0) + _aligned(number, bucket)
    return [{key: Sums(number) for key, number in numbers.items()} for numbers in found]


def _is_stored(data: Any) -> bool:
    return (
        type(data) is bytes
        and len(data) > 2
        and (data[0] | data[1] << 8) * _BITS // 8 + len(data) <= _MOST + 2
    )


def _aligned(number: int, first: bytes) -> int:
    """Return sums of which the histograms begin at bucket *first* as they are where these begin at the first one."""
    counts, times = _parted(number)
    return counts + (times << (_BITS * int.from_bytes(first, "little") + _COUNT_BITS))


def _parted(number: int) -> tuple[int, int]:
    """Return the counts, and the histograms."""
    counts = _counts_in(number)
    return counts, (number - counts) >> _COUNT_BITS


def _counts_in(number: int) -> int:
    counts = number & _MASK_OF_COUNTS
    if counts >> (_COUNT_BITS - 1):  # the last of them is below zero
        counts -= 1 << _COUNT_BITS
    return counts


def _first_count(number: int) -> int:
    count = number & _MASK_OF_COUNT
    return count - (1 << _BITS_OF_COUNT) if count >> (_BITS_OF_COUNT - 1) else count


def _first(times: int) -> int:
    """Return the first bucket in which there is something."""
    return max((times & -times).bit_length() - 1, 0) // _BITS


def _whole(value: Any) -> int:
    if type(value) is int:
        return value
    return int(value) if type(value) is float and isfinite(value) else 0


def _count(value: Any) -> int | None:
    if type(value) is float and isfinite(value):
        value = int(value)
    return max(-MAX_COUNT, min(value, MAX_COUNT)) if type(value) is int else None


def _scaled(value: Any, factor: float, limit: int) -> int | None:
    if type(value) is not float and type(value) is not int:
        return None
    scaled = value * factor
    return round(scaled) if 0 <= scaled <= limit else limit if scaled > limit else None
