"""
How long what pages show takes over HTTP: ours, and the two viewers that pip can install.

Theirs are applications in the browser, which draw what they ask for; ours is asked for the page. What
theirs ask for is noted once, in a real browser, and asked again here. Stores are made once and kept:
the first full run takes a quarter of an hour, of which five minutes are theirs storing what is looked at.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.harness import Budget, NotMeasuredError, Result, Samples, console
from benchmarks.million import EVENTS_OF_A_RUN, events_of, long_run
from benchmarks.serve.load import Sent
from benchmarks.serve.measure import OURS, post, until_stored
from benchmarks.serve.targets import TARGETS, Running, Target, running
from benchmarks.viewer import FOLDER, store_of, waiting
from llmobs.events import Event, PromptCallEvent
from llmobs.sinks._otlp_protobuf import TraceRequest
from llmobs.sinks._otlp_records import span_ids
from tests.support.browser import chromium

TITLE = "What a page shows, over HTTP, ms"
SIZES = (1_000, 10_000, 100_000, 1_000_000)
"""Events, beside the long run's."""
MOST_SENT = 10_000
"""Events of the largest store that is sent to ours, too: it can be made directly."""
LOADED = {"phoenix": 50.0, "mlflow": 110.0}
"""Spans that they stored in a second, here."""
PATIENCE = 300.0
"""Seconds: they are left out where bringing a store from one size to the next would take longer."""
SPANS = 100
"""In a request."""
FOUND = 77
"""Number of the run that is looked at, and found by its word."""
WORD = f"marker{FOUND}"
ROUNDS = {True: 3, False: 7}
ENOUGH = 20.0
"""Seconds that a page of a viewer is asked for: no other round then."""
PAINTS = 9
PAINT = """new Promise(resolve => new PerformanceObserver((list, it) => {
    for (const one of list.getEntries()) if (one.name === "first-contentful-paint") {
        it.disconnect(); resolve(one.startTime);
    }
}).observe({type: "paint", buffered: true}))"""
EMPTY = "data:text/html,<p>nothing"
BROWSER_MS = 120_000
"""Until an application in the browser has asked for all that is waited for."""
NOTES = (
    "Each is asked in turns over a connection of its own for what brings the page's main part: ours for the page, "
    "theirs for what their own pages ask for in a browser (noted there, all else they ask for left out), one after "
    "the other, not drawn. Medians; CPU is that of the server's processes, on average. KB is what comes, not "
    "compressed. Of a run of 10,000 events our page has the first 100 and leads to the others, Phoenix's the first "
    "1,000, and no more; MLflow's has all, beside which ours is asked for all over the JSON API, 500 at a time. Beside "
    "the events each store has one run of 10,000. Up to 10,000 events all were sent to each as the same OTLP; larger "
    "stores are ours alone, made by benchmarks.million of the same events. First paint: of the page of the run of "
    "10,000 events out of our largest store, in a tab of a Chromium that shows the list of runs, median. "
    f"Versions: {', '.join(target.pins[0] for name, target in TARGETS.items() if name != OURS)}."
)

_MLFLOW = TARGETS["mlflow"]
VIEWERS = {
    **TARGETS,
    # Several are killed on a busy machine: they have five seconds to say that they have started.
    "mlflow": replace(_MLFLOW, command=lambda *how: [*_MLFLOW.command(*how), "--workers", "1"]),
}


Ask = Callable[[HTTPConnection], bytes]
"""Asks for all that a page shows, and returns what came."""


@dataclass(frozen=True)
class Page:
    """A page of an application in the browser."""

    path: str
    asks: Sequence[str]
    """What stands in the requests that bring what it shows; all others are left out."""
    narrow: Callable[[Any], None] = lambda body: None
    """Changes what is asked into a search."""

    def body(self, said: str) -> bytes | None:
        """Return what to send for the body that the page sent, if it sent one."""
        if not said:
            return None
        self.narrow(found := json.loads(said))
        return json.dumps(found).encode()


def _filter_spans(body: Any) -> None:
    body["variables"]["filterCondition"] = f"'{WORD}' in attributes['gen_ai']['input']['messages']"


def _filter_traces(body: Any) -> None:
    body["filter"] += f" AND trace.text ILIKE '%{WORD}%'"


LIST, FEW, MANY, ALL, SEARCH = (
    "list of runs", "run of 5 events", "run of 10,000 events", "all of these", "word of one run",
)  # fmt: skip
_PHOENIX = "/projects/UHJvamVjdDox"
"""Its first project."""
_MLFLOW_LIST = "/#/experiments/0/traces"
_OF_A_RUN = ("/traces/tr-", "/get-trace-artifact")
PAGES: Mapping[str, Mapping[str, Page]] = {
    "phoenix": {
        LIST: Page(f"{_PHOENIX}/traces", ["query ProjectPageQueriesTracesQuery"]),
        FEW: Page(f"{_PHOENIX}/traces/{{few}}", ["query TraceDetailsQuery"]),
        MANY: Page(f"{_PHOENIX}/traces/{{many}}", ["query TraceDetailsQuery"]),
        SEARCH: Page(f"{_PHOENIX}/spans", ["query ProjectPageQueriesSpansQuery"], _filter_spans),
    },
    "mlflow": {
        LIST: Page(_MLFLOW_LIST, ["/traces/search"]),
        FEW: Page(f"{_MLFLOW_LIST}?selectedEvaluationId=tr-{{few}}", _OF_A_RUN),
        ALL: Page(f"{_MLFLOW_LIST}?selectedEvaluationId=tr-{{many}}", _OF_A_RUN),
        SEARCH: Page(_MLFLOW_LIST, ["/traces/search"], _filter_traces),
    },
}


