"""Whatever doors see, in whatever order: no call is lost, told twice or invented, and the ledger is exact."""

import os
import threading
from collections import Counter
from contextvars import copy_context
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

import pytest

from llmobs import Client, PromptCallEvent, RunEvent
from llmobs.capture.joining import sightings
from llmobs.capture.likeness import may_be_same
from llmobs.capture.sighting import Sighting, lock
from llmobs.capture.tracker import Tracker
from llmobs.recorded.ids import new_id
from tests.support.polling import eventually

FIELDS = {"langchain": "request_params", "span": "metadata", "wire": "response_metadata"}
"""Where each door notes which call it saw: joining keeps what only one tells."""


class Truth(NamedTuple):
    """A call as it happened."""

    number: int
    model: str
    place: int
    """Which run; -1: outside any."""
    knows_id: bool


class Seen(Sighting):
    """What one door sees of *truth*; ended when it is cut, as doors do."""

    def __init__(self, door: str, truth: Truth, run: Tracker | None, client: Client) -> None:
        tracker = run or Tracker(client)
        tracker.standalone = run is None and door == "wire"
        super().__init__(door, tracker, event_id=new_id(), is_home=run is not None)
        self.truth = truth
        self.has_usage = True
        self.model = "" if door == "span" and truth.number % 2 else truth.model

    def finish(self) -> None:
        truth = self.truth
        self.model = truth.model
        self.response_id = f"r{truth.number}" if truth.knows_id else None
        told: dict[str, Any] = {FIELDS[self.door]: {"call": truth.number}}
        event = PromptCallEvent(
            event_id=self.event_id, run_id=self.tracker.run_id, model=truth.model, tokens_input=1,
            timestamp=datetime.now(UTC), response_id=self.response_id, cost_usd=0.0, **told,
        )  # fmt: skip
        sightings.end(self, event, 10, False)

    def cut(self, why: str) -> None:
        self.finish()


def observe(client: Client) -> None:
    counted = client.statistics()
    assert counted.accepted == counted.delivered + sum(counted.dropped.values()) + counted.pending


def delivered(client: Client) -> list[Any]:
    return list(client._pipeline.workers[0].sink.events)  # type: ignore[attr-defined]


def recorded_calls(client: Client) -> list[PromptCallEvent]:
    assert client.flush(5).pending == 0
    return [event for event in delivered(client) if isinstance(event, PromptCallEvent)]


def filed() -> list[Sighting]:
    """All that the table has."""
    places = sightings._places._groups.values()
    return [each for groups in places for group in groups.values() for each in group.values()]


def seen_of(calls: list[PromptCallEvent]) -> Counter[tuple[str, int]]:
    return Counter(
        (door, told["call"])
        for call in calls
        for door, name in FIELDS.items()
        if (told := getattr(call, name))
    )


@pytest.fixture(autouse=True)
def no_door_was_in_use() -> None:
    """The first of a test is alone, as in nearly every process."""
    assert not sightings._held
    sightings.reset()


