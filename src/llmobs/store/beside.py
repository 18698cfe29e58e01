"""What a store says besides its events: what redaction looks through, too."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from llmobs.codec import decode
from llmobs.events import Event, RunEvent
from llmobs.store.pieces import unpack
from llmobs.store.rollups import Key
from llmobs.store.values import EPOCH, as_text, as_texts

__all__ = ["WITH_SUMS", "left_over", "parts", "runs_as_events", "words_of_sums"]

Ask = Callable[[str, Sequence[Any]], list[sqlite3.Row]]
"""Runs a query."""

_WORDS: Final = (
    "run_id", "name", "kind", "status", "user_id", "session_id", "tags", "client_run_id",
    "parent_run_id", "trace_id", "project_id", "service_name", "environment", "release",
)  # fmt: skip
WITH_SUMS: Final = 3
"""Version of the schema that has hourly sums."""
AT_ONCE: Final = 500
"""Rows read at a stretch."""


def parts(ask: Ask) -> Iterator[tuple[str, Event]]:
    """
    Yield what spans told that no event tells yet, after its run: of traces that wait for more of
    them, or have shown nothing of interest so far.
    """
    if not ask("SELECT 1 FROM sqlite_master WHERE name = 'parts'", ()):
        return
    last = -1
    source = "parts p JOIN traces t ON t.id = p.trace WHERE p.id > ?"
    query = f"SELECT p.id, t.run_id, p.body FROM {source} ORDER BY p.id LIMIT ?"  # noqa: S608
    while rows := ask(query, [last, AT_ONCE]):
        last = rows[-1][0]
        for _, run_id, body in rows:
            with suppress(msgspec.MsgspecError, RecursionError):
                yield as_text(run_id), decode(unpack(body) or b"")


def runs_as_events(ask: Ask) -> Iterator[RunEvent]:
    """Yield each run as an event that says what is kept of it."""
    query = f"SELECT {', '.join(_WORDS)} FROM runs WHERE run_id > ? ORDER BY run_id LIMIT ?"  # noqa: S608
    last: Any = ""
    while rows := ask(query, [last, AT_ONCE]):
        last = rows[-1][0]
        for row in rows:
            words = {
                name: as_text(word)
                for name, word in zip(_WORDS, row, strict=True)
                if word is not None
            }
            tags = as_texts(words.pop("tags", None))
            yield RunEvent(event_id="", timestamp=EPOCH, tags=tags, **words)  # type: ignore[arg-type]


def left_over(ask: Ask) -> Iterator[tuple[str, str]]:
    """Yield what messages a killed rewriting may have left of a run, after its id, as JSON."""
    if not ask("SELECT 1 FROM sqlite_master WHERE name = 'unfinished'", ()):
        return
    query = "SELECT u.run_id, p.hash FROM unfinished u JOIN run_pieces p ON p.run_id = u.run_id"
    for run_id, hash in ask(query, ()):
        for (data,) in ask("SELECT data FROM pieces WHERE hash = ?", [hash]):
            yield as_text(run_id), (unpack(data) or b"").decode("utf-8", "replace")


def words_of_sums(ask: Ask) -> Iterator[tuple[str, str]]:
    """Yield each word of the hourly sums, after the name of its column."""
    if ask("PRAGMA user_version", ())[0][0] < WITH_SUMS:
        return
    for name in Key._fields[1:]:
        for (word,) in ask(f"SELECT DISTINCT {name} FROM rollups", ()):  # noqa: S608
            yield name, as_text(word)
