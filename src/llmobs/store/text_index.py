"""
The index of texts: a second SQLite file beside the store, which whoever serves it fills behind ingest.

It may be deleted at any time, and is made anew from the store. It consists of *parts*, one for each
65,536 numbers of events: what is removed from the store, or changed there, costs its part, which is
dropped as a whole and made again; a word of it alone could not be taken out of the index with
certainty. Triggers of the store note, in the transaction that removes, which parts that are.

Within a part each message that the store keeps once is indexed once: with the first event that has
it; events of further runs refer to it (``uses``), those of the same run repeat what was said.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import msgspec

from llmobs.errors import LLMObsError, SinkUnavailableError
from llmobs.runtime.paths import create
from llmobs.store.connect import connect_reader, explain, for_reading
from llmobs.store.pieces import references, unpack
from llmobs.store.records import Waiting
from llmobs.store.texts import BREAK, WITH_TEXTS, spaced, texts_of
from llmobs.store.values import as_text, decode_text

__all__ = [
    "BLOCK_BITS",
    "PART_BITS",
    "TextIndex",
    "open_index",
    "index_beside",
    "waiting_events",
]

FORM: Final = 1
"""Of the index; one of another form is made anew."""
PART_BITS: Final = 16
"""Events of a part have numbers that agree but for these last bits."""
BLOCK_BITS: Final = 10
"""Of events whose earliest and latest times are known together."""
STEP_EVENTS: Final = 500
"""Looked at in one step, at most."""
STEP_SECONDS: Final = 0.02
"""That a step takes, about."""
DROP_SECONDS: Final = 3_600
"""At the latest after which what retention removed leaves the index too: a part is made again no more often."""
BUSY_SECONDS: Final = 10.0
LOG_BYTES: Final = 16_000_000
TRACE_SECONDS: Final = 10.0
"""To wait until nobody reads the write-ahead log."""

_TABLES: Final = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    # The first number not looked at; how often the store had noted changes, when the part was begun, and when.
    "CREATE TABLE parts (part INTEGER PRIMARY KEY, next INTEGER, changes INTEGER, began INTEGER)",
    "CREATE TABLE blocks (block INTEGER PRIMARY KEY, oldest INTEGER, newest INTEGER)",
    # run: a hash of the one that had the message first; 0 once another one has it, too.
    "CREATE TABLE seen (part INTEGER, hash INTEGER, run INTEGER, PRIMARY KEY (part, hash)) WITHOUT ROWID",
    "CREATE TABLE uses (hash INTEGER, event INTEGER, PRIMARY KEY (hash, event)) WITHOUT ROWID",
    "CREATE INDEX uses_by_event ON uses (event)",
)
_WORDS: Final = (
    "CREATE VIRTUAL TABLE {name} USING fts5(text, content='', columnsize=0,"
    " tokenize='unicode61 remove_diacritics 2')"
)

_TYPES: Final = ", ".join(f"'{name}'" for name in WITH_TEXTS)
_EVENTS: Final = (
    "SELECT e.id, e.run_id, e.timestamp, coalesce(b.body, e.body) FROM events e"  # noqa: S608
    f" LEFT JOIN bodies b ON b.id = e.id AND e.event_type IN ({_TYPES})"
    " WHERE e.id >= ? AND e.id < ? ORDER BY e.id LIMIT ?"
)


def index_beside(store: Path) -> Path:
    """Return where the index of *store* is."""
    return store.with_name(f"{store.name}-text")


@contextmanager
def open_index(store: Path) -> Iterator[sqlite3.Connection | None]:
    """Open the index of *store* for reading; None if there is none that could be read."""
    path = index_beside(store)
    connection = found = None
    try:
        if path.is_file():
            connection = sqlite3.connect(
                for_reading(path), uri=True, timeout=BUSY_SECONDS,
                check_same_thread=False, isolation_level=None,
            )  # fmt: skip
            with suppress(sqlite3.Error):
                query = "SELECT value FROM about WHERE name = 'form'"
                found = connection.execute(query).fetchone()
        yield connection if found is not None and found[0] == FORM else None
    finally:
        if connection is not None:
            connection.close()


class _Bounds(NamedTuple):
    first: int
    last: int
    changes: dict[int, int]
    salt: bytes

    @classmethod
    def of(cls, store: sqlite3.Connection) -> Self:
        # Each alone is a look at one end; both together read the whole table.
        (first,) = store.execute("SELECT min(id) FROM events").fetchone()
        (last,) = store.execute("SELECT max(id) FROM events").fetchone()
        try:
            changes = dict(
                tuple(row) for row in store.execute("SELECT part, changes FROM unindexed")
            )
        except sqlite3.OperationalError:  # of an older version
            changes = {}
        salt = store.execute("SELECT value FROM store WHERE name = 'salt'").fetchone()
        return cls(first or 0, last or 0, changes, salt[0] if salt else b"")

    def parts(self) -> Iterator[tuple[int, int, int]]:
        """Yield each part, the latest first, with its first number and the one after its last."""
        if self.last:
            for part in range(self.last >> PART_BITS, (self.first >> PART_BITS) - 1, -1):
                start = max(part << PART_BITS, self.first)
                yield part, start, min((part + 1) << PART_BITS, self.last + 1)


def waiting_events(store: sqlite3.Connection, index: sqlite3.Connection | None) -> Waiting:
    """Return how far *index* is behind *store*."""
    bounds = _Bounds.of(store)
    done = {} if index is None else dict(index.execute("SELECT part, next FROM parts"))
    behind = of = 0
    for part, start, end in bounds.parts():
        behind += max(end - max(done.get(part, 0), start), 0)
        of += end - start
    return Waiting(behind, of)


class TextIndex:
    """
    Fills the index of a store, and empties it, from one thread at a time; several processes may.

    Args:
        store: The store's file. The index beside it is made when something is to be done.
    """

    def __init__(self, store: Path) -> None:
        self._path = index_beside(store)
        self._store_path = store
        self._store: sqlite3.Connection | None = None
        self._index: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of both files."""
        for connection in (self._store, self._index):
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()
        self._store = self._index = None

    def step(self) -> Waiting:
        """
        Index some events, the latest first; return what is left.

        A damaged index is removed, and begun anew.

        Raises:
            StoreError: The store cannot be read.
            SinkUnavailableError: The index cannot be written now.
        """
        with self._opened() as (store, index), self._transaction(store, index) as bounds:
            self._drop_what_is_old(store, index, bounds)
            done = dict(index.execute("SELECT part, next FROM parts"))
            behind = of = 0
            looked = False
            for part, start, end in bounds.parts():
                begun = max(done.get(part, 0), start)
                of += end - start
                if begun < end and not looked:
                    looked = True
                    if part not in done:
                        self._begin(index, part, bounds.changes.get(part, 0))
                    begun = self._index_events(store, index, part, begun, end)
                    index.execute("UPDATE parts SET next = ? WHERE part = ?", (begun, part))
                behind += max(end - begun, 0)
            _note_place(store, index)
        return Waiting(behind, of)

    def catch_up(self, seconds: float) -> Waiting:
        """Index for so many seconds at most; return what is left. Raises as `step`."""
        deadline = time.monotonic() + seconds
        while (left := self.step()).events and time.monotonic() < deadline:
            pass
        return left

    def forget(self) -> bool:
        """
        Drop every part of which something was removed from the store, or changed there, so that no
        file holds it; return whether nobody was in the way.

        Raises:
            SinkUnavailableError: The index cannot be written now.
        """
        if not self._path.exists():
            return True
        with self._opened() as (store, index):
            with self._transaction(store, index) as bounds:
                parts = index.execute("SELECT part, changes FROM parts").fetchall()
            for part, changes in parts:
                if bounds.changes.get(part, 0) != changes:
                    with self._transaction(store, index):
                        self._drop(index, part)
            index.executescript("PRAGMA incremental_vacuum")
            return _empty_log(index)

    # The two files.

    @contextmanager
    def _opened(self) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
        try:
            if self._index is not None and self._identity != _identity(self._path):
                self.close()  # deleted, or made anew
            if self._index is None:
                self._index = self._connect()
            if self._store is None:
                self._store = connect_reader(self._store_path)
            yield self._store, self._index
        except sqlite3.Error as error:
            self.close()
            if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGED:
                self._remove()
            raise explain(error, self._path) from error
        except OSError as error:
            raise SinkUnavailableError(f"cannot write the index {self._path}: {error}") from error
        except LLMObsError:
            self.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        create(self._path)
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        except BaseException:
            connection.close()
            raise
        self._identity = _identity(self._path)
        return connection

    def _remove(self) -> None:
        """Overwrite and remove what cannot be read."""
        for ending in ("", "-wal", "-shm"):
            path = self._path.with_name(f"{self._path.name}{ending}")
            with suppress(OSError), path.open("rb+") as file:
                left = path.stat().st_size
                while left > 0:
                    left -= file.write(bytes(min(left, 1 << 20)))
            with suppress(OSError):
                path.unlink()

    @contextmanager
    def _transaction(
        self, store: sqlite3.Connection, index: sqlite3.Connection
    ) -> Iterator[_Bounds]:
        # First the index's lock, then what the store holds: what is dropped there in between, because
        # it was removed from the store, cannot come back.
        index.execute("BEGIN IMMEDIATE")
        try:
            store.execute("BEGIN")
            bounds = _Bounds.of(store)
            if not _belongs(store, index, bounds):
                _begin_anew(index, bounds)
            yield bounds
            index.execute("COMMIT")
        finally:
            for connection in (store, index):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    # Parts.

    def _drop_what_is_old(
        self, store: sqlite3.Connection, index: sqlite3.Connection, bounds: _Bounds
    ) -> None:
        now = int(time.time())
        for part, changes, began in index.execute(
            "SELECT part, changes, began FROM parts"
        ).fetchall():
            if bounds.changes.get(part, 0) == changes:
                continue
            if now - began >= DROP_SECONDS or _is_empty(store, part):
                self._drop(index, part)
                return  # one in a step

    def _begin(self, index: sqlite3.Connection, part: int, changes: int) -> None:
        for name in _tables_of(part):
            index.execute(_WORDS.format(name=name))
        index.execute("INSERT INTO parts VALUES (?, 0, ?, ?)", (part, changes, int(time.time())))

    def _drop(self, index: sqlite3.Connection, part: int) -> None:
        for name in _tables_of(part):
            index.execute(f"DROP TABLE IF EXISTS {name}")
        index.execute("DELETE FROM parts WHERE part = ?", (part,))
        index.execute("DELETE FROM seen WHERE part = ?", (part,))
        for table, column, bits in (
            ("uses", "event", PART_BITS),
            ("blocks", "block", PART_BITS - BLOCK_BITS),
        ):
            index.execute(
                f"DELETE FROM {table} WHERE {column} >= ? AND {column} < ?",  # noqa: S608
                (part << bits, (part + 1) << bits),
            )

    def _index_events(
        self, store: sqlite3.Connection, index: sqlite3.Connection, part: int, begun: int, end: int
    ) -> int:
        """Index events of a part from the number *begun* on; return the first one not looked at."""
        until = time.monotonic() + STEP_SECONDS
        filling = _Filling(store, index, part)
        after = begun
        cursor = store.execute(_EVENTS, (begun, end, STEP_EVENTS))
        try:
            while rows := cursor.fetchmany(50):
                for number, run_id, moment, body in rows:
                    filling.add(number, as_text(run_id), moment, as_text(body))
                    after = number + 1
                if time.monotonic() > until:
                    break
            else:
                after = after if filling.count == STEP_EVENTS else end
        finally:
            cursor.close()
        filling.save()
        return after


