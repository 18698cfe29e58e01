"""SQL of the reader: which runs, which events."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from msgspec.structs import replace

from llmobs.store.records import SILENCE, RunFilter, RunSummary, to_microseconds

__all__ = [
    "FAILED",
    "OPEN",
    "STORED",
    "SUMMARY",
    "UNCOUNTED",
    "UNPRICED",
    "WITH_BODIES",
    "add_up",
    "conditions",
    "failing",
    "glob",
    "number",
    "select_events",
    "where_clause",
]


def number(column: str) -> str:
    """Return SQL for *column*, NULL where no number stands in it."""
    return f"iif(typeof({column}) IN ('integer', 'real'), {column}, NULL)"


def add_up(column: str) -> str:
    """Return SQL for the sum of whole numbers; ``sum()`` fails where it passes 64 bits."""
    return f"CAST(total({number(column)}) AS INTEGER)"


STORED: Final = "e.id, e.run_id, e.event_type, coalesce(b.body, e.body)"
"""Columns of a `StoredEvent`, of `WITH_BODIES`."""
WITH_BODIES: Final = "events e LEFT JOIN bodies b ON b.id = e.id"
"""Bodies of rows that an older llmobs wrote may still stand in ``events``."""

# A failed call without usage (refused, cut off) has no cost anybody could know; an answered one has.
UNPRICED: Final = (
    "(e.cost_usd IS NULL AND NOT (e.failed AND e.tokens_input IS NULL AND e.tokens_output IS NULL))"
)
"""Whether a call was answered, and its cost is not known."""

UNCOUNTED: Final = "(NOT e.failed AND (e.tokens_input IS NULL OR e.tokens_output IS NULL))"
"""Whether a call was answered, and its tokens are not known."""

_COUNTED = {
    name: "iif(r.calls = 0, 0, (SELECT count(*) FROM events e WHERE e.run_id = r.run_id"  # noqa: S608
    f" AND e.event_type = 'prompt_call' AND {condition}))"
    for name, condition in {"unpriced": UNPRICED, "uncounted": UNCOUNTED}.items()
}
OPEN: Final = "r.status IS NULL AND r.standalone = 0"
"""Whether the own event of a run ``r`` has not come, as the index of such runs says it."""
_NOW: Final = "CAST(strftime('%s', 'now') AS INTEGER) * 1000000"
_HEARD_OF: Final = f"r.ended >= {_NOW} - {SILENCE // timedelta(microseconds=1)}"
_RUNNING: Final = f"({OPEN} AND {_HEARD_OF})"
_CUT_OFF: Final = f"({OPEN} AND NOT {_HEARD_OF})"
_MADE: Final = {"running": _RUNNING, "cut_off": _CUT_OFF, **_COUNTED}
_COLUMNS = ", ".join(
    f"{_MADE[name]} AS {name}" if name in _MADE else f"r.{name}"
    for name in RunSummary.__struct_fields__
)
SUMMARY: Final = f"SELECT {_COLUMNS} FROM runs r"  # noqa: S608
"""Selects what a `RunSummary` holds."""

FAILED: Final = (
    "(r.errors > 0 OR r.http_status >= 500 OR r.status IN ('error', 'timeout', 'assertion_failed'))"
)
"""Whether a run failed, or anything in it; as the index of such runs says it."""
_CALL: Final = "m.run_id = r.run_id AND m.event_type = 'prompt_call'"
_CALLED: Final = {
    None: _CALL,
    "any": _CALL,
    "failed": f"{_CALL} AND m.failed",
    "streamed": f"{_CALL} AND NOT m.failed AND m.time_to_first_token_ms IS NOT NULL",
}
"""Which calls of a run, by `RunFilter.calls`."""
_OF_TRACE: Final = (
    "(r.run_id = ? AND r.trace_id = r.run_id OR r.trace_id = ? AND r.trace_id <> r.run_id)"
)
"""Runs that came as spans are named after their trace, and are in no index of traces."""
# Reading JSON takes long; a tag is not in it where neither it nor anything escaped is.
_TAGGED: Final = (
    "iif(instr(r.tags, ?) OR instr(r.tags, '\\'), iif(json_valid(r.tags),"
    " EXISTS (SELECT 1 FROM json_each(r.tags) t WHERE t.value = ?), 0), 0)"
)


def select_events(
    what: str, where: RunFilter, types: Sequence[str], *more: str
) -> tuple[str, list[Any]]:
    """Return a query for *what* of the events of some types, in the runs that fit, and *more* conditions."""
    parts, values = conditions(where)
    join = " JOIN runs r ON r.run_id = e.run_id" if parts else ""
    if types:
        parts.append(f"e.event_type IN ({', '.join('?' * len(types))})")
        values.extend(types)
    parts += more
    source = WITH_BODIES if what == STORED else "events e"
    return f"SELECT {what} FROM {source}{join}{where_clause(parts)}", values  # noqa: S608


def conditions(where: RunFilter) -> tuple[list[str], list[Any]]:
    """Return what *where* says about the row ``r`` of ``runs``, with the values to bind."""
    if where.error is not None:
        # Not when its run began: as many runs are found as `ErrorGroup.runs` says.
        failed, failures = failing(where)
        others, more = conditions(replace(where, error=None, since=None, until=None))
        one = f"r.run_id IN (SELECT e.run_id FROM events e{where_clause(failed)})"  # noqa: S608
        return [one, *others], [*failures, *more]
    tests: list[tuple[str, Any]] = [
        ("r.run_id = ?", where.run_id),
        ("r.client_run_id = ?", where.client_run_id),
        ("r.parent_run_id = ?", where.parent_run_id),
        ("r.project_id = ?", where.project_id),
        ("r.user_id = ?", where.user_id),
        ("r.session_id = ?", where.session_id),
        ("r.status = ?", where.status),
        ("instr(lower(r.name), lower(?)) > 0", where.name),
        ("r.name = ?", where.route),
        ("r.release = ?", where.release),
        ("r.service_name = ?", where.service_name),
        (f"{number('r.cost_usd')} >= ?", where.min_cost_usd),
        (f"{number('r.latency_ms')} >= ?", where.min_latency_ms),
        ("r.tokens_input + r.tokens_output >= ?", where.min_tokens),
        ("r.started >= ?", where.since and to_microseconds(where.since)),
        ("r.ended < ?", where.ended_before and to_microseconds(where.ended_before)),
        ("r.started < ?", where.until and to_microseconds(where.until)),
    ]
    parts = [condition for condition, value in tests if value is not None]
    values = [value for _, value in tests if value is not None]
    if where.trace_id is not None:
        parts.append(_OF_TRACE)
        values += [where.trace_id] * 2
    if where.tag is not None:
        parts.append(_TAGGED)
        values += [where.tag] * 2
    wanted = ((FAILED, where.failed), (_RUNNING, where.running), (_CUT_OFF, where.cut_off))
    parts += [condition for condition, is_wanted in wanted if is_wanted]
    if where.prompt is not None:  # from the index of these
        parts.append("r.run_id IN (SELECT m.run_id FROM events m WHERE m.prompt_template_id = ?)")
        values.append(where.prompt)
    if where.model is not None or where.calls is not None:
        calls = [_CALLED[where.calls]]
        if where.model is not None:
            calls.append("m.name GLOB ?")
            values.append(glob(where.model))
        if where.prompt is not None:
            calls.append("m.prompt_template_id = ?")
            values.append(where.prompt)
        parts.append(f"EXISTS (SELECT 1 FROM events m WHERE {' AND '.join(calls)})")  # noqa: S608
    rated = [
        (condition, value)
        for condition, value in (
            ("name = ?", where.evaluation),
            ("label = ?", where.evaluation_label),
            (f"{number('score')} >= ?", where.min_score),
            (f"{number('score')} <= ?", where.max_score),
        )
        if value is not None
    ]
    if rated:
        tests_of_one = " AND ".join(condition for condition, _ in rated)
        parts.append(f"r.run_id IN (SELECT run_id FROM evaluations WHERE {tests_of_one})")  # noqa: S608
        values += [value for _, value in rated]
    return parts, values


def failing(where: RunFilter) -> tuple[list[str], list[Any]]:
    """Return what *where* says about the row ``e`` of an event that failed, with the values to bind."""
    tests: list[tuple[str, Any]] = [
        ("e.fingerprint = ?", where.error),
        ("e.project_id = ?", where.project_id),
        ("e.timestamp >= ?", where.since and to_microseconds(where.since)),
        ("e.timestamp < ?", where.until and to_microseconds(where.until)),
    ]
    parts = [condition for condition, value in tests if value is not None]
    return ["e.failed", *parts], [value for _, value in tests if value is not None]


def where_clause(parts: Sequence[str]) -> str:
    """Return the WHERE clause that holds all *parts*; empty for none."""
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def glob(pattern: str) -> str:
    """Return *pattern* for SQLite's GLOB with only ``*`` special; model names may hold brackets."""
    return pattern.replace("[", "[[]").replace("?", "[?]")
