"""Users and sessions: whose runs there are."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from llmobs.store.query import FAILED, add_up, conditions, number, where_clause
from llmobs.store.records import RunFilter, Whose, to_microseconds
from llmobs.store.values import as_moment, as_text

__all__ = ["whose"]

Rows = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]
"""Runs a query and returns all its rows."""

LOOKED_AT: Final = (500, 8_000)
"""Of the latest runs, how many are looked at for who they are of, before all are added up."""


def whose(
    rows: Rows,
    kind: Literal["user", "session"],
    limit: int,
    before: tuple[datetime, str] | None,
    where: RunFilter,
) -> list[Whose]:
    """Do what `llmobs.store.reader.Reader.whose` promises."""
    column = f"r.{kind}_id"
    parts, values = conditions(where)
    parts.append(f"{column} IS NOT NULL")
    position = None if before is None else (to_microseconds(before[0]), before[1])
    latest = _latest(rows, column, parts, values, limit, position)
    if latest is not None:
        # Their runs in the order in which these are stored: no page of the file is read twice.
        when = (
            RunFilter()
            if where.error is not None
            else RunFilter(since=where.since, until=where.until)
        )
        begun, moments = conditions(when)  # found in the index of persons and sessions
        theirs = " AND ".join([f"{column} = w.value", *begun])
        parts.append(
            f"r.run_id IN (SELECT r.run_id FROM json_each(?) w CROSS JOIN runs r ON {theirs})"  # noqa: S608
        )
        values += [msgspec.json.encode(latest).decode(), *moments]
    having = ""
    if position is not None:
        having = f" HAVING (max(r.started), {column}) < (?, ?)"
        values += position
    cost = number("r.cost_usd")
    found = rows(
        f"SELECT {column}, min(r.started), max(r.started), count(*), sum(iif({FAILED}, 1, 0)),"  # noqa: S608
        f" {add_up('r.calls')}, {add_up('r.tokens_input')} + {add_up('r.tokens_output')},"
        f" sum({cost}), sum({cost} IS NULL AND r.tokens_input + r.tokens_output > 0)"
        f" FROM runs r{where_clause(parts)} GROUP BY {column}{having}"
        f" ORDER BY max(r.started) DESC, {column} DESC LIMIT ?",
        [*values, limit],
    )
    return [
        Whose(
            id=as_text(id), first=as_moment(first), latest=as_moment(latest), runs=runs,
            failed=failed, calls=calls, tokens=tokens, cost_usd=cost_usd, unpriced=unpriced,
        )
        for id, first, latest, runs, failed, calls, tokens, cost_usd, unpriced in found
    ]  # fmt: skip


def _latest(
    rows: Rows,
    column: str,
    parts: Sequence[str],
    values: Sequence[Any],
    limit: int,
    position: tuple[int, str] | None,
) -> list[str] | None:
    """
    Return those who had the latest runs, *limit* of them and perhaps more, so that only their runs are
    to be added up; None if they are too few among the runs that are looked at.
    """
    earlier = [*parts, *(["r.started <= ?"] if position else [])]
    bounds = [*values, *([position[0]] if position else [])]
    newer = (
        f"SELECT 1 FROM runs r{where_clause([*parts, f'{column} = ?', 'r.started > ?'])} LIMIT 1"  # noqa: S608
    )
    for looked_at in LOOKED_AT:
        query = (
            f"SELECT {column}, r.started FROM runs r{where_clause(earlier)}"  # noqa: S608
            " ORDER BY r.started DESC LIMIT ?"
        )
        found = rows(query, [*bounds, looked_at])
        seen: set[Any] = set()
        latest: list[str] = []
        last: Any = None
        for id, started in found:
            if len(latest) >= limit and started != last:
                return latest
            if id in seen:
                continue
            seen.add(id)
            if type(id) is not str:  # of a store that others wrote
                return None
            # Whoever had one since was on a page before.
            if position is None or (
                (started, id) < position and not rows(newer, [*values, id, position[0]])
            ):
                latest.append(id)
                last = started
        if len(found) < looked_at:
            return latest
    return None
