"""Insert events: rows, bodies and pieces, and what they add to runs and hourly sums."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from llmobs.codec import encode, text_of
from llmobs.store.booking import MICROSECONDS_PER_HOUR, Booking, word_of
from llmobs.store.filed import Filed, whole
from llmobs.store.kept_pieces import add_pieces, compare, run_of
from llmobs.store.rows import COLUMNS, WIDTH, Row, clean_values
from llmobs.store.statements import chunks, placeholder_rows, placeholders

__all__ = [
    "MAX_ROUTES",
    "OTHER",
    "Routes",
    "RunRow",
    "add_up",
    "calls_among",
    "calls_of",
    "evaluate",
    "insert",
    "move",
    "probe",
    "route_of",
    "save_runs",
]

_PLACEHOLDERS: Final = f"({', '.join('?' * WIDTH)}, '')"
_INSERT: Final = f"INSERT INTO events ({', '.join(COLUMNS)}, body) VALUES"
# Not "OR IGNORE": that would pass over a row that lacks something, as if it were stored.
_UNLESS_THERE: Final = "ON CONFLICT (event_id) DO NOTHING"
NULL: Final = float("nan")
"""
What SQLite stores as NULL, and its module takes as it is: for None it first looks for an adapter,
for longer than the value takes to be stored, and half of a row is None.
"""
_MAX: Final = 2**63 - 1
_UNKNOWN: Final = -_MAX
"""When a run ended of which only ratings are told."""
MAX_ROUTES: Final = 500
"""Names of runs told apart in the sums of an hour and a project: who names runs after ids has millions."""
OTHER: Final = "(other)"
"""The route of the runs beyond."""
MAX_TAGS: Final = 100
"""Tags of one run that are kept to find it by."""


def probe(connection: sqlite3.Connection) -> None:
    """
    Compile what `insert` runs.

    Raises:
        sqlite3.OperationalError: A table or a column is gone.
    """
    connection.execute(f"EXPLAIN {_INSERT} {_PLACEHOLDERS}", [None] * WIDTH).close()
    connection.execute("EXPLAIN INSERT INTO bodies VALUES (?, ?)", [None] * 2).close()


def insert(connection: sqlite3.Connection, some: list[Filed]) -> list[Filed]:
    """
    Insert *some*, which are numbered, and filed for this store; return those whose id was not there yet.

    Raises:
        Exception: What SQLite, or an event's own values, raise; then nothing of them is there.
    """
    first, last = some[0].row.id, some[-1].row.id
    try:
        texts = _bodies(connection, some)
        bodies = [(one.row.id, body) for one, body in zip(some, texts, strict=True)]
        statement = f"{_INSERT} {', '.join([_PLACEHOLDERS] * len(some))} {_UNLESS_THERE}"
        values = [NULL if v is None else v for one in some for v in astuple(one.row)]
        try:
            done = connection.execute(statement, values)
        except UnicodeEncodeError:  # lone surrogates in a name; bodies are clean already
            for one in some:
                one.row = Row(*clean_values(astuple(one.row)))
            done = connection.execute(statement, clean_values(values))
        if done.rowcount != len(some):
            there = connection.execute(
                "SELECT id FROM events WHERE id BETWEEN ? AND ?", (first, last)
            )
            new = {number for (number,) in there}
            some = [one for one in some if one.row.id in new]
            bodies = [pair for pair in bodies if pair[0] in new]
        if some:
            query = f"INSERT INTO bodies VALUES {placeholder_rows(bodies)}"  # noqa: S608
            connection.execute(query, [*chain.from_iterable(bodies)])
    except BaseException:
        if connection.in_transaction:
            for table in ("events", "bodies"):
                connection.execute(
                    f"DELETE FROM {table} WHERE id BETWEEN ? AND ?",  # noqa: S608
                    (first, last),
                )
        raise
    return some


def _bodies(connection: sqlite3.Connection, some: Sequence[Filed]) -> list[str]:
    pieces = {piece.hash: piece.data for one in some for piece in one.pieces}
    new, others = compare(connection, pieces)
    bodies = []
    theirs: set[tuple[str, int]] = set()
    for one in some:
        its = one.pieces
        # Another content may have the hash of one of them, in the store or beside it.
        if its and any(p.hash in others or pieces[p.hash] != p.data for p in its):
            bodies.append(whole(one))
            continue
        bodies.append(one.body)
        if its:
            run_id = run_of(one.row.run_id)
            theirs.update((run_id, piece.hash) for piece in its)
    add_pieces(connection, pieces, new, theirs)
    return bodies


def move(connection: sqlite3.Connection, id: int, before: str, parent_id: str | None) -> bool:
    """
    Put the event with the number *id* inside another one.

    Args:
        connection: In a transaction.
        id: Its number.
        before: The event it was inside.
        parent_id: The one it is inside now; None for none.

    Returns:
        Whether it is done: its JSON says where it was, before anything that others wrote.
    """
    old = f',"parent_id":"{before}"'
    new = "" if parent_id is None else f',"parent_id":"{parent_id}"'
    done = connection.execute(
        "UPDATE bodies SET body = substr(body, 1, instr(body, ?2) - 1) || ?3 || substr(body, instr(body, ?2) + ?4)"
        " WHERE id = ?1 AND instr(body, ?2) BETWEEN 1 AND ?5",
        (id, old, new, len(old), _HEAD),
    )
    if done.rowcount:
        connection.execute("UPDATE events SET parent_id = ? WHERE id = ?", (parent_id, id))
    return done.rowcount > 0


_HEAD: Final = 512
"""Characters of an event's JSON in which its ids stand."""


