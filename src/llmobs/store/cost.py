"""
What calls cost and how long they took: from the hourly sums where these know, else from the calls.

The sums know nothing of persons, tags and single runs, and nothing of parts of an hour: the calls
themselves answer for those, and for the hours in which a time asked for begins and ends.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
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
from llmobs.store.rollups import COUNTS, FIRST_TOKEN, Sums, added_up, bucket_of, in_buckets
from llmobs.store.values import as_integer, as_moment, as_number, as_text

__all__ = ["Histograms", "add_up_calls", "cost_groups"]

Rows = Callable[[str, Sequence[Any]], Iterable[Sequence[Any]]]
"""Runs a query and yields its rows: sums are large, and there are thousands."""

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
_BY_HOUR: Final[frozenset[GroupBy]] = frozenset(
    {"model", "provider", "day", "hour", "route", "release", "project", "all"}
)
"""What the sums know."""
_NAMES: Final[dict[GroupBy, int]] = {"day": 10, "hour": 13}
"""How much of a time in ISO 8601 is the name of a group."""

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
_FIRST_TOKEN: Final = f"iif(e.failed, NULL, {number('e.time_to_first_token_ms')})"
_OF_CALLS: Final = (
    f"{', '.join(_COUNTS[name] for name in COUNTS)}, histograms({_TIMED}, {_FIRST_TOKEN})"
)

Groups = dict[GroupBy, dict[str | None, Sums]]
"""What is added up, by what a group is."""


class _Span(NamedTuple):
    """From one time to another, microseconds; None is endless."""

    begin: int | None
    end: int | None

    def test(self, column: str) -> tuple[list[str], list[Any]]:
        tests = [(f"{column} >= ?", self.begin), (f"{column} < ?", self.end)]
        return [t for t, v in tests if v is not None], [v for _, v in tests if v is not None]


def cost_groups(
    rows: Rows, bys: Sequence[GroupBy], where: RunFilter
) -> dict[GroupBy, list[CostGroup]]:
    """Do what `llmobs.store.reader.Reader.costs` promises."""
    found = {}
    for by, its in add_up_calls(rows, bys, where).items():
        groups = [CostGroup.of(key, sums) for key, sums in its.items() if sums.calls > 0]
        found[by] = sorted(groups, key=_by_day if by == "day" else _by_cost)
    return found


def _by_day(group: CostGroup) -> tuple[Any, ...]:
    return (group.key or "",)


def _by_cost(group: CostGroup) -> tuple[Any, ...]:
    cost = group.cost_usd
    return (cost is None, -(cost or 0), -group.calls, group.key is not None, group.key or "")


def add_up_calls(rows: Rows, bys: Sequence[GroupBy], where: RunFilter) -> Groups:
    """
    Return the sums of the calls of a model by group.

    Args:
        rows: How to ask; the connection has the function `Histograms`.
        bys: What a group is; whatever the sums know is added up in one pass.
        where: Of which runs; ``model``, ``since`` and ``until`` choose among their calls.
    """
    groups: Groups = {by: {} for by in bys}
    span = _Span(
        None if where.since is None else to_microseconds(where.since),
        None if where.until is None else to_microseconds(where.until),
    )
    together: list[GroupBy] = [by for by in groups if by in _BY_HOUR]
    for by in groups.keys() - together:  # of a call with two tags there are two
        _from_calls(rows, [by], where, span, groups)
    if together:
        _by_sums(rows, together, where, span, groups)
    return groups


def _by_sums(
    rows: Rows, bys: Sequence[GroupBy], where: RunFilter, span: _Span, groups: Groups
) -> None:
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
    begin = None if span.begin is None else -(-span.begin // HOUR)
    end = None if span.end is None else span.end // HOUR
    if (
        not sums_know
        or (begin is not None and end is not None and begin >= end)
        or any(rows("SELECT 1 FROM store WHERE name = 'rows_before'", ()))
    ):
        _from_calls(rows, bys, where, span, groups)
        return
    parts = [(False, _Span(begin, end))] if "hour" in bys else _days_within(begin, end)
    for is_day, part in parts:
        _from_sums(rows, bys, where, is_day, part, groups)
    if begin is not None and begin * HOUR != span.begin:
        _from_calls(rows, bys, where, _Span(span.begin, begin * HOUR), groups)
    if end is not None and end * HOUR != span.end:
        _from_calls(rows, bys, where, _Span(end * HOUR, span.end), groups)


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
    bys: Sequence[GroupBy],
    where: RunFilter,
    is_day: bool,
    span: _Span,
    groups: Groups,
) -> None:
    unit, table = ("day", "rollups_by_day") if is_day else ("hour", "rollups")
    parts, values = span.test(unit)
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
    # As bytes, and times as numbers: of a thousand rows that say the same, only one is made a text of.
    columns = {by: f"CAST({by} AS BLOB)" for by in bys if by != "all"}
    columns |= {by: unit for by in _NAMES if by in columns}
    query = f"SELECT {', '.join([*columns.values(), 'sums'])} FROM {table}{where_clause(parts)}"  # noqa: S608
    _add(rows(query, values), bys, 86_400 if is_day else 3_600, groups)


def _from_calls(
    rows: Rows, bys: Sequence[GroupBy], where: RunFilter, span: _Span, groups: Groups
) -> None:
    parts, values = conditions(
        replace(
            where, model=None, prompt=None, release=None, project_id=None, since=None, until=None
        )
    )
    source = "events e"
    if parts or not {"route", "user", "session", "tag"}.isdisjoint(bys):
        source += " LEFT JOIN runs r ON r.run_id = e.run_id"
    if "tag" in bys:
        source += " LEFT JOIN json_each(iif(json_valid(r.tags), r.tags, '[]')) t"
    parts.append("e.event_type = 'prompt_call'")
    if "prompt" in bys:  # and of no other: these are in an index of their own
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
    columns = ", ".join(_BY_CALL[by] for by in bys)
    order = ", ".join(str(place) for place in range(1, len(bys) + 1))
    query = f"SELECT {columns}, {_OF_CALLS} FROM {source}{clause} GROUP BY {order}"  # noqa: S608
    for row in rows(query, values):
        for by, key in zip(bys, row, strict=False):
            times = int.from_bytes(row[-1], "little")
            _merge(groups[by], key, Sums.of(row[len(bys) : -1], times))


def _add(
    some: Iterable[Sequence[Any]], bys: Sequence[GroupBy], seconds: int, groups: Groups
) -> None:
    """Add rows of keys, one for each of *bys* but ``all``, and stored sums; times are counted in so many *seconds*."""
    told_apart: list[GroupBy] = [by for by in bys if by != "all"]
    if not told_apart:
        some = (("all", *row) for row in some)
        told_apart = ["all"]
    found = added_up(some, len(told_apart))
    for by, its in zip(told_apart, found, strict=True):
        for key, sums in its.items():
            _merge(groups[by], _named(key, by, seconds) if by in _NAMES else key, sums)
    if "all" in bys and "all" not in told_apart:
        for sums in found[0].values():
            _merge(groups["all"], "all", sums)


def _named(number: Any, by: GroupBy, seconds: int) -> str | None:
    if (whole := as_integer(number)) is None:
        return None
    return as_moment(whole * seconds * 1_000_000).isoformat()[: _NAMES[by]]


def _merge(group: dict[str | None, Sums], key: Any, sums: Sums) -> None:
    group.setdefault(None if key is None else as_text(key) or None, Sums()).merge(sums)


class Histograms:
    """The function ``histograms`` of a reader's connection: of two columns of times, as `Sums` holds them."""

    def __init__(self) -> None:
        self._times: dict[int, int] = {}

    def step(self, latency: Any, first_token: Any) -> None:
        """Count the times of a call; not what is none."""
        for value, one in ((latency, 1), (first_token, FIRST_TOKEN)):
            milliseconds = as_number(value)
            if milliseconds is not None and milliseconds >= 0:
                bucket = bucket_of(milliseconds)
                self._times[bucket] = self._times.get(bucket, 0) + one

    def finalize(self) -> bytes:
        """Return what was counted."""
        times = in_buckets(self._times)
        return times.to_bytes(times.bit_length() // 8 + 1, "little")
