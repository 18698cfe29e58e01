"""Spans in any order, any number of requests, some twice: the store holds what one request would have made."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmobs.events import AgentStepEvent, Event, PromptCallEvent, RunEvent, Status
from llmobs.store.assembly import LATE_SECONDS, QUIET_SECONDS
from llmobs.store.engine import open_reader
from llmobs.store.filed import file
from llmobs.store.records import RunFilter, RunSummary
from llmobs.store.spans import Link, What, event_id_of, run_event_id_of
from llmobs.store.writer import Writer

runs = count(1)
START = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Spec(NamedTuple):
    """A span, or what a log record tells of one."""

    number: int
    parent: int = 0
    what: What = What.NOTHING
    failed: bool = False
    rank: int = 0
    about: int = 0
    """Of log records: which span."""

    @property
    def span_id(self) -> str:
        return f"{self.about or self.number:016x}"


def link_of(run: str, spec: Spec) -> Link:
    is_log = spec.what in (What.MORE, What.WHOLE)
    return Link(
        run_id=run,
        span_id=spec.span_id,
        parent_id=f"{spec.parent:016x}" if spec.parent and not is_log else "",
        what=spec.what,
        event_id=f"{run}-{spec.number}" if is_log else event_id_of(run, spec.span_id),
        rank=spec.rank,
        failed=spec.failed,
        started=spec.number * 1000,
    )


def events_of(run: str, spec: Spec) -> list[Event]:
    common: dict[str, Any] = {
        "event_id": link_of(run, spec).event_id,
        "run_id": run,
        "timestamp": START + timedelta(seconds=spec.number),
        "span_id": spec.span_id,
        "trace_id": run,
        "latency_ms": 1000.0 - spec.number,
        "session_id": f"session {spec.number % 3}" if spec.number % 4 else None,
        "service_name": f"service {spec.number % 2}",
    }
    found: list[Event] = []
    if spec.what == What.CONTAINER:
        found.append(AgentStepEvent(step_name=f"step {spec.number}", **common))
    elif spec.what != What.NOTHING:
        found.append(
            PromptCallEvent(
                model=run,
                prompt=[
                    {"role": "user", "parts": [{"type": "text", "content": f"{spec.number}" * 300}]}
                ],
                tokens_input=None if spec.what == What.MORE else spec.number,
                tokens_output=3 if spec.number % 2 and spec.what == What.CALL else None,
                cost_usd=spec.number / 8 if spec.number % 3 and spec.what != What.MORE else None,
                status=Status.ERROR if spec.failed else Status.SUCCESS,
                **common,
            )
        )
    if spec.rank:
        common["event_id"] = run_event_id_of(run, spec.span_id)
        found.append(RunEvent(name=f"run {spec.number}", http_status=200 + spec.number, **common))
    return found


class Store:
    """A store that stays open for all examples, each with a run and a model of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = Writer(path)

    def holds(
        self, run: str, requests: Sequence[Sequence[Spec]], *, are_filed: bool = False
    ) -> Any:
        """Return everything that can be seen of a run that came in *requests*."""
        for request in requests:
            events = [event for spec in request for event in events_of(run, spec)]
            self.writer.write(
                [file(event, self.writer.salt) for event in events] if are_filed else events,
                links=[link_of(run, spec) for spec in request],
            )
        with open_reader(self.path) as reader:
            if not reader.count_runs(RunFilter(run_id=run)):
                return None
            found = reader.run(run)
            costs = [group for group in reader.cost("model") if group.key == run]
            return found.summary, sorted(found.events, key=lambda event: event.event_id), costs


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Store]]:
    here = tmp_path_factory.mktemp("stores")
    pair = Store(here / "many.db"), Store(here / "one.db")
    yield pair
    for store in pair:
        store.writer.close()


