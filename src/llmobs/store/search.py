"""
Find texts: newest first by the events' time, in bounded time, however common the words are.

The index gives the numbers of events, in the order in which they came; that is about the order of
time, but for what was late or imported. So blocks of numbers, whose earliest and latest times are
known, are looked at by their latest time; an event is told as soon as no block that is left can have
a later one. Few hits widen what is looked at next, many narrow it: what is in every event is found
in the first block, what is in one of a million in some leaps over the whole.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec

from llmobs.store.query import conditions, where_clause
from llmobs.store.records import RunFilter, to_microseconds
from llmobs.store.text_index import BLOCK_BITS, PART_BITS
from llmobs.store.texts import Query

__all__ = ["SECONDS", "PageEnd", "Searched", "find"]

SECONDS: Final = 0.25
"""That one search takes, about: then it says how far it has come."""
MANY: Final = 1 << BLOCK_BITS
"""Hits of one look, above which less is looked at."""
WIDEST: Final = 1 << (PART_BITS - BLOCK_BITS)
"""Blocks of one look, at most: then it looks at the clock."""
FEW: Final = 1_000
"""Messages with these words that several runs have, up to which their events are looked up one after another."""
FEW_EVENTS: Final = 5_000
"""Of the runs that fit, up to which these are looked at one after another."""

_MOMENT: Final = "iif(typeof(e.timestamp) = 'integer', e.timestamp, 0)"
Rows = Callable[[str, Sequence[Any]], list[Any]]


class PageEnd(NamedTuple):
    """Where a page ends: the time of an event, and its number."""

    moment: int
    number: int


class Searched(NamedTuple):
    """What was found."""

    hits: list[tuple[PageEnd, str]]
    """Events and their runs, the latest first."""
    reached: int | None
    """The time down to which all is told, as it took long; None if it is through, or has as many as were wanted."""


class _Block(NamedTuple):
    newest: int
    number: int


def find(
    rows: Rows,
    index: sqlite3.Connection,
    query: Query,
    limit: int,
    before: PageEnd | None,
    where: RunFilter,
) -> Searched:
    """
    Find events.

    Args:
        rows: Asks the store.
        index: The index.
        query: What for.
        limit: How many at most.
        before: Only what comes after this place, where the page before ended.
        where: In which runs.

    Raises:
        sqlite3.Error: The index is damaged.
    """
    return _Search(rows, index, query, limit, before, where).run(time.monotonic() + SECONDS)


class _Search:
    def __init__(
        self,
        rows: Rows,
        index: sqlite3.Connection,
        query: Query,
        limit: int,
        before: PageEnd | None,
        where: RunFilter,
    ) -> None:
        self._rows = rows
        self._index = index
        self._query = query
        self._limit = limit
        self._before = before
        self._parts, self._values = conditions(where)
        self._project = where.project_id
        # What is before is of runs that began before; but not where an error's time is asked for.
        since = where.since if where.error is None else None
        self._since = None if since is None else to_microseconds(since)
        names = (where.user_id, where.session_id, where.run_id, where.client_run_id, where.trace_id)
        self._names_few = any(name is not None for name in names)
        self._words: dict[int, set[int] | None] = {}
        self._shared: dict[int, set[int]] = {}
        self._there = {part for (part,) in index.execute("SELECT part FROM parts")}

    def run(self, deadline: float) -> Searched:
        if (theirs := self._of_few_runs()) is not None:
            return self._among(theirs, deadline)
        blocks = self._blocks()
        found: list[tuple[PageEnd, str]] = []
        at, width = 0, 1
        while at < len(blocks):
            some = blocks[at : at + width]
            numbers = self._numbers(some, MANY if width > 1 else -1)
            if numbers is None:
                width = max(width // 8, 1)
                continue
            last = found[-1][0] if len(found) > self._limit else None
            found = sorted([*found, *self._fitting(numbers, last)], reverse=True)[: self._limit + 1]
            at += len(some)
            next = blocks[at].newest if at < len(blocks) else None
            if len(found) > self._limit and (
                next is None or found[self._limit - 1][0].moment > next
            ):
                break
            if next is not None and time.monotonic() > deadline and self._is_further(next):
                newer = [hit for hit in found if hit[0].moment > next]
                return Searched(newer[: self._limit], next)
            if len(numbers) < MANY // 8:
                width = min(width * 4, WIDEST)
        return Searched(found, None)

    def _of_few_runs(self) -> list[tuple[PageEnd, str]] | None:
        """
        Return the events of the runs that fit, the latest first; None where these may be many.

        Of one person, session or trace they are found sooner than the events with words that all have.
        """
        if not self._names_few:
            return None
        parts, values = self._conditions()
        found = self._rows(
            "SELECT e.timestamp, e.id, e.run_id FROM runs r CROSS JOIN events e"  # noqa: S608
            f" ON e.run_id = r.run_id{where_clause(parts)} LIMIT ?",
            [*values, FEW_EVENTS + 1],
        )
        return None if len(found) > FEW_EVENTS else sorted(map(_end_of, found), reverse=True)

    def _among(self, events: Sequence[tuple[PageEnd, str]], deadline: float) -> Searched:
        """Return those of *events*, the latest first, in which the words stand."""
        found: list[tuple[PageEnd, str]] = []
        for at, event in enumerate(events):
            if self._has(event[0].number):
                found.append(event)
                if len(found) > self._limit:
                    break
            if at + 1 < len(events) and time.monotonic() > deadline:
                next = events[at + 1][0].moment
                if next < event[0].moment:
                    return Searched(found, next)
        return Searched(found, None)

    def _has(self, number: int) -> bool:
        part = number >> PART_BITS
        if part not in self._there:
            return False
        if part not in self._words:
            query = f"SELECT rowid FROM words_{part} WHERE words_{part} MATCH ? LIMIT ?"  # noqa: S608
            some = self._index.execute(query, (self._query.expression, FEW + 1)).fetchall()
            self._words[part] = None if len(some) > FEW else {number for (number,) in some}
        words = self._words[part]
        if words is None:
            query = f"SELECT 1 FROM words_{part} WHERE words_{part} MATCH ? AND rowid = ?"  # noqa: S608
            values = (self._query.expression, number)
            has = self._index.execute(query, values).fetchone() is not None
        else:
            has = number in words
        if has or not (shared := self._shared_in(part)):
            return has
        query = "SELECT hash FROM uses INDEXED BY uses_by_event WHERE event = ?"
        return any(hash in shared for (hash,) in self._index.execute(query, (number,)))

    def _is_further(self, moment: int) -> bool:
        return self._before is None or moment < self._before.moment

    def _blocks(self) -> list[_Block]:
        """Return what is to be looked at, the latest first."""
        query = "SELECT newest, block FROM blocks WHERE oldest <= ? AND newest >= ? ORDER BY newest DESC, block DESC"
        latest = 2**63 - 1 if self._before is None else self._before.moment
        earliest = -(2**63) if self._since is None else self._since
        return [_Block(*row) for row in self._index.execute(query, (latest, earliest))]

    def _numbers(self, blocks: Sequence[_Block], limit: int) -> list[int] | None:
        """Return the events with these words in *blocks*; None if they are more than *limit*."""
        found: set[int] = set()
        for part, first, end in _stretches(blocks):
            if part not in self._there:
                continue
            most = limit if limit < 0 else limit + 1
            query = (
                f"SELECT rowid FROM words_{part} WHERE words_{part} MATCH ?"  # noqa: S608
                " AND rowid >= ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"
            )
            values = (self._query.expression, first, end, most)
            found.update(chain.from_iterable(self._index.execute(query, values)))
            if 0 <= limit < len(found):
                return None
            users = self._users_of(self._shared_in(part), first, end)
            if limit < 0:
                found.update(users)
                continue
            for number in users:
                found.add(number)
                if limit < len(found):
                    return None
        return list(found)

    def _users_of(self, shared: set[int], first: int, end: int) -> Iterator[int]:
        """Return the events from *first* on and before *end* that have one of these messages."""
        if not shared:
            return iter(())
        if len(shared) <= FEW:
            query = (
                "SELECT event FROM uses WHERE hash IN (SELECT value FROM json_each(?))"
                " AND event >= ? AND event < ?"
            )
            hashes = msgspec.json.encode(list(shared)).decode()
            return chain.from_iterable(self._index.execute(query, (hashes, first, end)))
        query = (
            "SELECT hash, event FROM uses INDEXED BY uses_by_event WHERE event >= ? AND event < ?"
        )
        uses = self._index.execute(query, (first, end))
        return (event for hash, event in uses if hash in shared)

    def _shared_in(self, part: int) -> set[int]:
        """Return the messages with these words that several runs have."""
        if part not in self._shared:
            query = f"SELECT rowid FROM shared_{part} WHERE shared_{part} MATCH ?"  # noqa: S608
            self._shared[part] = {
                hash for (hash,) in self._index.execute(query, (self._query.expression,))
            }
        return self._shared[part]

    def _fitting(self, numbers: Sequence[int], last: PageEnd | None) -> list[tuple[PageEnd, str]]:
        """Return those of runs that are asked for, and not told before: the latest, if after *last*."""
        if not numbers:
            return []
        parts, values = self._conditions()
        if last is not None:
            parts.append("(e.timestamp, e.id) > (?, ?)")
            values += last
        join = " CROSS JOIN runs r ON r.run_id = e.run_id" if self._parts else ""
        more = "".join(f" AND {part}" for part in parts)
        found = self._rows(
            "SELECT e.timestamp, e.id, e.run_id FROM json_each(?) n CROSS JOIN events e"  # noqa: S608
            f" ON e.id = n.value{join} WHERE 1{more} ORDER BY {_MOMENT} DESC, e.id DESC LIMIT ?",
            [msgspec.json.encode(numbers).decode(), *values, self._limit + 1],
        )
        return list(map(_end_of, found))

    def _conditions(self) -> tuple[list[str], list[Any]]:
        """Return which events ``e`` of runs ``r`` fit, and were not told before."""
        parts, values = list(self._parts), list(self._values)
        if self._before is not None:
            parts.append("(e.timestamp, e.id) < (?, ?)")
            values += self._before
        if self._project is not None:  # a run may have events of others
            parts.append("coalesce(e.project_id, ?) = ?")
            values += [self._project] * 2
        return parts, values


def _end_of(row: Sequence[Any]) -> tuple[PageEnd, str]:
    moment, number, run_id = row
    return PageEnd(moment if type(moment) is int else 0, number), run_id


def _stretches(blocks: Sequence[_Block]) -> list[tuple[int, int, int]]:
    """Return *blocks* as stretches of numbers: the part, the first one, and the one after the last."""
    found: list[tuple[int, int, int]] = []
    for number in sorted((block.number for block in blocks), reverse=True):
        part = number >> (PART_BITS - BLOCK_BITS)
        first = number << BLOCK_BITS
        if found and found[-1][0] == part and found[-1][1] == first + MANY:
            found[-1] = (part, first, found[-1][2])
        else:
            found.append((part, first, first + MANY))
    return found
