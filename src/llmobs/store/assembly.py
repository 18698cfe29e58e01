"""
Store what came as spans and log records: in the transaction that stores it, it finds its place.

Spans come in any order, in any number of requests, and some twice. What each looks like alone is kept
(``parts``) where several tell of one call, and what is not shown yet; what is in ``events`` is at
any moment what all spans so far, at once, would have become (`llmobs.store.spans`).
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import partial
from itertools import chain, count
from typing import Any, Final, NamedTuple

import msgspec

from llmobs.codec import decode, encode
from llmobs.events import Event, PromptCallEvent
from llmobs.pipeline.combine import combine
from llmobs.store.changes import remove_events
from llmobs.store.filed import Filed, unfile, whole
from llmobs.store.insert import move
from llmobs.store.kept_pieces import piece_in
from llmobs.store.pieces import pack, put_together, unpack
from llmobs.store.query import WITH_BODIES
from llmobs.store.spans import Link, Node, Tree, What, event_id_of, run_event_id_of
from llmobs.store.statements import chunks, placeholder_rows, placeholders
from llmobs.store.values import as_text

__all__ = ["assemble", "forget_parts", "forget_spans", "owners_of"]

LATE_SECONDS: Final = 3600
"""How long spans wait for others that are about models, before nothing is known of them any more."""
QUIET_SECONDS: Final = 300
"""Without a span, after which a run whose own span has not come is over."""
ROWS_AT_ONCE: Final = 64
"""Of spans and traces, in one statement."""
TRACES_AT_ONCE: Final = 100
"""Looked after in one transaction."""

# Made when the first span comes: stores that no collector writes to never have them. What is kept of a
# trace is filed by its number: in the order of ids, which are random, each trace would be on pages of its own
# in every table and index, each of which is written whole.
_TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS traces (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        seen INTEGER NOT NULL,           -- seconds since 1970: when a span came last
        shown INTEGER NOT NULL,          -- 1: there are events of it
        closed INTEGER NOT NULL,         -- 1: the run's own event is among them
        rank INTEGER NOT NULL,           -- of the span that the run's own event was made from
        started INTEGER NOT NULL,        -- of it, nanoseconds since 1970
        span_id TEXT NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS traces_open ON traces (seen) WHERE shown = 0 OR closed = 0",
    """
    CREATE TABLE IF NOT EXISTS spans (
        trace INTEGER NOT NULL,
        span_id TEXT NOT NULL,
        parent_id TEXT NOT NULL,
        what INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        started INTEGER NOT NULL,        -- nanoseconds since 1970
        guessed INTEGER NOT NULL,        -- 1: a log record told of it, it has not come itself
        PRIMARY KEY (trace, span_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS spans_by_parent ON spans (trace, parent_id)",
    """
    CREATE TABLE IF NOT EXISTS parts (
        id INTEGER PRIMARY KEY,
        event_id TEXT NOT NULL,
        trace INTEGER NOT NULL,
        span_id TEXT NOT NULL,
        what INTEGER NOT NULL,
        at INTEGER NOT NULL,             -- nanoseconds since 1970
        body NOT NULL,                   -- native JSON, as pieces are stored
        UNIQUE (trace, event_id)
    )
    """,
    f"CREATE INDEX IF NOT EXISTS parts_by_span ON parts (trace, span_id) WHERE what >= {What.MORE:d}",
)
_NODE: Final = "span_id, parent_id, what, failed, started"
_TRACE: Final = "id, shown, closed, rank, started, span_id"


class _Trace(NamedTuple):
    id: int
    shown: int = 0
    closed: int = 0
    rank: int = 0
    started: int = 0
    span_id: str = ""

    def is_better(self, link: Link) -> bool:
        """Whether *link* is likelier the run's own than the one that was, if any."""
        if link.rank != self.rank:
            return link.rank > self.rank
        return (link.started, link.span_id) < (self.started, self.span_id)


def assemble(
    connection: sqlite3.Connection, events: Sequence[Event | Filed], links: Sequence[Link]
) -> tuple[list[Event | Filed], int]:
    """
    Return what is to be inserted, now that *events* and what *links* say of them are known; and how many
    log records are forgotten, as the spans of their calls never came.

    What it replaces is taken out; the run's sums are then those of what is left.

    Args:
        connection: In a transaction.
        events: New ones, and others.
        links: Of the spans and log records among them, and of spans that bring no event.
    """
    if not links and not _is_there(connection):
        return list(events), 0
    for statement in _TABLES:
        connection.execute(statement)
    linked = {link.event_id for link in links}
    linked |= {run_event_id_of(link.run_id, link.span_id) for link in links if link.rank}
    mine = [event for event in events if event.event_id not in linked]
    by_id: dict[str, Event | Filed] = {}
    for event in events:
        by_id.setdefault(event.event_id, event)
    by_run: dict[str, list[Link]] = {}
    for link in links:
        by_run.setdefault(link.run_id, []).append(link)
    known: dict[str, _Trace] = {}
    for some in chunks(list(by_run)):
        query = f"SELECT run_id, {_TRACE} FROM traces WHERE run_id IN {placeholders(some)}"  # noqa: S608
        for run_id, *values in connection.execute(query, some):
            known[run_id] = _Trace(*values)
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM traces").fetchone()
    numbers = count(last + 1)
    now = int(time.time())
    noted = _Noted()
    for run_id, its in by_run.items():
        is_new = run_id not in known
        trace = _Trace(next(numbers)) if is_new else known[run_id]
        mine += _Arrival(connection, run_id, trace, is_new, by_id, noted).assemble(its, now)
    noted.save(connection)
    closing, forgotten = _look_after(connection, now)
    return [*mine, *closing], forgotten


class _Noted:
    """What is only to be read when more comes: written at once for many traces."""

    def __init__(self) -> None:
        self.spans: list[tuple[Any, ...]] = []
        self.traces: list[tuple[Any, ...]] = []

    def save(self, connection: sqlite3.Connection) -> None:
        for table, rows in (("spans", self.spans), ("traces", self.traces)):
            for some in chunks(rows, ROWS_AT_ONCE):
                connection.execute(
                    f"INSERT OR REPLACE INTO {table} VALUES {placeholder_rows(some)}",  # noqa: S608
                    [*chain.from_iterable(some)],
                )


class _Arrival:
    """What came of one trace."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        run_id: str,
        trace: _Trace,
        is_new: bool,
        events: dict[str, Event | Filed],
        noted: _Noted,
    ) -> None:
        self._noted = noted
        self._connection = connection
        self._run_id = run_id
        self._trace = trace
        self._is_new = is_new
        self._events = events
        self._has_parts = not self._is_new
        self._out: list[Event | Filed] = []
        self._gone: list[int] = []
        self._ids: dict[str, str] = {}
        """Of the events of spans, by the span."""
        self._fresh: set[str] = set()
        """Spans that have come just now."""

    def assemble(self, links: Sequence[Link], now: int) -> list[Event | Filed]:
        """Return the events to insert."""
        logs = [link for link in links if link.what not in _SPANS]
        spans = [link for link in links if link.what in _SPANS] if logs else links
        self._ids = {link.span_id: link.event_id for link in spans if link.event_id}
        # Nobody reads again now what is noted of a trace of spans alone that is new.
        nodes = self._note(spans, at_once=bool(logs) or not self._is_new)
        self._fresh = set(nodes)
        nodes |= self._keep_more(logs, nodes)
        if nodes:
            self._arrange(nodes)
        self._find_own([link for link in links if link.rank and link.span_id in nodes])
        remove_events(self._connection, self._run_id, self._gone)
        id, *known = self._trace
        self._noted.traces.append((id, self._run_id, now, *known))
        return self._out

    def _note(self, links: Sequence[Link], *, at_once: bool) -> dict[str, Node]:
        """Note spans; return those that are new."""
        new: dict[str, Node] = {}
        for link in links:
            node = Node(link.span_id, link.parent_id, link.what, link.failed, link.started)
            new.setdefault(link.span_id, node)
        if not self._is_new:
            for some in chunks(list(new)):
                query = f"SELECT span_id FROM spans WHERE trace = ? AND guessed = 0 AND span_id IN {placeholders(some)}"  # noqa: S608
                for (span_id,) in self._connection.execute(query, (self._trace.id, *some)):
                    del new[span_id]
            vague = [node.span_id for node in new.values() if node.what == What.NOTHING]
            for span_id in self._called(vague):
                new[span_id] = new[span_id]._replace(what=What.CALL)
        if at_once:
            self._insert_nodes(new.values(), guessed=0)
        else:
            self._noted.spans += [self._row(node, 0) for node in new.values()]
        return new

    def _called(self, span_ids: Sequence[str]) -> Iterator[str]:
        """Yield those of which a log record told all of a call."""
        for some in chunks(span_ids):
            query = f"SELECT DISTINCT span_id FROM parts WHERE {_TOLD} AND what = ? AND span_id IN {placeholders(some)}"  # noqa: S608
            for (span_id,) in self._connection.execute(query, (self._trace.id, What.WHOLE, *some)):
                yield span_id

    def _keep_more(self, links: Sequence[Link], known: dict[str, Node]) -> dict[str, Node]:
        """Keep what log records tell; return the spans that they are about."""
        changed: dict[str, Node] = {}
        for link in links:
            event = _as_event(self._events.get(link.event_id))
            if event is None or not self._insert_part(event, link.span_id, link.what, link.started):
                continue
            self._has_parts = True
            node = changed.get(link.span_id) or known.get(link.span_id) or self._find(link.span_id)
            if link.what == What.WHOLE and node is None:
                node = Node(link.span_id, link.parent_id, What.CALL, link.failed, link.started)
                self._insert_nodes([node], guessed=1)
            elif link.what == What.WHOLE and node is not None and node.what == What.NOTHING:
                node = node._replace(what=What.CALL)
                query = "UPDATE spans SET what = ? WHERE trace = ? AND span_id = ?"
                self._connection.execute(query, (What.CALL, self._trace.id, link.span_id))
            if node is not None:
                changed[link.span_id] = node
        return changed

    def _insert_nodes(self, nodes: Iterable[Node], guessed: int) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO spans VALUES (?, ?, ?, ?, ?, ?, ?)",
            [self._row(node, guessed) for node in nodes],
        )

    def _row(self, node: Node, guessed: int) -> tuple[Any, ...]:
        # Plain numbers: SQLite's module takes many times as long to look at an enum or a truth.
        span_id, parent_id, what, failed, started = node
        return (self._trace.id, span_id, parent_id, int(what), int(failed), started, guessed)

    def _arrange(self, new: dict[str, Node]) -> None:
        """Find where everything belongs that *new* changes."""
        if self._is_new:
            inside: dict[str, list[Node]] = {}
            for node in new.values():
                inside.setdefault(node.parent_id, []).append(node)
            tree = Tree(new.get, lambda span_id: inside.get(span_id, ()))
        else:
            tree = Tree(self._find, self._inside)
        tree.look(list(new.values()))
        rows = {} if self._is_new else self._rows_of(tree.nodes)
        for span_id, node in tree.nodes.items():
            enclosing = tree.enclosing(span_id)
            parent_id = None if enclosing is None else self._id_of(enclosing)
            if node.what == What.CONTAINER:
                self._show(span_id, parent_id, rows)
            elif tree.heads[span_id] != span_id or span_id in tree.split:
                self._set_aside(span_id, rows)
            else:
                self._show_call(tree.told_by(span_id), parent_id, rows)

    def _id_of(self, span_id: str) -> str:
        found = self._ids.get(span_id)
        if found is None:
            found = self._ids[span_id] = event_id_of(self._run_id, span_id)
        return found

    def _find(self, span_id: str) -> Node | None:
        query = f"SELECT {_NODE} FROM spans WHERE trace = ? AND span_id = ?"  # noqa: S608
        found = self._connection.execute(query, (self._trace.id, span_id)).fetchone()
        return None if found is None else Node(*found)

    def _inside(self, span_id: str) -> Iterator[Node]:
        # Left to itself, SQLite reads all spans of the run.
        where = "INDEXED BY spans_by_parent WHERE trace = ? AND parent_id = ?"
        query = f"SELECT {_NODE} FROM spans {where}"  # noqa: S608
        found = self._connection.execute(query, (self._trace.id, span_id)).fetchall()
        return map(Node._make, found)

    def _rows_of(self, span_ids: Iterable[str]) -> dict[str, tuple[int, str | None]]:
        """Return the number and the parent of those events of spans that are stored."""
        ids = {self._id_of(span_id): span_id for span_id in span_ids}
        found = {}
        for some in chunks(list(ids)):
            query = (
                f"SELECT event_id, id, parent_id FROM events WHERE event_id IN {placeholders(some)}"  # noqa: S608
            )
            for event_id, number, parent_id in self._connection.execute(query, some):
                found[ids[event_id]] = (number, parent_id)
        return found

    # Events.

    def _show(
        self, span_id: str, parent_id: str | None, rows: dict[str, tuple[int, str | None]]
    ) -> None:
        """See that the event of a span that nothing else tells of is there, and where it belongs."""
        row = rows.get(span_id)
        if row is not None and span_id not in self._fresh:
            before = row[1]
            if before == parent_id:
                return
            if before is not None and move(self._connection, row[0], before, parent_id):
                return
        # If it is fresh and there all the same, a log record told of a call, which it is not.
        event = self._own(span_id, None if span_id in self._fresh else row)
        if event is not None:
            if isinstance(event, Filed):
                event = event.inside(parent_id)
            else:
                event.parent_id = parent_id
            self._out.append(event)
            if row is not None:
                self._gone.append(row[0])

    def _show_call(
        self,
        told_by: Sequence[str],
        parent_id: str | None,
        rows: dict[str, tuple[int, str | None]],
    ) -> None:
        head = told_by[0]
        whole, more = self._more(told_by) if self._has_parts else ([], [])
        if len(told_by) == 1 and not whole and not more:
            self._show(head, parent_id, rows)
            return
        reports: list[PromptCallEvent] = []
        for span_id in told_by:
            event = self._set_aside(span_id, rows)
            if isinstance(event, PromptCallEvent):
                reports.append(copy(event))
        reports += whole
        if more:
            reports.append(_in_one(more))
        if not reports:
            return
        event, standalone = reports[0], all(each.standalone for each in reports)
        combine(event, reports)
        event.standalone = standalone
        event.event_id, event.parent_id = self._id_of(head), parent_id
        event.span_id = head
        self._out.append(event)

    def _set_aside(self, span_id: str, rows: dict[str, tuple[int, str | None]]) -> Event | None:
        """See that what a span tells is kept, and not shown as it is; return it."""
        row = rows.get(span_id)
        event = _as_event(self._own(span_id, row))
        self._insert_part(event, span_id, What.CALL, 0)
        if row is not None:
            self._gone.append(row[0])
        return event

    def _own(self, span_id: str, row: tuple[int, str | None] | None) -> Event | Filed | None:
        """Return what a span tells by itself; None if only log records tell of it."""
        event_id = self._id_of(span_id)
        event = self._events.get(event_id)
        if self._is_new:
            return event
        query = "SELECT body FROM parts WHERE trace = ? AND event_id = ?"
        found = self._connection.execute(query, (self._trace.id, event_id)).fetchone()
        if found is None:
            return event if row is None else _read(self._connection, row[0])
        if found[0]:
            return _unpacked(found[0])
        if event is not None:  # it has come: what is shown for it is no longer what others told
            query = "DELETE FROM parts WHERE trace = ? AND event_id = ?"
            self._connection.execute(query, (self._trace.id, event_id))
        return event

    def _more(self, span_ids: Sequence[str]) -> tuple[list[PromptCallEvent], list[PromptCallEvent]]:
        """Return what log records tell of these spans: all of the call, and pieces of it."""
        whole: list[PromptCallEvent] = []
        more: list[PromptCallEvent] = []
        for some in chunks(list(span_ids)):
            its = f"{_TOLD} AND span_id IN {placeholders(some)}"
            query = f"SELECT what, body FROM parts WHERE {its} ORDER BY at, id"  # noqa: S608
            for what, body in self._connection.execute(query, (self._trace.id, *some)):
                event = _unpacked(body)
                if isinstance(event, PromptCallEvent):
                    (whole if what == What.WHOLE else more).append(event)
        return whole, more

    def _insert_part(self, event: Event | Filed | None, span_id: str, what: int, at: int) -> bool:
        """Keep what a span reports, or that it reports nothing; return whether it was not there."""
        event_id = self._id_of(span_id) if event is None else event.event_id
        body: str | bytes = ""
        if event is not None:
            body = pack(whole(event).encode() if isinstance(event, Filed) else encode(event))
        done = self._connection.execute(
            "INSERT INTO parts (event_id, trace, span_id, what, at, body) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (trace, event_id) DO UPDATE SET body = excluded.body WHERE body = ''",
            (event_id, self._trace.id, span_id, what, at, body),
        )
        return done.rowcount > 0

    # The run's own event.

    def _find_own(self, links: Sequence[Link]) -> None:
        """See that the run has the event of its own span, once there is anything in it."""
        before = trace = self._trace
        event: Event | Filed | None = None
        for link in links:
            own = self._events.get(run_event_id_of(self._run_id, link.span_id))
            if own is not None and trace.is_better(link):
                event = own
                trace = trace._replace(rank=link.rank, started=link.started, span_id=link.span_id)
        shown = bool(trace.shown or self._out)
        closed = bool(trace.closed) or (shown and trace.rank > 1)
        if event is not None and before.closed:
            query = "SELECT id FROM events WHERE event_id = ?"
            old = (run_event_id_of(self._run_id, before.span_id),)
            self._gone += [number for (number,) in self._connection.execute(query, old)]
        elif event is not None or (closed and not before.closed):
            kept = _remove_own(self._connection, before.id) if not self._is_new else None
            event = event or kept
        if event is not None and closed:
            self._out.append(event)
        elif event is not None:
            self._insert_part(event, trace.span_id, What.NOTHING, 0)
        self._trace = trace._replace(shown=int(shown), closed=int(closed))


def _as_event(event: Event | Filed | None) -> Event | None:
    return unfile(event) if isinstance(event, Filed) else event


def _remove_own(connection: sqlite3.Connection, trace: int) -> Event | None:
    """Take out the run's own event that is kept until it is shown."""
    query = "DELETE FROM parts WHERE trace = ? AND what = ? RETURNING body"
    found = connection.execute(query, (trace, What.NOTHING)).fetchall()
    return _unpacked(found[0][0]) if found else None


def _read(connection: sqlite3.Connection, number: int) -> Event | None:
    query = f"SELECT coalesce(b.body, e.body) FROM {WITH_BODIES} WHERE e.id = ?"  # noqa: S608
    (body,) = connection.execute(query, (number,)).fetchone()
    return _decoded(put_together(as_text(body), partial(piece_in, connection)))


def _unpacked(body: Any) -> Event | None:
    return _decoded(unpack(body) or b"")


def _decoded(body: bytes | str) -> Event | None:
    try:
        return decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return None  # damaged


def _in_one(more: Sequence[PromptCallEvent]) -> PromptCallEvent:
    """Return messages that were told of one by one as one account of the call."""
    one = copy(more[0])
    one.prompt = [each for event in more if type(event.prompt) is list for each in event.prompt]
    one.response = [each for e in more if type(e.response) is list for each in e.response]
    one.tool_calls = [each for event in more for each in event.tool_calls or ()] or None
    combine(one, [one, *map(copy, more[1:])])
    return one


def _look_after(connection: sqlite3.Connection, now: int) -> tuple[list[Event], int]:
    """
    Return the own events of runs that have long been quiet, and forget spans that nothing came of; how
    many log records are among these.
    """
    open_ = "SELECT id FROM traces WHERE (shown = 0 OR closed = 0) AND seen < ?"
    quiet = connection.execute(
        f"{open_} AND shown = 1 AND rank > 0 LIMIT ?", (now - QUIET_SECONDS, TRACES_AT_ONCE)
    ).fetchall()
    closing = []
    for (trace,) in quiet:
        connection.execute("UPDATE traces SET closed = 1 WHERE id = ?", (trace,))
        if (event := _remove_own(connection, trace)) is not None:
            closing.append(event)
    late = connection.execute(
        f"{open_} AND shown = 0 LIMIT ?", (now - LATE_SECONDS, TRACES_AT_ONCE)
    ).fetchall()
    forgotten = 0
    for (trace,) in late:
        query = "SELECT count(*) FROM parts WHERE trace = ? AND what = ?"
        forgotten += connection.execute(query, (trace, What.MORE)).fetchone()[0]
        _forget(connection, trace)
    return closing, forgotten


def forget_spans(connection: sqlite3.Connection, run_id: str) -> None:
    """Remove all that is known of the spans of a run."""
    if (trace := _number_of(connection, run_id)) is not None:
        _forget(connection, trace)


def _forget(connection: sqlite3.Connection, trace: int) -> None:
    connection.execute("DELETE FROM parts WHERE trace = ?", (trace,))
    connection.execute("DELETE FROM spans WHERE trace = ?", (trace,))
    connection.execute("DELETE FROM traces WHERE id = ?", (trace,))


def knows(connection: sqlite3.Connection, run_id: str) -> bool:
    """Whether anything is known of the spans of a run."""
    return _number_of(connection, run_id) is not None


def parts_of(connection: sqlite3.Connection, run_id: str) -> list[Event]:
    """Return what spans of a run told each by itself, as far as it can be read."""
    if (trace := _number_of(connection, run_id)) is None:
        return []
    found = connection.execute("SELECT body FROM parts WHERE trace = ?", (trace,)).fetchall()
    return [event for (body,) in found if (event := _unpacked(body)) is not None]


def owners_of(connection: sqlite3.Connection, run_ids: Sequence[str]) -> dict[str, str | None]:
    """Return whose the runs are, of those of which no span so far is an event."""
    found: dict[str, str | None] = {}
    if not run_ids or not _is_there(connection):
        return found
    for some in chunks(run_ids):
        source = f"traces t JOIN parts p ON p.trace = t.id WHERE t.run_id IN {placeholders(some)}"
        query = f"SELECT t.run_id, p.body FROM {source} AND p.what = ?"  # noqa: S608
        for run_id, body in connection.execute(query, (*some, What.NOTHING)):
            if (event := _unpacked(body)) is not None:
                found[run_id] = event.project_id
    return found


def forget_parts(connection: sqlite3.Connection, run_id: str) -> None:
    """Remove what spans of a run told each by itself; what hangs together how is still known."""
    if (trace := _number_of(connection, run_id)) is not None:
        connection.execute("DELETE FROM parts WHERE trace = ?", (trace,))


def _number_of(connection: sqlite3.Connection, run_id: str) -> int | None:
    """Return the number under which spans of a run are filed; None if nothing is known of any."""
    if not _is_there(connection):
        return None
    found = connection.execute("SELECT id FROM traces WHERE run_id = ?", (run_id,)).fetchone()
    return None if found is None else int(found[0])


def _is_there(connection: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'traces'"
    return connection.execute(query).fetchone() is not None


_SPANS: Final = (What.NOTHING, What.CALL, What.CONTAINER)
_TOLD: Final = f"trace = ? AND what >= {What.MORE:d}"
"""What log records tell of a trace, as the index of it says it."""
