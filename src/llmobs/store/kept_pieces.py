"""Pieces of messages in the store, each once, and the runs that have them."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from llmobs.codec import clean_text, text_of
from llmobs.store.pieces import Piece, pack, unpack
from llmobs.store.statements import chunks, places

__all__ = ["note_runs", "piece_in", "run_of", "store_new", "store_pieces"]

_RECENT_BYTES: Final = 2_000_000
"""Of pieces remembered."""
_ROWS_AT_ONCE: Final = 64
"""Of pairs."""


def store_pieces(connection: sqlite3.Connection, run_id: Any, pieces: Sequence[Piece]) -> bool:
    """Store *pieces* of a run; False if another content has the hash of one of them."""
    by_hash = {piece.hash: piece.data for piece in pieces}
    if store_new(connection, by_hash) or any(by_hash[p.hash] != p.data for p in pieces):
        return False
    note_runs(connection, {(run_of(run_id), piece.hash) for piece in pieces})
    return True


def store_new(connection: sqlite3.Connection, pieces: Mapping[int, bytes]) -> set[int]:
    """Store those of *pieces* that are not there yet; return the hashes that another content has."""
    others: set[int] = set()
    if not pieces:
        return others
    new = dict(pieces)
    unsure: list[int] = []
    for some in chunks(list(pieces)):
        query = f"SELECT hash FROM pieces WHERE hash IN {places(some)}"  # noqa: S608
        for (hash,) in connection.execute(query, some):
            if _recent.get(hash) == pieces[hash]:
                del new[hash]
            else:
                unsure.append(hash)
    for some in chunks(unsure):
        query = f"SELECT hash, data FROM pieces WHERE hash IN {places(some)}"  # noqa: S608
        for hash, data in connection.execute(query, some):
            if unpack(data) == new.pop(hash):
                _recent.note(hash, pieces[hash])
            else:
                others.add(hash)
    connection.executemany(
        "INSERT INTO pieces VALUES (?, ?)", [(hash, pack(data)) for hash, data in new.items()]
    )
    return others


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


def note_runs(connection: sqlite3.Connection, theirs: Collection[tuple[str, int]]) -> None:
    """Note which pieces belong to which runs."""
    for some in chunks(sorted(theirs), _ROWS_AT_ONCE):
        connection.execute(
            f"INSERT INTO run_pieces VALUES {', '.join(['(?, ?)'] * len(some))}"  # noqa: S608
            " ON CONFLICT DO NOTHING",
            [*chain.from_iterable(some)],
        )


def run_of(run_id: Any) -> str:
    """Return the id of a run as it stands in the store."""
    return clean_text(text_of(run_id))


def piece_in(connection: sqlite3.Connection, hash: int) -> bytes | None:
    """Return the piece of a hash; None if it is not there."""
    found = connection.execute("SELECT data FROM pieces WHERE hash = ?", (hash,)).fetchone()
    return unpack(found[0]) if found else None