_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})


class _Filling:
    """What a step adds to a part."""

    def __init__(self, store: sqlite3.Connection, index: sqlite3.Connection, part: int) -> None:
        self._store = store
        self._index = index
        self._part = part
        self._words, self._shared = _tables_of(part)
        self._seen: dict[int, int | None] = {}
        self._new: dict[int, int] = {}
        self._texts: list[tuple[int, str]] = []
        self._common: list[tuple[int, str]] = []
        self._uses: set[tuple[int, int]] = set()
        self._times: dict[int, tuple[int, int]] = {}
        self.count = 0

    def add(self, number: int, run_id: str, moment: Any, body: str) -> None:
        self.count += 1
        # No time either: ratings come days later, and would have every block looked at.
        if not body:
            return
        moment = moment if type(moment) is int else 0
        oldest, newest = self._times.get(number >> BLOCK_BITS, (moment, moment))
        self._times[number >> BLOCK_BITS] = (min(oldest, moment), max(newest, moment))
        fresh = {}
        hashes = references(body)
        if hashes:
            self._look_up(hashes)
            run = _hash(run_id)
            for hash in hashes:
                known = self._seen[hash]
                if known is None:
                    self._seen[hash] = self._new[hash] = run
                    fresh[hash] = self._piece(hash)
                elif known == 0:
                    self._uses.add((hash, number))
                elif known != run:
                    self._seen[hash] = self._new[hash] = 0
                    self._uses.add((hash, number))
                    self._common.append((hash, _joined(self._piece(hash))))
        texts = texts_of(body, lambda hash: fresh.get(hash, ()))
        if texts:
            self._texts.append((number, _joined(texts)))

    def _look_up(self, hashes: set[int]) -> None:
        unknown = hashes - self._seen.keys()
        if unknown:
            query = "SELECT hash, run FROM seen WHERE part = ? AND hash IN (SELECT value FROM json_each(?))"
            self._seen.update(dict.fromkeys(unknown))
            self._seen.update(
                self._index.execute(
                    query, (self._part, msgspec.json.encode(list(unknown)).decode())
                )
            )

    def _piece(self, hash: int) -> Sequence[str]:
        found = self._store.execute("SELECT data FROM pieces WHERE hash = ?", (hash,)).fetchone()
        data = unpack(found[0]) if found else None
        if data is None:
            return ()
        return texts_of(f'{{"prompt":{decode_text(data)}}}')

    def save(self) -> None:
        words, shared = self._words, self._shared
        self._index.executemany(f"INSERT INTO {words}(rowid, text) VALUES (?, ?)", self._texts)  # noqa: S608
        self._index.executemany(f"INSERT INTO {shared}(rowid, text) VALUES (?, ?)", self._common)  # noqa: S608
        self._index.executemany(
            "INSERT OR REPLACE INTO seen VALUES (?, ?, ?)",
            [(self._part, hash, run) for hash, run in self._new.items()],
        )
        self._index.executemany("INSERT OR IGNORE INTO uses VALUES (?, ?)", sorted(self._uses))
        self._index.executemany(
            "INSERT INTO blocks VALUES (?, ?, ?) ON CONFLICT (block) DO UPDATE SET"
            " oldest = min(oldest, excluded.oldest), newest = max(newest, excluded.newest)",
            [(block, *times) for block, times in self._times.items()],
        )


