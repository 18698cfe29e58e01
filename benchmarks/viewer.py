"""
How long pages and searches take at 1,000 to 1,000,000 events, and what indexing costs who stores.

The stores are made once (`benchmarks.million`) and kept under the directory for temporary files.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import Budget, Result, console, quantile
from benchmarks.million import COMMON, LONG_RUN, RARE, events_of, fill
from llmobs.codec import NATIVE_TYPE

TITLE = "Pages and search, ms"
SIZES = (1_000, 100_000, 1_000_000)
FOLDER = Path(tempfile.gettempdir()) / "llmobs-benchmarks"
RATE = 500
"""Events a second, of which indexing must keep pace."""
BATCH = 50

Ask = tuple[str, str, dict[str, str], dict[str, str]]
"""What it is called, the path of the page, the query, the names in the path."""


def _pages(size: int) -> list[Ask]:
    run = f"run-{size // 10:09d}"
    asked: list[Ask] = [
        ("overview of a day", "/", {}, {}),
        ("overview of 30 days", "/", {"period": "30d"}, {}),
        ("overview of all", "/", {"period": "all"}, {}),
        ("runs", "/runs", {}, {}),
        ("runs of a user", "/runs", {"user": "user-7"}, {}),
        ("runs of a session", "/runs", {"session": "session-77"}, {}),
        ("runs of a model", "/runs", {"model": "mistral-large-3"}, {}),
        ("runs that failed", "/runs", {"status": "failed"}, {}),
        ("runs of a route", "/runs", {"name": "reports"}, {}),
        ("runs of a tag that is everywhere", "/runs", {"tag": "prod"}, {}),
        ("runs of a tag that is nowhere", "/runs", {"tag": "none"}, {}),
        ("runs of a project", "/runs", {"project": "lab"}, {}),
        ("runs that took long", "/runs", {"latency": "30000"}, {}),
        ("runs that cost too much", "/runs", {"cost": "1000"}, {}),
        ("a run", "/runs/{run_id}", {}, {"run_id": run}),
        ("an event", "/events/{event_id}", {}, {"event_id": f"{run}-0"}),
        ("errors", "/errors", {}, {}),
        ("errors of 30 days", "/errors", {"period": "30d"}, {}),
        ("users", "/users", {}, {}),
        ("users of a day", "/users", {"period": "24h"}, {}),
        ("sessions", "/sessions", {}, {}),
        ("sessions of a day", "/sessions", {"period": "24h"}, {}),
    ]
    if size >= 100_000:
        asked.append(("a run of 10,000 events", "/runs/{run_id}", {}, {"run_id": LONG_RUN}))
    return asked


SEARCHES: Sequence[tuple[str, dict[str, str]]] = (
    ("a word in every call", {"text": COMMON}),
    ("three common words", {"text": f"{COMMON} refund order"}),
    ("a common phrase", {"text": '"of the"'}),
    ("a rare word", {"text": RARE}),
    ("a word of one run", {"text": "marker77"}),
    ("a word that is nowhere", {"text": "nowhereatall"}),
    ("two characters of Chinese", {"text": chr(0x4E00) + chr(0x4E01)}),
    ("words that many runs share", {"text": '"assistant 3 of the shop"'}),
    ("a common word of a user", {"text": COMMON, "user": "user-7"}),
    ("a common word of a small project", {"text": COMMON, "project": "lab"}),
)


def store_of(size: int) -> Path:
    """Return a store of so many events, indexed."""
    from llmobs.store.engine import open_reader

    FOLDER.mkdir(mode=0o700, exist_ok=True)
    path = FOLDER / f"{size}.db"
    with console().status(f"viewer: a store of {size:,} events"):
        fill(path, size)
        with open_reader(path) as reader:
            while reader.index_texts(10).events:
                pass
    return path


def _measured(ask: Callable[[], Any], rounds: int) -> tuple[float, float]:
    ask()
    times = []
    until = time.monotonic() + 10
    while len(times) < rounds and (len(times) < 3 or time.monotonic() < until):
        begun = time.perf_counter()
        ask()
        times.append((time.perf_counter() - begun) * 1000)
    return median(times), quantile(times, 0.95)


def _asks(path: Path, size: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    from llmobs.store.engine import open_reader
    from llmobs.viewer.page import Site
    from llmobs.viewer.pages import PAGES, draw

    by_path = {page.path: page for page in PAGES}
    asked = [(f"search: {name}", "/search", query, {}) for name, query in SEARCHES]
    for name, where, query, names in [*_pages(size), *asked]:
        ask = partial(
            draw,
            by_path[where],
            partial(open_reader, path),
            query,
            Site(),
            project=None,
            names=names,
        )
        page = ask()
        assert page.status == 200, (name, page.status, page.html[:500])
        yield name, ask


_TIMED = """
import atexit, sys, time, anyio
from llmobs.cli.app import run
from llmobs.server import texts
from llmobs.store.writer import Writer
spent, write = [0.0], Writer.write
def timed(*args, **more):
    began = time.thread_time()
    try:
        return write(*args, **more)
    finally:
        spent[0] += time.thread_time() - began
Writer.write = timed
atexit.register(lambda: print("writer took", spent[0], file=sys.stderr))
"""
"""Adds up the processor's time of who writes: unlike how long answers take, it hardly depends on who else is there."""


