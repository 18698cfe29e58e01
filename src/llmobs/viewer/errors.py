"""What failed, by cause."""

from llmobs.answers.asked import PERIODS, Asked
from llmobs.answers.failures import errors
from llmobs.store.engine import ReadsStore
from llmobs.viewer.page import Page, Site, render

__all__ = ["errors_page"]


def errors_page(store: ReadsStore, asked: Asked, site: Site) -> Page:
    """Return what failed, by cause, what failed last first."""
    found = errors(store, asked)
    path = f"{site.base}/errors"
    return render(
        "errors.html",
        site,
        asked=asked,
        path=path,
        groups=found.errors,
        older=asked.link(path, cursor=found.next_cursor) if found.next_cursor else None,
        latest=asked.link(path, cursor=None) if asked.cursor else None,
        periods=PERIODS,
    )
