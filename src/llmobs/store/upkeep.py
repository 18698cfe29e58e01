"""
What a store needs beside being written: each function is one short transaction's worth of work.

An older store is *adopted*: the rows whose body still stands in ``events``, whoever wrote them, get
their new columns, their body moves to its table, and their calls are booked by the hour.
"""

import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from llmobs.codec import decode
from llmobs.store.assembly import forget_spans, knows
from llmobs.store.booking import MICROSECONDS_PER_HOUR as HOUR
from llmobs.store.booking import Booking, add_up_day, clear_hour
from llmobs.store.connect import BUSY_SECONDS, PAGE_BYTES
from llmobs.store.filed import Filed, file, number, whole
from llmobs.store.insert import add_up
from llmobs.store.kept_pieces import remove_all_pieces, store_pieces
from llmobs.store.records import RetentionPolicy, to_microseconds
from llmobs.store.rewrite import drop_marks, mark
from llmobs.store.rows import COLUMNS, Row
from llmobs.store.schema import narrow_indexes
from llmobs.store.statements import transaction

__all__ = [
    "adopt",
    "compact",
    "erase",
    "free_pages",
    "give_back",
    "hours_of",
    "leave_no_trace",
    "prune",
    "recount",
]

T = TypeVar("T")

ROWS: Final = 50
"""Rows adopted in one step, at most: some ten milliseconds."""
BYTES: Final = 200_000
"""Of their bodies, about."""
EVENTS: Final = 500
"""Events removed in one step, about."""
RUNS: Final = 250
"""Runs removed in one step, at most."""
PAGES: Final = 256
"""Pages given back to the file system in one step."""

MOMENTS: Final = (-(2**63), 2**63 - 1)
"""The first and the last that a column can hold."""

_LATER: Final = (
    "release", "tokens_cache_write", "tokens_reasoning", "weight", "fingerprint",
    "prompt_template_id", "booked",
)  # fmt: skip
"""Columns that rows of older versions lack."""


def adopt(connection: sqlite3.Connection) -> bool:
    """Bring some rows of an older version into this one's form; return whether there are more."""
    found = connection.execute("SELECT value FROM store WHERE name = 'rows_before'").fetchone()
    if found is None:
        return False
    waiting = connection.execute(
        "SELECT id, run_id, body, booked FROM events WHERE id >= ? AND body <> '' ORDER BY id",
        (found[0],),
    )
    rows: list[Any] = []
    size = 0
    while len(rows) < ROWS and size < BYTES and (row := waiting.fetchone()) is not None:
        rows.append(row)
        size += len(row[2]) if type(row[2]) in (str, bytes) else 0
    waiting.close()
    (salt,) = connection.execute("SELECT value FROM store WHERE name = 'salt'").fetchone()
    new: list[Filed] = []
    for id, run_id, body, booked in rows:
        one = _read(id, body, MOMENTS[1] if booked else MOMENTS[0], salt)
        text = body
        if one is not None:
            new.append(one)
            text = _slimmer(connection, one, run_id, body)
        connection.execute("INSERT OR REPLACE INTO bodies VALUES (?, ?)", (id, text))
        connection.execute("UPDATE events SET body = '' WHERE id = ?", (id,))
    add_up(connection, new, first=MOMENTS[1], counted=False)
    changes = ", ".join(
        f"{name} = max({name}, ?)" if name == "booked" else f"{name} = ?" for name in _LATER
    )
    connection.executemany(
        f"UPDATE events SET {changes} WHERE id = ?",  # noqa: S608
        [(*(getattr(one.row, name) for name in _LATER), one.row.id) for one in new],
    )
    if len(rows) == ROWS or size >= BYTES:
        connection.execute(
            "UPDATE store SET value = ? WHERE name = 'rows_before'", (rows[-1][0] + 1,)
        )
        return True
    connection.execute("DELETE FROM store WHERE name = 'rows_before'")
    return False


def _read(id: int, body: Any, booked_from: int, salt: bytes) -> Filed | None:
    try:
        one = file(decode(body), salt)
    except (msgspec.MsgspecError, RecursionError, TypeError, ValueError):
        return None  # damaged, or of a version in between: it stays as it is
    number([one], id, booked_from)
    return one


def _slimmer(connection: sqlite3.Connection, one: Filed, run_id: Any, body: Any) -> Any:
    # To the byte, or not at all.
    same = bool(one.pieces) and whole(one) == body
    return one.body if same and store_pieces(connection, run_id, one.pieces) else body


def erase(connection: sqlite3.Connection, run_id: str, limit: int) -> tuple[bool, bool]:
    """
    Remove a run as if it had never been, or its first *limit* events; return whether there was one,
    and whether there is more of it.
    """
    found = connection.execute("SELECT booked_as FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    booking = Booking()
    for row in _first_rows(connection, run_id, limit):
        if row.event_type == "prompt_call" and row.booked:
            booking.subtract(row, (found[0] if found else None) or "")
    booking.save(connection)
    known = found is not None or knows(connection, run_id)
    removed, _ = _remove(connection, run_id, limit)
    if removed == limit:  # if this ends here, what is left of it is finished by who comes next
        mark(connection, run_id)
    return known or removed > 0, removed == limit


def _first_rows(connection: sqlite3.Connection, run_id: str, limit: int) -> list[Row]:
    query = (
        f"SELECT {', '.join(COLUMNS)} FROM events WHERE run_id = ?"  # noqa: S608
        " ORDER BY timestamp, id LIMIT ?"
    )
    return [Row(*values) for values in connection.execute(query, (run_id, limit))]


def _remove(connection: sqlite3.Connection, run_id: Any, limit: int) -> tuple[int, int | None]:
    """Remove up to *limit* events of a run, with the last of them the run; return how many, and their latest time."""
    rows = connection.execute(
        "SELECT id, timestamp FROM events WHERE run_id = ? ORDER BY timestamp, id LIMIT ?",
        (run_id, limit),
    ).fetchall()
    ids = [(id,) for id, _ in rows]
    for table in ("bodies", "evaluations", "events"):
        connection.executemany(f"DELETE FROM {table} WHERE id = ?", ids)  # noqa: S608
    if len(rows) < limit:
        remove_all_pieces(connection, run_id)
        connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))
        forget_spans(connection, run_id)
        drop_marks(connection, run_id)
    return len(rows), max((moment for _, moment in rows), default=None)