@pytest.mark.parametrize(
    ("seed", "doors"),
    [
        *((seed, 3) for seed in (*range(60), 1012, 1049, 1102, 1123, 1200, 1235)),
        *((seed, 1) for seed in range(15)),
    ],
)
def test_whatever_is_seen(seed: int, doors: int) -> None:
    random = Random(seed)
    client = Client(sink="memory:")
    runs = [client.run() for _ in range(2)]
    truths = [
        Truth(
            number, random.choice(["gpt-4o", "o3"]), random.randrange(-1, 2), random.random() < 0.5
        )
        for number in range(random.randrange(9))
    ]
    todo = [
        Seen(door, truth, None if truth.place < 0 else runs[truth.place], client)
        for truth in truths
        for door in random.sample(
            sorted(FIELDS, reverse=doors == 1)[:doors], random.randint(1, doors)
        )
    ]
    random.shuffle(todo)
    disturbance = random.choice(["", "flush", "expire", "close"])
    begun: list[Seen] = []
    told: list[Seen] = []
    nested = 0
    while todo or any(each.ended is None for each in begun):
        under_way = [each for each in begun if each.ended is None]
        if todo and (not under_way or random.random() < 0.6):
            new = todo.pop()
            around = [
                each
                for each in under_way
                if each.door == "span" != new.door and each.truth == new.truth
            ]
            outer = around[0] if around and random.random() < 0.5 else None
            nested += outer is not None
            sightings.begin(new, outer)
            begun.append(new)
            told.append(new)
        else:
            random.choice(under_way).finish()
        if disturbance == "flush" and random.random() < 0.2:
            client.flush(5)
        if disturbance == "expire" and random.random() < 0.1:
            for held in sightings._held_by(client):
                held.until = 0.0
            sightings.expire(client)
        if disturbance == "close" and random.random() < 0.1:
            break
        observe(client)
    # A run does not wait for these: they are about something else, most likely.
    unnamed = {each.truth.place for each in begun if each.ended is None and not each.model}
    for run in runs:
        run.finish()
    client.close()
    observe(client)

    assert sightings.waiting(client) == client.statistics().pending == 0
    left = [*sightings._open.values(), *sightings._alone.values()]
    left += [*(each.root for each in sightings._held.values())]
    left += filed()
    assert not [each for each in left if each and each.tracker.client is client], "left behind"
    events = delivered(client)
    calls = [event for event in events if isinstance(event, PromptCallEvent)]
    counted = client.statistics()
    seen = seen_of(calls)
    assert set(seen) <= {(each.door, each.truth.number) for each in told}, "invented"
    assert max(seen.values(), default=1) == 1, "told twice"
    # What one went around is dropped with it: one duplicate.
    missing = len(told) - len(seen)
    assert 0 <= missing - counted.dropped.get("duplicate", 0) <= nested, "lost"
    assert {number for _, number in seen} == {each.truth.number for each in told} or (
        counted.dropped
    ), "lost"
    assert len({event.event_id for event in events}) == len(events)
    for call in calls:
        [*numbers] = {number for _, number in seen_of([call])}
        assert len({truths[number].model for number in numbers}) == 1, "other models"
        places = {truths[number].place for number in numbers} - {-1}  # a span sees both
        assert len(places) <= 1, "other runs"
        if len(numbers) > 1:
            assert not all(truths[number].knows_id for number in numbers)
    for place, run in enumerate(runs):
        mine = [call for call in calls if call.run_id == run.run_id]
        recorded = [e for e in events if isinstance(e, RunEvent) and e.run_id == run.run_id]
        if mine and place not in unnamed:
            assert [(e.tokens_input, e.events) for e in recorded] == [(len(mine), len(mine))]


@pytest.mark.parametrize("second", ["langchain", "span"])
@pytest.mark.parametrize("place", [0, -1])
def test_a_second_door_finds_what_the_first_saw_alone(second: str, place: int) -> None:
    client = Client(sink="memory:")
    run = client.run() if place == 0 else None
    truth = Truth(0, "gpt-4o", place, False)
    warm_up = Seen("wire", truth._replace(number=1), run, client)
    sightings.begin(warm_up)
    warm_up.finish()
    assert len(seen_of(recorded_calls(client))) == 1, "at once: nobody else can tell of it"
    first, other = Seen("wire", truth, run, client), Seen(second, truth, run, client)
    sightings.begin(first)
    assert list(sightings._alone.values()) == [first]
    assert run is None or sightings.has_calls(run)
    sightings.begin(other)
    assert not sightings._alone
    assert run is None or not run.calls_unfiled
    for each in (first, other):
        each.finish()
    assert seen_of(recorded_calls(client)) == {("wire", 1): 1, ("wire", 0): 1, (second, 0): 1}
    assert len(recorded_calls(client)) == 2, "one call, one event"
    assert run is None or not sightings.has_calls(run)
    client.close()
    observe(client)


def test_what_happens_inside_a_call_seen_alone_is_joined_to_it() -> None:
    client = Client(sink="memory:")
    run = client.run()
    truth = Truth(0, "gpt-4o", 0, False)
    for number in range(2):
        outer = Seen("langchain", truth._replace(number=number), run, client)
        sightings.begin(outer)
        inner = Seen("langchain", outer.truth, run, client)
        sightings.begin(inner, outer)
        inner.finish()
        outer.finish()
        assert outer.called is inner.called is not None
    assert len(recorded_calls(client)) == 2
    client.close()
    observe(client)


def test_what_turns_out_to_be_no_call_is_forgotten() -> None:
    client = Client(sink="memory:")
    run = client.run()
    for number in range(2):
        redirect = Seen("wire", Truth(number, "gpt-4o", 0, False), run, client)
        sightings.begin(redirect)
        assert sightings.has_calls(run) is True
        sightings.drop(redirect)
        assert sightings.has_calls(run) is False
    assert recorded_calls(client) == []
    client.close()


