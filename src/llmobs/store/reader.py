"""Read the store: blocking and read-only, while applications write to it."""

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from msgspec.structs import fields

from llmobs.codec import AnyEvent
from llmobs.events import Event, RunEvent
from llmobs.store import beside
from llmobs.store.activity import activity
from llmobs.store.cost import add_up_calls, cost_groups
from llmobs.store.evaluations import add_up_evaluations, list_evaluations
from llmobs.store.failures import group_errors
from llmobs.store.found import Asks, search
from llmobs.store.info import info
from llmobs.store.names import resolved
from llmobs.store.query import (
    OPEN,
    STORED,
    SUMMARY,
    WITH_BODIES,
    conditions,
    select_events,
    where_clause,
)
from llmobs.store.reading import INSTRUCTIONS, Reading
from llmobs.store.records import (
    MAX_CHILDREN,
    SILENCE,
    Activity,
    Around,
    CostGroup,
    ErrorGroup,
    Evaluation,
    EvaluationGroup,
    Found,
    GroupBy,
    Position,
    RunDetail,
    RunFilter,
    RunSummary,
    Selected,
    Selector,
    StoredEvent,
    StoreInfo,
    Waiting,
    Whose,
    to_microseconds,
)
from llmobs.store.rollups import Sums
from llmobs.store.sealing import seal, unseal
from llmobs.store.statements import placeholders
from llmobs.store.text_index import TextIndex, open_index, waiting_events
from llmobs.store.values import COERCE, as_text
from llmobs.store.whose import whose

__all__ = ["Reader"]

_EVERYTHING: Final = RunFilter()
RUN_BYTES: Final = 16_000_000
"""Of the events of a run that are told at once, where a limit is set: beyond it only one more is."""
_TOLD_OF: Final = "SELECT run_id FROM events WHERE id > ? AND id <= ?"
_SILENT: Final = f"SELECT r.run_id FROM runs r WHERE {OPEN} AND r.ended >= ? AND r.ended < ?"  # noqa: S608
_IN_ORDER: Final = "ORDER BY e.event_type <> 'run', e.timestamp, e.id"
_AROUND: Final = {field.name: field.type for field in fields(Around)}
_AROUND_COLUMNS: Final = ", ".join(_AROUND)
MAX_AROUND: Final = 20
"""Levels that are gone up in search of what events happened inside."""
_RUN: Final = {field.name: field.type for field in fields(RunSummary)}


