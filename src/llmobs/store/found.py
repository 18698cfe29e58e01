"""A page of what was found: the events, their runs, and what stands around the words."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import fields

from llmobs.store.query import STORED, SUMMARY, WITH_BODIES
from llmobs.store.records import (
    Found,
    Hit,
    RunFilter,
    RunSummary,
    StoredEvent,
    Waiting,
    to_microseconds,
)
from llmobs.store.search import PageEnd, find
from llmobs.store.texts import Query, snippet, texts_of
from llmobs.store.values import COERCE, as_moment, as_text

__all__ = ["Asks", "search"]

SHOWN_SECONDS: Final = 0.25
"""That texts are looked through to show where the words stand; of what is left, nothing is shown."""
MOST: Final = 2**63 - 1
"""The largest number of an event."""

_RUN: Final = {field.name: field.type for field in fields(RunSummary)}


class Asks(NamedTuple):
    """How a reader asks its store, and the index beside it."""

    rows: Callable[[str, Sequence[Any]], list[sqlite3.Row]]
    stored: Callable[[sqlite3.Row], StoredEvent]
    open_index: Callable[[], AbstractContextManager[tuple[sqlite3.Connection | None, Waiting]]]
    """The index, if there is one, and how far it is."""


def search(
    asks: Asks, text: str, limit: int, *, before: tuple[datetime, str] | None, where: RunFilter
) -> Found:
    """Do what `llmobs.store.reader.Reader.search` promises."""
    query = Query.read(text)
    waiting = Waiting(0, 0)
    try:
        with asks.open_index() as (index, waiting):
            if index is None or not query.expression:
                return Found(hits=(), older=None, searched_to=None, waiting=waiting)
            end = None if before is None else _page_end(asks, *before)
            found = find(asks.rows, index, query, limit, end, where)
    except sqlite3.Error:  # damaged, or just made anew: whoever fills it sees to that
        nothing = Waiting(waiting.of, waiting.of)
        return Found(hits=(), older=None, searched_to=None, waiting=nothing)
    reached = None if found.reached is None else as_moment(found.reached)
    older = None if reached is None else (reached, "")
    if len(found.hits) > limit:
        last = found.hits[limit - 1][0]
        query_id = "SELECT event_id FROM events WHERE id = ?"
        ids = [as_text(row[0]) for row in asks.rows(query_id, [last.number])]
        older = (as_moment(last.moment), ids[0] if ids else "")
    return Found(
        hits=_hits(asks, found.hits[:limit], query),
        older=older,
        searched_to=reached,
        waiting=waiting,
    )


def _page_end(asks: Asks, moment: datetime, event_id: str) -> PageEnd:
    found = asks.rows("SELECT id FROM events WHERE event_id = ?", [event_id])
    return PageEnd(to_microseconds(moment), found[0][0] if found else MOST)


def _hits(asks: Asks, found: Sequence[tuple[PageEnd, str]], query: Query) -> tuple[Hit, ...]:
    runs = _runs(asks, {as_text(run_id) for _, run_id in found})
    until = time.monotonic() + SHOWN_SECONDS
    hits = []
    for end, run_id in found:
        one = f"SELECT {STORED}, e.event_id FROM {WITH_BODIES} WHERE e.id = ?"  # noqa: S608
        rows = asks.rows(one, [end.number])
        if not rows or as_text(run_id) not in runs:  # removed meanwhile
            continue
        event = asks.stored(rows[0])
        texts = texts_of(event.body) if time.monotonic() < until else []
        hits.append(
            Hit(
                run=runs[as_text(run_id)],
                event_id=as_text(rows[0]["event_id"]),
                event_type=event.event_type,
                timestamp=as_moment(end.moment),
                snippet=snippet(texts, query),
            )
        )
    return tuple(hits)


def _runs(asks: Asks, run_ids: set[str]) -> dict[str, RunSummary]:
    values = msgspec.json.encode(list(run_ids)).decode()
    query = f"{SUMMARY} WHERE r.run_id IN (SELECT value FROM json_each(?))"  # noqa: S608
    found = {}
    for row in asks.rows(query, [values]):
        run = RunSummary(**{name: COERCE[_RUN[name]](row[name]) for name in row.keys()})  # noqa: SIM118
        found[run.run_id] = run
    return found
