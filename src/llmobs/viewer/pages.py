"""The one table of pages, and how each is made; every door drives it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from llmobs.answers import compare, failures, overview
from llmobs.answers.asked import Asked
from llmobs.answers.asking import NoAnswer, ask
from llmobs.store.engine import ReadsStore
from llmobs.viewer.compare import compare_page
from llmobs.viewer.errors import errors_page
from llmobs.viewer.live import live_page
from llmobs.viewer.overview import overview_page
from llmobs.viewer.page import Page, Site, in_address, trouble
from llmobs.viewer.run import event_page, run_page, text_page
from llmobs.viewer.runs import runs_page
from llmobs.viewer.search import search_page
from llmobs.viewer.whose import sessions_page, users_page

__all__ = ["PAGES", "Listed", "draw"]


class Listed(msgspec.Struct, frozen=True):
    """A page that there is."""

    path: str
    """What stands in braces is any text, which the page is handed by this name."""
    draw: Callable[..., Page]
    """``(store, asked, site, **names)``"""
    name: str = ""
    """In the navigation; empty: not there."""
    period: str = ""
    """The stretch of time unless another is asked for; empty: all."""


PAGES: Final[Sequence[Listed]] = (
    Listed("/", overview_page, "Overview", period=overview.PERIOD),
    Listed("/runs", runs_page, "Runs"),
    Listed("/live", live_page, "Live"),
    Listed("/search", search_page, "Search"),
    Listed("/runs/{run_id}", run_page),
    Listed("/text/{run_id}", text_page),
    Listed("/events/{event_id}", event_page),
    Listed("/errors", errors_page, "Errors", period=failures.PERIOD),
    Listed("/compare", compare_page, "Compare", period=compare.PERIOD),
    Listed("/sessions", sessions_page, "Sessions"),
    Listed("/users", users_page, "Users"),
)
"""In the order of the navigation."""


def draw(
    page: Listed,
    open_store: Callable[[], ReadsStore],
    query: Mapping[str, str],
    site: Site,
    *,
    project: str | None,
    names: Mapping[str, str],
) -> Page:
    """
    Make a page, or one that says why there is none; blocking.

    Args:
        page: Which one.
        open_store: Opens the store that it shows.
        query: Of its address.
        site: Where the pages are.
        project: The one project that may be seen; None: all of them.
        names: What stands in the address where its path has braces.
    """
    site = replace(site, pages=[(each.path, each.name) for each in PAGES if each.name])

    def drawn(store: ReadsStore, asked: Asked) -> Page:
        return page.draw(store, asked, site, **names)

    made = ask(open_store, query, drawn, period=page.period, project=project)
    if isinstance(made, Page):
        return made
    links = [(f"{site.base}/{made.what}s/{in_address(each)}", each) for each in made.candidates]
    return trouble(site, made.status, _title(made), _words(made), links)


def _title(why: NoAnswer) -> str:
    if why.what:
        return f"Several {why.what}s" if why.candidates else f"No such {why.what}"
    return (
        "This address asks for something else"
        if why.status == 400
        else "The store cannot be read now"
    )


def _words(why: NoAnswer) -> str:
    if why.status != 503:
        return why.words
    return (
        "What stands in its way is in the log of whoever serves this page; llmobs store info "
        "says more. What is sent meanwhile is not lost: senders are asked to come again."
    )
