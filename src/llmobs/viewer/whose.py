"""Users, and sessions: whose runs there are."""

from collections.abc import Sequence

from llmobs.answers.asked import PERIODS, Asked
from llmobs.answers.whose import sessions, users
from llmobs.store.engine import ReadsStore
from llmobs.store.records import Whose
from llmobs.viewer.page import Page, Site, render

__all__ = ["sessions_page", "users_page"]


def users_page(store: ReadsStore, asked: Asked, site: Site) -> Page:
    """Return users, those with the latest run first."""
    found = users(store, asked)
    return _page(asked, site, "user", found.users, found.next_cursor)


def sessions_page(store: ReadsStore, asked: Asked, site: Site) -> Page:
    """Return sessions, those with the latest run first."""
    found = sessions(store, asked)
    return _page(asked, site, "session", found.sessions, found.next_cursor)


def _page(asked: Asked, site: Site, kind: str, found: Sequence[Whose], more: str | None) -> Page:
    path = f"{site.base}/{kind}s"
    return render(
        "whose.html",
        site,
        asked=asked,
        kind=kind,
        path=path,
        found=found,
        older=asked.link(path, cursor=more) if more else None,
        latest=asked.link(path, cursor=None) if asked.cursor else None,
        periods=PERIODS,
    )
