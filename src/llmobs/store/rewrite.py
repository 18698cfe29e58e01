"""
Change what is stored, in steps between which others write.

Looking, and what is made of an event, hold nobody up; a step then puts in place what changes, under its
old number: who follows the store has seen it. Sums are right after every step. What a run is (its words,
its messages stored once) is made anew from its events in the end; until then it is among ``unfinished``,
where who comes after a process that was killed finds it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import msgspec

from llmobs.codec import decode, encode
from llmobs.events import ErrorEvent, ErrorInfo, Event, RunEvent
from llmobs.store.assembly import forget_parts, forget_spans, knows, parts_of
from llmobs.store.booking import BookedCalls, Booking
from llmobs.store.changes import agree
from llmobs.store.filed import Filed, file, note, number
from llmobs.store.insert import Routes, RunRow, evaluate, insert, route_of, save_runs
from llmobs.store.kept_pieces import piece_in, remove_pieces
from llmobs.store.pieces import put_together, references
from llmobs.store.query import WITH_BODIES
from llmobs.store.records import Change, Rewritten
from llmobs.store.rollups import Key
from llmobs.store.rows import COLUMNS, Row
from llmobs.store.values import as_text

__all__ = ["Steps", "drop_marks", "finish_all", "mark", "rewrite", "words_of_sums"]

T = TypeVar("T")

EVENTS: Final = 500
"""Looked at, or put in place, in one step at most."""
BYTES: Final = 4_000_000
"""Of JSON looked at in one step, about."""
SECONDS: Final = 0.03
"""After which a step puts nothing further in place."""
PASSES: Final = 3
"""How often is looked again for what others changed meanwhile."""

_ALL_TIME: Final = (-(2**63), 2**63 - 1)
_UNFINISHED: Final = "CREATE TABLE IF NOT EXISTS unfinished (run_id TEXT PRIMARY KEY) WITHOUT ROWID"


class Step(Protocol):
    """Runs a piece of work on the connection of the thread that writes."""

    def __call__(self, work: Callable[[sqlite3.Connection], T], /) -> T:
        """Run it."""
        ...


class Steps(NamedTuple):
    """The two ways to work on a store."""

    read: Step
    """On the store as it is at one moment; others write meanwhile."""
    write: Step
    """In a transaction, after which others have as long as it took."""


class _Found(NamedTuple):
    id: int
    body: Any
    """As it is stored: what is another one by then has been changed by somebody else."""
    event: Event | None


def rewrite(steps: Steps, run_id: str, change: Change) -> Rewritten:
    """
    Pass the events of a run through *change*, those that come meanwhile too.

    The run, the hourly sums and the messages stored once are then those of the events that it has.
    """
    changed = removed = unreadable = 0
    concerned = {run_id}
    after, again = 0, False
    for _ in range(PASSES):
        until = steps.read(partial(_last, run_id=run_id))
        if until <= after and not again:
            break
        if again:
            after, unreadable = 0, 0
        again = False
        while page := steps.read(partial(_page, run_id=run_id, after=after, until=until)):
            after = page[-1][0]
            found, odd = _look(page, change)
            unreadable += odd
            while found:
                put = steps.write(partial(_replace, run_id=run_id, found=found[:EVENTS]))
                changed += put.changed
                removed += put.removed
                again = again or put.missed
                concerned |= put.runs
                found = found[put.done :]
    if not changed and not removed:
        # What no event tells yet, of a trace that waits for more of it.
        parts = [
            (encode(event), change(event)) for event in steps.read(partial(parts_of, run_id=run_id))
        ]
        changed = sum(new is None or encode(new) != before for before, new in parts)
        if changed:
            steps.write(partial(forget_parts, run_id=run_id))
    for name in concerned:
        _finish(steps, name)
    return Rewritten(changed, removed, unreadable)


def finish_all(steps: Steps) -> None:
    """Finish the runs of which a rewriting that was killed had changed events."""
    for run_id in steps.read(_unfinished):
        _finish(steps, run_id)


def mark(connection: sqlite3.Connection, run_id: Any) -> None:
    """Note that a run is not what its events are, until it is finished."""
    connection.execute(_UNFINISHED)
    connection.execute("INSERT OR IGNORE INTO unfinished VALUES (?)", (run_id,))


def drop_marks(connection: sqlite3.Connection, run_id: Any) -> None:
    """Note that a run is finished, or gone."""
    if _is_there(connection):
        connection.execute("DELETE FROM unfinished WHERE run_id = ?", (run_id,))


def words_of_sums(connection: sqlite3.Connection) -> list[str]:
    """Return the words by which hourly sums are told apart."""
    found: dict[str, None] = {}
    for name in Key._fields[1:]:
        words = connection.execute(f"SELECT DISTINCT {name} FROM rollups")  # noqa: S608
        found.update((word, None) for (word,) in words if type(word) is str)
    return list(found)


def _is_there(connection: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE name = 'unfinished'"
    return connection.execute(query).fetchone() is not None


def _unfinished(connection: sqlite3.Connection) -> list[Any]:
    if not _is_there(connection):
        return []
    return [run_id for (run_id,) in connection.execute("SELECT run_id FROM unfinished")]


# Looking.


def _last(connection: sqlite3.Connection, run_id: str) -> int:
    query = "SELECT coalesce(max(id), 0) FROM events WHERE run_id = ?"
    return int(connection.execute(query, (run_id,)).fetchone()[0])


def _page(
    connection: sqlite3.Connection, run_id: str, after: int, until: int
) -> list[tuple[int, Any, str]]:
    """Return some events of a run: number, JSON as it is stored, and whole."""
    cursor = connection.execute(
        f"SELECT e.id, coalesce(b.body, e.body) FROM {WITH_BODIES}"  # noqa: S608
        " WHERE e.run_id = ? AND e.id > ? AND e.id <= ? ORDER BY e.id",
        (run_id, after, until),
    )
    page: list[tuple[int, Any, str]] = []
    size = 0
    for id, body in cursor:
        whole = put_together(as_text(body), partial(piece_in, connection))
        page.append((id, body, whole))
        size += len(whole)
        if len(page) >= EVENTS or size >= BYTES:
            break
    cursor.close()
    return page


def _look(page: Iterable[tuple[int, Any, str]], change: Change) -> tuple[list[_Found], int]:
    """Return what is to be another event, or none, and how many cannot be read."""
    found: list[_Found] = []
    unreadable = 0
    for id, body, whole in page:
        event = _decoded(whole)
        if event is None:
            unreadable += 1
            continue
        before = encode(event)
        new = change(event)
        if new is None or encode(new) != before:
            found.append(_Found(id, body, new))
    return found, unreadable


def _decoded(text: str) -> Event | None:
    try:
        return decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return None


# Putting in place.


class _Put(NamedTuple):
    done: int
    """Of those found, as far as there was time."""
    changed: int
    removed: int
    missed: bool
    """Whether somebody else has changed one of them meanwhile."""
    runs: set[Any]
    """In which something is now: an id that is redacted names another run."""


def _replace(connection: sqlite3.Connection, run_id: str, found: Sequence[_Found]) -> _Put:
    until = time.monotonic() + SECONDS
    mark(connection, run_id)
    forget_parts(connection, run_id)  # they hold what the events do; *change* knows of these alone
    connection.execute(
        "INSERT INTO store VALUES ('rewrites', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1"
    )
    (salt,) = connection.execute("SELECT value FROM store WHERE name = 'salt'").fetchone()
    booking = Booking()
    routes = {run_id: route_of(connection, run_id)}
    moved: dict[Any, RunRow] = {}
    put: list[Filed] = []
    gone: list[Row] = []
    done = changed = removed = 0
    missed = False
    for one in found:
        if done and time.monotonic() > until:
            break
        done += 1
        old = _delete_event(connection, one, run_id)
        if old is None:
            missed = True
            continue
        if _is_booked(old):
            booking.subtract(old, routes[run_id])
        new = None
        if one.event is not None:
            some = [file(one.event, salt)]
            number(some, one.id, _ALL_TIME[0] if old.booked else _ALL_TIME[1])
            new = next(iter(insert(connection, some)), None)
        changed += new is not None
        removed += new is None
        if new is None or new.row.run_id != run_id:
            gone.append(old)
        if new is None:
            continue
        put.append(new)
        its = new.row.run_id
        if its not in routes:
            routes[its] = route_of(connection, its)
            mark(connection, its)
        if _is_booked(new.row):
            booking.add(new.row, routes[its])
        if its != run_id:
            moved.setdefault(its, RunRow(new.row)).add(new, counted=True)
    booking.save(connection)
    _count_off(connection, run_id, gone)
    save_runs(connection, list(moved.values()))
    evaluate(connection, put)
    return _Put(done, changed, removed, missed, set(routes))


def _delete_event(connection: sqlite3.Connection, one: _Found, run_id: str) -> Row | None:
    """Delete an event and return its row; None if it is not what was found."""
    query = f"SELECT {_ROW}, coalesce(b.body, e.body) FROM {WITH_BODIES} WHERE e.id = ? AND e.run_id = ?"  # noqa: S608
    found = connection.execute(query, (one.id, run_id)).fetchone()
    if found is None or found[-1] != one.body:
        return None
    for table in ("bodies", "evaluations", "events"):
        connection.execute(f"DELETE FROM {table} WHERE id = ?", (one.id,))  # noqa: S608
    return Row(*found[:-1])


_ROW: Final = ", ".join(f"e.{name}" for name in COLUMNS)


def _is_booked(row: Row) -> bool:
    return row.event_type == "prompt_call" and bool(row.booked)


def _count_off(connection: sqlite3.Connection, run_id: str, rows: Sequence[Row]) -> None:
    """Count these in the run no longer; what words they have left there is seen to in the end."""
    calls = [row for row in rows if row.event_type == "prompt_call"]
    connection.execute(
        "UPDATE runs SET events = events - ?, errors = errors - ?, calls = calls - ?,"
        " tokens_input = tokens_input - ?, tokens_output = tokens_output - ?, cost_usd = cost_usd - ?"
        " WHERE run_id = ?",
        (
            sum(row.event_type != "run" for row in rows),
            sum(row.event_type != "run" and bool(row.failed) for row in rows),
            len(calls),
            *(
                sum(n for row in calls if type(n := getattr(row, name)) in (int, float))
                for name in ("tokens_input", "tokens_output", "cost_usd")
            ),
            run_id,
        ),
    )


# Finishing.


def _finish(steps: Steps, run_id: Any) -> None:
    for _ in range(PASSES):
        remade = _Remade(run_id)
        while steps.read(remade.look):
            pass
        while steps.write(remade.put) and not remade.is_stale:
            pass
        if not remade.is_stale:
            return
    steps.write(_Remade(run_id).put_at_once)  # somebody changes it all the time


class _Remade:
    """A run, made anew from the events that it has."""

    def __init__(self, run_id: Any) -> None:
        self._run_id = run_id
        self._run: RunRow | None = None
        self._calls = BookedCalls()
        self._used: set[int] = set()
        """Messages stored once that its events refer to."""
        self._unused: list[int] | None = None
        self._last = self._count = self._total = 0
        self._rewrites: Any = None
        self.is_stale = False
        """Whether events that were looked at are others now."""

    def look(self, connection: sqlite3.Connection) -> bool:
        """Look at some events; return whether there are more."""
        if self._rewrites is None:
            self._rewrites = _rewrites(connection)
        cursor = connection.execute(
            f"SELECT {_ROW}, coalesce(b.body, e.body) FROM {WITH_BODIES}"  # noqa: S608
            " WHERE e.run_id = ? AND e.id > ? ORDER BY e.id LIMIT ?",
            (self._run_id, self._last, EVENTS),
        )
        rows = cursor.fetchall()
        for *values, body in rows:
            self._add(Row(*values), as_text(body))
        if self._run is not None:
            self._calls.add(self._run.rows)
            self._run.rows.clear()
        return len(rows) == EVENTS

    def _add(self, row: Row, body: str) -> None:
        self._last = row.id
        self._count += 1
        self._total += row.id
        self._used |= references(body)
        event = _decoded(put_together(body, _nothing)) or _unreadable(row)
        if self._run is None:
            self._run = RunRow(row)
        self._run.add(note(row, event), counted=True)

    def put(self, connection: sqlite3.Connection) -> bool:
        """Put it in place, its unused messages first; return whether there is more to do."""
        query = "SELECT count(*), coalesce(sum(id), 0) FROM events WHERE run_id = ? AND id <= ?"
        found = connection.execute(query, (self._run_id, self._last)).fetchone()
        self.is_stale = (
            found != (self._count, self._total) or _rewrites(connection) != self._rewrites
        )
        if self.is_stale:
            return False
        while self.look(connection):  # what came meanwhile
            pass
        if self._unused is None:
            query = "SELECT hash FROM run_pieces WHERE run_id = ?"
            known = connection.execute(query, (self._run_id,))
            self._unused = [hash for (hash,) in known if hash not in self._used]
        some, self._unused = self._unused[:EVENTS], self._unused[EVENTS:]
        remove_pieces(connection, self._run_id, [hash for hash in some if hash not in self._used])
        if self._unused:
            return True
        self._save(connection)
        return False

    def put_at_once(self, connection: sqlite3.Connection) -> None:
        """Look and put in place in one transaction."""
        while self.look(connection):
            pass
        while self.put(connection):
            pass

    def _save(self, connection: sqlite3.Connection) -> None:
        run_id = self._run_id
        before = route_of(connection, run_id)
        was_rewritten = run_id in _unfinished(connection)
        connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))
        drop_marks(connection, run_id)
        if self._run is None:
            if was_rewritten:
                forget_spans(connection, run_id)
            return
        name = self._run.name
        route = before
        if (name or "") != before:
            hour, project = self._run.hour, self._run.project_id
            route = Routes(connection).of(name, hour, project or "") if name else ""
        self._run.booked_as = route or None
        save_runs(connection, [self._run])
        if knows(connection, run_id):
            agree(connection, [run_id])
        if route != before:
            self._calls.move(connection, before, route)


def _rewrites(connection: sqlite3.Connection) -> int:
    found = connection.execute("SELECT value FROM store WHERE name = 'rewrites'").fetchone()
    return int(found[0]) if found else 0


def _nothing(_: int) -> bytes:
    return b"null"


def _unreadable(row: Row) -> Event:
    """Return what stands for an event whose JSON is damaged: its columns alone count."""
    kind: Any = {"event_id": "", "run_id": "", "timestamp": datetime.fromtimestamp(0, UTC)}
    if row.event_type == "run":
        return RunEvent(**kind)
    return ErrorEvent(error=ErrorInfo(""), **kind)
