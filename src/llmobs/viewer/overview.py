"""What happened lately, in figures."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from llmobs.answers.asked import PERIODS, Asked
from llmobs.answers.overview import Overview, overview
from llmobs.store.engine import ReadsStore
from llmobs.viewer.charts import Chart, Series, stretches
from llmobs.viewer.page import Page, Site, render

__all__ = ["overview_page"]

GROUPS: Final = (
    ("model", "Models", "model"),
    ("route", "Routes", "name"),
    ("release", "Releases", ""),
)
"""By what calls are added up, what it is called, and the filter of runs that chooses it."""


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
        charts=_charts(found, asked, site),
        groups=[(title, key, found.groups[by]) for by, title, key in GROUPS],
        is_empty=found.is_empty,
    )


def _charts(found: Overview, asked: Asked, site: Site) -> Sequence[Chart]:
    step = timedelta(seconds=found.step_seconds)
    begins = stretches(found.began, found.ended, step)
    calls = {each.began: each.calls for each in found.over_time if each.calls is not None}
    drawn = (
        Series(
            "Runs", "runs", {each.began: each.runs for each in found.over_time},
            {each.began: each.failed for each in found.over_time},
        ),
        Series(
            "Latency of calls, 95th percentile", "s",
            {at: (group.latency_p95_ms or 0) / 1000 for at, group in calls.items()}, digits=2,
        ),
        Series(
            "Tokens", "tokens",
            {at: group.tokens_input + group.tokens_output for at, group in calls.items()},
        ),
        Series("Cost", "$", {at: group.cost_usd or 0.0 for at, group in calls.items()}, digits=4),
    )  # fmt: skip
    return [Chart.of(series, begins, step, asked, f"{site.base}/runs") for series in drawn]
