"""
Every public method, every argument, every kind of value: returns in time, raises nothing, is readable
in every sink, and the ledger is exact.
"""

import cProfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import llmobs
from llmobs import watchllm
from llmobs.capture.operations import Operation
from llmobs.errors import DeliveryTimeoutError
from llmobs.testing import capture_events
from llmobs.watchllm import WatchLLMClient
from tests.hostile import doors
from tests.hostile.doors import arguments_of, attributes_of, row, square
from tests.hostile.sinks import write
from tests.hostile.values import large, values

SECONDS = 5.0
"""CPU that no call may take: a hundred times what it does."""
CALLS = 200_000
"""Python calls within one call, for each argument: the budget of a value, whatever its size."""

METHODS = [(owner, name) for owner, name in doors.methods() if owner is not llmobs.AsyncClient]
IDS = [f"{owner.__name__}.{name}" for owner, name in METHODS]
ALONE = [
    (owner, name)
    for owner, name in METHODS
    if not issubclass(owner, llmobs.Client | llmobs.Event) or owner is llmobs.PromptCallEvent
]
"""The others hand over to a tracker, or are events whose fields others have too."""
BLOCKS = {
    llmobs.PromptCall: "prompt_call",
    llmobs.AgentStep: "agent_step",
    llmobs.ToolCall: "tool_call",
}

NAMED = {llmobs.PromptCall: "model", llmobs.AgentStep: "step_name", llmobs.ToolCall: "tool_name"}


def begin(owner: type, client: llmobs.Client) -> Any:
    """Return a new object of class *owner* that records with *client*."""
    if not issubclass(owner, llmobs.Tracker | Operation):
        return client
    run = client.run()
    if owner is llmobs.Tracker:
        run.log_error("e")
        return run
    return getattr(run, BLOCKS[owner])(**{NAMED[owner]: "n"}).start()


def end(thing: Any) -> None:
    """End a run or a block that was begun, so that its events are recorded."""
    if isinstance(thing, Operation):
        thing.end()
    elif isinstance(thing, llmobs.Tracker):
        if not thing.recorded:
            thing.log_error("e")
        thing.finish()


def in_time(call: Callable[..., Any], **arguments: Any) -> Any:
    begun = time.thread_time()
    result = call(**arguments)
    assert time.thread_time() - begun < SECONDS
    return result


def arguments(owner: type, name: str, unknown: slice = slice(None)) -> list[str]:
    """Return the names of what `attempt` fills."""
    function = owner if issubclass(owner, llmobs.Event) else getattr(owner, name)
    return arguments_of(function, unknown)


def attempt(
    owner: type, name: str, client: llmobs.Client, arguments: dict[str, Any], run: Any = None
) -> None:
    """Call the method, of *run* if there is one, and end what was begun."""
    if issubclass(owner, llmobs.Event):
        with suppress(DeliveryTimeoutError):  # it stays queued
            in_time(client.send, event=owner(**arguments), timeout=0)
        return
    thing = run or begin(owner, client)
    result = in_time(getattr(thing, name), **arguments)
    if name.startswith("log_") or name in ("track", "end"):
        assert type(result) is str
    if isinstance(result, Operation):
        result.start()
    for each in (result, thing):
        if each is not run:
            end(each)


def test_there_are_seventy_kinds() -> None:
    assert len(values()) >= 70


def test_every_method_is_tried_or_excluded() -> None:
    assert all(name.startswith("_") or name for name in doors.EXCLUDED)
    known = {name for owner in doors.CLASSES for name in dir(owner)}
    assert doors.EXCLUDED.keys() <= known
    # What the asynchronous client records with are the same functions.
    assert [name for owner, name in doors.methods() if owner is llmobs.AsyncClient] == []
    found = doors.functions(llmobs) | doors.functions(watchllm)
    assert found.keys() == doors.FUNCTIONS.keys() | doors.EXCLUDED_FUNCTIONS.keys()
    assert len(METHODS) >= 30


@pytest.mark.parametrize(("owner", "name"), METHODS, ids=IDS)
def test_any_argument_takes_some_values(
    owner: type, name: str, request: pytest.FixtureRequest
) -> None:
    """Each method has another eighth of them: together they have them all."""
    try_values(owner, name, request, every=8, first=METHODS.index((owner, name)) % 8)


@pytest.mark.parametrize(("owner", "name"), ALONE, ids=map("{0[0].__name__}.{0[1]}".format, ALONE))
def test_any_argument_takes_every_value(
    owner: type, name: str, request: pytest.FixtureRequest
) -> None:
    try_values(owner, name, request)


def try_values(
    owner: type, name: str, request: pytest.FixtureRequest, *, every: int = 1, first: int = 0
) -> None:
    client = request.getfixturevalue("watching" if owner is WatchLLMClient else "client")
    run = begin(owner, client) if owner is llmobs.Tracker and name != "finish" else None
    for given in square(arguments(owner, name), every, first):
        attempt(owner, name, client, given, run)
    end(run)


@pytest.mark.parametrize(("owner", "name"), METHODS, ids=IDS)
def test_large_values_cost_no_more_than_their_budget(
    owner: type, name: str, request: pytest.FixtureRequest
) -> None:
    """Of the names that it does not know each method has another third: what they hold is dear."""
    client = request.getfixturevalue("watching" if owner is WatchLLMClient else "single")
    first = METHODS.index((owner, name))
    names = arguments(owner, name, unknown=slice(first % 3, None, 3))
    given = row(names, large(), first)
    profile = cProfile.Profile()
    with profile:
        attempt(owner, name, client, given)
    assert sum(entry.callcount for entry in profile.getstats()) < CALLS * len(names)


@pytest.mark.parametrize("owner", [llmobs.Tracker, *BLOCKS])
def test_any_value_of_any_attribute(owner: type, client: llmobs.Client) -> None:
    thing = begin(owner, client)
    names = attributes_of(thing)
    end(thing)
    for given in square(names):
        thing = begin(owner, client)
        for name, value in given.items():
            setattr(thing, name, value)
        if isinstance(thing, llmobs.Tracker):
            assert isinstance(thing.run_id, str) and thing.run_id.isprintable()
            with thing, thing.agent_step("step"):
                thing.log_prompt_call("p", "m", "r")
        end(thing)


def test_an_observed_function_takes_and_gives_anything(client: llmobs.Client) -> None:
    def function(*args: Any, **kwargs: Any) -> Any:
        return args[0]

    def generator(value: Any) -> Iterator[Any]:
        yield value

    for given in square(["name", "step_type"]):  # the others are switches
        step, steps = llmobs.observe(**given)(function), llmobs.observe(**given)(generator)
        with client.run():
            step(1)
            list(steps(1))
    step, steps = llmobs.observe(function), llmobs.observe(tool=True)(generator)
    with client.run():
        for value in values().values():
            assert step(value, key=value) is value
            assert [given is value for given in steps(value)] == [True]


def test_the_functions_take_anything() -> None:
    with capture_events() as captured:
        for given in square(arguments_of(llmobs.run)):
            with llmobs.run(**given) as run:
                run.log_error("e")
        for given in square(arguments_of(watchllm.calculate_cost)):
            assert type(watchllm.calculate_cost(**given)) is float
        for given in square(arguments_of(watchllm.trace)):
            with watchllm.trace(**given) as run_id:
                assert type(run_id) is str
                llmobs.current_run()
                llmobs.run().log_error("e")
    for event in captured:
        write(event)