def events(before: int, size: int) -> Iterator[Event]:
    """Yield what a store of *before* events lacks to *size*: runs of five, the latest first; at first the long one."""
    ended = datetime.now(UTC) - timedelta(hours=1)
    if not before:
        yield from long_run(ended)
    for number in range(before // EVENTS_OF_A_RUN, size // EVENTS_OF_A_RUN):
        yield from events_of(number, ended - timedelta(seconds=90) * number)


def too_long(name: str, size: int) -> float:
    """Return how many seconds one of theirs would take to this size from the one before; 0 where that is bearable."""
    seconds = (size - _before(size)) / LOADED[name] if name in LOADED else 0.0
    return seconds if seconds > PATIENCE else 0.0


def _before(size: int) -> int:
    """Return the size that a store had before it came to *size*."""
    return max((each for each in SIZES if each < size), default=0)


def fill(target: Target, size: int) -> Path:
    """Return a directory of *target* with so many events in its store: made once."""
    home = FOLDER / f"{target.name}-{size}"
    if (home / "filled").exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    if before := _before(size):
        shutil.copytree(fill(target, before), home)
        (home / "filled").unlink()
    bodies, spans, calls = [], 0, 0
    request = TraceRequest()
    for event in events(before, size):
        request.add(event)
        spans += 1
        calls += isinstance(event, PromptCallEvent)
        if spans % SPANS == 0:
            bodies.append(request.to_bytes())
            request = TraceRequest()
    there = target.stored(home) if before else 0
    sent, wanted = Sent(), there + (calls if target.name == OURS else spans)
    with running(target, home) as one, console().status(f"{target.name}: {spans:,} spans"):
        post(one, bodies, sent)
        stored, _ = until_stored(one, wanted)
        while target.name == OURS and waiting(f"http://127.0.0.1:{one.port}"):
            time.sleep(0.1)
    if stored != wanted:
        raise RuntimeError(f"{target.name}: {stored} of {wanted} stored, {sent}")
    (home / "filled").touch()
    return home


def _send(connection: HTTPConnection, path: str, body: bytes | None = None) -> bytes:
    headers = {"content-type": "application/json"} if body else {}
    connection.request("POST" if body else "GET", path, body, headers)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 200 or said.startswith(b'{"errors"'):
        raise RuntimeError(f"{path}: {answer.status} {said[:500]!r}")
    return said


def _ours(names: Mapping[str, str]) -> dict[str, Ask]:
    def whole(connection: HTTPConnection) -> bytes:
        said, cursor = b"", ""
        while True:
            path = f"/api/v1/runs/{names['many']}?limit=500{cursor}"
            said += (answer := _send(connection, path))
            if (following := json.loads(answer)["next_cursor"]) is None:
                return said
            cursor = f"&cursor={following}"

    paths = {LIST: "/runs", FEW: f"/runs/{names['few']}", MANY: f"/runs/{names['many']}",
             SEARCH: f"/search?text={WORD}"}  # fmt: skip
    return {ALL: whole} | {name: partial(_send, path=path) for name, path in paths.items()}


async def _theirs(
    origin: str, pages: Mapping[str, Page], names: Mapping[str, str]
) -> dict[str, Ask]:
    """Look at the pages in a browser, and return what asks for the same."""
    found = {}
    async with chromium() as browser:
        for name, page in pages.items():
            tab = await browser.new_page()
            noted: dict[str, partial[bytes]] = {}

            def note(request: Any, page: Page = page, noted: Any = noted) -> None:
                said: str = request.post_data or ""
                for mark in page.asks:
                    if mark not in noted and (mark in request.url or mark in said):
                        path = request.url.removeprefix(origin)
                        noted[mark] = partial(_send, path=path, body=page.body(said))

            tab.on("request", note)
            await tab.goto(origin + page.path.format(**names), timeout=BROWSER_MS)
            until = time.monotonic() + BROWSER_MS / 1000
            while len(noted) < len(page.asks):
                if time.monotonic() > until:
                    raise NotMeasuredError(f"{page.path} does not ask for {page.asks}")
                await tab.wait_for_timeout(100)
            await tab.close()
            found[name] = partial(_one_after_other, asks=[*noted.values()])
    return found


async def _first_paint(before: str, address: str) -> tuple[float, float]:
    """Return the milliseconds until something of an empty page is seen, and of the page that follows *before*."""
    async with chromium() as browser:
        took: tuple[list[float], list[float]] = [], []
        for _ in range(PAINTS + 1):  # the first one starts what the others find started
            for seen, addresses in zip(took, ([EMPTY], [before, address]), strict=True):
                tab = await browser.new_page()
                for each in addresses:
                    await tab.goto(each)
                    paint = await tab.evaluate(PAINT)
                seen.append(paint)
                await tab.close()
    empty, page = took
    return median(empty[1:]), median(page[1:])


def _one_after_other(connection: HTTPConnection, asks: Sequence[Ask]) -> bytes:
    return b"".join(ask(connection) for ask in asks)


def run(quick: bool) -> Result:
    """Ask all of them for each page, in turns, at one size after the other."""
    rows: list[list[float | str | None]] = []
    sizes = SIZES[:1] if quick else SIZES
    empty = paint = 0.0
    for size in sizes:
        with ExitStack() as stack:
            started = {name: stack.enter_context(one) for name, one in _viewers(size).items()}
            rows += _rows(size, started, quick)
            if size == sizes[-1]:
                runs = f"http://127.0.0.1:{started[OURS].port}/runs"
                empty, paint = asyncio.run(_first_paint(runs, f"{runs}/{_names(size)['many']}"))
    columns = [f"{name} {what}" for name in VIEWERS for what in ("ms", "CPU ms", "KB")]
    budgets = [Budget("first paint of a run of 10,000 events", paint, 300, "ms")]
    notes = f"{NOTES} An empty page was seen after {empty:.0f} ms, in turns with it, in a new tab."
    return Result(TITLE, ["page", "events", *columns], rows, budgets, notes)


def _viewers(size: int) -> Mapping[str, AbstractContextManager[Running]]:
    """Return those that have a store of this size, or fill one in bearable time."""
    found = {}
    for name, target in VIEWERS.items():
        if name == OURS and size > MOST_SENT:
            ours = replace(target, command=partial(_serve, store_of(size)))
            found[name] = running(ours, FOLDER / "served")
        elif seconds := too_long(name, size):
            words = f"it would take {seconds / 60:,.0f} min to store what is missing"
            console().print(f"without {name} at {size:,} events: {words}")
        else:
            found[name] = running(target, fill(target, size))
    return found


def _serve(store: Path, bin: Path, home: Path, port: int) -> list[str]:
    return [
        str(bin / "llmobs"), "serve", "--store", str(store), "--port", str(port), "--access-log", "off",
    ]  # fmt: skip


def _names(size: int) -> dict[str, str]:
    """Return the ids of the runs that are looked at: over OTLP, those of traces."""
    now = datetime.now(UTC)
    firsts = {"few": next(events_of(FOUND, now)), "many": next(long_run(now))}
    return {
        name: span_ids(event).trace_id.hex() if size <= MOST_SENT else event.run_id
        for name, event in firsts.items()
    }


def _rows(
    size: int, started: Mapping[str, Running], quick: bool
) -> Iterator[list[float | str | None]]:
    names = _names(size)
    asks = {OURS: _ours(names)}
    for name in started:
        if name != OURS:
            with console().status(f"viewers: what pages of {name} ask for"):
                origin = f"http://127.0.0.1:{started[name].port}"
                try:
                    asks[name] = asyncio.run(_theirs(origin, PAGES[name], names))
                except NotMeasuredError as error:
                    console().print(f"without {name} at {size:,} events: {error}")
                    asks[name] = {}
    samples = Samples()
    for number in range(ROUNDS[quick]):
        console().print(f"viewers: {size:,} events, round {number + 1} of {ROUNDS[quick]}")
        for page in (LIST, FEW, MANY, ALL, SEARCH):
            for name, one in started.items():
                taken = samples.values.get(page, {}).get(f"{name} ms", [])
                if (ask := asks[name].get(page)) is not None and sum(taken) < ENOUGH * 1000:
                    _measure(samples, page, one, ask, names, is_first=not number)
    for page in (LIST, FEW, MANY, ALL, SEARCH):
        row: list[float | str | None] = [page, f"{size:,}"]
        for name in VIEWERS:
            figures = samples.values.get(page, {})
            if ms := figures.get(f"{name} ms"):
                row += [median(ms), mean(figures[f"{name} CPU"]), figures[f"{name} KB"][0]]
            else:
                row += [None, None, None]
        yield row


def _measure(
    samples: Samples, page: str, one: Running, ask: Ask, names: Mapping[str, str], *, is_first: bool
) -> None:
    with closing(HTTPConnection("127.0.0.1", one.port, timeout=300)) as connection:
        if is_first:
            said = ask(connection)
            if page == SEARCH and names["few"].encode() not in said:
                raise RuntimeError(f"{one.target.name} does not find {WORD}: {said[:500]!r}")
        before, began = one.cpu(), time.perf_counter()
        said = ask(connection)
        took = (time.perf_counter() - began) * 1000
        name, cpu = one.target.name, (one.cpu() - before) * 1000
    samples.add(page, {f"{name} ms": took, f"{name} CPU": cpu, f"{name} KB": len(said) / 1000})
