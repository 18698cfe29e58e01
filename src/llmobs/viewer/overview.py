"""What happened lately, in figures."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from llmobs.store.engine import ReadsStore
from llmobs.store.records import Activity, CostGroup, GroupBy, RunFilter
from llmobs.viewer.asked import PERIODS, Asked
from llmobs.viewer.charts import Chart, Series, stretches
from llmobs.viewer.page import Page, Site, render

__all__ = ["PERIOD", "overview_page"]

PERIOD: Final = "24h"
"""That is shown unless another is asked for."""
GROUPS: Final[Sequence[tuple[GroupBy, str, str]]] = (
    ("model", "Models", "model"), ("route", "Routes", "name"), ("release", "Releases", ""),
)  # fmt: skip
"""By what calls are added up, what it is called, and the filter of runs that chooses it."""
MAX_GROUPS: Final = 12
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


class Totals(msgspec.Struct, frozen=True):
    """What a stretch of time adds up to."""

    runs: int
    failed: int
    calls: CostGroup | None


def overview_page(store: ReadsStore, asked: Asked, site: Site) -> Page:
    """Return the figures of a stretch of time, beside those of the one before."""
    where, now = asked.where, asked.now
    length = PERIODS.get(asked.period)
    before = None
    if length is not None:
        earlier = replace(where, since=now - 2 * length, until=now - length)
        before = _totals(store, earlier, store.activity(int(DAY.total_seconds()), earlier))
    # Single runs outlive no retention, the hourly sums do: both are asked for what they know.
    step = HOUR if length is not None and length <= 2 * DAY else DAY
    runs = store.activity(int(step.total_seconds()), where)
    began = where.since or store.info().sums_from or now - PERIODS["30d"]
    return render(
        "overview.html",
        site,
        asked=asked,
        periods=PERIODS,
        now=_totals(store, where, runs),
        before=before,
        charts=_charts(store, runs, began, now, step, asked, site),
        groups=[(title, key, store.cost(by, where)[:MAX_GROUPS]) for by, title, key in GROUPS],
        is_empty=not store.runs(1),
    )


def _totals(store: ReadsStore, where: RunFilter, runs: Sequence[Activity]) -> Totals:
    calls = store.cost("all", where)
    return Totals(
        sum(each.runs for each in runs),
        sum(each.failed for each in runs),
        calls[0] if calls else None,
    )


def _charts(
    store: ReadsStore,
    runs: Sequence[Activity],
    began: datetime,
    now: datetime,
    step: timedelta,
    asked: Asked,
    site: Site,
) -> list[Chart]:
    where = asked.where
    begins = stretches(began, where.until or now, step)
    calls = {
        datetime.fromisoformat(group.key).replace(tzinfo=UTC): group
        for group in store.cost("hour" if step == HOUR else "day", where)
        if group.key is not None
    }
    drawn = (
        Series(
            "Runs", "runs", {each.began: each.runs for each in runs},
            {each.began: each.failed for each in runs},
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
