"""The hourly sums of calls: what goes into them, and what is taken off again."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Self

from llmobs.store.rollups import Key, Sums
from llmobs.store.rows import Row
from llmobs.store.statements import placeholders

__all__ = [
    "MICROSECONDS_PER_HOUR",
    "BookedCalls",
    "Booking",
    "add_up_day",
    "clear_hour",
    "rename_sums",
    "word_of",
]

MICROSECONDS_PER_HOUR: Final = 3_600_000_000
_WORDS: Final = Key._fields[1:]


class _Table(NamedTuple):
    """Statements on sums by the hour, or by the day."""

    select: str
    delete: str
    replace: str
    select_all_of: str
    """Of a stretch of hours."""
    delete_all_of: str

    @classmethod
    def of(cls, name: str, unit: str) -> Self:
        key = (unit, *_WORDS)
        same = " AND ".join(f"{column} = ?" for column in key)
        return cls(
            f"SELECT sums FROM {name} WHERE {same}",  # noqa: S608
            f"DELETE FROM {name} WHERE {same}",  # noqa: S608
            f"INSERT OR REPLACE INTO {name} ({', '.join(key)}, sums) VALUES {placeholders((*key, 'sums'))}",  # noqa: S608
            f"SELECT {', '.join(key)}, sums FROM {name} WHERE {unit} >= ? AND {unit} < ?",  # noqa: S608
            f"DELETE FROM {name} WHERE {unit} = ?",  # noqa: S608
        )


_HOURS: Final = _Table.of("rollups", "hour")
_DAYS: Final = _Table.of("rollups_by_day", "day")


_WITH_WORD: Final = (
    f"SELECT hour, {', '.join(_WORDS)}, sums FROM rollups WHERE :word IN ({', '.join(_WORDS)})"  # noqa: S608
)


class Booking:
    """Calls on their way into the sums of their hours, and out of them."""

    def __init__(self) -> None:
        self._added: dict[tuple[Any, ...], list[Row]] = {}
        self._taken_off: dict[tuple[Any, ...], list[Row]] = {}

    def add(self, row: Row, route: str) -> None:
        """Count a call of a run with this name."""
        self._added.setdefault(_raw_key(row, route), []).append(row)

    def subtract(self, row: Row, route: str) -> None:
        """Count it no longer."""
        self._taken_off.setdefault(_raw_key(row, route), []).append(row)

    def save(self, connection: sqlite3.Connection) -> None:
        """Change the stored sums, by the hour and by the day; those that become empty go."""
        changes: dict[tuple[Any, ...], Sums] = {}
        for rows, sign in ((self._added, 1), (self._taken_off, -1)):
            for (hour, *words), some in rows.items():
                key = (hour, *map(word_of, words))
                changes.setdefault(key, Sums()).add(some, sign)
        _change(connection, changes)


class BookedCalls:
    """What the calls of one run add up to, under whatever name they are booked."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Any, ...], Sums] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Count them."""
        by_key: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows:
            by_key.setdefault(_raw_key(row, ""), []).append(row)
        for (hour, *words), some in by_key.items():
            self._sums.setdefault((hour, *map(word_of, words)), Sums()).add(some)

    def move(self, connection: sqlite3.Connection, before: str, after: str) -> None:
        """Book under *after* what is booked under *before*."""
        at = 1 + _WORDS.index("route")
        changes = {}
        for key, sums in self._sums.items():
            changes[(*key[:at], before, *key[at + 1 :])] = sums.negated()
            changes[(*key[:at], after, *key[at + 1 :])] = sums
        _change(connection, changes)


def _change(connection: sqlite3.Connection, hours: Mapping[tuple[Any, ...], Sums]) -> None:
    """Change the stored sums of *hours*, and of their days."""
    days: dict[tuple[Any, ...], Sums] = {}
    for key, change in hours.items():
        _merge(connection, _HOURS, key, change)
        day = (key[0] // 24, *key[1:])
        if day in days:
            days[day].merge(change)
        else:
            days[day] = change
    for day, change in days.items():
        _merge(connection, _DAYS, day, change)


def _merge(connection: sqlite3.Connection, table: _Table, key: tuple[Any, ...], more: Sums) -> None:
    found = connection.execute(table.select, key).fetchone()
    sums = more
    if found is not None:
        sums = Sums.stored(found[0])
        sums.merge(more)
    if sums.calls <= 0:
        connection.execute(table.delete, key)
        return
    connection.execute(table.replace, (*key, sums.to_bytes()))


def clear_hour(connection: sqlite3.Connection, hour: int) -> None:
    """Remove the sums of an hour; those of its day are not right until `add_up_day`."""
    connection.execute(_HOURS.delete_all_of, (hour,))


def add_up_day(connection: sqlite3.Connection, day: int) -> None:
    """Make the sums of a day anew from those of its hours."""
    connection.execute(_DAYS.delete_all_of, (day,))
    sums: dict[tuple[Any, ...], Sums] = {}
    for _, *words, stored in connection.execute(
        _HOURS.select_all_of, (day * 24, (day + 1) * 24)
    ).fetchall():
        of_hour = Sums.stored(stored)
        key = (day, *words)
        if key in sums:
            sums[key].merge(of_hour)
        else:
            sums[key] = of_hour
    for key, of_day in sums.items():
        _merge(connection, _DAYS, key, of_day)


def rename_sums(connection: sqlite3.Connection, old: str, new: str) -> int:
    """Replace a word in the keys of the stored sums, adding up what is one then; return how many."""
    rows = connection.execute(_WITH_WORD, {"word": old}).fetchall()
    for *before, stored in rows:
        hour, *words = before
        after = (hour, *(new if word == old else word for word in words))
        connection.execute(_HOURS.delete, before)
        _merge(connection, _HOURS, after, Sums.stored(stored))
    for day in {row[0] // 24 for row in rows}:
        add_up_day(connection, day)
    connection.execute("UPDATE runs SET booked_as = ? WHERE booked_as = ?", (new, old))
    return len(rows)


def _raw_key(row: Row, route: str) -> tuple[Any, ...]:
    hour = row.timestamp // MICROSECONDS_PER_HOUR
    return (hour, row.name, row.provider, route, row.release, row.project_id)


def word_of(value: Any) -> str:
    """Return *value* as it stands in the key of a sum."""
    return "" if value is None else str(value)
