"""The schema is frozen for release: what stores of released versions look like never changes."""

import sqlite3
from pathlib import Path
from typing import Final

from llmobs.store.assembly import _TABLES
from llmobs.store.rewrite import mark
from llmobs.store.rollups import COUNTS, FIRST_TOKEN, Sums, in_buckets
from llmobs.store.schema import VERSION
from llmobs.store.writer import Writer

PINNED: Final = Path(__file__).with_name("schema.sql")
CHANGED: Final = (
    "The schema of the store is not the pinned one. If a version with it has been released: leave its "
    "migration as it is and add another (llmobs.store.schema), with a test in test_migration.py; then, "
    f"and before a release, write what is there now into {PINNED.name} and look at the difference."
)


def test_a_new_store_has_the_pinned_schema(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    Writer(path).close()
    connection = sqlite3.connect(path)
    for statement in _TABLES:  # where spans come
        connection.execute(statement)
    mark(connection, "r")  # where something is rewritten
    made = connection.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name"
    ).fetchall()
    connection.close()
    text = "".join(f"{sql};\n\n" for (sql,) in made)
    assert f"-- Version {VERSION}\n\n{text}" == PINNED.read_text(), CHANGED


def test_sums_are_stored_as_ever() -> None:
    """Counts of 96 bits; from a multiple of 16 on buckets of 64: latencies, above them first tokens."""
    sums = Sums.of(range(1, len(COUNTS) + 1), in_buckets({300: 7, 301: 9 * FIRST_TOKEN}))
    counts = b"".join(number.to_bytes(12, "little") for number in range(1, len(COUNTS) + 1))
    buckets = bytes(8 * 12) + (7).to_bytes(8, "little") + bytes(4) + b"\x09"
    assert sums.to_bytes() == (288).to_bytes(2, "little") + counts + buckets, CHANGED
    assert Sums.stored(sums.to_bytes()).counts == list(range(1, len(COUNTS) + 1))
