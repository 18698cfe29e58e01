"""
What was recorded and what arrived: counted outside llmobs, compared in the store, kept in a table.

The application under test notes the id of every event it recorded (`tests.support.ledger`); the
store is read with the standard library alone.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROPERTY = "arrivals"


@dataclass
class Arrivals:
    """The figures of one ended process (or family of processes)."""

    recorded: set[str]
    stored: dict[str, tuple[str, str]]
    """Event id → (run id, event type)."""

    @classmethod
    def read(cls, ledger: Path, store: Path) -> "Arrivals":
        lines = ledger.read_text().split() if ledger.exists() else []
        assert len(lines) == len(set(lines)), "an event id was used twice"
        stored = {}
        if store.exists():
            connection = sqlite3.connect(store, timeout=10)
            try:
                if connection.execute("SELECT 1 FROM sqlite_master WHERE name='events'").fetchone():
                    query = "SELECT event_id, run_id, event_type FROM events"
                    stored = {row[0]: (row[1], row[2]) for row in connection.execute(query)}
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            finally:
                connection.close()
        return cls(set(lines), stored)

    @property
    def lost(self) -> set[str]:
        return self.recorded - self.stored.keys()

    @property
    def arrived(self) -> int:
        return len(self.recorded) - len(self.lost)

    @property
    def runs(self) -> set[str]:
        """Runs whose own event arrived."""
        return {run_id for run_id, kind in self.stored.values() if kind == "run"}

    def __str__(self) -> str:
        return f"{self.arrived}/{len(self.recorded)}"


Note = Callable[..., None]


@pytest.fixture
def note_row(record_property: Callable[[str, Any], None]) -> Note:
    """Keep a row of the table that is printed when the tests end."""

    def note(*cells: object) -> None:
        record_property(PROPERTY, [str(cell) for cell in cells])

    return note


def print_table(reporter: Any, folder: str, header: tuple[str, ...]) -> None:
    """Print the rows that tests under *folder* kept; works with workers of xdist too."""
    rows = [
        value
        for outcome in ("passed", "failed")
        for report in reporter.getreports(outcome)
        if report.when == "call" and folder in report.nodeid
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if not rows:
        return
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    reporter.section(f"{folder}: events arrived / recorded", sep="-")
    for row in [header, *sorted(rows)]:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        reporter.write_line("  ".join(cells).rstrip())
