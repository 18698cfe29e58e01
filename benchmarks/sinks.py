"""Sinks by name for the rows that try several, and how to count what reached them."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.collector import collector
from benchmarks.workload import NullSink


@contextmanager
def sink_named(name: str) -> Iterator[tuple[Any, Callable[[], int] | None]]:
    """Yield what to give as ``sink=``, and a count of what arrived where that can be asked."""
    folder = Path(tempfile.mkdtemp())
    try:
        if name == "null":
            yield NullSink(), None
        elif name == "sqlite":
            path = folder / "bench.db"
            yield f"sqlite:///{path}", lambda: _rows(path)
        elif name == "jsonl":
            path = folder / "bench.jsonl"
            yield f"jsonl:///{path}", lambda: path.read_bytes().count(b"\n")
        elif name == "http":
            with collector() as server:
                yield f"{server.url}/v1", server.events
        else:
            raise ValueError(name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rows(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
    finally:
        connection.close()
