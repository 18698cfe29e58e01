"""The one table of pages, and how each is made; every door drives it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from llmobs.answers import compare, failures, overview
from llmobs.answers.asked import read_address
from llmobs.answers.errors import AddressError, NotFoundError, SeveralError
from llmobs.errors import SinkUnavailableError, StoreError
from llmobs.runtime.troubles import Troubles
from llmobs.store.engine import ReadsStore
from llmobs.viewer.compare import compare_page
from llmobs.viewer.errors import errors_page
from llmobs.viewer.live import live_page
from llmobs.viewer.overview import overview_page
from llmobs.viewer.page import Page, Site, trouble
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

_troubles = Troubles()


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
    try:
        asked = read_address(query, period=page.period, project=project)
        with open_store() as store:
            return page.draw(store, asked, site, **names)
    except AddressError as error:
        return trouble(site, 400, "This address asks for something else", str(error))
    except SeveralError as error:
        links = [(f"{site.base}/{error.what}s/{quote(each)}", each) for each in error.candidates]
        return trouble(site, 404, f"Several {error.what}s", str(error), links)
    except NotFoundError as error:
        return trouble(site, 404, f"No such {error.what}", str(error))
    except (StoreError, SinkUnavailableError) as error:
        _troubles.log("page", "llmobs: a page cannot be shown: %s", error)
        return trouble(
            site,
            503,
            "The store cannot be read now",
            "What stands in its way is in the log of whoever serves this page; llmobs store info "
            "says more. What is sent meanwhile is not lost: senders are asked to come again.",
        )
