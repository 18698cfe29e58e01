"""The live page: runs as they come."""

from collections.abc import Sequence
from typing import Final

import msgspec

from llmobs.answers.asked import Asked
from llmobs.answers.live import LIVE, News, live, news, now, opened, sealed
from llmobs.store.engine import ReadsStore
from llmobs.store.records import SILENCE, RunSummary, to_microseconds
from llmobs.viewer.page import Page, Site, render
from llmobs.viewer.runs import STATUSES

__all__ = ["live_news", "live_page", "news_as_json"]

RELOAD_SECONDS: Final = 5
"""After which the page comes again by itself where there is no JavaScript."""


class _Row(msgspec.Struct):
    """One run, for the page's script."""

    id: str
    began: int
    """Microseconds since 1970: its place."""
    state: str
    """``running``, ``ended`` or ``cut off``."""
    html: str
    """Its row, escaped as in the page."""


class _LiveUpdate(msgspec.Struct, omit_defaults=True):
    rows: list[_Row]
    whole: bool
    gone: Sequence[str] = ()
    cursor: str | None = None


def live_page(store: ReadsStore, asked: Asked, site: Site) -> Page:
    """Return the latest runs and those that run still; the page's script keeps it so."""
    found = live(store, asked)
    return render(
        "live.html",
        site,
        asked=asked,
        runs=[(run, state_of(run)) for run in found.runs],
        filters={k: v for k, v in asked.given.items() if k not in ("cursor", "pause")},
        is_paused="pause" in asked.given,
        reload_seconds=RELOAD_SECONDS,
        silence=int(SILENCE.total_seconds() / 60),
        statuses=STATUSES,
        limit=asked.limit(LIVE),
        streams=site.streams,
    )


def live_news(store: ReadsStore, asked: Asked, site: Site) -> bytes:
    """Return what is new since the cursor that is asked with, as JSON: for servers that cannot stream."""
    until = now(store)
    since = None if asked.cursor is None else opened(store, asked.cursor)
    return news_as_json(news(store, asked, since, until), asked, site, sealed(store, until))


def news_as_json(found: News, asked: Asked, site: Site, cursor: str | None = None) -> bytes:
    """Return *found* for the page's script, as JSON on one line."""
    rows = [
        _Row(
            run.run_id,
            to_microseconds(run.started),
            state_of(run),
            render("live_row.html", site, asked=asked, run=run, state=state_of(run)).html,
        )
        for run in found.runs
    ]
    return msgspec.json.encode(_LiveUpdate(rows, found.whole, found.gone, cursor))


def state_of(run: RunSummary) -> str:
    """Return whether *run* goes on, in a word."""
    return "running" if run.running else "cut off" if run.cut_off else "ended"
