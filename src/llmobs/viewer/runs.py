"""The list of runs."""

from typing import Final

from llmobs.store.engine import ReadsStore
from llmobs.viewer.asked import PERIODS, Asked
from llmobs.viewer.page import Page, Site, render

__all__ = ["RUNS_ON_A_PAGE", "runs_page"]

RUNS_ON_A_PAGE: Final = 50
STATUSES: Final = ("failed", "success", "error", "timeout", "cancelled")


def runs_page(store: ReadsStore, asked: Asked, site: Site) -> Page:
    """Return runs, the latest first, and a link to those before them."""
    before = asked.given.get("before")
    found = store.runs(RUNS_ON_A_PAGE + 1, before=before, where=asked.where)
    runs, more = found[:RUNS_ON_A_PAGE], len(found) > RUNS_ON_A_PAGE
    filters = {k: v for k, v in asked.given.items() if k != "before"}
    return render(
        "runs.html",
        site,
        asked=asked,
        runs=runs,
        filters=filters,
        older=asked.link(f"{site.base}/runs", before=runs[-1].run_id) if more else None,
        latest=asked.link(f"{site.base}/runs", before=None) if before else None,
        periods=PERIODS,
        statuses=STATUSES,
    )
