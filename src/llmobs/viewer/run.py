"""One run: its waterfall and its transcript; one event of it, whole."""

from collections.abc import Sequence
from datetime import datetime
from math import isfinite
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from llmobs.describe.tree import nodes
from llmobs.events import Event, RunEvent
from llmobs.store.engine import ReadsStore
from llmobs.store.records import AmbiguousRunError, RunNotFoundError, RunSummary
from llmobs.viewer.asked import Asked
from llmobs.viewer.page import Page, Site, render, trouble
from llmobs.viewer.transcript import Block, Transcript

__all__ = ["EVENTS_ON_A_PAGE", "event_page", "run_page"]

EVENTS_ON_A_PAGE: Final = 200
WIDTH: Final = 1_000
"""Of a drawing, in its own units."""
THINNEST: Final = 3
"""What took no time is still seen."""


class Line(msgspec.Struct, frozen=True):
    """One event in the waterfall."""

    block: Block
    depth: int
    offset_ms: float
    x: int
    width: int


def run_page(store: ReadsStore, asked: Asked, site: Site, *, run_id: str) -> Page:
    """Return one run, a page of its events at a time."""
    after = asked.given.get("after")
    try:
        detail = store.run(run_id, limit=EVENTS_ON_A_PAGE + 2, after=after)
    except AmbiguousRunError as error:
        links = [(f"{site.base}/runs/{quote(each)}", each) for each in error.candidates]
        return trouble(site, 404, "Several runs", str(error), links)
    except RunNotFoundError as error:
        return trouble(site, 404, "No such run", str(error))
    run = detail.summary
    if asked.where.project_id not in (None, run.project_id):
        return trouble(site, 404, "No such run", "no such run")
    own = [event for event in detail.events if isinstance(event, RunEvent)]
    others = [event for event in detail.events if not isinstance(event, RunEvent)]
    shown = others[:EVENTS_ON_A_PAGE]
    more = len(others) > len(shown)
    path = f"{site.base}/runs/{quote(run.run_id)}"
    return render(
        "run.html",
        site,
        run=run,
        detail=detail,
        own=own,
        lines=_lines(shown, run),
        later=f"{path}?{urlencode({'after': shown[-1].event_id})}" if more else None,
        first=path if after else None,
    )


def event_page(store: ReadsStore, asked: Asked, site: Site, *, event_id: str) -> Page:
    """Return one event with all that it says."""
    stored = store.event(event_id)
    event = None if stored is None else stored.decode()
    if event is None or asked.where.project_id not in (None, event.project_id):
        words = "No event has this id." if stored is None else "This llmobs cannot read it."
        return trouble(site, 404, "No such event", words)
    return render("event.html", site, block=Transcript(whole=True).block(event), event=event)


def _lines(events: Sequence[Event], run: RunSummary) -> list[Line]:
    total = run.duration_ms if isfinite(run.duration_ms) and run.duration_ms > 0 else 1.0
    transcript = Transcript()
    blocks = {event.event_id: transcript.block(event) for event in events}
    return [
        _line(blocks[node.event.event_id], node.depth, run.started, total) for node in nodes(events)
    ]


def _line(block: Block, depth: int, started: datetime, total: float) -> Line:
    event = block.event
    offset = (event.timestamp - started).total_seconds() * 1000
    latency = getattr(event, "latency_ms", None)
    if latency is None or not isfinite(latency):
        latency = 0.0
    x = min(max(int(WIDTH * offset / total), 0), WIDTH - THINNEST)
    width = min(max(round(WIDTH * latency / total), THINNEST), WIDTH - x)
    return Line(block, depth, offset, x, width)