def prune(connection: sqlite3.Connection, policy: RetentionPolicy) -> bool:
    """Remove some of the oldest runs that *policy* does not keep; return whether there may be more."""
    oldest = _too_old(connection, policy)
    most_bytes = None if oldest else policy.bytes
    if most_bytes is not None and used_bytes(connection) > most_bytes:
        query = "SELECT run_id FROM runs ORDER BY started LIMIT ?"
        oldest = [run_id for (run_id,) in connection.execute(query, (RUNS,))]
    room, latest = EVENTS, None
    for run_id in oldest:
        removed, moment = _remove(connection, run_id, room)
        if moment is not None:
            latest = moment if latest is None else max(latest, moment)
        room -= removed
        if room <= 0 or (most_bytes is not None and used_bytes(connection) <= most_bytes):
            break
    if latest is not None:
        connection.execute(
            "INSERT INTO store VALUES ('pruned_to', ?)"
            " ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
            (latest,),
        )
    return bool(oldest)


def _too_old(connection: sqlite3.Connection, policy: RetentionPolicy) -> list[Any]:
    if policy.since is None:
        return []
    query = "SELECT run_id FROM runs WHERE started < ?1 AND ended < ?1 ORDER BY started LIMIT ?2"
    found = connection.execute(query, (to_microseconds(policy.since), RUNS))
    return [run_id for (run_id,) in found]


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return how much of the file is in use."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def leave_no_trace(connection: sqlite3.Connection) -> bool:
    """
    Empty the write-ahead log, which holds pages as they were; return whether nobody was in the way.

    In the file itself ``secure_delete`` has overwritten what was removed.
    """
    # Tried often: SQLite's own patience sleeps ever longer, and meets a busy writer each time.
    deadline = time.monotonic() + BUSY_SECONDS
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy or time.monotonic() > deadline:
                return not busy
            time.sleep(0.002)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")


def free_pages(connection: sqlite3.Connection) -> int:
    """Return how many pages of the file are not in use."""
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def give_back(connection: sqlite3.Connection) -> int:
    """
    Give some free pages back to the file system, where the store was made so that it can; return how
    many are left.
    """
    # It is a step per page; of a statement without columns, `execute` takes the first one alone.
    connection.executescript(f"PRAGMA incremental_vacuum({PAGES})")
    return free_pages(connection)


def hours_of(connection: sqlite3.Connection) -> list[int]:
    """Return every hour in which there are calls, or sums."""
    found = {hour for (hour,) in connection.execute("SELECT DISTINCT hour FROM rollups")}
    # By leaps in the index: all calls of the last year lie in some thousand hours.
    moment = MOMENTS[0]
    leap = (
        "SELECT timestamp FROM events WHERE timestamp >= ? AND event_type = 'prompt_call'"
        " ORDER BY timestamp LIMIT 1"
    )
    while (row := connection.execute(leap, (moment,)).fetchone()) is not None:
        if type(row[0]) is not int:
            break
        hour = row[0] // HOUR
        found.add(hour)
        moment = (hour + 1) * HOUR
        if moment > MOMENTS[1]:
            break
    return sorted(hour for hour in found if type(hour) is int)


def recount(connection: sqlite3.Connection, hour: int) -> None:
    """Replace the sums of an hour by those of its calls."""
    span = (max(hour * HOUR, MOMENTS[0]), min((hour + 1) * HOUR, MOMENTS[1]))
    calls = "timestamp >= ? AND timestamp < ? AND event_type = 'prompt_call'"
    booking = Booking()
    columns = ", ".join(f"e.{name}" for name in COLUMNS)
    query = f"SELECT {columns}, r.booked_as FROM events e LEFT JOIN runs r ON r.run_id = e.run_id WHERE {calls}"  # noqa: S608
    for *values, route in connection.execute(query, span):
        booking.add(Row(*values), route or "")
    clear_hour(connection, hour)
    connection.execute(f"UPDATE events SET booked = 1 WHERE {calls} AND booked = 0", span)  # noqa: S608
    booking.save(connection)
    add_up_day(connection, hour // 24)


def compact(connection: sqlite3.Connection) -> None:
    """
    Write the file anew, with the page size and the means to give space back that new stores have.

    Raises:
        sqlite3.OperationalError: Somebody else has it open.
    """
    while _alone(connection, adopt):
        pass
    _alone(connection, narrow_indexes)
    (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    if mode != "delete":
        raise sqlite3.OperationalError("database is locked")
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("VACUUM")
    connection.execute("PRAGMA journal_mode = WAL")


def _alone(connection: sqlite3.Connection, step: Callable[[sqlite3.Connection], T]) -> T:
    with transaction(connection):
        return step(connection)
