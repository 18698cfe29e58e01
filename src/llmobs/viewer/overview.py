"""What happened lately, in figures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final

from msgspec.structs import replace

from llmobs.answers.asked import PERIODS, Asked
from llmobs.answers.overview import Overview, Stretch, overview
from llmobs.describe.words import duration, money, several
from llmobs.store.engine import ReadsStore
from llmobs.store.insert import OTHER
from llmobs.store.records import CostGroup
from llmobs.viewer.charts import Chart, Plot, Series, exact, stretches
from llmobs.viewer.page import Page, Site, render

__all__ = ["overview_page"]

GROUPS: Final = (
    ("model", "Models", "model"),
    ("route", "Routes", "route"),
    ("release", "Releases", "release"),
)
"""By what calls are added up, what it is called, and the filter of runs that chooses it."""


MAX_STRETCHES: Final = 1_100
"""In a chart, three years of days: those before are left out."""
WHOLE: Final = 2.0
"""What the scale of what is counted reaches at least: half of it is a whole number, too."""
CALLS: Final = {"calls": "any"}
"""What chooses runs with calls of models."""


def overview_page(store: ReadsStore, asked: Asked, site: Site) -> Page:
    """Return the figures of a stretch of time, beside those of the one before."""
    found = overview(store, asked)
    return render(
        "overview.html",
        site,
        asked=asked,
        periods=PERIODS,
        now=found.now,
        before=found.before,
        earlier=_earlier(found, asked),
        users=found.users,
        other=OTHER,
        charts=_charts(found, asked, site),
        groups=[(title, key, found.groups[by]) for by, title, key in GROUPS],
        evaluations=found.evaluations,
        is_empty=found.is_empty,
    )


def _earlier(found: Overview, asked: Asked) -> Asked | None:
    """Return what asks for the stretch of time before."""
    before = found.before
    if before is None or before.since is None or before.until is None:
        return None
    given = {name: value for name, value in asked.given.items() if name != "period"}
    times = {"since": exact(before.since), "until": exact(before.until)}
    return replace(asked, given={**given, **times})


def _charts(found: Overview, asked: Asked, site: Site) -> Sequence[Chart]:
    step = timedelta(seconds=found.step_seconds)
    began = max(found.began, found.ended - MAX_STRETCHES * step)
    begins = stretches(began, found.ended, step)
    over_time = {each.began: each for each in found.over_time}
    return [
        Chart.of(plot, begins, step, asked, f"{site.base}/runs")
        for plot in (_runs(over_time), _failed(over_time), *_calls(over_time))
    ]


def _runs(over_time: Mapping[datetime, Stretch]) -> Plot:
    def words(at: datetime) -> str:
        one = over_time[at]
        return several(one.runs, "run") + (f", {one.failed:,} failed" if one.failed else "")

    failed = {at: float(one.failed) for at, one in over_time.items()}
    others = {at: float(one.runs - one.failed) for at, one in over_time.items()}
    series = [Series("failed", "bad", failed), Series("others", "value", others)]
    return Plot("Runs", "runs", "bars", series, words, least=WHOLE)


def _failed(over_time: Mapping[datetime, Stretch]) -> Plot:
    """Again and by themselves: of many runs the few that failed are hardly seen."""

    def words(at: datetime) -> str:
        one = over_time[at]
        return f"{one.failed:,} of {several(one.runs, 'run')} failed"

    failed = {at: float(one.failed) for at, one in over_time.items()}
    return Plot(
        "Runs that failed", "runs", "bars", [Series("failed", "bad", failed)], words,
        {"status": "failed"}, WHOLE,
    )  # fmt: skip


def _calls(over_time: Mapping[datetime, Stretch]) -> Iterator[Plot]:
    calls = {at: one.calls for at, one in over_time.items() if one.calls is not None}

    def values(of: Callable[[CostGroup], float | None]) -> dict[datetime, float]:
        found = {at: of(group) for at, group in calls.items()}
        return {at: value for at, value in found.items() if value is not None}

    def seconds(figure: str) -> dict[datetime, float]:
        return {at: ms / 1000 for at, ms in values(attrgetter(figure)).items()}

    def times(at: datetime) -> str:
        one = calls[at]
        said = (
            f"median {duration(one.latency_p50_ms)}, 95th percentile {duration(one.latency_p95_ms)}"
        )
        if one.time_to_first_token_p50_ms is None:
            return said
        first = f"{duration(one.time_to_first_token_p50_ms)} and {duration(one.time_to_first_token_p95_ms)}"
        return f"{said}; first token {first}"

    def tokens(at: datetime) -> str:
        return f"{calls[at].tokens_input:,} tokens in, {calls[at].tokens_output:,} out"

    def cost(at: datetime) -> str:
        return money(calls[at].cost_usd, calls[at].unpriced)

    latency = [
        Series("p95", "p95", seconds("latency_p95_ms")),
        Series("median", "p50", seconds("latency_p50_ms")),
        Series("first token p95", "first p95", seconds("time_to_first_token_p95_ms")),
        Series("first token median", "first p50", seconds("time_to_first_token_p50_ms")),
    ]
    yield Plot("Latency of calls", "seconds", "lines", latency, times, CALLS)
    sides = [
        Series("in", "value", values(lambda group: group.tokens_input)),
        Series("out", "tool", values(lambda group: group.tokens_output)),
    ]
    yield Plot("Tokens", "tokens", "bars", sides, tokens, CALLS, WHOLE)
    paid = [Series("cost", "value", values(lambda group: group.cost_usd))]
    yield Plot("Cost", "US dollars", "bars", paid, cost, CALLS)
