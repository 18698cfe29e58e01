"""Which run and operation are current, whatever the order of ends, in whichever context."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmobs
from llmobs import AgentStepEvent, Client, ErrorEvent, RunEvent, Tracker, bind_run, current_run
from llmobs.capture.operations import AgentStep
from llmobs.capture.run import NO_RECORDER
from llmobs.runtime.context import Entry, Frame, current_frame
from llmobs.testing import CapturedEvents


@pytest.fixture
def client(llmobs_events: CapturedEvents) -> Client:
    return Client()


# The rule, against a model that keeps a plain list for each context.


@dataclass(eq=False)
class Block:
    """One block of the model: an operation, or one entry of a run."""

    frame: Frame
    entered_in: "Task"
    ended: bool = False


@dataclass(eq=False)
class Task:
    context: contextvars.Context
    stack: list[Block] = field(default_factory=list)
    """What it is inside, outermost first."""

    def current(self) -> Frame | None:
        return self.stack[-1].frame if self.stack else None


class World:
    """Does the same to llmobs and to the model."""

    def __init__(self) -> None:
        # A context of its own: what is current around the test does not matter.
        self.tasks = [Task(contextvars.Context())]
        self.runs: list[Tracker] = []
        self.entries: dict[Tracker, list[Block]] = {}
        self.operations: list[Block] = []

    def fork(self, task: Task, _: int) -> None:
        self.tasks.append(Task(task.context.run(contextvars.copy_context), list(task.stack)))

    def enter(self, task: Task, which: int) -> None:
        known = [run for run in self.runs if not run.left]
        if which % 2 or not known:
            run = Tracker(NO_RECORDER)
            self.runs.append(run)
            self.entries[run] = []
        else:
            run = known[which % len(known)]
        task.context.run(run.__enter__)
        entry = task.context.run(current_frame)
        assert isinstance(entry, Entry)
        block = Block(entry, task)
        self.entries[run].append(block)
        task.stack.append(block)

    def leave(self, task: Task, which: int) -> None:
        entered = [run for run in self.runs if self.entries[run]]
        if not entered:
            return
        run = entered[which % len(entered)]
        entries = self.entries[run]
        here = [block for block in entries if block.entered_in is task]
        block = here[-1] if here else entries[-1]
        task.context.run(run.__exit__, None, None, None)
        entries.remove(block)
        if not here:
            gone = [block]
            if not entries:  # nobody is inside, and where it was entered cannot be reached
                gone += [b for t in self.tasks for b in t.stack if b.frame.run is run]
            for other in self.tasks:
                other.stack = [b for b in other.stack if b not in gone]
        elif block in task.stack:
            start = task.stack.index(block)
            inside = task.stack[start:]
            gone = [b for b in inside if b.frame.run is run]
            others = [b for b in inside if b.frame.run is not run]
            task.stack = task.stack[:start] + others
            for (
                other
            ) in self.tasks:  # blocks of others that stay open have lost what was around them
                last = max((other.stack.index(b) for b in others if b in other.stack), default=-1)
                other.stack = [b for i, b in enumerate(other.stack) if not (b in gone and i < last)]

    def start(self, task: Task, which: int) -> None:
        if self.runs:
            run = self.runs[which % len(self.runs)]
            if run.left:
                return
            step = run.agent_step("step")
            outer = task.context.run(current_frame)
            task.context.run(step.start)
            assert step.outer is outer
            block = Block(step, task)
            self.operations.append(block)
            task.stack.append(block)

    def end(self, task: Task, which: int) -> None:
        open_ones = [block for block in self.operations if not block.ended]
        if open_ones:
            block = open_ones[which % len(open_ones)]
            block.ended = True
            assert isinstance(block.frame, AgentStep)
            task.context.run(block.frame.end)
            for other in self.tasks:
                other.stack = [b for b in other.stack if b is not block]

    def check(self) -> None:
        for task in self.tasks:
            expected = task.current()
            assert task.context.run(current_frame) is expected
            run = task.context.run(current_run)
            assert run is (None if expected is None else expected.run)


ACTIONS: list[Callable[[World, Task, int], None]] = [
    World.enter, World.enter, World.start, World.start, World.leave, World.end, World.fork,
]  # fmt: skip
STEPS = st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5), st.integers(0, 7), st.booleans())


@settings(max_examples=200)
@given(st.lists(STEPS, max_size=30))
def test_what_is_current_whatever_ends_where(
    steps: list[tuple[Callable[[World, Task, int], None], int, int, bool]],
) -> None:
    world = World()
    for act, task, which, look in steps:
        act(world, world.tasks[task % len(world.tasks)], which)
        if look:  # looking may heal a context: sometimes nobody does
            world.check()
    world.check()


# The shapes in which it happens.


def test_a_step_that_ends_after_what_it_contained_ended_elsewhere(
    llmobs_events: CapturedEvents, client: Client
) -> None:
    with client.run(user_id="u1") as run:
        with run.agent_step("outer") as outer:
            inner = run.agent_step("inner").start()
            contextvars.copy_context().run(inner.end)
            assert current_frame() is outer
        run.log_error("afterwards")
    assert current_run() is None
    inner_event, outer_event = llmobs_events.of(AgentStepEvent)
    assert inner_event.parent_id == outer_event.event_id
    assert outer_event.parent_id is None, "not its own parent"
    [error] = llmobs_events.of(ErrorEvent)
    assert error.parent_id is None


def test_what_ends_inside_another_is_not_its_child(
    llmobs_events: CapturedEvents, client: Client
) -> None:
    with client.run() as run:
        first = run.agent_step("first").start()
        with run.agent_step("second"):
            first.end()
    first_event, second_event = llmobs_events.of(AgentStepEvent)
    assert first_event.parent_id is None
    assert second_event.parent_id == first_event.event_id


def test_one_run_entered_by_two_tasks(llmobs_events: CapturedEvents, client: Client) -> None:
    shared = client.run("shared")

    async def work(name: str, first: asyncio.Event, then: asyncio.Event) -> str | None:
        with client.run(name):
            with shared:
                first.set()
                await then.wait()
            run = current_run()
            return None if run is None else run.run_id

    async def main() -> list[str | None]:
        a, b = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(work("one", a, b), work("two", b, a))

    assert asyncio.run(main()) == ["one", "two"]
    assert not shared._entered


def test_one_run_entered_by_many_threads(llmobs_events: CapturedEvents, client: Client) -> None:
    shared = client.run("shared")
    gate = threading.Barrier(8)

    def work(number: int) -> bool:
        gate.wait()
        for _ in range(200):
            with client.run(f"own {number}") as own:
                with shared:
                    assert current_run() is shared
                assert current_run() is own
        return current_run() is None

    with shared, ThreadPoolExecutor(8) as pool:
        shared.log_error("once")
        assert list(pool.map(work, range(8))) == [True] * 8
        assert current_run() is shared
    assert current_run() is None
    assert [run.run_id for run in llmobs_events.of(RunEvent)] == ["shared"]


def test_a_run_entered_twice_is_recorded_once_and_failed_if_either_did(
    llmobs_events: CapturedEvents, client: Client
) -> None:
    shared = client.run("shared")
    with shared:
        with pytest.raises(ValueError, match="first"), shared:
            raise ValueError("first")
        assert current_run() is shared
        shared.log_error("inside")
    assert current_run() is None
    [run] = llmobs_events.of(RunEvent)
    assert run.status == "error"


def test_generators_take_turns(client: Client) -> None:
    def numbers(name: str) -> Iterator[str | None]:
        with client.run(name):
            for _ in range(2):
                run = current_run()
                yield None if run is None else run.run_id

    first, second = numbers("first"), numbers("second")
    assert [next(first), next(second)] == ["first", "second"]
    first.close()
    assert next(second) == "second"
    second.close()
    assert current_run() is None, "not the first, which has ended"


def test_an_asynchronous_generator_that_somebody_else_closes(client: Client) -> None:
    async def numbers() -> AsyncIterator[int]:
        with client.run("generator") as run, run.agent_step("inside"):
            yield 1

    async def main() -> None:
        with client.run("consumer") as consumer:
            generator: Any = numbers()
            await anext(generator)
            await asyncio.create_task(generator.aclose())
            assert current_run() is consumer

    asyncio.run(main())


def test_what_a_task_of_the_run_does_later_is_still_of_the_run(client: Client) -> None:
    async def later(go: asyncio.Event) -> tuple[str | None, Frame | None]:
        await go.wait()
        run = current_run()
        frame = current_frame()
        return None if run is None else run.run_id, frame

    async def main() -> None:
        go = asyncio.Event()
        with client.run("run") as run, run.agent_step("step") as step:
            task = asyncio.create_task(later(go))
            bound = bind_run(current_run)
        go.set()
        run_id, frame = await task
        assert run_id == "run"
        assert frame is not step
        assert bound() is run
        assert current_run() is None

    asyncio.run(main())


def test_what_is_left_open_ends_with_its_run(client: Client) -> None:
    with ExitStack() as stack:
        outer = stack.enter_context(client.run("outer"))
        with client.run("run") as run:
            run.agent_step("never ended").start()
        assert current_run() is outer
    assert current_run() is None


def test_an_observed_generator_keeps_what_it_has_open(
    llmobs_events: CapturedEvents, client: Client
) -> None:
    @llmobs.observe
    def work() -> Iterator[int]:
        with llmobs.current_tracker().agent_step("inside"):
            yield 1
            llmobs.current_tracker().log_error("after the first value")
            yield 2

    with client.run() as run:
        for _ in work():
            assert current_run() is run
            assert current_frame() is not None
    [error] = llmobs_events.of(ErrorEvent)
    inside, observed = llmobs_events.of(AgentStepEvent)
    assert error.parent_id == inside.event_id
    assert inside.parent_id == observed.event_id
    assert observed.parent_id is None
