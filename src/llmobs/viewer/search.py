"""Words in prompts, answers, tools and errors: where they stand."""

from llmobs.answers.asked import PERIODS, Asked
from llmobs.answers.search import search
from llmobs.store.engine import ReadsStore
from llmobs.viewer.page import Page, Site, render

__all__ = ["search_page"]


def search_page(store: ReadsStore, asked: Asked, site: Site) -> Page:
    """Return events in which the words stand, the latest first, with what stands around them."""
    found = search(store, asked)
    path = f"{site.base}/search"
    return render(
        "search.html",
        site,
        asked=asked,
        found=found,
        filters={k: v for k, v in asked.given.items() if k not in ("cursor", "limit")},
        older=asked.link(path, cursor=found.next_cursor) if found.next_cursor else None,
        latest=asked.link(path, cursor=None) if asked.cursor else None,
        periods=PERIODS,
    )
