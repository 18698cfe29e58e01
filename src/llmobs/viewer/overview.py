"""What happened lately, in figures."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from msgspec.structs import replace

from llmobs.answers.asked import PERIODS, Asked
from llmobs.answers.overview import Overview, overview
from llmobs.store.engine import ReadsStore
from llmobs.store.insert import OTHER
from llmobs.viewer.charts import Chart, Series, exact, stretches
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
    calls = {each.began: each.calls for each in found.over_time if each.calls is not None}
    drawn = (
        Series(
            "Runs", "runs", {each.began: each.runs for each in found.over_time},
            {each.began: each.failed for each in found.over_time},
        ),
        Series(
            "Latency of calls, 95th percentile", "s",
            {at: (group.latency_p95_ms or 0) / 1000 for at, group in calls.items()}, digits=2,
            link=CALLS,
        ),
        Series(
            "First token, 95th percentile", "s",
            {at: (group.time_to_first_token_p95_ms or 0) / 1000 for at, group in calls.items()},
            digits=2, link={"calls": "streamed"},
        ),
        Series(
            "Tokens", "tokens",
            {at: group.tokens_input + group.tokens_output for at, group in calls.items()}, link=CALLS,
        ),
        Series(
            "Cost", "$", {at: group.cost_usd or 0.0 for at, group in calls.items()}, digits=4,
            link=CALLS,
        ),
    )  # fmt: skip
    return [Chart.of(series, begins, step, asked, f"{site.base}/runs") for series in drawn]
