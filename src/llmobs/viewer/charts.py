"""Figures over time, as what a drawing of them is made of: bars, or lines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from math import ceil, log10
from typing import Final, Literal

import msgspec

from llmobs.answers.asked import Asked

__all__ = ["Chart", "Plot", "Series", "exact", "stretches"]

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
    """One of the figures that a chart shows."""

    name: str
    """In its legend."""
    look: str
    """Class of what is drawn."""
    values: Mapping[datetime, float]
    """By when the stretch begins; those of which nothing is known are left out."""


class Plot(msgspec.Struct, frozen=True):
    """What is drawn."""

    title: str
    unit: str
    kind: Literal["bars", "lines"]
    """Bars stand on each other, the first one at the bottom."""
    series: Sequence[Series]
    words: Callable[[datetime], str]
    """Says in words what is drawn of a stretch."""
    link: Mapping[str, str] = {}
    """What chooses the runs behind it, beside the time."""
    least: float = 0.0
    """What its scale reaches at least."""


class Piece(msgspec.Struct, frozen=True):
    """A bar, or the top of one that is not drawn: a point of a line."""

    look: str
    y: float
    height: float


class Column(msgspec.Struct, frozen=True):
    """One stretch of time."""

    x: float
    width: float
    middle: float
    pieces: Sequence[Piece]
    words: str
    link: str


class Chart(msgspec.Struct, frozen=True):
    """A drawing."""

    title: str
    unit: str
    kind: str
    """``bars`` or ``lines``."""
    columns: Sequence[Column]
    """Those of which anything is known."""
    lines: Sequence[tuple[str, str]]
    """Looks and points of what joins neighbours."""
    legend: Sequence[tuple[str, str]]
    """Names and looks; empty where the title says it all."""
    tops: Sequence[tuple[float, str]]
    """Marks of the axis of values: where, and what."""
    times: Sequence[tuple[float, str]]
    """Marks of the axis of time."""

    @classmethod
    def of(
        cls, plot: Plot, begins: Sequence[datetime], step: timedelta, asked: Asked, runs: str
    ) -> "Chart":
        """
        Draw *plot*.

        Args:
            plot: The values.
            begins: Of all stretches, in order; those without a value are empty.
            step: How long each is.
            asked: What links keep of the page's address.
            runs: Address of the list of runs.
        """
        series = [each for each in plot.series if any(each.values.values())]
        top = _round_up(max([plot.least, *(_highest(plot.kind, series, each) for each in begins)]))
        place = WIDTH / max(len(begins), 1)
        columns = [
            Column(
                x=round((number + GAP / 2) * place, 2),
                width=round(place * (1 - GAP), 2),
                middle=_middle(number, place),
                pieces=pieces,
                words=f"{_time(begin, step)}: {plot.words(begin)}",
                link=_link(begin, step, asked, runs, plot.link),
            )
            for number, begin in enumerate(begins)
            if (pieces := [*_pieces(plot.kind, series, begin, top)])
        ]
        return cls(
            title=plot.title,
            unit=plot.unit,
            kind=plot.kind,
            columns=columns,
            lines=[*_lines(series, begins, top, place)] if plot.kind == "lines" else [],
            legend=[(each.name, each.look) for each in series] if len(series) > 1 else [],
            tops=[(HEIGHT * (1 - share), _said(top * share)) for share in (0, 0.5, 1)],
            times=[(_middle(number, place), words) for number, words in _marks(begins, step)],
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


def _highest(kind: str, series: Sequence[Series], begin: datetime) -> float:
    values = [each.values.get(begin, 0.0) for each in series]
    return sum(values) if kind == "bars" else max(values, default=0.0)


def _pieces(kind: str, series: Sequence[Series], begin: datetime, top: float) -> Iterator[Piece]:
    below = 0.0
    for each in series:
        if (value := each.values.get(begin)) is None or (kind == "bars" and not value):
            continue
        height = HEIGHT * value / top
        yield Piece(each.look, round(HEIGHT - below - height, 2), round(height, 2))
        if kind == "bars":
            below += height


def _lines(
    series: Sequence[Series], begins: Sequence[datetime], top: float, place: float
) -> Iterator[tuple[str, str]]:
    """Yield a line for each row of stretches of which something is known."""
    for each in series:
        known = ((begin in each.values, number) for number, begin in enumerate(begins))
        for is_known, group in groupby(known, lambda pair: pair[0]):
            numbers = [number for _, number in group]
            if is_known and len(numbers) > 1:
                yield (
                    each.look,
                    " ".join(
                        f"{_middle(n, place)},{round(HEIGHT * (1 - each.values[begins[n]] / top), 2)}"
                        for n in numbers
                    ),
                )


def _middle(number: int, place: float) -> float:
    return round((number + 0.5) * place, 2)


def _link(
    begin: datetime, step: timedelta, asked: Asked, runs: str, chosen: Mapping[str, str]
) -> str:
    since, until = begin, begin + step
    if asked.where.since is not None:
        since = max(since, asked.where.since)
    if asked.where.until is not None:
        until = min(until, asked.where.until)
    return asked.link(runs, period=None, since=exact(since), until=exact(until), **chosen)


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 4, 6, 10, 20, …: a scale that is easily read, as is its half."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** (ceil(log10(value)) - 1)
    return next(power * each for each in (1, 2, 4, 6, 10, 20) if power * each >= value * 0.999999)


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