def _joined(texts: Sequence[str]) -> str:
    return spaced(f" {BREAK} ".join(texts))


def _hash(run_id: str) -> int:
    """Return a number for a run that is never 0."""
    digest = blake2b(run_id.encode("utf-8", "surrogatepass"), digest_size=7).digest()
    return int.from_bytes(digest, "big") + 1


def _tables_of(part: int) -> tuple[str, str]:
    return f"words_{part}", f"shared_{part}"


def _is_empty(store: sqlite3.Connection, part: int) -> bool:
    bounds = (part << PART_BITS, (part + 1) << PART_BITS)
    found = store.execute("SELECT 1 FROM events WHERE id >= ? AND id < ? LIMIT 1", bounds)
    return found.fetchone() is None


def _belongs(store: sqlite3.Connection, index: sqlite3.Connection, bounds: _Bounds) -> bool:
    """Whether the index is of this store, and not of one that was there before or went on from a backup."""
    if index.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone() is None:
        return False
    known = dict(index.execute("SELECT name, value FROM about"))
    if known.get("form") != FORM or known.get("salt") != bounds.salt:
        return False
    last = known.get("last")
    if last is None:
        return True
    (here,) = store.execute("SELECT max(id) FROM events").fetchone()
    found = store.execute("SELECT event_id FROM events WHERE id = ?", (last,)).fetchone()
    if found is not None:
        return bool(as_text(found[0]) == known.get("last_event"))
    # Removed since, or not there yet.
    gone = store.execute("SELECT value FROM store WHERE name = 'last_id'").fetchone()
    return bool(max(here or 0, gone[0] if gone else 0) >= last)


