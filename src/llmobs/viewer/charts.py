"""Bars over time, as the figures that a drawing is made of."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil, log10
from typing import Final

import msgspec

from llmobs.answers.asked import Asked

__all__ = ["Chart", "Series", "exact", "stretches"]

WIDTH: Final = 600
HEIGHT: Final = 120
"""Of the bars, in the drawing's own units; axes stand beside."""
GAP: Final = 0.2
"""Of a bar's place."""
FEW: Final = 8
"""Marks on the axis of time, at most."""
HOURS: Final = (1, 2, 3, 6, 12, 24)
"""Between two marks: each divides a day."""


class Series(msgspec.Struct, frozen=True):
    """What is drawn."""

    title: str
    unit: str
    values: Mapping[datetime, float]
    """By when the stretch begins."""
    bad: Mapping[datetime, float] = {}
    """The part of each that failed."""
    digits: int = 0
    link: Mapping[str, str] = {}
    """What chooses the runs behind it, beside the time."""


class Bar(msgspec.Struct, frozen=True):
    """One stretch of time."""

    x: float
    width: float
    y: float
    height: float
    bad_y: float
    bad_height: float
    words: str
    link: str


class Chart(msgspec.Struct, frozen=True):
    """A drawing."""

    title: str
    unit: str
    bars: Sequence[Bar]
    tops: Sequence[tuple[float, str]]
    """Marks of the axis of values: where, and what."""
    times: Sequence[tuple[float, str]]
    """Marks of the axis of time."""

    @classmethod
    def of(
        cls, series: Series, begins: Sequence[datetime], step: timedelta, asked: Asked, runs: str
    ) -> "Chart":
        """
        Draw *series*.

        Args:
            series: The values.
            begins: Of all stretches, in order; those without a value are empty.
            step: How long each is.
            asked: What links keep of the page's address.
            runs: Address of the list of runs.
        """
        top = _round_up(max((series.values.get(each, 0.0) for each in begins), default=0.0))
        place = WIDTH / max(len(begins), 1)
        bars = []
        for number, begin in enumerate(begins):
            value, bad = series.values.get(begin, 0.0), series.bad.get(begin, 0.0)
            height, bad_height = HEIGHT * value / top, HEIGHT * bad / top
            words = f"{_time(begin, step)}: {value:,.{series.digits}f} {series.unit}"
            if bad:
                words = f"{words}, {bad:,.0f} failed"
            since, until = begin, begin + step
            if asked.where.since is not None:
                since = max(since, asked.where.since)
            if asked.where.until is not None:
                until = min(until, asked.where.until)
            bars.append(
                Bar(
                    x=round((number + GAP / 2) * place, 2),
                    width=round(place * (1 - GAP), 2),
                    y=round(HEIGHT - height, 2),
                    height=round(height, 2),
                    bad_y=round(HEIGHT - bad_height, 2),
                    bad_height=round(bad_height, 2),
                    words=words,
                    link=asked.link(
                        runs, period=None, since=exact(since), until=exact(until), **series.link
                    ),
                )
            )
        return cls(
            title=series.title,
            unit=series.unit,
            bars=bars,
            tops=[(HEIGHT * (1 - share), _said(top * share)) for share in (0, 0.5, 1)],
            times=[
                (round((number + 0.5) * place, 2), words) for number, words in _marks(begins, step)
            ],
        )


def exact(moment: datetime) -> str:
    """Return a time as addresses hold it, no longer than it must be."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat().removesuffix(":00")


def stretches(since: datetime, until: datetime, step: timedelta) -> list[datetime]:
    """Return when each stretch between two times begins, the first and the last one cut off perhaps."""
    seconds = step.total_seconds()
    first = int(since.timestamp() // seconds)
    last = int(until.timestamp() // seconds)
    return [datetime.fromtimestamp(n * seconds, UTC) for n in range(first, last + 1)]


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, …: a scale that is easily read."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** (ceil(log10(value)) - 1)
    return next(power * each for each in (1, 2, 5, 10, 20) if power * each >= value * 0.999999)


def _said(value: float) -> str:
    if value == 0:
        return "0"
    if value >= 1_000_000:
        return f"{value / 1_000_000:g}M"
    if value >= 1_000:
        return f"{value / 1_000:g}k"
    return f"{value:g}"


def _marks(begins: Sequence[datetime], step: timedelta) -> list[tuple[int, str]]:
    """Return which stretches are marked on the axis of time, and with which words."""
    if step >= timedelta(days=1):
        every = max(1, ceil(len(begins) / FEW))
        return [(n, _time(begin, step)) for n, begin in enumerate(begins) if n % every == 0]
    every = next((each for each in HOURS if len(begins) <= FEW * each), HOURS[-1])
    return [
        (n, f"{begin:%b %d}" if begin.hour == 0 else f"{begin:%H:%M}")
        for n, begin in enumerate(begins)
        if begin.hour % every == 0
    ]


def _time(begin: datetime, step: timedelta) -> str:
    return f"{begin:%b %d}" if step >= timedelta(days=1) else f"{begin:%b %d %H:%M}"