# What rows add to their runs.

_RUN: Final = (
    "run_id", "started", "ended", "name", "kind", "status", "http_status", "latency_ms",
    "project_id", "service_name", "environment", "user_id", "session_id", "client_run_id",
    "parent_run_id", "trace_id", "release", "tags", "weight", "standalone", "booked_as", "events",
    "calls", "errors", "tokens_input", "tokens_output", "cost_usd",
)  # fmt: skip
_LAST: Final = (
    "name", "kind", "status", "http_status", "latency_ms", "client_run_id", "parent_run_id", "tags",
    "booked_as",
)  # fmt: skip
"""What is known last holds."""
_FIRST: Final = ("project_id", "trace_id")
"""What is known first holds."""
_OWN_OR_LAST: Final = ("user_id", "session_id")
"""What the run's own event says holds, else what is known last."""
_OWN_OR_FIRST: Final = ("service_name", "environment", "release")
"""What the run's own event says holds, else what is known first."""
_SUMS: Final = ("events", "calls", "errors", "tokens_input", "tokens_output")
_UPSERT: Final = ", ".join(
    [
        "started = min(started, excluded.started)",
        "ended = max(ended, excluded.ended)",
        "weight = max(weight, excluded.weight)",
        "standalone = min(coalesce(standalone, excluded.standalone), excluded.standalone)",
        *(f"{name} = coalesce(excluded.{name}, {name})" for name in _LAST),
        *(f"{name} = coalesce({name}, excluded.{name})" for name in _FIRST),
        *(
            f"{name} = iif(status IS NOT NULL AND excluded.status IS NULL,"
            f" coalesce({name}, excluded.{name}), coalesce(excluded.{name}, {name}))"
            for name in _OWN_OR_LAST
        ),
        *(
            f"{name} = iif(excluded.status IS NULL,"
            f" coalesce({name}, excluded.{name}), coalesce(excluded.{name}, {name}))"
            for name in _OWN_OR_FIRST
        ),
        *(f"{name} = {name} + excluded.{name}" for name in _SUMS),
        "cost_usd = coalesce(cost_usd + excluded.cost_usd, cost_usd, excluded.cost_usd)",
    ]
)


_columns_of: Final[Callable[[Any], tuple[Any, ...]]] = attrgetter(*_RUN)


