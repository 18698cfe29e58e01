"""How many runs began in which stretch of time."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from llmobs.store.query import FAILED, conditions, where_clause
from llmobs.store.records import Activity, RunFilter, to_microseconds
from llmobs.store.values import as_moment

__all__ = ["activity"]

Rows = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]
"""Runs a query and returns all its rows."""

_LAST: Final = 2**63 - 1
"""Microsecond that SQLite can tell of."""


def activity(rows: Rows, seconds: int, where: RunFilter) -> list[Activity]:
    """
    Do what `llmobs.store.reader.Reader.activity` promises.

    Stretch by stretch, each a piece of an index: SQLite would sort all runs to group them.
    """
    begin, until = -_LAST, _LAST
    if where.error is None:  # else they say when it failed, and not when its runs began
        begin = begin if where.since is None else to_microseconds(where.since)
        until = until if where.until is None else to_microseconds(where.until)
        where = replace(where, since=None, until=None)
    parts, values = conditions(where)
    # Of two lower bounds, SQLite would begin at the first.
    within = [*parts, "r.started >= ?", "r.started < ?"]
    first = f"SELECT r.started FROM runs r{where_clause(within)} ORDER BY r.started LIMIT 1"  # noqa: S608
    counts = [
        f"SELECT count(*) FROM runs r{where_clause(some)}"  # noqa: S608
        for some in (within, [*within, FAILED])
    ]
    step = seconds * 1_000_000
    found: list[Activity] = []
    while begin < until:
        some = rows(first, [*values, begin, until])
        if not some:
            break
        began = some[0][0]
        number = int(began) // step
        begin, end = max(number * step, begin), min((number + 1) * step, until)
        runs, failed = (rows(query, [*values, begin, end])[0][0] for query in counts)
        found.append(Activity(as_moment(number * step), runs, failed))
        begin = end
    return found