def specs(draw: st.DrawFn) -> list[Spec]:
    count = draw(st.integers(1, 9))
    found = []
    for number in range(1, count + 1):
        parent = draw(st.integers(0, number - 1)) if number > 1 else draw(st.sampled_from([0, 99]))
        what = draw(st.sampled_from([What.NOTHING, What.CALL, What.CALL, What.CONTAINER]))
        rank = 3 if parent == 0 else draw(st.sampled_from([0, 0, 1, 2]))
        found.append(
            Spec(number, parent, what, draw(st.integers(0, 4)) == 0 and what == What.CALL, rank)
        )
    for number in range(20, 20 + draw(st.integers(0, 3))):
        what = draw(st.sampled_from([What.MORE, What.WHOLE]))
        found.append(Spec(number, what=what, about=draw(st.integers(1, count + 1))))
    return found


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[Spec], list[list[Spec]]]:
    spans = specs(draw)
    twice = draw(st.lists(st.sampled_from(spans), max_size=4))
    order = draw(st.permutations([*spans, *twice]))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(order) - 1)), max_size=len(order))))
    requests = [list(order[a:b]) for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    return spans, requests


def in_turn(*requests: list[Spec]) -> tuple[list[Spec], list[list[Spec]]]:
    """Return what was found once, as `arrivals` do."""
    return sorted({spec for request in requests for spec in request}), list(requests)


@pytest.mark.parametrize("are_filed", [False, True])
@given(arrival=arrivals())
@example(  # what is taken out had said whose session it is
    arrival=in_turn([Spec(1, 99, What.CALL), Spec(2, 1, What.CALL, rank=2)], [Spec(4, rank=3)])
)
@example(  # a log record told of a call where there was to be a step
    arrival=in_turn(
        [Spec(1, rank=3), Spec(2, 1), Spec(22, what=What.WHOLE, about=3)],
        [Spec(3, 2, What.CONTAINER)],
        [Spec(20, what=What.WHOLE, about=1)],
    )
)
@settings(max_examples=60, deadline=None)
def test_order_splits_and_duplicates_change_nothing(
    stores: tuple[Store, Store], are_filed: bool, arrival: tuple[list[Spec], list[list[Spec]]]
) -> None:
    spans, requests = arrival
    many, one = stores
    run = f"{next(runs):032x}"
    assert many.holds(run, requests, are_filed=are_filed) == one.holds(run, [spans])


def test_a_deep_trace_is_looked_at_once(stores: tuple[Store, Store]) -> None:
    store = stores[0]
    connection = store.writer._connection
    assert connection is not None
    work = {}
    for size in (200, 800):
        run, steps = f"{next(runs):032x}", [0]
        chain = [Spec(number, number - 1) for number in range(1, size + 1)]

        def count(steps: list[int] = steps) -> int:
            steps[0] += 1
            return 0

        send(store, run, *chain[size // 2 :])
        connection.set_progress_handler(count, 100)
        send(store, run, *chain[: size // 2])
        connection.set_progress_handler(None, 0)
        work[size] = steps[0]
    assert work[800] < 8 * work[200]  # each span looked at from each would be sixteen times


# What never comes.


def send(store: Store, run: str, *specs: Spec) -> None:
    events = [event for spec in specs for event in events_of(run, spec)]
    store.writer.write(events, links=[link_of(run, spec) for spec in specs])


def summary(store: Store, run: str) -> RunSummary | None:
    with open_reader(store.path) as reader:
        found = reader.runs(1, where=RunFilter(run_id=run))
    return found[0] if found else None


def rows(store: Store, run: str) -> int:
    with closing(sqlite3.connect(store.path)) as connection:
        for table in ("spans", "parts"):
            query = f"SELECT count(*) FROM {table} WHERE trace NOT IN (SELECT id FROM traces)"
            assert connection.execute(query).fetchone() == (0,)
        counted = 0
        for source in (
            "traces", "spans JOIN traces ON id = trace", "parts JOIN traces t ON t.id = trace", "events", "runs"
        ):  # fmt: skip
            query = f"SELECT count(*) FROM {source} WHERE run_id = ?"
            counted += connection.execute(query, (run,)).fetchone()[0]
        return counted


def pass_by(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = time.time
    monkeypatch.setattr("llmobs.store.assembly.time.time", lambda: real() + seconds)


def test_a_run_whose_own_span_never_comes_ends(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run = stores[0], f"{next(runs):032x}"
    send(store, run, Spec(2, 1, What.CALL, rank=1))
    pass_by(monkeypatch, QUIET_SECONDS - 10)
    store.writer.look_after_spans()
    found = summary(store, run)
    assert found is not None
    assert (found.outcome, found.name) == ("cut off", None)  # its span is old
    pass_by(monkeypatch, QUIET_SECONDS + 10)
    store.writer.look_after_spans()
    found = summary(store, run)
    assert found is not None
    assert (found.outcome, found.name) == ("success", "run 2")
    send(store, run, Spec(1, rank=3))  # it does come
    found = summary(store, run)
    assert found is not None
    assert found.name == "run 1"


def test_spans_that_nothing_comes_of_are_forgotten(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, run = stores[0], f"{next(runs):032x}"
    send(store, run, Spec(1, rank=3), Spec(20, what=What.MORE, about=2))
    assert summary(store, run) is None
    assert rows(store, run) > 0
    pass_by(monkeypatch, LATE_SECONDS + 10)
    for _ in range(5):  # a hundred traces each time, and other tests left some
        store.writer.look_after_spans()
    assert rows(store, run) == 0
    assert "log records with messages are not kept" in caplog.text


def test_a_run_that_is_erased_leaves_no_spans(stores: tuple[Store, Store]) -> None:
    store, run = stores[0], f"{next(runs):032x}"
    send(store, run, Spec(1, rank=3), Spec(2, 1, What.CALL), Spec(3, 2, What.CALL))
    assert rows(store, run) > 0
    store.writer.remove(run)
    assert rows(store, run) == 0


def test_what_is_rewritten_keeps_its_place_and_not_its_parts(stores: tuple[Store, Store]) -> None:
    store, run = stores[0], f"{next(runs):032x}"
    send(store, run, Spec(1, rank=3), Spec(3, 2, What.CALL), Spec(4, 3, What.CALL))

    def change(event: Event) -> Event:
        if isinstance(event, PromptCallEvent):
            event.prompt = "[redacted]"
        return event

    assert store.writer.rewrite(run, change) == (1, 0, 0)
    send(store, run, Spec(2, 1, What.CONTAINER), Spec(3, 2, What.CALL))
    with open_reader(store.path) as reader:
        events = reader.run(run).events
    (call,) = (event for event in events if isinstance(event, PromptCallEvent))
    assert call.prompt == "[redacted]"
    assert call.parent_id == event_id_of(run, Spec(2).span_id)
