"""Write events into the store: blocking, for one thread."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, Self, TypeVar

from llmobs.errors import LLMObsError, SinkRejectedError, StoreCorruptError
from llmobs.events import Event
from llmobs.pipeline.mend import write_or_mend
from llmobs.runtime.forks import ForkLock
from llmobs.runtime.troubles import Troubles
from llmobs.store.assembly import assemble, owners_of
from llmobs.store.backup import is_backed_up
from llmobs.store.booking import rename_sums
from llmobs.store.changes import agree, disagreeing
from llmobs.store.connect import BUSY_SECONDS, LOG_BYTES, connect_writer, explain, is_about_values
from llmobs.store.filed import Filed, file, number, unfile
from llmobs.store.insert import MAX_ROUTES, OTHER, add_up, insert, probe
from llmobs.store.records import Change, RetentionPolicy, Rewritten
from llmobs.store.rewrite import Steps, finish_all, rewrite, words_of_sums
from llmobs.store.rows import clean_values
from llmobs.store.schema import check_version
from llmobs.store.spans import Link
from llmobs.store.text_index import TextIndex
from llmobs.store.upkeep import (
    EVENTS,
    adopt,
    compact,
    erase,
    free_pages,
    give_back,
    hours_of,
    leave_no_trace,
    prune,
    recount,
)

__all__ = ["Writer"]

T = TypeVar("T")

ROWS_AT_ONCE: Final = 32
"""Rows per statement: the interpreter's lock is given up and taken once per statement."""
MAX_LOG: Final = 4 * LOG_BYTES
"""Of the write-ahead log, before those who read are waited for."""
TRIM_SECONDS: Final = 1.5
"""To wait for them: none of our own reads for longer than a second."""
AFTER_TRIM_SECONDS: Final = 10.0
"""Until they are waited for again, where one of them was not done by then."""
RUNS_AT_ONCE: Final = 500
"""Runs asked for in one statement: SQLite bounds its parameters."""
ATTEMPTS: Final = 3
"""How often a batch is written to a store that goes away each time, before that is not believed."""
LEAST_PAUSE: Final = 0.002
MOST_PAUSE: Final = 0.1
"""Between two steps of a long work: those who wait for a transaction ask that often."""
NEVER: Final = -(2**63)
"""Before all times."""


class State(NamedTuple):
    """What a transaction has to know of the store."""

    next_id: int
    """Number of the next event."""
    salt: bytes
    pruned_to: int
    """Calls of runs that are gone, up to here, may have been counted before; microseconds."""

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> Self:
        """Read it."""
        (last,) = connection.execute("SELECT max(id) FROM events").fetchone()
        known = dict(connection.execute("SELECT name, value FROM store"))
        pruned_to = known.get("pruned_to")
        salt = known.get("salt")
        gone = known.get("last_id")  # by its number an event is known to the index of texts
        return cls(
            max(last or 0, gone if type(gone) is int else 0) + 1,
            salt if type(salt) is bytes else b"",
            pruned_to if type(pruned_to) is int else NEVER,
        )