@contextmanager
def _serving(path: Path, *, indexing: bool) -> Iterator[tuple[str, list[float]]]:
    """Run ``llmobs serve`` on a store; yield its address, and what it then took to write, in seconds, at its end."""
    code = _TIMED
    if not indexing:
        code += "texts.Indexing.run = lambda self: anyio.sleep_forever()\n"
    process = subprocess.Popen(
        [sys.executable, "-c", code + "run()", "serve", "--store", str(path), "--port", "0", "--access-log", "off"],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "LLMOBS_REDACT_PII": "false"},
    )  # fmt: skip
    took: list[float] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "listening on " in line:
                yield line.partition("listening on ")[2].split(",")[0].split(" ")[0], took
                break
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        took += [float(line.split()[-1]) for line in said.splitlines() if "writer took" in line]


def _post(address: str, body: bytes) -> None:
    request = urllib.request.Request(
        f"{address}/v1/events/batch", body, {"content-type": NATIVE_TYPE}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read()[:500].decode()) from error


def waiting(address: str) -> int:
    with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("llmobs_texts_waiting "):
                return int(float(line.split()[1]))
    return 0


def _bodies(first: int, events: int) -> list[bytes]:
    from llmobs.codec import encode

    now = datetime.now(UTC)
    made = [
        event for number in range(first, first + events // 5) for event in events_of(number, now)
    ]
    return [encode({"events": made[at : at + BATCH]}) for at in range(0, len(made), BATCH)]


def ingest(source: Path, *, indexing: bool, seconds: float) -> dict[str, float]:
    """Store 500 events a second for some seconds: how long answers took, and how far the index was behind."""
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "x.db"
        for ending in ("", "-text"):
            shutil.copy2(source.with_name(f"{source.name}{ending}"), f"{path}{ending}")
        bodies = _bodies(10_000_000, int(RATE * seconds))
        with _serving(path, indexing=indexing) as (address, writing):
            _post(address, bodies.pop())
            took: list[float] = []
            behind: list[int] = []
            over = threading.Event()

            def watch() -> None:
                while not over.wait(0.25):
                    behind.append(waiting(address))

            watching = threading.Thread(target=watch)
            watching.start()
            due = time.monotonic()
            for body in bodies:
                time.sleep(max(due - time.monotonic(), 0))
                begun = time.perf_counter()
                _post(address, body)
                took.append((time.perf_counter() - begun) * 1000)
                due += BATCH / RATE
            over.set()
            watching.join()
            begun = time.monotonic()
            while indexing and waiting(address) and time.monotonic() - begun < 60:
                time.sleep(0.05)
            caught_up = time.monotonic() - begun
            full = _bodies(20_000_000, int(4 * RATE * seconds))
            begun = time.monotonic()
            for body in full:
                _post(address, body)
            rate = len(full) * BATCH / (time.monotonic() - begun)
            left = waiting(address) if indexing else 0
            begun = time.monotonic()
            while indexing and waiting(address) and time.monotonic() - begun < 120:
                time.sleep(0.1)
        return {
            "p50": median(took), "p95": quantile(took, 0.95), "lag s": max(behind, default=0) / RATE,
            "caught up s": caught_up, "full rate": rate, "full behind": left,
            "full caught up s": time.monotonic() - begun, "writer s": sum(writing),
        }  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(quick: bool) -> Result:
    """Every page and search at each size; then ingest with and without an index."""
    sizes = SIZES[:2] if quick else SIZES
    rounds = 5 if quick else 40
    figures: dict[str, list[float | None]] = {}
    for place, size in enumerate(sizes):
        asks = list(_asks(store_of(size), size))
        gc.freeze()  # as `llmobs serve` does, once pages are loaded
        for name, ask in asks:
            row = figures.setdefault(name, [None] * (2 * len(sizes)))
            row[2 * place], row[2 * place + 1] = _measured(ask, rounds)
    pages = max((row[-1] or 0, name) for name, row in figures.items() if "search" not in name)
    found = max((row[-1] or 0, name) for name, row in figures.items() if "search" in name)
    seconds = 4.0 if quick else 10.0
    slow: list[float] = []
    with_index: dict[str, float] = {}
    for _ in range(1 if quick else 3):
        without = ingest(store_of(SIZES[0]), indexing=False, seconds=seconds)
        with_index = ingest(store_of(SIZES[0]), indexing=True, seconds=seconds)
        slow.append(with_index["writer s"] / without["writer s"])
    return Result(
        TITLE,
        ("page", *(f"{what} of {size:,}" for size in sizes for what in ("p50", "p95"))),
        [(name, *row) for name, row in figures.items()],
        [
            Budget(f"slowest page ({pages[1]})", pages[0], 100, "ms"),
            Budget(f"slowest search ({found[1]})", found[0], 50, "ms"),
            Budget(f"index behind at {RATE} events/s", with_index["lag s"], 2, "s"),
            Budget(
                "processor time of who writes, beside without an index", median(slow), 1.1, "times"
            ),
        ],
        "Each page is made from the store's file as a door makes it, with a connection of its own, in this "
        "process, without HTTP. At full ingest: "
        f"{with_index['full rate']:,.0f} events/s, {with_index['full behind']:,.0f} events behind at its end, "
        f"caught up {with_index['full caught up s']:.1f} s later.",
    )


if __name__ == "__main__":
    print(
        json.dumps(
            {str(on): ingest(store_of(1_000), indexing=on, seconds=5) for on in (False, True)}
        )
    )
