"""SQL of the reader: which runs, which events."""

from collections.abc import Sequence
from typing import Any, Final

from llmobs.store.records import GroupBy, RunFilter, RunSummary, to_microseconds

__all__ = [
    "KEYS",
    "STORED",
    "SUMMARY",
    "UNCOUNTED",
    "UNPRICED",
    "add_up",
    "conditions",
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


STORED: Final = "e.id, e.run_id, e.event_type, e.body"
"""Columns of a `StoredEvent`."""

# A failed call without usage (refused, cut off) has no cost anybody could know; an answered one has.
UNPRICED: Final = (
    "(e.cost_usd IS NULL AND NOT (e.failed AND e.tokens_input IS NULL AND e.tokens_output IS NULL))"
)
"""Whether a call was answered, and its cost is not known."""

UNCOUNTED: Final = "(NOT e.failed AND (e.tokens_input IS NULL OR e.tokens_output IS NULL))"
"""Whether a call was answered, and its tokens are not known."""

_COUNTED = {"unpriced": UNPRICED, "uncounted": UNCOUNTED}
_COLUMNS = ", ".join(f"r.{name}" for name in RunSummary.__struct_fields__ if name not in _COUNTED)
_COUNTS = ", ".join(
    "iif(r.calls = 0, 0, (SELECT count(*) FROM events e WHERE e.run_id = r.run_id"  # noqa: S608
    f" AND e.event_type = 'prompt_call' AND {condition})) AS {name}"
    for name, condition in _COUNTED.items()
)
SUMMARY: Final = f"SELECT {_COLUMNS}, {_COUNTS} FROM runs r"  # noqa: S608
"""Selects what a `RunSummary` holds."""

KEYS: Final[dict[GroupBy, str]] = {
    "model": "nullif(e.name, '')",
    "provider": "e.provider",
    "day": "date(e.timestamp / 1000000, 'unixepoch')",
    "route": "r.name",
}
"""What a call is grouped by."""


_ASKED: Final = (
    "EXISTS (SELECT 1 FROM events m WHERE m.run_id = r.run_id"
    " AND m.event_type = 'prompt_call' AND m.name GLOB ?)"
)


def select_events(what: str, where: RunFilter, types: Sequence[str]) -> tuple[str, list[Any]]:
    """Return a query for *what* of the events of some types, in the runs that fit."""
    parts, values = conditions(where)
    join = " JOIN runs r ON r.run_id = e.run_id" if parts else ""
    if types:
        parts.append(f"e.event_type IN ({', '.join('?' * len(types))})")
        values.extend(types)
    return f"SELECT {what} FROM events e{join}{where_clause(parts)}", values  # noqa: S608


def conditions(where: RunFilter) -> tuple[list[str], list[Any]]:
    """Return what *where* says about the row ``r`` of ``runs``, with the values to bind."""
    tests: list[tuple[str, Any]] = [
        ("r.run_id = ?", where.run_id),
        ("r.client_run_id = ?", where.client_run_id),
        ("r.user_id = ?", where.user_id),
        ("r.status = ?", where.status),
        ("instr(lower(r.name), lower(?)) > 0", where.name),
        ("r.started >= ?", where.since and to_microseconds(where.since)),
        (_ASKED, where.model and glob(where.model)),
    ]
    parts = [condition for condition, value in tests if value is not None]
    values = [value for _, value in tests if value is not None]
    if where.failed:
        parts.append(
            "(r.errors > 0 OR r.http_status >= 500"
            " OR r.status IN ('error', 'timeout', 'assertion_failed'))"
        )
    return parts, values


def where_clause(parts: Sequence[str]) -> str:
    """Return the WHERE clause that holds all *parts*; empty for none."""
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def glob(pattern: str) -> str:
    """Return *pattern* for SQLite's GLOB with only ``*`` special; model names may hold brackets."""
    return pattern.replace("[", "[[]").replace("?", "[?]")
