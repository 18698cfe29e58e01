"""One run: its waterfall and its transcript; one event of it, whole."""

from collections.abc import Sequence
from datetime import datetime
from math import isfinite
from typing import Final
from urllib.parse import quote

import msgspec

from llmobs.answers.asked import Asked
from llmobs.answers.run import event, run
from llmobs.describe.tree import nodes
from llmobs.events import Event, RunEvent
from llmobs.store.engine import ReadsStore
from llmobs.store.records import RunSummary
from llmobs.viewer.page import Page, Site, render
from llmobs.viewer.transcript import Block, Transcript

__all__ = ["event_page", "run_page"]

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
    found = run(store, asked, run_id)
    path = f"{site.base}/runs/{quote(found.run.run_id)}"
    return render(
        "run.html",
        site,
        run=found.run,
        detail=found,
        own=[event for event in found.events if isinstance(event, RunEvent)],
        lines=_lines([e for e in found.events if not isinstance(e, RunEvent)], found.run),
        later=asked.link(path, cursor=found.next_cursor) if found.next_cursor else None,
        first=asked.link(path, cursor=None) if asked.cursor else None,
    )


def event_page(store: ReadsStore, asked: Asked, site: Site, *, event_id: str) -> Page:
    """Return one event with all that it says."""
    found = event(store, asked, event_id)
    return render("event.html", site, block=Transcript(whole=True).block(found), event=found)


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
