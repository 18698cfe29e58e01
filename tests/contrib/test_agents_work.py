"""What doors of frameworks share, without a framework: places, bounds, what is left open, what may be kept."""

from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from llmobs import (
    AgentStepEvent,
    Client,
    Event,
    PromptCallEvent,
    RunEvent,
    Status,
    ToolCallEvent,
    current_run,
    current_tracker,
)
from llmobs.capture.operations import AgentStep, ToolCall
from llmobs.contrib import _openai_agents
from llmobs.contrib._agents.blocks import Block, piece_per_call
from llmobs.contrib._agents.work import NEVER_ENDED, OpenWork
from llmobs.contrib._mcp import requests
from llmobs.runtime import troubles
from llmobs.testing import CapturedEvents


def step(name: str) -> Any:
    return lambda tracker: tracker.agent_step(name, input_data="asked")


def tool(name: str) -> Any:
    return lambda tracker: tracker.tool_call(name, input="asked")


@pytest.fixture
def work(client: Client) -> OpenWork:
    return OpenWork("framework", client)


def test_outside_any_run_the_first_piece_is_one(work: OpenWork, events: CapturedEvents) -> None:
    work.begin("agent", step("agent"), run_name="shop")
    work.begin("tool", tool("find"), parent="agent")
    work.end("tool", LookupError("none"))
    work.end("agent")
    found, agent, run = cast("list[Any]", events)
    assert [type(e) for e in events] == [ToolCallEvent, AgentStepEvent, RunEvent]
    assert found.parent_id == agent.event_id
    assert found.status == "error"
    assert agent.parent_id is None
    assert (run.name, run.errors) == ("shop", 1)
    assert len(work) == 0


def test_parents_are_the_frameworks_and_blocks_of_the_application_stand_between(
    work: OpenWork, events: CapturedEvents, client: Client
) -> None:
    with client.run() as run, run.agent_step("mine"):
        work.begin("agent", step("agent"))
        work.begin("one", tool("one"), parent="agent")
        work.begin(
            "two", tool("two"), parent="agent"
        )  # beside it: one is current here, and no parent
        work.end("one")
        work.end("two")
        with run.agent_step("inside"):
            work.begin("three", tool("three"), parent="agent")
            work.end("three")
        work.end("agent")
    ids: dict[str, Any] = {getattr(e, "step_name", getattr(e, "tool_name", "")): e for e in events}
    assert ids["one"].parent_id == ids["two"].parent_id == ids["agent"].event_id
    assert ids["three"].parent_id == ids["inside"].event_id
    assert ids["inside"].parent_id == ids["agent"].event_id
    assert ids["agent"].parent_id == ids["mine"].event_id


def test_what_is_left_open_inside_was_given_up(work: OpenWork, events: CapturedEvents) -> None:
    work.begin("run")
    work.begin("agent", step("agent"), parent="run")
    work.begin("tool", tool("find"), parent="agent")
    work.end("run", whole=True)
    assert [(type(e), e.status) for e in cast("list[Any]", events)][:2] == [
        (ToolCallEvent, "cancelled"),
        (AgentStepEvent, "cancelled"),
    ]


def test_once_closed_only_parts_of_what_is_open_begin(
    work: OpenWork, events: CapturedEvents
) -> None:
    work.begin("agent", step("agent"))
    work.close()
    assert work.begin("other", step("other")) is None
    assert work.begin("tool", tool("find"), parent="agent") is not None
    for key in ("tool", "agent", "other"):
        work.end(key)
    assert [type(e) for e in events] == [ToolCallEvent, AgentStepEvent, RunEvent]


def test_an_error_of_ours_loses_nothing(work: OpenWork, events: CapturedEvents) -> None:
    def tell(operation: Any) -> None:
        raise ZeroDivisionError

    work.begin("agent", step("agent"))
    with pytest.raises(ZeroDivisionError):
        work.end("agent", tell=tell)
    assert [type(e) for e in events] == [AgentStepEvent, RunEvent]


def test_what_never_ends_is_bounded(client: Client, events: CapturedEvents) -> None:
    work = OpenWork("framework", client, max_open=2)
    for key in range(3):
        work.begin(key, step(str(key)))
    assert len(work) == 2
    work.give_up()
    assert len(work) == 0
    cut = events.of(AgentStepEvent)
    assert [e.step_name for e in cut] == ["0", "1", "2"]
    assert all(NEVER_ENDED in e.warnings for e in cut)
    work.end(1)
    assert len(events.of(AgentStepEvent)) == 3


def contents(events: list[Event]) -> str:
    return "".join(
        str(
            [
                getattr(e, name, None)
                for name in ("input", "input_data", "output", "output_data", "prompt", "response")
            ]
        )
        for e in events
    )


@pytest.mark.parametrize("mode", ["full", "redacted", "metadata"])
def test_what_may_be_kept(mode: str, events: CapturedEvents) -> None:
    with Client(sink="memory:", redact_pii=False) as client:
        play_all(OpenWork("framework", client, mode))
    assert len(events.of(PromptCallEvent)) == 1
    said = contents(events)
    assert ("asked" in said) is (mode != "metadata")
    assert ("ann@example.org" in said) is (mode == "full")


