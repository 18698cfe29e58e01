"""The list of runs."""

from typing import Final

from llmobs.answers.asked import PERIODS, Asked
from llmobs.answers.runs import COUNTED, runs
from llmobs.describe.words import several
from llmobs.store.engine import ReadsStore
from llmobs.viewer.page import Page, Site, render
from llmobs.viewer.search import search_page

__all__ = ["STATUSES", "runs_page"]

STATUSES: Final = ("failed", "success", "error", "timeout", "cancelled", "running", "cut off")
"""What runs can be asked for by; see `llmobs.answers.asked`."""


def runs_page(store: ReadsStore, asked: Asked, site: Site) -> Page:
    """Return runs, the latest first, and a link to those before them; with a ``text``, the places where it stands."""
    if asked.given.get("text"):
        return search_page(store, asked, site)
    found = runs(store, asked)
    total = found.total or 0
    path = f"{site.base}/runs"
    return render(
        "runs.html",
        site,
        asked=asked,
        runs=found.runs,
        total=f"{COUNTED:,} runs or more" if total >= COUNTED else several(total, "run"),
        filters={k: v for k, v in asked.given.items() if k != "cursor"},
        older=asked.link(path, cursor=found.next_cursor) if found.next_cursor else None,
        latest=asked.link(path, cursor=None) if asked.cursor else None,
        periods=PERIODS,
        statuses=STATUSES,
    )
