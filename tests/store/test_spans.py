"""Spans in any order, any number of requests, some twice: the store holds what one request would have made."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs.events import AgentStepEvent, Event, PromptCallEvent, RunEvent, Status
from llmobs.store.engine import open_reader
from llmobs.store.records import RunFilter
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
    }
    found: list[Event] = []
    if spec.what == What.PLACE:
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

    def holds(self, run: str, requests: Sequence[Sequence[Spec]]) -> Any:
        """Return everything that can be seen of a run that came in *requests*."""
        for request in requests:
            self.writer.write(
                [event for spec in request for event in events_of(run, spec)],
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
        what = draw(st.sampled_from([What.NOTHING, What.CALL, What.CALL, What.PLACE]))
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


@given(arrivals())
@settings(max_examples=100, deadline=None)
def test_order_splits_and_duplicates_change_nothing(
    stores: tuple[Store, Store], arrival: tuple[list[Spec], list[list[Spec]]]
) -> None:
    spans, requests = arrival
    many, one = stores
    run = f"{next(runs):032x}"
    assert many.holds(run, requests) == one.holds(run, [spans])
