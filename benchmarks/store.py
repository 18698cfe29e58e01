"""Events per second into SQLite: captured, prepared (redaction included), written, confirmed."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Budget, Result, interleave
from benchmarks.workload import calls

TITLE = "Ingest into SQLite, one process, events/s"
VARIANTS = ("by hand", "writer", "Client", "Client, redact_pii=False")
EVENTS = 10_000
WARM = 2_000


def sample(variant: str, quick: bool) -> dict[str, float]:
    """Events per second of wall time, and CPU seconds per 10,000."""
    folder = Path(tempfile.mkdtemp())
    count = EVENTS // 2 if quick else EVENTS
    try:
        if variant.startswith("Client"):
            return _client(folder / "a.db", count, redact="False" not in variant)
        return _rows(folder / "a.db", count, by_hand=variant == "by hand")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _client(path: Path, count: int, redact: bool) -> dict[str, float]:
    from llmobs import Client

    with Client(sink=f"sqlite:///{path}", redact_pii=redact) as client:
        for args, kwargs in calls(WARM):
            client.log_prompt_call(*args, **kwargs)
        client.flush(60)
        work = calls(count)
        begin, cpu = time.perf_counter(), time.process_time()
        for args, kwargs in work:
            client.log_prompt_call(*args, **kwargs)
        report = client.flush(60)
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        assert report.pending == 0 and client.statistics().delivered == WARM + count, report
    return {"rate": count / seconds, "cpu": cpu / count * 10_000}


def _rows(path: Path, count: int, by_hand: bool) -> dict[str, float]:
    """Only the writing, of rows or events made before: in transactions of 512, as the client does."""
    from llmobs import AsyncClient
    from llmobs.capture.tracker import Tracker
    from llmobs.codec import encode
    from llmobs.pipeline.intake import Entry
    from llmobs.store import insert, pieces
    from llmobs.store.writer import Writer

    client = AsyncClient(sink="memory:")
    taken: list[Entry] = []

    class Keep:
        enabled = True

        def record(self, event, run, size, failed, complete=None):  # type: ignore[no-untyped-def]
            taken.append(Entry(event, size, run))

    for (run_id, *args), kwargs in calls(WARM + count):
        Tracker(Keep(), run_id).log_prompt_call(*args, **kwargs)
    for entry in taken:
        client._pipeline.stages.pass_now(entry)
    events = [entry.event for entry in taken]
    batches = [events[at : at + 512] for at in range(0, len(events), 512)]
    writer = Writer(path)
    if not by_hand:
        bodies = {id(event): encode(event) for event in events}
        pieces.encode = lambda event: bodies[id(event)]
        begin, cpu = time.perf_counter(), time.process_time()
        for batch in batches:
            writer.write(batch)
    else:
        made, first = [], 1
        for batch in batches:
            new = insert.prepared(batch, first, -(2**63))
            runs: dict[str, Any] = {}
            for one in new:
                run = runs.setdefault(one.row.run_id, insert._Run(one.row))
                run.add(one, True)
            texts = [(one.row.id, encode(one.event).decode()) for one in new]
            made.append(([one.row for one in new], texts, [run.bound() for run in runs.values()]))
            first += len(batch)
        rows = f"{insert._INSERT} {insert._PLACES} {insert._UNLESS_THERE}"
        sums = (
            f"INSERT INTO runs ({', '.join(insert._RUN)}) VALUES {insert._RUN_PLACES}"
            f" ON CONFLICT (run_id) DO UPDATE SET {insert._UPSERT}"
        )
        connection = writer._connection
        assert connection is not None
        begin, cpu = time.perf_counter(), time.process_time()
        for some, texts, runs_of_batch in made:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(rows, some)
            connection.executemany("INSERT INTO bodies VALUES (?, ?)", texts)
            connection.executemany(sums, runs_of_batch)
            connection.execute("COMMIT")
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return {"rate": len(events) / seconds, "cpu": cpu / len(events) * 10_000}


def run(quick: bool) -> Result:
    """End to end, beside the writing alone."""
    found = interleave("store", VARIANTS, rounds=3 if quick else 7, quick=quick)
    rate = found.median("Client", "rate") or 0
    return Result(
        TITLE,
        ("variant", "events/s", "share of by hand", "CPU s per 10,000"),
        [
            (v, found.median(v, "rate"), found.ratio(v, "by hand", "rate"), found.median(v, "cpu"))
            for v in found.variants
        ],
        [Budget("end to end", rate, 20_000, "events/s", at_least=True)],
        "By hand: executemany of rows, bodies and runs made beforehand, in transactions of 512, into "
        "the same tables, without hourly sums. Writer: the store's own writer with events prepared "
        "and encoded beforehand. "
        "Client: from the first log_prompt_call to the end of flush, redaction included; the "
        "caller's own time is part of it.",
    )
