"""llmobs.capture, llmobs.observe: what is recorded equals what happened."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

import llmobs
from llmobs import (
    AgentStepEvent,
    ErrorEvent,
    EvaluationEvent,
    PromptCall,
    PromptCallEvent,
    RunEvent,
    Status,
    StepType,
    ToolCallEvent,
    Tracker,
    current_run,
    observe,
)
from llmobs.capture.building import TAG_BYTES, kept_tags
from llmobs.client.async_client import Recording
from llmobs.testing import CapturedEvents


@pytest.fixture
def client(llmobs_events: CapturedEvents, monkeypatch: pytest.MonkeyPatch) -> llmobs.Client:
    client = llmobs.Client()
    monkeypatch.setattr("llmobs.client.sync_client._default", client)
    return client


def test_log_prompt_call_records_everything_given(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    event_id = client.log_prompt_call(
        run_id="run-1",
        prompt="question",
        model="gpt-4o",
        response="answer",
        tokens_input=12,
        tokens_output=45,
        latency_ms=1250,
        status="warning",
        error={"message": "slow"},
        prompt_template_id="t1",
        model_version="gpt-4o-2024-11-20",
        response_metadata={"safety_score": 0.9},
        tool_calls=[
            {"tool_name": "search", "input": {}, "output": {}, "latency_ms": 1, "status": "success"}
        ],
        tags=["a", "b"],
        user_id="u1",
        release="1.2.0",
        provider="openai",
        finish_reason="stop",
        cost_usd=0.5,
        tokens_cached=3,
        time_to_first_token_ms=200,
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        span_id="00f067aa0ba902b7",
        session_id="s1",
        metadata={"k": 1},
        prompt_embedding=[0.1],
    )
    (event,) = llmobs_events.of(PromptCallEvent)
    assert event.event_id == event_id
    assert event.run_id == "run-1"
    assert (event.prompt, event.model, event.response) == ("question", "gpt-4o", "answer")
    assert (event.tokens_input, event.tokens_output, event.tokens_cached) == (12, 45, 3)
    assert (event.latency_ms, event.time_to_first_token_ms) == (1250, 200)
    assert event.status == "warning"
    assert event.error is not None
    assert event.error.message == "slow"
    assert event.tags == ("a", "b")
    assert event.tool_calls is not None
    assert event.tool_calls[0]["tool_name"] == "search"
    assert (event.user_id, event.release, event.session_id) == ("u1", "1.2.0", "s1")
    assert (event.cost_usd, event.cost_source) == (0.5, "caller")
    assert event.metadata == {"k": 1}
    assert event.prompt_embedding == [0.1]
    assert event.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"


SEEDS = {
    "log_prompt_call": "run_id prompt model response tokens_input tokens_output latency_ms status error "
    "prompt_template_id model_version response_metadata tool_calls tags user_id release",
    "log_agent_step": "run_id step_number step_name step_type input_data output_data latency_ms status "
    "reasoning context error tags user_id release",
    "log_error": "run_id error context tags user_id release",
    "track": "service model prompt response latency_ms prompt_tokens completion_tokens cost_usd finish_reason "
    "trace_id span_id metadata errors prompt_embedding response_embedding",
}


@pytest.mark.parametrize(("method", "names"), SEEDS.items())
def test_parameters_are_the_seeds(method: str, names: str) -> None:
    parameters = list(inspect.signature(getattr(Recording, method)).parameters)
    assert parameters[1:][: len(names.split())] == names.split()
    own = list(inspect.signature(getattr(Tracker, method)).parameters)
    assert [name for name in own if name != "run_id"] == [p for p in parameters if p != "run_id"]


LOG_METHODS = [name for name in dir(Tracker) if name.startswith("log_")]


@pytest.mark.parametrize("method", LOG_METHODS)
def test_the_clients_twin_of_a_method_differs_by_the_run_id_only(method: str) -> None:
    ours = inspect.signature(getattr(Recording, method), eval_str=True).parameters
    theirs = inspect.signature(getattr(Tracker, method), eval_str=True).parameters
    assert list(ours)[1] == "run_id"
    assert {
        k: (v.default, v.annotation) for k, v in ours.items() if k not in ("self", "run_id")
    } == {k: (v.default, v.annotation) for k, v in theirs.items() if k != "self"}


MEASURED = {"self", "latency_ms", "status", "error", "event_id", "timestamp"}
"""What a block finds out, or decides, itself."""


def optional(function: Callable[..., Any]) -> dict[str, Any]:
    """What *function* may be told of its event beside what it is about: names and annotations."""
    found = inspect.signature(function, eval_str=True).parameters
    return {
        name: p.annotation
        for name, p in found.items()
        if (p.default is None and name not in MEASURED) or p.kind is p.VAR_KEYWORD
    }


@pytest.mark.parametrize(
    ("block", "told", "of_block", "of_call"),
    [
        (Tracker.prompt_call, Tracker.log_prompt_call, (), ("tokens_input", "tokens_output")),
        (PromptCall.finish, Tracker.log_prompt_call, (), ()),
        (Tracker.agent_step, Tracker.log_agent_step,
         ("input_data", "step_number"), ("reasoning", "context")),
        (Tracker.tool_call, Tracker.log_tool_call, ("input",), ()),
    ],
)  # fmt: skip
def test_a_block_takes_what_its_call_takes(
    block: Callable[..., Any], told: Callable[..., Any], of_block: Any, of_call: Any
) -> None:
    blocks, calls = optional(block), optional(told)
    assert {k: v for k, v in blocks.items() if k not in of_block} == {
        k: v for k, v in calls.items() if k not in of_call
    }
    assert list(blocks)[-1] == list(calls)[-1] == "unknown"


def test_every_method_takes_the_fields_that_all_events_have() -> None:
    common = set(optional(Tracker.tool_call)) - {"input", "tool_id"}
    assert len(common) == 10
    named = [set(inspect.signature(getattr(Tracker, name)).parameters) for name in LOG_METHODS]
    assert all(names >= {*common - {"parent_id"}, "event_id", "timestamp"} for names in named)
    # What an evaluation is about is its `event_id`.
    without = [n for n, names in zip(LOG_METHODS, named, strict=True) if "parent_id" not in names]
    assert without == ["log_evaluation"]


def test_unknown_keywords_of_blocks_are_recorded_and_warned_of_and_none_is_not_told(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    odd: dict[str, Any] = {"no_such": "x", "attempt": 2}
    more: dict[str, Any] = {"nothing_like_it": 1, "run_id": "r"}
    with client.run(user_id="of the run") as run:
        with run.prompt_call(model="m", provider="openai", user_id=None, **odd) as call:
            call.finish(response="a", provider=None, **more)
        with run.agent_step("s", **odd), run.tool_call("t", **odd):
            pass
    prompt, tool, step = (e for e in llmobs_events if not isinstance(e, llmobs.RunEvent))
    assert isinstance(prompt, llmobs.PromptCallEvent)
    assert (prompt.provider, prompt.user_id, prompt.attempt) == ("openai", "of the run", 2)
    assert [words.partition(":")[0] for words in prompt.warnings] == [
        "no_such", "nothing_like_it", "run_id",
    ]  # fmt: skip
    for event in (tool, step):
        assert [words.partition(":")[0] for words in event.warnings] == ["no_such", "attempt"]


FURTHER: dict[str, Any] = {
    name: kind
    for name, kind in optional(PromptCall.finish).items()
    if name not in ("tags", "tool_calls", "tokens_input", "tokens_output", "unknown")
}


@pytest.mark.parametrize("name", FURTHER)
def test_a_block_and_a_call_tell_the_same(
    name: str, client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    of = str(FURTHER[name])
    value: Any = (
        {"a": 1} if "Mapping" in of else ["x", "y"] if "Sequence[str]" in of
        else [0.5] if "Sequence" in of else "word" if "str" in of else True if "bool" in of else 7
    )  # fmt: skip
    given: dict[str, Any] = {"trace_id": "t", name: value}  # a span is one of its trace
    with client.run() as run:
        run.log_prompt_call("p", "m", "a", latency_ms=9.0, **given)
        with run.prompt_call(model="m", prompt="p", **given) as block:
            block.finish(response="a")
        client.log_prompt_call("elsewhere", "p", "m", "a", latency_ms=9.0, **given)
    told, block_event, outside = llmobs_events.of(llmobs.PromptCallEvent)
    assert getattr(told, name) is not None
    assert getattr(told, name) == getattr(block_event, name) == getattr(outside, name)
    assert told.warnings == block_event.warnings == outside.warnings == ()


def test_fields_of_an_event_that_are_no_parameters_are_recorded_and_others_warned_of(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    odd: dict[str, Any] = {"attempt": 2, "cost_source": "mine", "no_such": "x", "client": "y"}
    client.log_prompt_call("r", "p", "m", "a", cost_usd=0.5, **odd)
    client.log_error("r", "e", **odd)
    call, error = llmobs_events
    assert isinstance(call, llmobs.PromptCallEvent)
    assert (call.attempt, call.cost_source) == (2, "mine")
    assert [words.partition(":")[0] for words in call.warnings] == ["no_such", "client"]
    assert call.metadata == {"no_such": "x", "client": "y"}
    assert {words.partition(":")[0] for words in error.warnings} == set(odd)
    assert error.metadata == odd


def test_a_told_event_began_its_latency_ago(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    now = datetime.now(UTC)
    client.log_prompt_call("r", "p", "m", "a", 1, 1, 60_000)
    client.log_prompt_call(
        "r", "p", "m", "a", 1, 1, 60_000, timestamp=datetime(2026, 1, 1, tzinfo=UTC)
    )
    first, second = llmobs_events
    assert timedelta(seconds=59) < now - first.timestamp < timedelta(seconds=61)
    assert second.timestamp == datetime(2026, 1, 1, tzinfo=UTC)


def test_with_blocks_time_themselves_and_nest(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    with client.run("run-1", user_id="u1", tags=["beta"], session_id="s", name="job") as run:
        with run.agent_step("plan") as step:
            with run.prompt_call(
                model="gpt-4o", prompt=[{"role": "user", "content": "hi"}]
            ) as call:
                call.first_token()
                call.finish(response="yo", tokens_input=9, tokens_output=3, finish_reason="stop")
            with run.tool_call("search", input={"q": 1}, tool_id="t1") as tool:
                tool.output = ["found"]
            step.output_data = {"done": True}
        with run.agent_step("answer", StepType.OUTPUT):
            pass
    call_event, tool_event, plan, answer, run_event = llmobs_events
    assert isinstance(call_event, PromptCallEvent)
    assert isinstance(tool_event, ToolCallEvent)
    assert isinstance(plan, AgentStepEvent)
    assert isinstance(answer, AgentStepEvent)
    assert isinstance(run_event, RunEvent)
    assert call_event.parent_id == tool_event.parent_id == plan.event_id
    assert plan.parent_id is None
    assert (plan.step_number, answer.step_number) == (1, 2)
    assert call_event.response == "yo"
    assert call_event.time_to_first_token_ms is not None
    assert call_event.latency_ms is not None
    assert 0 <= call_event.time_to_first_token_ms <= call_event.latency_ms
    assert tool_event.output == ["found"]
    assert all(event.tags == ("beta",) and event.user_id == "u1" for event in llmobs_events)
    assert all(event.weight == 1.0 for event in llmobs_events)
    assert (run_event.name, run_event.kind, run_event.events, run_event.errors) == (
        "job",
        "job",
        4,
        0,
    )
    assert (run_event.tokens_input, run_event.tokens_output) == (9, 3)
    assert run_event.latency_ms is not None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("boom"), Status.ERROR),
        (TimeoutError("slow"), Status.TIMEOUT),
        (asyncio.CancelledError(), Status.CANCELLED),
        (KeyboardInterrupt(), Status.CANCELLED),
        (GeneratorExit(), Status.CANCELLED),
    ],
)
def test_the_exception_that_ends_a_block_is_recorded_and_goes_on(
    client: llmobs.Client, llmobs_events: CapturedEvents, error: BaseException, status: Status
) -> None:
    with pytest.raises(type(error)), client.run("r") as run, run.prompt_call(model="m"):
        raise error
    call, run_event = llmobs_events
    assert isinstance(call, PromptCallEvent)
    assert isinstance(run_event, RunEvent)
    assert call.status == run_event.status == status
    assert call.error is not None
    assert call.error.type == (
        type(error).__name__
        if type(error).__module__ == "builtins"
        else "asyncio.exceptions.CancelledError"
    )
    assert run_event.errors == (status != Status.CANCELLED)  # nothing broke


@pytest.mark.anyio
async def test_cancellation_is_recorded_on_every_backend(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    with anyio.move_on_after(0.01):
        with client.run("r") as run, run.agent_step("wait"):
            await anyio.sleep_forever()
    step = llmobs_events.of(AgentStepEvent)[0]
    assert step.status == Status.CANCELLED
    assert current_run() is None


def test_an_empty_run_leaves_no_event(client: llmobs.Client, llmobs_events: CapturedEvents) -> None:
    with client.run("r"):
        pass
    assert llmobs_events == []


def test_what_the_caller_changes_later_does_not_show(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    messages = [{"role": "user", "content": "before"}]
    metadata = {"k": {"deep": "before"}}
    client.log_prompt_call("r", messages, "m", "a", 1, 1, 1, metadata=metadata)
    messages[0]["content"] = metadata["k"]["deep"] = "after"
    (event,) = llmobs_events.of(PromptCallEvent)
    assert event.prompt[0]["content"] == "before"
    assert event.metadata == {"k": {"deep": "before"}}


@pytest.mark.parametrize(
    "fields",
    [
        {"tokens_input": -1},
        {"tokens_input": "many"},
        {"latency_ms": float("nan")},
        {"latency_ms": float("inf")},
        {"latency_ms": "soon"},
        {"cost_usd": -0.5},
        {"tokens_output": 10**30},
    ],
)
def test_numbers_that_are_none_are_left_out_and_said(
    client: llmobs.Client, llmobs_events: CapturedEvents, fields: dict[str, Any]
) -> None:
    given = {"tokens_input": 1, "tokens_output": 1, "latency_ms": 1, **fields}
    client.log_prompt_call("r", "p", "m", "a", **given)
    (event,) = llmobs_events.of(PromptCallEvent)
    (name,) = fields
    assert getattr(event, name) is None
    assert event.warnings[0].startswith(f"{name}: is not a ")
    assert event.metadata is not None and name in event.metadata
    assert event.prompt == "p"


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": "\ud83d", "model": "m\udc00"},
        {"prompt": {"lock": object()}, "model": None},
        {"prompt": ..., "model": 5},
        {"prompt": b"\xff", "model": StepType.OUTPUT},
    ],
)
def test_values_of_any_type_are_recorded(
    client: llmobs.Client, llmobs_events: CapturedEvents, given: dict[str, Any]
) -> None:
    client.log_prompt_call("r", response="a", **given)
    client.log_agent_step("r", "1", None, object(), {1: {2}}, ..., status=3)  # type: ignore[arg-type]
    client.log_error("r", RuntimeError(), context={"x": object()})
    assert [event.event_type for event in llmobs_events] == ["prompt_call", "agent_step", "error"]


def test_every_kind_of_event_can_be_logged(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    with client.run("r") as run:
        run.log_tool_call("t", {"q": 1}, {"a": 2}, 5)
        run.log_assertion_failed(
            "is_json", "response_format", expected={}, actual=None, severity="high"
        )
        run.log_hallucination_detected("heuristic", 0.9, "cheese", ["verify"], ground_truth="rock")
        run.log_evaluation("thumbs", 1, "up", source="user")
        run.log_performance_alert("latency_spike", 1000, 5000, 5, affected_models=["gpt-4o"])
        run.track("svc", "gpt-4", "p", "a", 5.5, 1, 2, errors=["bad"], metadata={"k": "v"})
    assert [event.event_type for event in llmobs_events] == [
        "tool_call",
        "assertion_failed",
        "hallucination_detected",
        "evaluation",
        "performance_alert",
        "prompt_call",
        "run",
    ]
    tracked = llmobs_events.of(PromptCallEvent)[0]
    assert (tracked.service_name, tracked.errors, tracked.status) == ("svc", ("bad",), "error")
    assert llmobs_events.of(RunEvent)[0].errors == 2


def test_an_evaluation_is_about_an_event_or_the_block_it_is_in_or_the_run(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    with client.run("r") as run:
        call = run.log_prompt_call("p", "m", "a")
        run.log_evaluation("helpfulness", 0.5, "fair", "short", "model", call)
        run.log_evaluation("whole")
        with run.agent_step("judge", "reasoning") as step:
            run.log_evaluation("inside", score=1)
    client.log_evaluation("r", "later", label="up", source="user", event_id=call)
    found = {e.name: e for e in llmobs_events.of(EvaluationEvent)}
    about = {name: event.parent_id for name, event in found.items()}
    assert about == {
        "helpfulness": call, "whole": None, "inside": step.event_id, "later": call
    }  # fmt: skip
    told = found["helpfulness"]
    assert (told.score, told.label, told.explanation, told.source) == (
        0.5,
        "fair",
        "short",
        "model",
    )
    assert {event.run_id for event in found.values()} == {"r"}
    assert not any(event.failed for event in found.values())


def test_current_tracker_outside_a_run_uses_the_default_client(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    llmobs.current_tracker().log_error("one")
    llmobs.current_tracker().log_error("two")
    first, second = llmobs_events
    assert first.run_id != second.run_id
    with llmobs.run("named") as run:
        assert llmobs.current_tracker() is run


# The decorator.


def test_observe_records_functions(client: llmobs.Client, llmobs_events: CapturedEvents) -> None:
    @observe
    def double(x: int, *, y: int = 0) -> int:
        """Doc."""
        return 2 * x + y

    assert double(3, y=1) == 7
    assert (double.__name__, double.__doc__) == ("double", "Doc.")
    (event,) = llmobs_events.of(AgentStepEvent)
    assert event.step_name.endswith("double")
    assert (event.input_data, event.output_data) == ({"x": 3, "y": 1}, 7)


@pytest.mark.anyio
async def test_observe_records_coroutines_and_their_errors(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    @observe(tool=True, name="fetch")
    async def fetch(url: str) -> str:
        await anyio.sleep(0)
        if not url:
            raise ValueError("no url")
        return "page"

    with client.run("r"):
        assert await fetch("u") == "page"
        with pytest.raises(ValueError, match="no url"):
            await fetch("")
    good, bad = llmobs_events.of(ToolCallEvent)
    assert (good.tool_name, good.input, good.output) == ("fetch", {"url": "u"}, "page")
    assert bad.status == "error"


def test_observe_follows_a_generator_to_its_end(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    @observe(step_type="output", capture=True)
    def count(n: int) -> Iterator[int]:
        for i in range(n):
            llmobs.current_tracker().log_error(f"inside {i}")
            got = yield i
            assert got is None
        return

    with client.run("r") as run:
        for _ in count(2):
            assert current_run() is run
            run.log_error("outside")
    step = llmobs_events.of(AgentStepEvent)[0]
    assert step.output_data == [0, 1]
    parents = [(e.error.message, e.parent_id) for e in llmobs_events.of(ErrorEvent)]
    assert parents == [
        ("inside 0", step.event_id),
        ("outside", None),
        ("inside 1", step.event_id),
        ("outside", None),
    ]


def test_observe_passes_values_results_and_errors_through_a_generator(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    @observe
    def talk() -> Iterator[str]:
        try:
            got = yield "first"
        except KeyError as error:
            got = f"caught {error}"
        yield f"got {got}"
        return "result"

    generator: Any = talk()
    assert next(generator) == "first"
    assert generator.send("x") == "got x"
    with pytest.raises(StopIteration) as end:
        next(generator)
    assert end.value.value == "result"
    generator = talk()
    next(generator)
    assert generator.throw(KeyError("k")) == "got caught 'k'"
    generator.close()
    generator = talk()
    next(generator)
    generator.close()
    assert [step.status for step in llmobs_events.of(AgentStepEvent)] == ["success"] * 3


@pytest.mark.anyio
async def test_observe_passes_values_and_errors_through_an_async_generator(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    closed: list[bool] = []

    @observe
    async def talk() -> AsyncIterator[str]:
        try:
            try:
                got = yield "first"
            except KeyError as error:
                got = f"caught {error}"
            yield f"got {got}"
            raise ValueError("end")
        finally:
            closed.append(True)

    generator: Any = talk()
    assert await anext(generator) == "first"
    assert await generator.asend("x") == "got x"
    with pytest.raises(ValueError, match="end"):
        await anext(generator)
    generator = talk()
    await anext(generator)
    assert await generator.athrow(KeyError("k")) == "got caught 'k'"
    await generator.aclose()
    assert closed == [True, True]
    assert [step.status for step in llmobs_events.of(AgentStepEvent)] == ["error", "success"]


def test_tags_are_kept_as_plain_texts() -> None:
    class Subclass(str):
        def __len__(self) -> int:
            raise ValueError("on purpose")

    words, size = kept_tags(["a", Subclass("bc"), 7], 100)
    assert (words, size) == (("a", "bc", "7"), 100 + 4 + 3 * TAG_BYTES)
    assert {type(word) for word in words} == {str}


def test_metadata_and_tags_of_any_kind_arrive_as_json_types(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    class Odd:
        def __repr__(self) -> str:
            return "<odd>"

    when = datetime(2026, 1, 1, tzinfo=UTC)
    values = {"flat": 1, "nan": float("nan"), "when": when, "set": {1}, 2: "int key"}
    client.log_prompt_call("r", "p", "m", "a", metadata=values, tags=["a", 7])  # type: ignore[list-item,arg-type]
    client.log_prompt_call(
        "r", "p", "m", "a", metadata={"odd": [Odd()], "cut": "\ud83d"}, tags="one"
    )
    client.log_prompt_call("r", "p", "m", "a", metadata=["no", "dict"])  # type: ignore[arg-type]
    first, second, third = (event.metadata for event in llmobs_events)
    assert first == {
        "flat": 1, "nan": pytest.approx(float("nan"), nan_ok=True),
        "when": "2026-01-01T00:00:00+00:00", "set": [1], "2": "int key",
    }  # fmt: skip
    assert second is not None and second["odd"] == [
        "<tests.test_tracker.test_metadata_and_tags_of_any_kind_arrive_as_json_types.<locals>.Odd>"
    ]
    assert third == {"value": ["no", "dict"]}
    assert [event.tags for event in llmobs_events] == [("a", "7"), ("one",), ()]
    assert all(type(event.timestamp) is datetime for event in llmobs_events)


def test_unknown_keywords_become_warnings_and_raise_nothing(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    with client.run("r") as run:
        with run.prompt_call(model="m") as call:
            call.finish(response="y", tokens_inptu=3)  # type: ignore[call-arg]
        run.log_prompt_call("p", "m", "a", nonsense=3)  # type: ignore[call-arg]
        run.log_tool_call("t", {}, {}, toolid=3)  # type: ignore[call-arg]
        with run.agent_step("s", nope=2):  # type: ignore[call-arg]
            pass
        run.log_error(None)  # type: ignore[arg-type]
    said = [event.warnings for event in llmobs_events]
    assert said[0] == (
        "tokens_inptu: there is no such field, did you mean tokens_input?; kept in metadata",
    )
    assert said[1] == ("nonsense: there is no such field; kept in metadata",)
    assert said[2] == ("toolid: there is no such field, did you mean tool_id?; kept in metadata",)
    assert said[3] == ("nope: there is no such field; kept in metadata",)
    assert [event.metadata for event in llmobs_events][:4] == [
        {"tokens_inptu": 3}, {"nonsense": 3}, {"toolid": 3}, {"nope": 2},
    ]  # fmt: skip
    assert len(llmobs_events) == 6


def test_a_run_that_fails_is_recorded_even_if_nothing_else_was(
    client: llmobs.Client, llmobs_events: CapturedEvents
) -> None:
    with pytest.raises(ValueError, match="boom"), client.run("r", name="nightly") as run:
        run.parent_run_id = "request-1"
        raise ValueError("boom")
    (event,) = llmobs_events.of(RunEvent)
    assert event.parent_run_id == "request-1"
    assert (event.name, event.status, event.events) == ("nightly", "error", 0)


def test_a_run_names_the_run_that_started_it(llmobs_events: CapturedEvents) -> None:
    with (
        llmobs.run("outer") as outer,
        llmobs.run("inner", parent=outer),
        llmobs.run(parent="inner"),
    ):
        llmobs.current_tracker().log_error("noted")
    assert [event.parent_run_id for event in llmobs_events.of(RunEvent)] == ["inner"]