def play_all(work: OpenWork) -> None:
    def call(tracker: Any) -> Any:
        return tracker.prompt_call(model="m", prompt="asked by ann@example.org")

    def tell(operation: Any) -> None:
        operation.finish(response="told ann@example.org")

    work.begin("agent", lambda t: t.agent_step("a", input_data="asked by ann@example.org"))
    work.begin("tool", lambda t: t.tool_call("t", input="asked by ann@example.org"), parent="agent")
    work.begin("call", call, parent="agent")
    work.end("call", tell=tell)
    work.end("tool")
    work.end("agent")


def test_a_wrong_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="capture_content"):
        OpenWork("framework", None, "some")


def told(tool: Any, output: Any) -> None:
    tool.output = output


def make(tracker: Any, given: str) -> Any:
    return tracker.tool_call("find", input=given)


@pytest.mark.anyio
async def test_functions_of_every_kind_are_pieces(work: OpenWork, events: CapturedEvents) -> None:
    def plain(given: str) -> str:
        return given.upper()

    async def later(given: str) -> str:
        await anyio.sleep(0)
        return given.upper()

    def pieces(given: str) -> Iterator[str]:
        current_tracker().agent_step("inside").start().end()
        yield from given

    async def pieces_later(given: str) -> AsyncIterator[str]:
        for each in given:
            await anyio.sleep(0)
            yield each

    def around(target: Any) -> Any:
        return piece_per_call(work, make, told)(target, lambda: True)

    assert around(plain)("ab") == "AB"
    assert await around(later)("ab") == "AB"
    outside = []
    for _ in around(pieces)("ab"):
        outside.append(current_run())
    assert [each async for each in around(pieces_later)("ab")] == ["a", "b"]
    assert [e.output for e in events.of(ToolCallEvent)] == ["AB", "AB", ["a", "b"], ["a", "b"]]
    assert outside == [None, None], "between its values the consumer runs"
    [inside] = events.of(AgentStepEvent)
    assert inside.parent_id == events.of(ToolCallEvent)[2].event_id
    assert len(events.of(RunEvent)) == 4
    assert len(work) == 0


def test_a_generator_that_is_left_was_cancelled(work: OpenWork, events: CapturedEvents) -> None:
    def stubborn(given: str) -> Iterator[str]:
        try:
            yield given
        finally:
            yield "more"

    kept = piece_per_call(work, make)(stubborn, lambda: True)("ab")
    assert next(kept) == "ab"
    with pytest.raises(RuntimeError, match="GeneratorExit"):  # as without us
        kept.close()
    assert [e.status for e in cast("list[Any]", events)] == ["cancelled"] * 2


def test_what_is_off_or_goes_wrong_changes_nothing(work: OpenWork, events: CapturedEvents) -> None:
    assert piece_per_call(work, make)(str.upper, lambda: False)("ab") == "AB"

    def wrong(*args: Any) -> Any:
        raise LookupError

    troubles.raise_internal_errors(False)
    try:
        assert piece_per_call(work, wrong)(str.upper, lambda: True)("ab") == "AB"
        assert piece_per_call(work, make, wrong)(str.upper, lambda: True)("ab") == "AB"
    finally:
        troubles.raise_internal_errors(True)
    assert [type(e) for e in events] == [ToolCallEvent, RunEvent]
    assert len(work) == 0


def test_what_only_groups_can_be_current(work: OpenWork, events: CapturedEvents) -> None:
    group = work.begin("run", enters=True, note="group")
    work.begin("agent", step("agent"), note="agent")
    agent = work.innermost(AgentStep)
    assert agent is not None
    assert (agent.key, agent.note, agent.parent) == ("agent", "agent", group)
    assert work.innermost(type(None), note="group") is group
    assert work.innermost(AgentStep, note="other") is None
    work.end("run", whole=True, gives_up=False)
    assert work.innermost(AgentStep) is None
    assert current_run() is None
    assert [getattr(e, "status", None) for e in events] == ["success"] * 2
    assert len({e.run_id for e in events}) == 1


def test_what_goes_through_a_piece_is_not_what_was_handled_around_it(work: OpenWork) -> None:
    try:
        raise ValueError("somebody else's")
    except ValueError:
        piece = work.begin("agent", step("agent"))
        assert piece.raised() is None
        try:
            raise LookupError("its own")
        except LookupError:
            raised = piece.raised()
        assert type(raised) is LookupError
    work.end("agent")


@pytest.mark.parametrize(
    ("result", "output"),
    [
        ({"structuredContent": [1]}, [1]),
        ({"structuredContent": {"result": None}}, None),
        ({"content": ["odd"]}, ["odd"]),
        ({"content": [{"type": "text", "text": "one"}]}, "one"),
    ],
)
def test_results_of_mcp_need_not_be_objects(result: Any, output: Any, client: Client) -> None:
    with Block(OpenWork("mcp", client), requests.call_of("tools/call", {"name": "tool"})) as piece:
        requests.tell(piece, result)
    assert piece is not None and isinstance(piece.operation, ToolCall)
    assert piece.operation.output == output


def test_errors_and_answers_of_spans_may_be_anything(client: Client) -> None:
    run = client.run("shop")
    generation: Any = SimpleNamespace(type="generation", input=[], output=["odd"], usage=None)
    span = SimpleNamespace(span_data=generation, error={"message": "no", "data": "odd"})
    call = run.prompt_call(model="m")
    _openai_agents.tell(call, span, None)
    assert call.status == Status.ERROR
    call.end()