def _begin_anew(index: sqlite3.Connection, bounds: _Bounds) -> None:
    for name, sql in index.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table'"
    ).fetchall():
        if sql and sql.upper().startswith("CREATE VIRTUAL"):
            index.execute(f'DROP TABLE IF EXISTS "{name}"')
    rest = index.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    for (name,) in rest.fetchall():
        index.execute(f'DROP TABLE IF EXISTS "{name}"')
    for statement in _TABLES:
        index.execute(statement)
    index.executemany("INSERT INTO about VALUES (?, ?)", [("form", FORM), ("salt", bounds.salt)])


def _note_place(store: sqlite3.Connection, index: sqlite3.Connection) -> None:
    """Note which event was the last one, by which a store that went back is recognised."""
    found = store.execute("SELECT id, event_id FROM events ORDER BY id DESC LIMIT 1").fetchone()
    if found is not None:
        index.executemany(
            "INSERT OR REPLACE INTO about VALUES (?, ?)",
            [("last", found[0]), ("last_event", as_text(found[1]))],
        )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _empty_log(index: sqlite3.Connection) -> bool:
    deadline = time.monotonic() + TRACE_SECONDS
    index.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                busy, _, _ = index.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.OperationalError:
                busy = True
            if not busy or time.monotonic() > deadline:
                return not busy
            time.sleep(0.005)
    finally:
        index.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
