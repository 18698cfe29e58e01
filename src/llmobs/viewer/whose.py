"""Users, and sessions: whose runs there are."""

from datetime import datetime
from typing import Final, Literal

from llmobs.store.engine import ReadsStore
from llmobs.viewer.asked import PERIODS, AddressError, Asked
from llmobs.viewer.page import Page, Site, render

__all__ = ["ON_A_PAGE", "whose_page"]

ON_A_PAGE: Final = 50


def whose_page(
    store: ReadsStore, asked: Asked, site: Site, *, kind: Literal["user", "session"]
) -> Page:
    """
    Return users or sessions, those with the latest run first.

    Raises:
        AddressError: The address does not say well where to go on.
    """
    before = asked.given.get("before")
    found = store.whose(
        kind, ON_A_PAGE + 1, before=None if before is None else _place(before), where=asked.where
    )
    shown = found[:ON_A_PAGE]
    path = f"{site.base}/{kind}s"
    older = None
    if len(found) > len(shown):
        older = asked.link(path, before=f"{shown[-1].latest.isoformat()} {shown[-1].id}")
    return render(
        "whose.html",
        site,
        asked=asked,
        kind=kind,
        path=path,
        found=shown,
        older=older,
        latest=asked.link(path, before=None) if before else None,
        periods=PERIODS,
    )


def _place(text: str) -> tuple[datetime, str]:
    moment, _, id = text.partition(" ")
    try:
        return datetime.fromisoformat(moment), id
    except ValueError:
        raise AddressError("before", "what a link of this page says, and nothing else") from None