@pytest.mark.parametrize("doors", [["wire"], ["langchain", "wire"]])
def test_a_run_that_ends_while_its_call_is_recorded_counts_it(
    doors: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call ends in another thread: the run may end at any moment of that."""
    client = Client(sink="memory:")
    run = client.run()
    record = run.record

    def record_slowly(event: Any, **options: Any) -> Any:
        if isinstance(event, PromptCallEvent):
            ending = threading.Thread(target=run.finish)
            ending.start()
            ending.join(30)
        return record(event, **options)

    monkeypatch.setattr(run, "record", record_slowly)
    seen = [Seen(door, Truth(0, "gpt-4o", 0, True), run, client) for door in doors]
    for each in seen:
        sightings.begin(each)
    for each in seen:
        each.finish()
    client.close()
    observe(client)
    events = [event for event in delivered(client) if isinstance(event, RunEvent)]
    assert [(event.events, event.tokens_input) for event in events] == [(1, 1)]


def test_a_run_that_waits_for_no_call_goes_on_at_once() -> None:
    client = Client(sink="memory:")
    for number in range(2):
        run = client.run()
        run.log_tool_call("look", {}, "")
        redirect = Seen("wire", Truth(number, "gpt-4o", 0, False), run, client)
        sightings.begin(redirect)
        run.finish()
        assert sightings.waiting(client) == 1
        sightings.drop(redirect)
        assert sightings.waiting(client) == 0
    client.close()
    observe(client)


def test_a_call_seen_alone_may_wait_for_its_answer() -> None:
    client = Client(sink="memory:")
    run = client.run()
    for number in range(2):
        call = Seen("wire", Truth(number, "gpt-4o", 0, True), run, client)
        sightings.begin(call)
        sightings.await_answer(call, f"answer {number}")
        assert sightings.waiting(client) == client.statistics().pending - number == 1
        assert sightings.take_awaited(f"answer {number}") is call
        call.finish()
        assert sightings.waiting(client) == 0
    assert len(recorded_calls(client)) == 2
    client.close()
    observe(client)


def test_what_waits_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(sink="memory:")
    run = client.run()
    span = Seen("span", Truth(99, "gpt-4o", 0, False), run, client)
    sightings.begin(span)
    before = sightings._held_bytes
    monkeypatch.setattr("llmobs.capture.joining.MAX_WAITING_BYTES", before + 35)
    for number in range(9):
        one = Seen("wire", Truth(number, "gpt-4o", 0, False), run, client)
        sightings.begin(one)
        one.finish()
    assert sightings.waiting(client) == 3, "ten bytes each"
    assert sightings._held_bytes == before + 30
    span.finish()
    run.finish()
    client.close()
    assert sightings._held_bytes == before
    observe(client)
    assert len([event for event in delivered(client) if isinstance(event, PromptCallEvent)]) == 9


@pytest.mark.parametrize("order", ["first in first out", "last in first out", "any"])
@pytest.mark.parametrize(
    "names", ["alike", "alike, late", "each its own", "each its own, late", "late, some by id"]
)
def test_many_calls_at_once_are_not_all_compared(
    names: str, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmobs.capture.joining.WAIT_SECONDS", 600.0)
    compared = 0

    def counted(one: Sighting, other: Sighting) -> bool:
        nonlocal compared
        compared += 1
        return may_be_same(one, other)

    monkeypatch.setattr("llmobs.capture.places.may_be_same", counted)
    needed = {}
    for many in (20, 80):
        compared = 0
        client = Client(sink="memory:")
        run = client.run()
        truths = [
            Truth(
                2 * number + ("late" in names),  # odd ones name their model at the end
                f"m{number}-" if "own" in names else "gpt-4o",
                0,
                "id" in names and number % 4 == 0,
            )
            for number in range(many)
        ]
        spans = [Seen("span", truth, run, client) for truth in truths]
        wires = [Seen("wire", truth, run, client) for truth in truths]
        for one in spans + wires:
            sightings.begin(one)
        if order == "last in first out":
            spans.reverse()
        elif order == "any":
            Random(many).shuffle(spans)
        for one in wires + spans:
            one.finish()
        run.finish()
        client.close()
        seen = seen_of([e for e in delivered(client) if isinstance(e, PromptCallEvent)])
        assert len(seen) == 2 * many
        needed[many] = compared / many
    assert needed[80] < 2 * needed[20] + 4, f"compared with how many each: {needed}"


def test_threads_race_for_the_table() -> None:
    client = Client(sink="memory:")
    run = client.run()
    start = threading.Barrier(6)

    def see(door: str, first: int) -> None:
        start.wait(10)
        for number in range(first, first + 20):
            one = Seen(door, Truth(number, "gpt-4o", 0, True), run, client)
            sightings.begin(one)
            one.finish()

    threads = [
        threading.Thread(target=see, args=(door, first)) for door in FIELDS for first in (0, 20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    run.finish()
    client.close()
    observe(client)
    calls = [event for event in delivered(client) if isinstance(event, PromptCallEvent)]
    seen = seen_of(calls)
    assert {number for _, number in seen} == set(range(40))
    assert max(seen.values()) == 1
    assert len(seen) + client.statistics().dropped.get("duplicate", 0) == 120


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_starts_from_nothing_although_the_lock_was_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llmobs.runtime.forks.FORK_WAIT_SECONDS", 0.1)
    with Client(sink="memory:") as client:
        run = client.run()
        open_one = Seen("wire", Truth(0, "gpt-4o", 0, True), run, client)
        sightings.begin(open_one)
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with lock:
                held.set()
                release.wait(20)

        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(10)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                free = lock.acquire(timeout=5)
                code = 0 if free and not sightings._open and not filed() else 2
            finally:
                os._exit(code)
        release.set()
        thread.join(10)
        status: list[int] = []

        def has_ended() -> bool:
            pid, code = os.waitpid(child, os.WNOHANG)
            if pid:
                status.append(os.waitstatus_to_exitcode(code))
            return bool(status)

        eventually(has_ended)
        assert status == [0]
        open_one.finish()


def test_a_signal_handler_records_while_its_thread_holds_the_lock() -> None:
    client = Client(sink="memory:")
    run = client.run()
    done = threading.Event()

    def interrupted() -> None:
        with lock:  # where the signal arrives
            for door in FIELDS:
                one = Seen(door, Truth(0, "gpt-4o", 0, True), run, client)
                sightings.begin(one)
                one.finish()
        done.set()

    threading.Thread(target=interrupted, daemon=True).start()
    assert done.wait(10), "a deadlock"
    run.finish()
    client.close()
    observe(client)
    calls = [event for event in delivered(client) if isinstance(event, PromptCallEvent)]
    assert {number for _, number in seen_of(calls)} == {0}


def test_closing_the_client_settles_the_blocks_that_are_open() -> None:
    """What an application has opened and not ended is recorded as far as it is known."""
    with Client(sink="memory:") as client:
        run = client.run()
        step = run.agent_step("plan", input_data="what").start()
        call = run.prompt_call(model="gpt-4o", prompt="why?").start()
        seen = Seen("wire", Truth(0, "gpt-4o", 0, False), run, client)
        sightings.begin(seen, call.enclose(seen))
        tool = run.tool_call("search", input={"q": "x"}).start()
        abandoned = run.tool_call("forgotten")
        abandoned.start().left = True
        del abandoned
        current = run.tool_call("over").start()
        current.end()
    observe(client)
    for block in (tool, call, step):
        assert block.end() == block.event_id
    by_id = {event.event_id: event for event in delivered(client)}
    for block in (step, call, tool):
        event = by_id[block.event_id]
        assert event.status == "cancelled"
        assert "the client was closed before its end" in str(event.warnings)
    assert by_id[call.event_id].response_metadata == {"call": 0}, "what the wire saw"
    assert (by_id[current.event_id].status, by_id[current.event_id].warnings) == ("success", ())
    assert client.statistics().dropped == {}


def test_blocks_that_nobody_ends_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    most = len(sightings._blocks) + 10
    monkeypatch.setattr("llmobs.capture.joining.MAX_WAITING", most)
    with Client(sink="memory:") as client:
        run = client.run()
        for _ in range(100):
            copy_context().run(run.tool_call("forgotten").start)
        last = run.tool_call("last").start()
        assert len(sightings._blocks) <= most
        assert id(last) in sightings._blocks
    assert "last" in {getattr(event, "tool_name", "") for event in delivered(client)}