class RunRow:
    """What the rows of one run add to it."""

    __slots__ = (*_RUN, "rows")

    def __init__(self, row: Row) -> None:
        self.run_id = row.run_id
        self.started = row.timestamp
        self.ended = _UNKNOWN
        self.name: Any = None
        self.kind: Any = None
        self.status: Any = None
        self.http_status: Any = None
        self.latency_ms: Any = None
        self.client_run_id: Any = None
        self.parent_run_id: Any = None
        self.project_id = row.project_id
        self.service_name = row.service_name
        self.environment = row.environment
        self.release = row.release
        self.trace_id = row.trace_id
        self.user_id = row.user_id
        self.session_id = row.session_id
        self.tags: Any = ()
        self.weight = row.weight
        self.standalone: Any = 1
        self.booked_as: Any = None
        self.events = self.calls = self.errors = 0
        self.tokens_input: Any = 0
        self.tokens_output: Any = 0
        self.cost_usd: Any = None
        self.rows: list[Row] = []

    def add(self, one: Filed, counted: bool) -> None:
        """Add an event: what it says of the run, and where *counted* what it counts for."""
        row, tags, own = one.row, one.tags, one.own
        moment = row.timestamp
        if moment < self.started:
            self.started = moment
        took = row.latency_ms
        if (type(took) is float or type(took) is int) and took > 0:  # not of what is no number
            moment = min(moment + int(min(1000 * took, _MAX)), _MAX)
        # A rating may come days later.
        if moment > self.ended and row.event_type != "evaluation":
            self.ended = moment
        if row.user_id is not None:
            self.user_id = row.user_id
        if row.session_id is not None:
            self.session_id = row.session_id
        if self.trace_id is None:
            self.trace_id = row.trace_id
        if self.release is None:
            self.release = row.release
        if tags and tags is not self.tags and tags != self.tags:
            self.tags = (*self.tags, *(tag for tag in tags if tag not in self.tags))
        if not one.standalone:
            self.standalone = 0
        if row.weight != self.weight and type(row.weight) in (int, float):
            self.weight = max(self.weight, row.weight) if type(self.weight) in (int, float) else 1
        if own is not None:
            self.standalone = 0
            for name in _OWN_OR_FIRST:
                if (value := getattr(row, name)) is not None:
                    setattr(self, name, value)
            self.name = row.name if row.name is not None else self.name
            kind, client_run_id, parent_run_id = own
            self.kind = kind
            self.status, self.http_status = row.status, row.http_status
            self.latency_ms = row.latency_ms
            self.client_run_id = client_run_id or self.client_run_id
            self.parent_run_id = parent_run_id or self.parent_run_id
            return
        is_call = row.event_type == "prompt_call"
        if is_call and row.booked:
            self.rows.append(row)
        if not counted:
            return
        self.events += 1
        if row.failed:
            self.errors += 1
        if is_call:
            self.calls += 1
            if type(row.tokens_input) is int:
                self.tokens_input += row.tokens_input
            if type(row.tokens_output) is int:
                self.tokens_output += row.tokens_output
            cost = row.cost_usd
            if type(cost) is float or type(cost) is int:
                self.cost_usd = cost if self.cost_usd is None else self.cost_usd + cost

    @property
    def hour(self) -> int:
        """In which it began."""
        return int(self.started) // MICROSECONDS_PER_HOUR

    def bound(self) -> tuple[Any, ...]:
        """Return its columns as SQLite takes them."""
        if self.ended == _UNKNOWN:
            self.ended = self.started
        self.tags = encode(self.tags[:MAX_TAGS]).decode() if self.tags else None
        for name in ("tokens_input", "tokens_output", "cost_usd"):
            value = getattr(self, name)
            if type(value) is int and value > _MAX:
                setattr(self, name, float(value))
        return _columns_of(self)


def add_up(
    connection: sqlite3.Connection,
    new: Sequence[Filed],
    *,
    first: int,
    counted: bool = True,
) -> bool:
    """
    Add *new* to runs and hourly sums; return whether some runs have no route of their own in these.

    Args:
        connection: In a transaction.
        new: What was inserted.
        first: Rows from this number on are among *new*, those before are booked already.
        counted: Whether to count them in their runs; False if a trigger did.
    """
    runs: dict[Any, RunRow] = {}
    for one in new:
        run = runs.get(one.row.run_id)
        if run is None:
            run = runs[one.row.run_id] = RunRow(one.row)
        run.add(one, counted)
    known = _known(connection, list(runs))
    booking = Booking()
    routes = Routes(connection)
    for run_id, run in runs.items():
        before = ""
        if (found := known.get(run_id)) is not None:
            before, tags = found[0] or "", _stored_tags(found[1])
            if run.ended == _UNKNOWN:
                run.ended = found[2]
            elif run.ended < found[2] and found[3] and _is_only_rated(connection, run_id, first):
                # What is saved below only ever makes it later.
                connection.execute(
                    "UPDATE runs SET ended = ? WHERE run_id = ?", (run.ended, run_id)
                )
            if tags:
                run.tags = (*tags, *(tag for tag in run.tags if tag not in tags))
        route = before
        if run.name is not None and (name := text_of(run.name)) != before:
            route = routes.of(name, run.hour, word_of(run.project_id))
        run.booked_as = route or None
        if route != before:
            for row in calls_of(connection, run_id, first):
                booking.subtract(row, before)
                booking.add(row, route)
        for row in run.rows:
            booking.add(row, route)
    save_runs(connection, list(runs.values()))
    booking.save(connection)
    evaluate(connection, new)
    return routes.crowded


