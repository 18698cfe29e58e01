"""
What calls cost and how long they took: from the hourly sums where these know, else from the calls.

The sums know nothing of persons, tags and single runs, and nothing of parts of an hour: the calls
themselves answer for those, and for the hours in which a time asked for begins and ends.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from llmobs.store.booking import MICROSECONDS_PER_HOUR as HOUR
from llmobs.store.query import (
    UNCOUNTED,
    UNPRICED,
    add_up,
    conditions,
    glob,
    number,
    where_clause,
)
from llmobs.store.records import CostGroup, GroupBy, RunFilter, to_microseconds
from llmobs.store.rollups import COUNTS, Histogram, Sums, bucket_of
from llmobs.store.values import as_number, as_text

__all__ = ["add_up_calls", "bucket", "cost_groups"]

Rows = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]
"""Runs a query and returns all its rows."""

_BY_CALL: Final[dict[GroupBy, str]] = {
    "model": "nullif(e.name, '')",
    "provider": "nullif(e.provider, '')",
    "day": "date(e.timestamp / 1000000, 'unixepoch')",
    "hour": "strftime('%Y-%m-%dT%H', e.timestamp / 1000000, 'unixepoch')",
    "route": "nullif(r.name, '')",
    "release": "nullif(e.release, '')",
    "project": "nullif(e.project_id, '')",
    "service": "nullif(e.service_name, '')",
    "user": "nullif(coalesce(e.user_id, r.user_id), '')",
    "session": "nullif(coalesce(e.session_id, r.session_id), '')",
    "tag": "t.value",
    "prompt": "nullif(e.prompt_template_id, '')",
    "all": "'all'",
}
_BY_HOUR: Final[dict[GroupBy, str]] = {
    "model": "nullif(model, '')",
    "provider": "nullif(provider, '')",
    "day": "date(hour * 3600, 'unixepoch')",
    "hour": "strftime('%Y-%m-%dT%H', hour * 3600, 'unixepoch')",
    "route": "nullif(route, '')",
    "release": "nullif(release, '')",
    "project": "nullif(project, '')",
    "all": "'all'",
}
_BY_DAY: Final[dict[GroupBy, str]] = {**_BY_HOUR, "day": "date(day * 86400, 'unixepoch')"}

_NANO: Final = f"round({number('e.cost_usd')} * 1e9)"
_TIMED: Final = f"iif(e.failed, NULL, {number('e.latency_ms')})"
_WEIGHT: Final = f"coalesce({number('e.weight')}, 1.0)"
_COUNTS: Final = {
    "calls": "count(*)",
    "failed": add_up("e.failed"),
    "weight_micro": f"CAST(round(total({_WEIGHT} * 1e6)) AS INTEGER)",
    **{name: add_up(f"e.{name}") for name in COUNTS if name.startswith("tokens_")},
    "priced": f"count({number('e.cost_usd')})",
    "cost_nano": f"CAST(total({_NANO}) AS INTEGER)",
    "weighted_cost_nano": f"CAST(total({_NANO} * {_WEIGHT}) AS INTEGER)",
    "unpriced": f"sum({UNPRICED})",
    "uncounted": f"sum({UNCOUNTED})",
    "timed": f"count({_TIMED})",
    "latency_micro": f"CAST(round(total({_TIMED} * 1000)) AS INTEGER)",
}
_TIMES: Final = {
    "latencies": _TIMED,
    "first_tokens": f"iif(e.failed, NULL, {number('e.time_to_first_token_ms')})",
}


class _Span(NamedTuple):
    """From one time to another, microseconds; None is endless."""

    begin: int | None
    end: int | None

    def test(self, column: str) -> tuple[list[str], list[Any]]:
        tests = [(f"{column} >= ?", self.begin), (f"{column} < ?", self.end)]
        return [t for t, v in tests if v is not None], [v for _, v in tests if v is not None]


def cost_groups(rows: Rows, by: GroupBy, where: RunFilter) -> list[CostGroup]:
    """Do what `llmobs.store.reader.Reader.cost` promises."""
    groups = [
        CostGroup.of(key, sums)
        for key, sums in add_up_calls(rows, by, where).items()
        if sums["calls"] > 0
    ]
    if by == "day":
        return sorted(groups, key=lambda group: group.key or "")
    return sorted(
        groups,
        key=lambda g: (
            g.cost_usd is None,
            -(g.cost_usd or 0),
            -g.calls,
            g.key is not None,
            g.key or "",
        ),
    )


def add_up_calls(rows: Rows, by: GroupBy, where: RunFilter) -> dict[str | None, Sums]:
    """
    Return the sums of the calls of a model by group.

    Args:
        rows: How to ask; the connection has the function `bucket`.
        by: What a group is.
        where: Of which runs; ``model``, ``since`` and ``until`` choose among their calls.
    """
    groups: dict[str | None, Sums] = {}
    span = _Span(
        None if where.since is None else to_microseconds(where.since),
        None if where.until is None else to_microseconds(where.until),
    )
    known = replace(
        where,
        model=None,
        name=None,
        route=None,
        release=None,
        project_id=None,
        since=None,
        until=None,
    )
    sums_know = known == RunFilter()
    if (
        by not in _BY_HOUR
        or not sums_know
        or rows("SELECT 1 FROM store WHERE name = 'rows_before'", ())
    ):
        _from_calls(rows, by, where, span, groups)
        return groups
    begin = None if span.begin is None else -(-span.begin // HOUR)
    end = None if span.end is None else span.end // HOUR
    if begin is not None and end is not None and begin >= end:
        _from_calls(rows, by, where, span, groups)
        return groups
    parts = [(False, _Span(begin, end))] if by == "hour" else _days_within(begin, end)
    for is_day, part in parts:
        _from_sums(rows, by, where, is_day, part, groups)
    if begin is not None and begin * HOUR != span.begin:
        _from_calls(rows, by, where, _Span(span.begin, begin * HOUR), groups)
    if end is not None and end * HOUR != span.end:
        _from_calls(rows, by, where, _Span(end * HOUR, span.end), groups)
    return groups


def _days_within(begin: int | None, end: int | None) -> Iterator[tuple[bool, _Span]]:
    """Split hours into those before a whole day, whole days, and those after; empty stretches left out."""
    first = None if begin is None else -(-begin // 24)
    last = None if end is None else end // 24
    if first is not None and last is not None and first >= last:
        yield False, _Span(begin, end)
        return
    yield True, _Span(first, last)
    if first is not None and first * 24 != begin:
        yield False, _Span(begin, first * 24)
    if last is not None and last * 24 != end:
        yield False, _Span(last * 24, end)


def _from_sums(
    rows: Rows,
    by: GroupBy,
    where: RunFilter,
    is_day: bool,
    span: _Span,
    groups: dict[str | None, Sums],
) -> None:
    table, keys = ("rollups_by_day", _BY_DAY) if is_day else ("rollups", _BY_HOUR)
    parts, values = span.test("day" if is_day else "hour")
    if where.model is not None:
        parts.append("model GLOB ?")
        values.append(glob(where.model))
    if where.name is not None:
        parts.append("instr(lower(route), lower(?)) > 0")
        values.append(where.name)
    for column in ("route", "release"):
        if (word := getattr(where, column)) is not None:
            parts.append(f"{column} = ?")
            values.append(word)
    if where.project_id is not None:
        parts.append("project = ?")
        values.append(where.project_id)
    key, clause = keys[by], where_clause(parts)
    counts = ", ".join(f"total({name})" for name in COUNTS)  # of what is no number: 0
    for found, *sums in rows(f"SELECT {key}, {counts} FROM {table}{clause} GROUP BY 1", values):  # noqa: S608
        _group(groups, found).merge(Sums.stored(sums, None, None))
    # In Python, where a histogram is one large number: those that begin at one bucket first.
    latencies: dict[tuple[Any, bytes], int] = {}
    first_tokens: dict[tuple[Any, bytes], int] = {}
    for found, *both in rows(f"SELECT {key}, latencies, first_tokens FROM {table}{clause}", values):  # noqa: S608
        for data, times in zip(both, (latencies, first_tokens), strict=True):
            if type(data) is bytes:
                place = (found, data[:2])
                times[place] = times.get(place, 0) + int.from_bytes(data[2:], "little")
    for name, times in (("latencies", latencies), ("first_tokens", first_tokens)):
        for (found, first), total in times.items():
            length = (total.bit_length() + 7) // 8
            histogram: Histogram = getattr(_group(groups, found), name)
            histogram.counts += Histogram.stored(first + total.to_bytes(length, "little")).counts


def _from_calls(
    rows: Rows, by: GroupBy, where: RunFilter, span: _Span, groups: dict[str | None, Sums]
) -> None:
    parts, values = conditions(
        replace(
            where, model=None, prompt=None, release=None, project_id=None, since=None, until=None
        )
    )
    source = "events e"
    if parts or by in ("route", "user", "session", "tag"):
        source += " LEFT JOIN runs r ON r.run_id = e.run_id"
    if by == "tag":
        source += " LEFT JOIN json_each(iif(json_valid(r.tags), r.tags, '[]')) t"
    parts.append("e.event_type = 'prompt_call'")
    if by == "prompt":  # and of no other: these are in an index of their own
        parts.append("e.prompt_template_id IS NOT NULL")
    if where.model is not None:
        parts.append("e.name GLOB ?")
        values.append(glob(where.model))
    if where.prompt is not None:
        parts.append("e.prompt_template_id = ?")
        values.append(where.prompt)
    if where.release is not None:  # the calls' own, as the project: what the sums count by
        parts.append("e.release = ?")
        values.append(where.release)
    if where.project_id is not None:
        parts.append("e.project_id = ?")
        values.append(where.project_id)
    tests, moments = span.test("e.timestamp")
    clause, values = where_clause([*parts, *tests]), [*values, *moments]
    counts = ", ".join(_COUNTS[name] for name in COUNTS)
    key = _BY_CALL[by]
    for found, *sums in rows(f"SELECT {key}, {counts} FROM {source}{clause} GROUP BY 1", values):  # noqa: S608
        _group(groups, found).merge(Sums.stored(sums, None, None))
    for name, column in _TIMES.items():
        query = f"SELECT {key}, bucket({column}), count(*) FROM {source}{clause} GROUP BY 1, 2"  # noqa: S608
        for found, place, times in rows(query, values):
            if place is not None:
                histogram: Histogram = getattr(_group(groups, found), name)
                histogram.add_to(place, times)


def _group(groups: dict[str | None, Sums], found: Any) -> Sums:
    key = None if found is None else as_text(found)
    if key not in groups:
        groups[key] = Sums()
    return groups[key]


def bucket(value: Any) -> int | None:
    """Return the number of the bucket of a time in a column; None where none stands in it."""
    milliseconds = as_number(value)
    return None if milliseconds is None or milliseconds < 0 else bucket_of(milliseconds)