class Writer:
    """
    One connection, for the thread that writes.

    It is closed for the length of a fork. SQLite keeps account, per process, of the locks it holds
    on a file; a child that inherits an open connection inherits that account but not the locks,
    believes to hold them, and writes into a log that the parent's last close removes.

    A store that is deleted, moved or replaced meanwhile would be written on for ever, unseen: each
    batch looks whether the path still names the open file, and otherwise begins a new store there.

    Args:
        path: The SQLite file; created if missing.
        durable: What was written outlives a power cut, too.
        patience: Seconds to wait for another process's transaction.

    Raises:
        StoreError: It is damaged, or from a newer llmobs.
        SinkUnavailableError: It cannot be opened or written now.
    """

    def __init__(
        self, path: Path, *, durable: bool = False, patience: float = BUSY_SECONDS
    ) -> None:
        self._path = path
        self._durable = durable
        self._patience = patience
        self._log = path.with_name(f"{path.name}-wal")
        self._trim_at = 0.0
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._watches = True
        self._troubles = Troubles()
        self.salt = b""
        """Of the store, as it was last written to: by it events are filed; empty before that."""
        self._steps = Steps(self._look, self._step)
        self._lock = ForkLock(before_fork=self._disconnect)
        with self._lock:
            self._connect()

    def write(
        self, events: Sequence[Event | Filed], *, links: Sequence[Link] | None = None
    ) -> None:
        """
        Insert *events* in one transaction; those whose id is there already change nothing.

        Args:
            events: What to insert; filed by whoever has the time.
            links: Of the spans and log records among them: what is one call, what is inside what,
                and what the run's own event is, is then as all spans so far tell.

        Raises:
            StoreError: The store is damaged.
            SinkUnavailableError: Not now: locked, full, read-only.
            SinkTooLargeError: An event is larger than SQLite takes.
            SinkRejectedError: Events that cannot be stored in any form; the others are.
        """
        refused: dict[str, str] = {}
        with self._lock:
            for _ in range(ATTEMPTS):
                if self._connection is not None and self._is_elsewhere():
                    self._leave(self._connection)
                refused = self._write(self._connection or self._connect(), events, links)
                if not self._is_elsewhere():
                    self._trim()
                    break
            else:  # a file system that names one file differently each time
                self._watches = False
        if refused:
            words = next(iter(refused.values()))
            raise SinkRejectedError(words, events=refused, delivered=True)

    def _trim(self) -> None:
        """
        Keep the write-ahead log short where somebody always reads.

        SQLite begins it anew only at an instant when nobody reads what is in it. So that there is one,
        it is asked to wait for those who read now; whoever comes meanwhile reads the file itself.
        """
        connection = self._connection
        if connection is None or time.monotonic() < self._trim_at or self._log_bytes() < MAX_LOG:
            return
        if is_backed_up(self._path):
            return
        try:
            connection.execute(f"PRAGMA busy_timeout = {TRIM_SECONDS * 1000:.0f}")
            (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            connection.execute(f"PRAGMA busy_timeout = {self._patience * 1000:.0f}")
        except sqlite3.Error:  # what is written next meets it, too, and says so
            is_busy = True
        if is_busy:
            self._trim_at = time.monotonic() + AFTER_TRIM_SECONDS
            if (size := self._log_bytes()) > 4 * MAX_LOG:
                self._troubles.log(
                    "log",
                    "llmobs: somebody has been reading the store %s for long: its write-ahead log has %d MB "
                    "by now, and grows until they are done",
                    self._path,
                    size // 1_000_000,
                )

    def _log_bytes(self) -> int:
        try:
            return os.stat(self._log).st_size
        except OSError:
            return 0

    def look_after_spans(self) -> None:
        """
        End runs of which no span has come for long, and forget spans that nothing came of.

        Raises:
            SinkUnavailableError: Not now: locked, read-only.
        """
        self.write((), links=())

    def remove(self, run_id: str) -> None:
        """
        Remove one run with all its events, as if it had never been: from the hourly sums too.

        Raises:
            SinkUnavailableError: Not now: locked, read-only.
        """
        self.erase([run_id])

    def erase(self, run_ids: Iterable[str]) -> int:
        """
        Remove runs as if they had never been, a few at a time; return how many there were.

        Raises:
            SinkUnavailableError: Not now: locked, read-only.
        """
        return sum(self._erase(run_id) for run_id in run_ids)

    def _erase(self, run_id: str) -> bool:
        some = more = True
        found = False
        while more:
            some, more = self._step(partial(erase, run_id=run_id, limit=EVENTS))
            found = found or some
        return found

    def rewrite(self, run_id: str, change: Change) -> Rewritten:
        """
        Pass the events of a run through a function, and keep what it returns; see `llmobs.store.rewrite`.

        Args:
            run_id: Which run.
            change: Returns the event as it is to be, or None to remove it; it may change the one it
                is given. Others write meanwhile, however long it takes.

        Raises:
            SinkUnavailableError: Not now: locked, read-only. What was done until then is right.
        """
        return rewrite(self._steps, run_id, change)

    def finish_rewrites(self) -> None:
        """
        Finish what a process that was killed has begun to rewrite or to erase.

        Raises:
            SinkUnavailableError: Not now: locked, read-only.
        """
        finish_all(self._steps)

    def redact_sums(self, redact: Callable[[str], str]) -> int:
        """
        Pass the words of the hourly sums (models, routes, releases) through a function.

        Returns:
            How many sums have other words now.

        Raises:
            SinkUnavailableError: Not now: locked, read-only.
        """
        changed = 0
        for old in self._look(words_of_sums):
            if (new := redact(old)) != old:
                changed += self._step(partial(rename_sums, old=old, new=new))
        return changed

    def projects_of(self, run_ids: Iterable[str]) -> dict[str, str | None]:
        """
        Return whose runs are, of those that there are.

        Raises:
            StoreError: The store is damaged.
            SinkUnavailableError: Not now.
        """
        found: dict[str, str | None] = {}
        waiting = iter(run_ids)
        with self._lock:
            connection = self._connection or self._connect()
            try:
                while some := clean_values(list(islice(waiting, RUNS_AT_ONCE))):
                    query = f"SELECT run_id, project_id FROM runs WHERE run_id IN ({', '.join('?' * len(some))})"  # noqa: S608
                    found.update(connection.execute(query, some))
                    found |= owners_of(connection, [one for one in some if one not in found])
            except sqlite3.Error as error:
                raise self._explain(error) from error
        return found

    def keyed_hash(self, text: str) -> str:
        """
        Return a hash of *text* with a key that is in this store only: nobody else finds out the text.

        Raises:
            SinkUnavailableError: Not now: locked, read-only.
        """
        key = self._transaction(State.read).salt
        return blake2b(text.encode("utf-8", "surrogatepass"), key=key, digest_size=16).hexdigest()

    def leave_no_trace(self) -> bool:
        """
        Give free space back, empty the write-ahead log and drop what the index of texts knows of it,
        so that no file holds what was removed.

        Returns:
            Whether it is so; somebody who reads for long may be in the way.

        Raises:
            SinkUnavailableError: Not now: locked, read-only.
        """
        with self._lock:
            connection = self._connection or self._connect()
            try:
                while free_pages(connection) > give_back(connection):
                    pass
                with TextIndex(self._path) as index:
                    is_gone = index.forget()
                return leave_no_trace(connection) and is_gone
            except sqlite3.Error as error:
                raise self._explain(error) from error

    def prune(self, policy: RetentionPolicy, *, wait: bool = True) -> bool:
        """
        Remove some of the oldest runs that *policy* does not keep; hourly sums stay.

        Args:
            policy: What stays.
            wait: For another process that writes; otherwise it is not done now.

        Returns:
            Whether there are more.

        Raises:
            SinkUnavailableError: Not now: locked, read-only.
        """
        return self._transaction(partial(prune, policy=policy), wait=wait, shrink=True)

    def adopt(self, *, wait: bool = True) -> bool:
        """
        Bring some of what an older llmobs wrote into this version's form; see `llmobs.store.upkeep`.

        Args:
            wait: For another process that writes; otherwise it is not done now.

        Returns:
            Whether there is more.

        Raises:
            SinkUnavailableError: Not now: locked, read-only.
        """
        return self._transaction(adopt, wait=wait)

    def rebuild(self) -> Iterator[int]:
        """
        Count the hourly sums again from the calls that are there, an hour at a time.

        What was counted of calls that have been removed since is gone then.

        Yields:
            How many hours are still to come.

        Raises:
            SinkUnavailableError: Not now: locked, read-only.
        """
        while self._transaction(adopt):
            pass
        hours = self._transaction(hours_of)
        for left, hour in zip(reversed(range(len(hours))), hours, strict=True):
            self._transaction(partial(recount, hour=hour))
            yield left

    def compact(self) -> None:
        """
        Write the file anew, without free space, in pages of this version's size.

        Raises:
            SinkUnavailableError: Somebody else has it open, or the disk is full.
        """
        with self._lock:
            connection = self._connection or self._connect()
            try:
                compact(connection)
            except sqlite3.Error as error:
                raise explain(error, self._path) from error
            finally:
                self._disconnect()

    def _look(self, step: Callable[[sqlite3.Connection], T]) -> T:
        """Run *step* on what is stored at this moment; others write meanwhile."""
        return self._transaction(step, begin="BEGIN")

    def _step(self, step: Callable[[sqlite3.Connection], T]) -> T:
        """Run *step* in a transaction, keep the log short, and leave others as long as it took."""
        began = time.monotonic()
        result = self._transaction(step)
        took = time.monotonic() - began
        with self._lock:
            self._trim()
        time.sleep(min(max(took, LEAST_PAUSE), MOST_PAUSE))
        return result

    def _transaction(
        self,
        step: Callable[[sqlite3.Connection], T],
        *,
        wait: bool = True,
        shrink: bool = False,
        begin: str = "BEGIN IMMEDIATE",
    ) -> T:
        with self._lock:
            connection = self._connection or self._connect()
            try:
                if not wait:
                    connection.execute("PRAGMA busy_timeout = 0")
                connection.execute(begin)
                check_version(connection)
                result = step(connection)
                connection.execute("COMMIT")
                if shrink:
                    give_back(connection)
                return result
            except sqlite3.Error as error:
                raise self._explain(error) from error
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if not wait:
                    connection.execute(f"PRAGMA busy_timeout = {self._patience * 1000:.0f}")

    def _connect(self) -> sqlite3.Connection:
        self._connection = connection = connect_writer(
            self._path, durable=self._durable, patience=self._patience
        )
        self._identity = self._found()
        return connection

    def _found(self) -> tuple[int, int] | None:
        """Return what the path names now; None if nothing."""
        try:
            stat = os.stat(self._path)
        except FileNotFoundError:
            return None
        except OSError:  # not to be told now: SQLite will say whether that matters
            return self._identity
        return stat.st_dev, stat.st_ino

    def _is_elsewhere(self) -> bool:
        return self._watches and self._found() != self._identity

    def _leave(self, connection: sqlite3.Connection) -> None:
        self._troubles.log(
            "moved",
            "llmobs: the store %s was deleted, moved or replaced while the application runs; "
            "events go to what is there now, a new one if nothing is",
            self._path,
        )
        # What is still in the log goes into the file that was moved, and the log is emptied: it may
        # lie beside the new store, which would take it for its own.
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._disconnect()

    def _write(
        self,
        connection: sqlite3.Connection,
        events: Sequence[Event | Filed],
        links: Sequence[Link] | None,
    ) -> dict[str, str]:
        """Return the ids of events that cannot be stored, with the reason."""
        refused: dict[str, str] = {}
        new: list[Filed] = []
        crowded = False
        forgotten = 0
        try:
            connection.execute("BEGIN IMMEDIATE")
            check_version(connection)  # another process may have changed it meanwhile
            state = State.read(connection)
            self.salt = state.salt
            next_id = state.next_id
            if links is not None:
                events, forgotten = assemble(connection, events, links)
            waiting = iter(events)
            # Encoded a few at a time: all in one go would hold the interpreter, and with it the
            # host's event loop, for some milliseconds.
            while some := list(islice(waiting, ROWS_AT_ONCE)):
                try:
                    new += _insert(connection, some, next_id, state)
                except Exception as error:
                    if not is_about_values(error):
                        raise
                    for offset, event in enumerate(some):
                        new += self._insert_alone(
                            connection, event, next_id + offset, state, refused
                        )
                next_id += len(some)
            if new:
                differ = disagreeing(connection, new, links) if links else ()
                crowded = add_up(connection, new, first=state.next_id)
                agree(connection, differ)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._explain(error) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if forgotten:
            self._troubles.log(
                "late",
                "llmobs: %d log records with messages are not kept: the spans of their calls never came",
                forgotten,
            )
        if crowded:
            self._troubles.log(
                "routes",
                "llmobs: over %d different names of runs in one hour: hourly sums count further ones as "
                "%s; name runs after what they do, not after whom or which one",
                MAX_ROUTES,
                OTHER,
            )
        return refused

    def _explain(self, error: sqlite3.Error) -> LLMObsError:
        """Return what is wrong where no value can be: SQLite's general error is then about tables."""
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            return StoreCorruptError(
                f"{self._path} has not the tables of a store any more ({error}): "
                "move it away, a new one is then made"
            )
        return explain(error, self._path)

    def _insert_alone(
        self,
        connection: sqlite3.Connection,
        event: Event | Filed,
        id: int,
        state: State,
        refused: dict[str, str],
    ) -> list[Filed]:
        try:
            mendable = unfile(event) if isinstance(event, Filed) else event
            return write_or_mend(lambda event: _insert(connection, [event], id, state), mendable)
        except Exception as error:
            if not is_about_values(error):
                raise
            self._check_tables(connection)
            refused[event.event_id] = f"cannot be stored: {type(error).__name__}: {error}"
            return []

    def _check_tables(self, connection: sqlite3.Connection) -> None:
        # Compiled, not run: that fails where a table or a column is gone.
        try:
            probe(connection)
        except sqlite3.OperationalError as error:
            raise self._explain(error) from error

    def close(self) -> None:
        """Close the connection; SQLite folds the write-ahead log back into the file."""
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _insert(
    connection: sqlite3.Connection, events: Sequence[Event | Filed], first: int, state: State
) -> list[Filed]:
    some = [_filed(event, state.salt) for event in events]
    number(some, first, state.pruned_to)
    if state.pruned_to is not NEVER:
        for one in some:
            if not one.row.booked:
                query = "SELECT 1 FROM runs WHERE run_id = ?"
                known = connection.execute(query, (one.row.run_id,)).fetchone()
                one.row.booked = int(known is not None)
    return insert(connection, some)


def _filed(event: Event | Filed, salt: bytes) -> Filed:
    if not isinstance(event, Filed):
        return file(event, salt)
    if event.pieces and event.salt != salt:  # there is another store in its place
        return file(unfile(event), salt)
    return event
