"""Stores with exactly the events a test names."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from llmobs.events import Event, PromptCallEvent, RunEvent
from llmobs.recorded.ids import new_id
from llmobs.store.reader import Reader
from llmobs.store.writer import Writer

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """The time *seconds* after noon."""
    return START + timedelta(seconds=seconds)


def call(run_id: str, seconds: float = 0, **fields: Any) -> PromptCallEvent:
    """An answered call of a model."""
    values = {"event_id": new_id(), "model": "gpt-4o", "prompt": "hi", "response": "ho", **fields}
    return PromptCallEvent(run_id=run_id, timestamp=at(seconds), **values)


def run(run_id: str, seconds: float = 0, **fields: Any) -> RunEvent:
    """A finished run."""
    values = {"event_id": new_id(), "name": "POST /chat", "latency_ms": 1000.0, **fields}
    return RunEvent(run_id=run_id, timestamp=at(seconds), **values)


def write_store(path: Path, events: Sequence[Event]) -> Path:
    """Write *events* into the store at *path*, as the sink does."""
    writer = Writer(path)
    writer.write(events)
    writer.close()
    return path


def index_texts(path: Path) -> Path:
    """Index all texts of the store at *path*, as whoever serves it does."""
    with Reader(path) as reader:
        while reader.index_texts().events:
            pass
    return path