class Routes:
    """The routes that sums of an hour tell apart; those that come when there are `MAX_ROUTES` are `OTHER`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[int, str], set[str]] = {}
        self.crowded = False

    def of(self, name: str, hour: int, project: str) -> str:
        """Return the route under which to book a run of this name that began in *hour*."""
        known = self._known.get((hour, project))
        if known is None:
            query = "SELECT DISTINCT route FROM rollups WHERE hour = ? AND project = ?"
            found = self._connection.execute(query, (hour, project))
            known = self._known[hour, project] = {route for (route,) in found}
        if name not in known:
            if len(known) >= MAX_ROUTES:
                self.crowded = True
                return OTHER
            known.add(name)
        return name


def _known(connection: sqlite3.Connection, ids: Sequence[Any]) -> dict[Any, tuple[Any, ...]]:
    known = {}
    for some in chunks(ids):
        its = "booked_as, tags, ended, ended = started AND status IS NULL"
        query = f"SELECT run_id, {its} FROM runs WHERE run_id IN {placeholders(some)}"  # noqa: S608
        for run_id, *found in connection.execute(query, some):
            known[run_id] = tuple(found)
    return known


def _is_only_rated(connection: sqlite3.Connection, run_id: Any, before: int) -> bool:
    """Tell whether all that is known of a run is what people and checks said of it: none of that is its end."""
    query = (
        "SELECT 1 FROM events WHERE run_id = ? AND id < ? AND event_type <> 'evaluation' LIMIT 1"
    )
    return connection.execute(query, (run_id, before)).fetchone() is None


def save_runs(connection: sqlite3.Connection, runs: Sequence[RunRow]) -> None:
    """Add *runs* to what is known of them."""
    for some in chunks([run.bound() for run in runs], 32):
        connection.execute(
            f"INSERT INTO runs ({', '.join(_RUN)}) VALUES {placeholder_rows(some)}"  # noqa: S608
            f" ON CONFLICT (run_id) DO UPDATE SET {_UPSERT}",
            [NULL if v is None else v for values in some for v in values],
        )


def route_of(connection: sqlite3.Connection, run_id: Any) -> str:
    """Return the route under which the calls of a run are booked."""
    query = "SELECT booked_as FROM runs WHERE run_id = ?"
    found = connection.execute(query, (run_id,)).fetchone()
    return (found[0] if found else None) or ""


def calls_among(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[Row]:
    """Return the booked calls among the events with these numbers."""
    query = (
        f"SELECT {', '.join(COLUMNS)} FROM events WHERE id IN {placeholders(numbers)}"  # noqa: S608
        " AND event_type = 'prompt_call' AND booked = 1"
    )
    return [Row(*values) for values in connection.execute(query, numbers)]


def calls_of(connection: sqlite3.Connection, run_id: Any, before: int = _MAX) -> Iterator[Row]:
    """Yield the booked calls of a run, those with numbers under *before*."""
    query = (
        f"SELECT {', '.join(COLUMNS)} FROM events WHERE run_id = ? AND id < ?"  # noqa: S608
        " AND event_type = 'prompt_call' AND booked = 1"
    )
    for values in connection.execute(query, (run_id, before)).fetchall():
        yield Row(*values)


# Ratings.


def evaluate(connection: sqlite3.Connection, new: Iterable[Filed]) -> None:
    """Keep what *new* says of runs that are there."""
    for one in new:
        row, judgement = one.row, one.judgement
        if judgement is not None:
            connection.execute(
                "INSERT OR REPLACE INTO evaluations SELECT ?, run_id, ?, ?, ?, ?, ?, ?, ?, started, project_id"
                " FROM runs WHERE run_id = ?",
                (row.id, row.parent_id, row.name, *judgement, row.project_id, row.run_id),
            )


def _stored_tags(text: Any) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(text, type=tuple[str, ...]) if text else ()
    except (msgspec.MsgspecError, TypeError):
        return ()
