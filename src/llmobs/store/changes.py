"""What a run is when its events change: sums that follow them, and whose it is where they do not agree."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from llmobs.store.booking import Booking
from llmobs.store.filed import Filed
from llmobs.store.insert import calls_among, route_of
from llmobs.store.spans import Link
from llmobs.store.statements import chunks, placeholders

__all__ = ["agree", "disagreeing", "remove_events"]


def remove_events(connection: sqlite3.Connection, run_id: str, numbers: Sequence[int]) -> None:
    """Take out events of a run, which go on in other ones; it is then what is left says and adds up to."""
    if not numbers:
        return
    booking, route = Booking(), route_of(connection, run_id)
    for some in chunks(numbers):
        for row in calls_among(connection, some):
            booking.subtract(row, route)
        for table in ("bodies", "evaluations", "events"):
            connection.execute(f"DELETE FROM {table} WHERE id IN {placeholders(some)}", some)  # noqa: S608
    booking.save(connection)
    recount_run(connection, run_id)
    agree(connection, [run_id])  # it may have been what only those said


_RECOUNTED: Final = """
    SELECT min(timestamp),
        coalesce(
            max(timestamp + CAST(1000 * max(coalesce(latency_ms, 0), 0) AS INTEGER))
                FILTER (WHERE event_type <> 'evaluation'),
            min(timestamp)
        ),
        total(event_type <> 'run'), total(event_type = 'prompt_call'),
        total(event_type <> 'run' AND failed),
        total(iif(event_type = 'prompt_call', tokens_input, 0)),
        total(iif(event_type = 'prompt_call', tokens_output, 0)),
        sum(iif(event_type = 'prompt_call', cost_usd, NULL)), total(event_type = 'run')
    FROM events WHERE run_id = ?
"""


def recount_run(connection: sqlite3.Connection, run_id: str) -> None:
    """Make the sums of a run those of the events it has; without any, there is none."""
    (started, ended, *sums, cost, own) = connection.execute(_RECOUNTED, (run_id,)).fetchone()
    if started is None:
        connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))
        return
    connection.execute(
        "UPDATE runs SET started = ?, ended = ?, events = ?, calls = ?, errors = ?,"
        " tokens_input = ?, tokens_output = ?, cost_usd = ? WHERE run_id = ?",
        (started, ended, *map(int, sums), cost, run_id),
    )
    if not own:
        connection.execute(
            "UPDATE runs SET name = NULL, kind = NULL, status = NULL, http_status = NULL,"
            " latency_ms = NULL WHERE run_id = ?",
            (run_id,),
        )


_SHARED: Final = ("user_id", "session_id", "service_name", "environment", "release")
"""What spans of one run may not agree on."""


def disagreeing(
    connection: sqlite3.Connection, new: Sequence[Filed], links: Sequence[Link]
) -> list[str]:
    """Return the runs of *links* whose events, with *new* that is to be added up, do not agree on whose they are."""
    stated: dict[str, set[tuple[Any, ...]]] = {link.run_id: set() for link in links}
    for one in new:
        row = one.row
        if (its := stated.get(row.run_id)) is not None:
            said = (row.user_id, row.session_id, row.service_name, row.environment, row.release)
            its.add(said)
    for some in chunks(list(stated)):
        query = (
            f"SELECT run_id, {', '.join(_SHARED)} FROM runs WHERE run_id IN {placeholders(some)}"  # noqa: S608
        )
        for run_id, *values in connection.execute(query, some):
            stated[run_id].add(tuple(values))
    return [run_id for run_id, its in stated.items() if len(its) > 1 and _differ(its)]


def _differ(stated: Iterable[tuple[Any, ...]]) -> bool:
    """Whether one thing has two values, other than None, among *stated*."""
    return any(len({*values} - {None}) > 1 for values in zip(*stated, strict=True))


def agree(connection: sqlite3.Connection, run_ids: Iterable[str]) -> None:
    """Let runs be what their own event says, else the event that began first of those that say it."""
    first = ", ".join(
        f"{name} = (SELECT {name} FROM events WHERE run_id = ?1 AND {name} IS NOT NULL"  # noqa: S608
        " ORDER BY event_type <> 'run', timestamp, event_id LIMIT 1)"
        for name in _SHARED
    )
    for run_id in run_ids:
        connection.execute(f"UPDATE runs SET {first} WHERE run_id = ?1", (run_id,))  # noqa: S608
