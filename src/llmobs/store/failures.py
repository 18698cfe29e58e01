"""What failed, by cause: from the index of failed events, which is small where little fails."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from llmobs.store.pieces import put_together
from llmobs.store.query import conditions, failing, where_clause
from llmobs.store.records import MAX_TOUCHED, ErrorGroup, RunFilter
from llmobs.store.rows import place_of
from llmobs.store.values import as_moment, as_text

__all__ = ["group_errors"]

Rows = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]
"""Runs a query and returns all its rows."""

MESSAGE: Final = 1_000
"""Characters of an error's message that are told of it."""
SAMPLE: Final = 50
"""Of a cause, the latest events that are looked at for models and routes."""


class _Error(Struct):
    message: Any = None
    type: Any = None
    stack: Any = None


class _WithError(Struct):
    """What an event says of its error; whatever else it holds is passed over."""

    error: _Error | None = None


def group_errors(
    rows: Rows, limit: int, before: tuple[int, str] | None, where: RunFilter
) -> list[ErrorGroup]:
    """
    Return what failed, by cause, what failed last first.

    Args:
        rows: How to ask.
        limit: How many groups at most.
        before: When the last group of the page before failed last, in microseconds, and its fingerprint.
        where: In which runs; ``since`` and ``until`` say when it failed.
    """
    rest = replace(where, error=None, project_id=None, since=None, until=None)
    others, more = conditions(rest)
    tests, values = failing(where)
    parts, values = [*tests, *others], [*values, *more]
    source = f"FROM events e{' JOIN runs r ON r.run_id = e.run_id' if others else ''}"
    having = ""
    if before is not None:
        having = " HAVING (max(e.timestamp), coalesce(e.fingerprint, '')) < (?, ?)"
    found = rows(
        "SELECT e.fingerprint, count(*), count(DISTINCT e.run_id), min(e.timestamp), max(e.timestamp)"
        f" {source}{where_clause(parts)} GROUP BY e.fingerprint{having}"
        " ORDER BY max(e.timestamp) DESC, coalesce(e.fingerprint, '') DESC LIMIT ?",
        [*values, *(before or ()), limit],
    )
    clause = where_clause([*parts, "e.fingerprint IS ?"])
    groups = []
    for fingerprint, events, runs, first, latest in found:
        mine = [*values, fingerprint]
        query = f"SELECT {_EXAMPLE} {source}{clause} ORDER BY e.timestamp DESC, e.id DESC LIMIT 1"
        for id, event_id, run_id, kind, subject, said in rows(query, mine):  # none if removed since
            error = _error(rows("SELECT body FROM bodies WHERE id = ?", [id]))
            models, routes = _touched(rows, f"{source}{clause}", mine)
            groups.append(
                ErrorGroup(
                    fingerprint=_text(fingerprint),
                    events=events,
                    runs=runs,
                    first=as_moment(first),
                    latest=as_moment(latest),
                    event_id=as_text(event_id),
                    run_id=as_text(run_id),
                    event_type=as_text(kind),
                    subject=_text(subject),
                    type=_text(error.type),
                    message=_text(said if error.message is None else error.message, MESSAGE),
                    place=place_of(as_text(error.stack)),
                    models=models,
                    routes=routes,
                )
            )
    return groups


_EXAMPLE: Final = "e.id, e.event_id, e.run_id, e.event_type, e.name, e.error"


def _text(value: Any, limit: int | None = None) -> str | None:
    return None if value is None else as_text(value)[:limit]


def _error(rows: Sequence[Sequence[Any]]) -> _Error:
    try:
        body = put_together(as_text(rows[0][0]), lambda _: None) if rows else "{}"
        event = msgspec.json.decode(body, type=_WithError)
    except (msgspec.MsgspecError, RecursionError):
        return _Error()
    return event.error or _Error()


def _touched(
    rows: Rows, failures: str, values: Sequence[Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the models and the routes of the latest of these *failures*, the most frequent first."""
    models: Counter[str] = Counter()
    routes: Counter[str] = Counter()
    query = (
        f"WITH latest AS (SELECT e.event_type, e.name, e.run_id {failures}"  # noqa: S608
        f" ORDER BY e.timestamp DESC LIMIT {SAMPLE})"
        " SELECT f.event_type = 'prompt_call', f.name, r.name, count(*)"
        " FROM latest f LEFT JOIN runs r ON r.run_id = f.run_id GROUP BY 1, 2, 3"
    )
    for is_call, subject, route, count in rows(query, values):
        if is_call and subject is not None:
            models[as_text(subject)] += count
        if route is not None:
            routes[as_text(route)] += count
    return _most(models), _most(routes)


def _most(counted: Counter[str]) -> tuple[str, ...]:
    return tuple(name for name, _ in counted.most_common(MAX_TOUCHED))
