"""Pieces of messages in the store, each once, and the runs that have them."""

import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping, Sequence, Set
from itertools import chain
from typing import Any, Final

from llmobs.codec import clean_text, text_of
from llmobs.store.pieces import Piece, pack, unpack
from llmobs.store.statements import chunks, placeholder_rows, placeholders

__all__ = [
    "add_pieces",
    "compare",
    "piece_in",
    "remove_all_pieces",
    "remove_pieces",
    "run_of",
    "store_pieces",
]

_RECENT_BYTES: Final = 2_000_000
"""Of pieces remembered."""
_ROWS_AT_ONCE: Final = 64
"""Of pairs."""


def store_pieces(connection: sqlite3.Connection, run_id: Any, pieces: Sequence[Piece]) -> bool:
    """Store *pieces* of a run; False if another content has the hash of one of them."""
    by_hash = {piece.hash: piece.data for piece in pieces}
    new, others = compare(connection, by_hash)
    if others or any(by_hash[p.hash] != p.data for p in pieces):
        return False
    add_pieces(connection, by_hash, new, {(run_of(run_id), hash) for hash in by_hash})
    return True


def compare(
    connection: sqlite3.Connection, pieces: Mapping[int, bytes]
) -> tuple[set[int], set[int]]:
    """Return the hashes of those of *pieces* that are not stored, and those that another content has."""
    new = set(pieces)
    others: set[int] = set()
    unsure: list[int] = []
    for some in chunks(list(pieces)):
        query = f"SELECT hash FROM pieces WHERE hash IN {placeholders(some)}"  # noqa: S608
        for (hash,) in connection.execute(query, some):
            new.discard(hash)
            if _recent.get(hash) != pieces[hash]:
                unsure.append(hash)
    for some in chunks(unsure):
        query = f"SELECT hash, data FROM pieces WHERE hash IN {placeholders(some)}"  # noqa: S608
        for hash, data in connection.execute(query, some):
            if unpack(data) == pieces[hash]:
                _recent.note(hash, pieces[hash])
            else:
                others.add(hash)
    return new, others


def add_pieces(
    connection: sqlite3.Connection,
    pieces: Mapping[int, bytes],
    new: Set[int],
    theirs: Collection[tuple[str, int]],
) -> None:
    """
    Note which runs have which of *pieces*, and store those that are *new*.

    Args:
        connection: In a transaction.
        pieces: By their hashes.
        new: Which of them are not stored yet; see `compare`.
        theirs: Runs and hashes. What belongs to none is not stored.
    """
    if not theirs:
        return
    runs: Counter[int] = Counter()
    for some in chunks(sorted(theirs), _ROWS_AT_ONCE):
        rows = placeholder_rows(some)
        query = f"INSERT INTO run_pieces VALUES {rows} ON CONFLICT DO NOTHING RETURNING hash"  # noqa: S608
        runs.update(hash for (hash,) in connection.execute(query, [*chain.from_iterable(some)]))
    wanted = {hash for _, hash in theirs}
    connection.executemany(
        "INSERT INTO pieces VALUES (?, ?)",
        [(hash, pack(data)) for hash, data in pieces.items() if hash in new and hash in wanted],
    )
    shared = [(hash, count - (hash in new)) for hash, count in runs.items()]
    for some in chunks([one for one in shared if one[1]], _ROWS_AT_ONCE):
        connection.execute(
            f"INSERT INTO shared_pieces VALUES {placeholder_rows(some)}"  # noqa: S608
            " ON CONFLICT (hash) DO UPDATE SET others = others + excluded.others",
            [*chain.from_iterable(some)],
        )


def remove_pieces(connection: sqlite3.Connection, run_id: Any, hashes: Sequence[int]) -> None:
    """Let a run have these pieces no longer; those that no other run has are removed."""
    for some in chunks(hashes):
        among = f"hash IN {placeholders(some)}"
        query = f"DELETE FROM run_pieces WHERE run_id = ? AND {among} RETURNING hash"  # noqa: S608
        alone = {hash for (hash,) in connection.execute(query, (run_id, *some))}
        query = f"SELECT hash FROM shared_pieces WHERE {among}"  # noqa: S608
        shared = [(h,) for (h,) in connection.execute(query, some).fetchall() if h in alone]
        alone.difference_update(hash for (hash,) in shared)
        connection.executemany("DELETE FROM pieces WHERE hash = ?", [(hash,) for hash in alone])
        for change in (
            "UPDATE shared_pieces SET others = others - 1 WHERE hash = ?",
            "DELETE FROM shared_pieces WHERE hash = ? AND others = 0",
        ):
            connection.executemany(change, shared)


def remove_all_pieces(connection: sqlite3.Connection, run_id: Any) -> None:
    """The same, with all that the run has."""
    known = connection.execute("SELECT hash FROM run_pieces WHERE run_id = ?", (run_id,))
    remove_pieces(connection, run_id, [hash for (hash,) in known.fetchall()])


class _Recent(dict[int, bytes]):
    """
    Pieces compared lately: an agent resends its history within seconds, and to unpack is dear.

    Whether one is still there, SQLite is asked each time.
    """

    _bytes = 0

    def note(self, hash: int, data: bytes) -> None:
        if self._bytes > _RECENT_BYTES:
            self.clear()
            self._bytes = 0
        self[hash] = data
        self._bytes += len(data)


_recent: Final = _Recent()


def run_of(run_id: Any) -> str:
    """Return the id of a run as it stands in the store."""
    return clean_text(text_of(run_id))


def piece_in(connection: sqlite3.Connection, hash: int) -> bytes | None:
    """Return the piece of a hash; None if it is not there."""
    found = connection.execute("SELECT data FROM pieces WHERE hash = ?", (hash,)).fetchone()
    return unpack(found[0]) if found else None
