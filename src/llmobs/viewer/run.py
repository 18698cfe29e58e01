"""One run: its waterfall and its transcript; one event of it, whole."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Final
from urllib.parse import quote

import msgspec

from llmobs.answers.asked import Asked
from llmobs.answers.run import Run, event, run
from llmobs.codec import encode
from llmobs.describe.curl import curl_of
from llmobs.describe.run_text import run_as_text
from llmobs.describe.tree import nodes
from llmobs.events import Event, PromptCallEvent, RunEvent
from llmobs.store.engine import ReadsStore
from llmobs.store.records import Around, Evaluation
from llmobs.viewer.page import Page, Site, render
from llmobs.viewer.transcript import Block, Transcript

__all__ = ["event_page", "run_page", "text_page"]

WIDTH: Final = 1_000
"""Of a drawing, in its own units."""
CURL_BYTES: Final = 200_000
"""Of what a call was asked with, beyond which nobody pastes it into a shell: its JSON has it."""
THINNEST: Final = 3
"""What took no time is still seen."""


class Line(msgspec.Struct, frozen=True):
    """One event in the waterfall."""

    block: Block | None
    around: Around | None
    """In the place of a block: it is on another page, and events on this one happened inside it."""
    depth: int
    offset_ms: float
    latency_ms: float | None
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
        said_of=_by_subject(found.evaluations),
        here_again=asked.link(path),
        own=[event for event in found.events if isinstance(event, RunEvent)],
        lines=_lines(found),
        first_token_ms=None if asked.cursor else _first_token(found),
        text=f"{site.base}/text/{quote(found.run.run_id)}",
        later=asked.link(path, cursor=found.next_cursor) if found.next_cursor else None,
        first=asked.link(path, cursor=None) if asked.cursor else None,
    )


def event_page(store: ReadsStore, asked: Asked, site: Site, *, event_id: str) -> Page:
    """Return one event with all that it says."""
    found = event(store, asked, event_id)
    its = found.event
    return render(
        "event.html",
        site,
        block=Transcript(whole=True).block(its),
        event=its,
        curl=_curl(its),
        evaluations=found.evaluations,
        here_again=f"{site.base}/events/{quote(its.event_id)}",
    )


def _by_subject(evaluations: Sequence[Evaluation]) -> Mapping[str, Sequence[Evaluation]]:
    found: dict[str, list[Evaluation]] = {}
    for each in evaluations:
        if each.subject is not None:
            found.setdefault(each.subject, []).append(each)
    return found


def _curl(event: Event) -> str | None:
    if not isinstance(event, PromptCallEvent):
        return None
    length = len(encode([event.prompt, event.request_params]))
    return curl_of(event) if length <= CURL_BYTES else None


def text_page(store: ReadsStore, asked: Asked, site: Site, *, run_id: str) -> Page:
    """Return one run as a plain text, to be handed on."""
    found = run(store, asked, run_id)
    left = found.total - len(found.events) - found.unreadable if found.next_cursor else 0
    text = run_as_text(found.run, found.events, found.evaluations, left=left)
    return Page(text, type="text/plain; charset=utf-8")


def _first_token(found: Run) -> float | None:
    """Return how long after its beginning a run had its first token; None where none is known."""
    moments = [
        _after(event, found) + event.time_to_first_token_ms
        for event in found.events
        if isinstance(event, PromptCallEvent) and event.time_to_first_token_ms is not None
    ]
    return min(moments, default=None)


def _after(event: Event | Around, found: Run) -> float:
    return (event.timestamp - found.run.started).total_seconds() * 1000


def _lines(found: Run) -> list[Line]:
    took = found.run.duration_ms
    total = took if isfinite(took) and took > 0 else 1.0
    transcript = Transcript()
    events = [event for event in found.events if not isinstance(event, RunEvent)]
    blocks = {event.event_id: transcript.block(event) for event in events}
    placed: list[Event | Around] = [*found.around, *events]
    lines = []
    for node in nodes(placed):
        event = node.event
        offset = _after(event, found)
        latency = getattr(event, "latency_ms", None)
        if latency is not None and not isfinite(latency):
            latency = None
        x = min(max(int(WIDTH * offset / total), 0), WIDTH - THINNEST)
        width = min(max(round(WIDTH * (latency or 0.0) / total), THINNEST), WIDTH - x)
        block = blocks.get(event.event_id)
        around = event if isinstance(event, Around) else None
        lines.append(Line(block, around, node.depth, offset, latency, x, width))
    return lines
