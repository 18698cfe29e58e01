"""What a store is and holds."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from llmobs.store.beside import WITH_SUMS
from llmobs.store.records import StoreInfo
from llmobs.store.values import as_integer, as_moment

__all__ = ["info"]

Rows = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]
"""Runs a query and returns all its rows."""


def info(rows: Rows, path: Path) -> StoreInfo:
    """Do what `llmobs.store.reader.Reader.info` promises."""

    def number(query: str, *values: Any) -> int:
        return int(rows(query, values)[0][0])

    pages, free, size, version = (
        number(f"PRAGMA {name}")
        for name in ("page_count", "freelist_count", "page_size", "user_version")
    )
    # Each alone is a look at one end of the index; both together read all of it.
    (oldest,) = rows("SELECT min(started) FROM runs", ())[0]
    (latest,) = rows("SELECT max(started) FROM runs", ())[0]
    before = rows("SELECT value FROM store WHERE name = 'rows_before'", ())
    waiting = "SELECT count(*) FROM events WHERE id >= ? AND body <> ''"
    return StoreInfo(
        path=str(path),
        version=version,
        bytes=pages * size,
        free_bytes=free * size,
        page_bytes=size,
        runs=number("SELECT count(*) FROM runs"),
        events=number("SELECT count(*) FROM events"),
        pieces=number("SELECT count(*) FROM pieces"),
        oldest=None if oldest is None else as_moment(oldest),
        latest=None if latest is None else as_moment(latest),
        hours=number("SELECT count(DISTINCT hour) FROM rollups") if version >= WITH_SUMS else 0,
        sums_from=_sums_from(rows, version),
        to_adopt=number(waiting, before[0][0]) if before else 0,
    )


def _sums_from(rows: Rows, version: int) -> datetime | None:
    """Return the first hour for which there are sums; None for none."""
    if version < WITH_SUMS:
        return None
    (first,) = rows("SELECT min(hour) FROM rollups", ())[0]
    return None if first is None else as_moment((as_integer(first) or 0) * 3_600_000_000)