class Reader(Reading):
    """
    What a store holds; use it as a context manager, from one thread at a time.

    Args:
        path: The SQLite file.
        time_limit: Seconds that one query may take: what stands in the place of a table may never end.

    Raises:
        StoreNotFoundError: There is none yet.
        StoreError: It is damaged, or from a newer llmobs, or takes too long; so may every method.
        SinkUnavailableError: It cannot be read now; so may every method.
    """

    def __init__(self, path: Path, *, time_limit: float = 60.0) -> None:
        super().__init__(path, time_limit=time_limit)
        self._file = path
        self._texts: TextIndex | None = None

    def close(self) -> None:
        """Close the connection."""
        super().close()
        if self._texts is not None:
            self._texts.close()

    # Runs.

    def runs(
        self,
        limit: int = 20,
        *,
        before: tuple[datetime, str] | None = None,
        where: RunFilter = _EVERYTHING,
    ) -> list[RunSummary]:
        """
        Return runs, the latest first.

        Args:
            limit: How many at most.
            before: When the last run of the previous page began, and its id: continue after it.
            where: Which ones.
        """
        parts, values = conditions(where)
        if before is not None:
            parts.append("(r.started, r.run_id) < (?, ?)")
            values += [to_microseconds(before[0]), before[1]]
        rows = self._all(_latest(parts), [*values, limit])
        return [_summary(row) for row in rows]

    def runs_since(
        self,
        after: int,
        to: int,
        *,
        silent: tuple[datetime, datetime],
        limit: int = 20,
        where: RunFilter = _EVERYTHING,
    ) -> list[RunSummary]:
        """
        Return runs of which there is something new, the latest first.

        Args:
            after: Number of an event: something was stored of them after it.
            to: Number of the last event that counts.
            silent: Two moments: or they came to count as cut off between them.
            limit: How many at most.
            where: Which ones.
        """
        parts, values = conditions(where)
        began, ended = (to_microseconds(moment - SILENCE) for moment in silent)
        new = f"(r.run_id IN ({_TOLD_OF}) OR r.run_id IN ({_SILENT}))"
        rows = self._all(_latest([new, *parts]), [after, to, began, ended, *values, limit])
        return [_summary(row) for row in rows]

    def count_runs(self, where: RunFilter = _EVERYTHING, *, up_to: int | None = None) -> int:
        """Return how many runs there are; no more than *up_to* are counted, the latest first."""
        parts, values = conditions(where)
        if up_to is None:
            return self._number(f"SELECT count(*) FROM runs r{where_clause(parts)}", values)  # noqa: S608
        latest = f"SELECT 1 FROM runs r{where_clause(parts)} ORDER BY r.started DESC LIMIT ?"  # noqa: S608
        return self._number(f"SELECT count(*) FROM ({latest})", [*values, up_to])  # noqa: S608

    def resolve(self, text: str, *, project: str | None = None) -> str:
        """
        Return the id of the one run that *text* names.

        Its id is *text*, or an untrusted caller called it so, or its id begins or ends with *text*,
        in this order.

        Args:
            text: What is known of it.
            project: Whose it is; None: anybody's. Nothing is told of the runs of others.

        Raises:
            RunNotFoundError: There is none.
            AmbiguousRunError: There are several; it has some of them.
        """
        return resolved(self._all, text, project, self._path)

    def activity(self, seconds: int, where: RunFilter = _EVERYTHING) -> list[Activity]:
        """
        Count runs by when they began, in stretches of so many seconds; those without any are left out.
        """
        return activity(self._all, seconds, where)

    def whose(
        self,
        kind: Literal["user", "session"],
        limit: int = 20,
        *,
        before: tuple[datetime, str] | None = None,
        where: RunFilter = _EVERYTHING,
    ) -> list[Whose]:
        """
        Return users or sessions, those with the latest run first.

        Args:
            kind: Which.
            limit: How many at most.
            before: The latest run and the id of the last one of the previous page: continue after it.
            where: Of which runs.
        """
        return whose(self._all, kind, limit, before, where)

    def errors(
        self,
        limit: int = 20,
        *,
        before: tuple[datetime, str] | None = None,
        where: RunFilter = _EVERYTHING,
    ) -> list[ErrorGroup]:
        """
        Return what failed, by cause, what failed last first.

        Args:
            limit: How many causes at most.
            before: When the last cause of the previous page came last, and its fingerprint: continue
                after it.
            where: In which runs; ``since`` and ``until`` say when it failed, ``error`` for which cause.
        """
        position = None if before is None else (to_microseconds(before[0]), before[1])
        return group_errors(self._all, limit, position, where)

    def run(
        self,
        run_id: str,
        *,
        limit: int | None = None,
        after: str | None = None,
        project: str | None = None,
    ) -> RunDetail:
        """
        Return one run with its events in order of time.

        Args:
            run_id: Its id, or enough of its beginning or end; see :meth:`resolve`.
            limit: How many events at most, beside the run's own, which are always there; fewer if they
                are large.
            after: Id of the last event of the previous page: continue after it.
            project: Whose it is; None: anybody's. Nothing is told of the runs and events of others.

        Raises:
            RunNotFoundError: There is none.
            AmbiguousRunError: There are several.
        """
        run_id = self.resolve(run_id, project=project)
        summary = _summary(self._all(f"{SUMMARY} WHERE r.run_id = ?", [run_id])[0])
        which, values = "e.run_id = ?", [run_id]
        if project is not None:  # the services that share a trace need not share a project
            which, values = f"{which} AND coalesce(e.project_id, ?) = ?", [run_id, project, project]
        total = self._number(f"SELECT count(*) FROM events e WHERE {which}", values)  # noqa: S608
        own = self._number(
            f"SELECT count(*) FROM events e WHERE {which} AND e.event_type = 'run'",  # noqa: S608
            values,
        )
        later: list[Any] = []
        if after is not None:
            which += (
                " AND (e.event_type = 'run' OR (e.timestamp, e.id) >"
                " (SELECT timestamp, id FROM events WHERE event_id = ? AND run_id = ?))"
            )
            later = [after, run_id]
        # Only what is told is read whole: a run may have many thousand events.
        found = self._execute(
            f"SELECT {STORED}, e.event_id FROM (SELECT e.id AS number FROM events e WHERE {which}"  # noqa: S608
            f" {_IN_ORDER} LIMIT ?) CROSS JOIN {WITH_BODIES} WHERE e.id = number {_IN_ORDER}",
            [*values, *later, -1 if limit is None else own + limit + 1],
        )
        decoded: list[AnyEvent | None] = []
        last, left, more = None, RUN_BYTES, False
        for row in self._each(found):
            if (
                limit is not None
                and len(decoded) > own
                and (len(decoded) >= own + limit or left < 0)
            ):
                more = True
                break
            stored = self._stored(row)
            left -= len(stored.body)
            decoded.append(stored.decode())
            last = as_text(row["event_id"])
        found.close()
        events = sorted((e for e in decoded if e is not None), key=_time)
        return RunDetail(
            summary,
            events,
            total,
            next=last if more else None,
            unreadable=len(decoded) - len(events),
            children=self.runs(
                MAX_CHILDREN, where=RunFilter(parent_run_id=run_id, project_id=project)
            ),
            evaluations=self.evaluations(RunFilter(run_id=run_id, project_id=project)),
        )

    def select(self, whom: Selector) -> Selected:
        """Return the runs of a person, of a session, or the one that is named."""
        column = f"{whom.kind}_id"
        shared: list[str] = []
        whole: list[str] = []
        rows = self._all(
            f"SELECT c.run_id, EXISTS (SELECT 1 FROM events o WHERE o.run_id = c.run_id AND o.{column} <> ?1)"  # noqa: S608
            f" FROM (SELECT run_id FROM runs WHERE {column} = ?1"
            f" UNION SELECT run_id FROM events WHERE {column} = ?1) c",
            [whom.value],
        )
        for run_id, is_shared in rows:
            (shared if is_shared else whole).append(as_text(run_id))
        for run_id, event in self.parts():
            if whom.fits(event) and run_id not in whole and run_id not in shared:
                (shared if self.count_events(RunFilter(run_id=run_id)) else whole).append(run_id)
        if whom.kind == "user":
            whole += self._children(whole)
        return Selected(tuple(whole), tuple(shared))

    def _children(self, of: Sequence[str]) -> list[str]:
        """Return the runs that *of* started, and these in turn, as far as no user is known of them."""
        found: list[str] = []
        known, waiting = set(of), list(of)
        while waiting:
            query = "SELECT run_id FROM runs WHERE parent_run_id = ? AND user_id IS NULL"
            new = {as_text(run_id) for (run_id,) in self._all(query, [waiting.pop()])} - known
            known |= new
            found += new
            waiting += new
        return found

    # What redaction may find besides events.

    def parts(self) -> Iterator[tuple[str, Event]]:
        """Yield what spans told that no event tells yet, after its run; see `llmobs.store.beside`."""
        return beside.parts(self._all)

    def runs_as_events(self) -> Iterator[RunEvent]:
        """Yield each run as an event that says what is kept of it: its own words, people, tags, labels."""
        return beside.runs_as_events(self._all)

    def left_over(self) -> Iterator[tuple[str, str]]:
        """Yield what messages a killed rewriting may have left of a run, after its id, as JSON."""
        return beside.left_over(self._all)

    def words_of_sums(self) -> Iterator[tuple[str, str]]:
        """Yield each word of the hourly sums, after the name of its column."""
        return beside.words_of_sums(self._all)

    # Texts.

    def search(
        self,
        text: str,
        limit: int = 20,
        *,
        before: tuple[datetime, str] | None = None,
        where: RunFilter = _EVERYTHING,
    ) -> Found:
        """
        Find events by words that were given or made in them, the latest first.

        All words must stand in one event; in double quotes they must stand together in one text.
        Case and accents do not matter, and nothing in *text* is an operator.

        Args:
            text: Words, and phrases in double quotes.
            limit: How many at most.
            before: `Found.older` of the previous page: continue after it.
            where: In which runs.

        Raises:
            QueryError: *text* is too long.
        """
        return search(
            Asks(self._all, self._stored, self._index), text, limit, before=before, where=where
        )

    def index_texts(self, seconds: float = 0.0) -> Waiting:
        """
        Index texts that `search` does not find yet, for so many seconds, one step at least.

        Returns:
            What is left.

        Raises:
            SinkUnavailableError: The index, a file beside the store, cannot be written now.
        """
        if self._texts is None:
            self._texts = TextIndex(self._file)
        return self._texts.catch_up(seconds)

    @contextmanager
    def _index(self) -> Iterator[tuple[sqlite3.Connection | None, Waiting]]:
        with open_index(self._file) as index:
            with self._reading():
                waiting = waiting_events(self._connection, index)
            if index is not None:
                index.set_progress_handler(self._is_overdue, INSTRUCTIONS)
            yield index, waiting

    # Events.

    def event(self, event_id: str, *, project: str | None = None) -> StoredEvent | None:
        """
        Return one event by its id; None if there is none.

        Args:
            event_id: Its id.
            project: Whose its run and itself are; None: anybody's.
        """
        which, values = "e.event_id = ?", [event_id]
        if project is not None:
            which += (
                " AND coalesce(e.project_id, ?) = ?"
                " AND (SELECT project_id FROM runs r WHERE r.run_id = e.run_id) = ?"
            )
            values += [project] * 3
        rows = self._all(f"SELECT {STORED} FROM {WITH_BODIES} WHERE {which}", values)  # noqa: S608
        return self._stored(rows[0]) if rows else None

    def around(
        self, run_id: str, events: Sequence[Event], *, project: str | None = None
    ) -> list[Around]:
        """
        Return what *events* happened inside and is not among them, by time.

        Args:
            run_id: Of the run they are of.
            events: Some of its events.
            project: Whose it is; None: anybody's. Nothing is told of the events of others.
        """
        which, values = "run_id = ?", [run_id]
        if project is not None:
            which, values = f"{which} AND coalesce(project_id, ?) = ?", [run_id, project, project]
        found: dict[str, Around] = {}
        known = {event.event_id for event in events}
        wanted = {event.parent_id for event in events}
        for _ in range(MAX_AROUND):
            ids = [each for each in wanted if each is not None and each not in known]
            if not ids:
                break
            known.update(ids)
            rows = self._all(
                f"SELECT {_AROUND_COLUMNS} FROM events WHERE {which} AND event_id IN {placeholders(ids)}",  # noqa: S608
                [*values, *ids],
            )
            inside = [Around(**_typed(row, _AROUND)) for row in rows]
            found |= {one.event_id: one for one in inside}
            wanted = {one.parent_id for one in inside}
        return sorted(found.values(), key=lambda one: one.timestamp)

    def tail(self, after: int, *, limit: int = 1000) -> list[StoredEvent]:
        """Return what was stored after the event with the number *after*, oldest first."""
        query = f"SELECT {STORED} FROM {WITH_BODIES} WHERE e.id > ? ORDER BY e.id LIMIT ?"  # noqa: S608
        return [self._stored(row) for row in self._all(query, [after, limit])]

    def position(self, id: int | None = None) -> Position | None:
        """Return the position of the event stored last, or of the one with this number; None if there is none."""
        which = "ORDER BY id DESC LIMIT 1" if id is None else "WHERE id = ?"
        rows = self._all(
            f"SELECT id, event_id FROM events {which}",  # noqa: S608
            () if id is None else (id,),
        )
        return Position(rows[0][0], as_text(rows[0][1])) if rows else None

    def seal(self, data: bytes) -> str:
        """Return *data* as a word that only this store opens, in whatever process; see `llmobs.store.sealing`."""
        return seal(self._salt(), data)

    def unseal(self, word: str) -> bytes | None:
        """Return what `seal` was given; None if this store has not said *word*."""
        return unseal(self._salt(), word)

    def _salt(self) -> bytes:
        rows = self._all("SELECT value FROM store WHERE name = 'salt'", ())
        return rows[0][0] if rows and type(rows[0][0]) is bytes else b""

    def latest(self, count: int) -> list[StoredEvent]:
        """Return the *count* events stored last, oldest first."""
        query = f"SELECT {STORED} FROM {WITH_BODIES} ORDER BY e.id DESC LIMIT ?"  # noqa: S608
        return [self._stored(row) for row in reversed(self._all(query, [count]))]

    def events(
        self, where: RunFilter = _EVERYTHING, *, types: Sequence[str] = (), after: int = 0
    ) -> Generator[StoredEvent, None, None]:
        """
        Yield the events of the runs that fit, in the order they were stored, page by page.

        Those that are stored when this begins, but for what is removed meanwhile. No page is read for
        long, nor kept open while the caller works: the write-ahead log of a busy store would grow.

        Args:
            where: Which runs.
            types: Only events of these types; see `llmobs.EventType`.
            after: Only what was stored after the event with this number.
        """
        query, values = select_events(STORED, where, types, "e.id > ?", "e.id <= ?")
        last = self._number("SELECT coalesce(max(id), 0) FROM events", [])
        while page := self._page(f"{query} ORDER BY e.id", [*values, after, last]):
            yield from page
            after = page[-1].id

    def count_events(self, where: RunFilter = _EVERYTHING, *, types: Sequence[str] = ()) -> int:
        """Return how many events :meth:`events` would yield."""
        return self._number(*select_events("count(*)", where, types))

    def evaluations(self, where: RunFilter = _EVERYTHING) -> list[Evaluation]:
        """Return what checks and ratings said of the runs that fit, in the order they came."""
        return list_evaluations(self._all, where)

    def evaluation_groups(
        self, where: RunFilter = _EVERYTHING, *, limit: int = 50
    ) -> list[EvaluationGroup]:
        """
        Add up the evaluations of the runs that fit by their names, the most frequent first.

        Args:
            where: Which runs.
            limit: How many names at most.
        """
        return add_up_evaluations(self._all, where, limit)

    # Money.

    def cost(self, by: GroupBy = "model", where: RunFilter = _EVERYTHING) -> list[CostGroup]:
        """
        Add up the calls of models: the dearest group first, days in order.

        Args:
            by: What a group is.
            where: Of which runs; ``model``, ``since`` and ``until`` choose among their calls.
        """
        return self.costs([by], where)[by]

    def costs(
        self, bys: Sequence[GroupBy], where: RunFilter = _EVERYTHING
    ) -> dict[GroupBy, list[CostGroup]]:
        """Do what :meth:`cost` does, for several kinds of group at once."""
        return cost_groups(self._few_at_once, bys, where)

    def size(self) -> tuple[int, int]:
        """Return the size of the file without its write-ahead log, and how much of that is free; bytes."""
        pages, free, size = (
            self._number(f"PRAGMA {name}", ())
            for name in ("page_count", "freelist_count", "page_size")
        )
        return pages * size, free * size

    def sums_by_model(self) -> dict[str | None, Sums]:
        """Return what all calls that the store knows of add up to, by model."""
        return add_up_calls(self._few_at_once, ["model"], _EVERYTHING)["model"]

    # The store itself.

    def info(self) -> StoreInfo:
        """Return what the store is and holds."""
        return info(self._all, self._path)


def _latest(parts: Sequence[str]) -> str:
    """Return a query for so many of the latest runs: first which ones, then what they add up to, of few."""
    order = "ORDER BY r.started DESC, r.run_id DESC"
    which = f"SELECT r.run_id FROM runs r{where_clause(parts)} {order} LIMIT ?"  # noqa: S608
    return f"{SUMMARY} WHERE r.run_id IN ({which}) {order}"


def _summary(row: sqlite3.Row) -> RunSummary:
    return RunSummary(**_typed(row, _RUN))


def _typed(row: sqlite3.Row, types: dict[str, Any]) -> dict[str, Any]:
    return {name: COERCE[types[name]](row[name]) for name in row.keys()}  # noqa: SIM118


def _time(event: Event) -> datetime:
    moment = event.timestamp
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
