"""Events per second into SQLite: captured, prepared (redaction included), written, confirmed."""

from __future__ import annotations

import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import Budget, Result, interleave
from benchmarks.workload import calls

TITLE = "Ingest into SQLite, one process, events/s"
COST = "cost and percentiles of 1,000,000 calls"
OLDER = "a store of an older llmobs: the longest step"
VARIANTS = ("by hand", "writer", "Client", "Client, redact_pii=False", COST, OLDER)
EVENTS = 10_000
WARM = 2_000
HOURS = 720


def sample(variant: str, quick: bool) -> dict[str, float]:
    """Events per second of wall time, and CPU seconds per 10,000."""
    folder = Path(tempfile.mkdtemp())
    count = EVENTS // 2 if quick else EVENTS
    try:
        if variant == COST:
            return _cost(folder / "a.db", 100_000 if quick else 1_000_000)
        if variant == OLDER:
            return _older(folder / "a.db", 1_000 if quick else 10_000)
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
    from msgspec.structs import astuple

    from llmobs import AsyncClient
    from llmobs.capture.tracker import Tracker
    from llmobs.codec import encode
    from llmobs.pipeline.intake import Entry
    from llmobs.store import filed, insert, pieces
    from llmobs.store.rows import row_of
    from llmobs.store.statements import placeholders
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
            new = [filed.note(row_of(event, 0, 0), event) for event in batch]
            filed.number(new, first, -(2**63))
            runs: dict[str, Any] = {}
            for one in new:
                run = runs.setdefault(one.row.run_id, insert.RunRow(one.row))
                run.add(one, True)
            texts = [
                (one.row.id, encode(event).decode()) for one, event in zip(new, batch, strict=True)
            ]
            made.append(
                ([astuple(one.row) for one in new], texts, [run.bound() for run in runs.values()])
            )
            first += len(batch)
        rows = f"{insert._INSERT} {insert._PLACEHOLDERS} {insert._UNLESS_THERE}"
        sums = (
            f"INSERT INTO runs ({', '.join(insert._RUN)}) VALUES {placeholders(insert._RUN)}"
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


def _cost(path: Path, count: int) -> dict[str, float]:
    """Milliseconds to add up the calls of a month by model, of 4 models, 12 routes, 4 releases."""
    import random
    import sqlite3

    from llmobs.events import PromptCallEvent
    from llmobs.store.booking import MICROSECONDS_PER_HOUR, Booking
    from llmobs.store.reader import Reader
    from llmobs.store.rows import row_of
    from llmobs.store.writer import Writer

    rng = random.Random(1)
    Writer(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    event = PromptCallEvent(event_id="", run_id="", timestamp=datetime(2026, 11, 1, tzinfo=UTC))
    event.tokens_input, event.tokens_output, event.cost_usd = 512, 256, 0.00123
    rows = []
    for number in range(count // HOURS):
        event.model = f"model-{number % 4}"
        event.latency_ms = rng.lognormvariate(7, 1)
        event.time_to_first_token_ms = rng.lognormvariate(5, 0.7)
        rows.append((row_of(event, 0, 0), f"POST /{rng.randrange(12)}"))
    for hour in range(HOURS):  # the sums alone: nothing else is read
        booking = Booking()
        for row, route in rows:
            row.release = f"v{hour // 180}"
            row.timestamp += MICROSECONDS_PER_HOUR
            booking.add(row, route)
        booking.save(connection)
    connection.execute("COMMIT")
    connection.close()
    with Reader(path) as reader:
        reader.cost("model")  # as for somebody who looks again
        begin, cpu = time.perf_counter(), time.process_time()
        groups = reader.cost("model")
        took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    assert sum(group.calls for group in groups) == count // HOURS * HOURS
    return {"ms": took * 1000, "cpu ms": cpu * 1000}


def _older(path: Path, count: int) -> dict[str, float]:
    """Milliseconds of opening it, and of the longest step in which it gets this version's form."""
    import sqlite3

    from llmobs.codec import encode
    from llmobs.events import PromptCallEvent
    from llmobs.store import schema
    from llmobs.store.writer import Writer

    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    for script in schema._MIGRATIONS[:2]:
        connection.executescript(script)
    connection.execute("PRAGMA user_version = 2")
    connection.execute("BEGIN")
    now = datetime(2026, 11, 1, tzinfo=UTC)
    for number, ((run_id, prompt, model, answer, *_), _) in enumerate(calls(count)):
        event = PromptCallEvent(
            event_id=str(number), run_id=run_id, timestamp=now, prompt=prompt, model=model,
            response=answer,
        )  # fmt: skip
        connection.execute(
            "INSERT INTO events (event_id, run_id, event_type, timestamp, name, failed, body)"
            " VALUES (?, ?, 'prompt_call', ?, ?, 0, ?)",
            (
                event.event_id,
                run_id,
                int(now.timestamp()) * 1_000_000,
                model,
                encode(event).decode(),
            ),
        )
    connection.execute("COMMIT")
    connection.close()
    path.chmod(0o600)
    begin = time.perf_counter()
    writer = Writer(path)
    opened = time.perf_counter() - begin
    steps, cpus, more = [], [], True
    while more:
        begin, cpu = time.perf_counter(), time.process_time()
        more = writer.adopt()
        steps.append(time.perf_counter() - begin)
        cpus.append(time.process_time() - cpu)
    writer.close()
    return {
        "ms": max(steps) * 1000,
        "cpu ms": max(cpus) * 1000,
        "open ms": opened * 1000,
        "cpu": sum(cpus) / count * 10_000,
        "rate": count / sum(steps),
    }


def run(quick: bool) -> Result:
    """End to end, beside the writing alone; adding up, and bringing an older store into form."""
    found = interleave("store", VARIANTS, rounds=3 if quick else 7, quick=quick)
    rate = found.median("Client", "rate") or 0
    return Result(
        TITLE,
        ("variant", "events/s", "share of by hand", "CPU s per 10,000", "ms", "CPU ms"),
        [
            (
                v,
                found.median(v, "rate"),
                None if v in (COST, OLDER) else found.ratio(v, "by hand", "rate"),
                *(found.median(v, metric) for metric in ("cpu", "ms", "cpu ms")),
            )
            for v in found.variants
        ],
        [
            Budget("end to end", rate, 20_000, "events/s", at_least=True),
            Budget(
                "writer: CPU beside by hand",
                found.ratio("writer", "by hand", "cpu") or 0,
                1.3,
                "times",
            ),
            Budget("cost", found.median(COST, "ms") or 0, 150, "ms"),
            Budget("opening an older store", found.median(OLDER, "open ms") or 0, 1000, "ms"),
            Budget("a step of adoption", found.median(OLDER, "ms") or 0, 50, "ms"),
        ],
        "By hand: executemany of rows, bodies and runs made beforehand, in transactions of 512, into "
        "the same tables, without hourly sums. Writer: the store's own writer with events prepared "
        "and encoded beforehand. "
        "Client: from the first log_prompt_call to the end of flush, redaction included; the "
        "caller's own time is part of it. Cost: of a month, from the sums. An older store: of 10,000 "
        "calls, its steps beside the longest one.",
    )
