"""The sums of a store and its messages stored once, as stored and as its events say."""

import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

from llmobs.codec import decode
from llmobs.events import PromptCallEvent, RunEvent
from llmobs.store.pieces import put_together, unpack
from llmobs.store.rollups import Sums


def hourly_sums(path: Path) -> dict[tuple[Any, ...], bytes]:
    """Return what is stored, by hour, model, provider, route, release and project; of the days, see that it fits."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT * FROM rollups").fetchall()
    days = connection.execute("SELECT * FROM rollups_by_day").fetchall()
    connection.close()
    sums: dict[tuple[Any, ...], Sums] = defaultdict(Sums)
    for hour, *words, stored in rows:
        sums[(hour // 24, *words)].merge(Sums.stored(stored))
    assert {row[:6]: row[6] for row in days} == {key: one.to_bytes() for key, one in sums.items()}
    return {row[:6]: row[6] for row in rows}


def recounted(path: Path) -> dict[tuple[Any, ...], bytes]:
    """Return what should be stored: counted from the bodies, one event after the other."""
    connection = sqlite3.connect(path)
    pieces = dict(connection.execute("SELECT hash, data FROM pieces"))
    check_pieces(connection)
    stored = connection.execute(
        "SELECT coalesce(b.body, e.body) FROM events e LEFT JOIN bodies b ON b.id = e.id ORDER BY e.id"
    ).fetchall()
    connection.close()
    events = [decode(put_together(body, lambda n: unpack(pieces[n]))) for (body,) in stored]
    routes = {e.run_id: e.name for e in events if isinstance(e, RunEvent) and e.name}
    sums: dict[tuple[Any, ...], Sums] = defaultdict(Sums)
    for event in events:
        if isinstance(event, PromptCallEvent):
            key = (
                int(event.timestamp.timestamp() // 3600),
                event.model,
                event.provider or "",
                routes.get(event.run_id, ""),
                event.release or "",
                event.project_id or "",
            )
            sums[key].add([event])
    return {key: one.to_bytes() for key, one in sums.items()}


def check_pieces(connection: sqlite3.Connection) -> None:
    """See that messages are there as long as a run has them, and that those of several runs are known."""
    runs = dict(connection.execute("SELECT hash, count(*) FROM run_pieces GROUP BY hash"))
    assert runs.keys() == {hash for (hash,) in connection.execute("SELECT hash FROM pieces")}
    shared = dict(connection.execute("SELECT hash, others FROM shared_pieces"))
    assert shared == {hash: count - 1 for hash, count in runs.items() if count > 1}
