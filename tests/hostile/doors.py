"""
What takes values of an application, found by looking: every public method and function, every argument.

A new method is found and tried as the others are, or named here with the reason why it is not.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import llmobs
from llmobs import watchllm
from llmobs.capture.operations import Operation
from llmobs.codec import AnyEvent
from llmobs.watchllm import WatchLLMClient
from tests.hostile.values import small

CLASSES: tuple[type, ...] = (
    llmobs.Client, llmobs.Tracker, WatchLLMClient, llmobs.AsyncClient, llmobs.PromptCall,
    llmobs.AgentStep, llmobs.ToolCall,
)  # fmt: skip

_WAITS = "takes seconds to wait, no value to record"
_DOORS = "for doors that capture: takes events and sightings of their making"
_SETTINGS = "settings, which say what is wrong with them: tests/test_settings.py"
EXCLUDED: Mapping[str, str] = {
    "flush": _WAITS,
    "drain": _WAITS,
    "record": _DOORS,
    "record_later": _DOORS,
    "shared": _DOORS,
    "refuse": _DOORS,
    "enclose": _DOORS,
    "from_env": _SETTINGS,
    "collect": "takes a function of a test",
    "send": "tried by the classes of events that it takes: EVENTS",
}
"""Methods that are not tried, and why."""

EVENTS: tuple[type[llmobs.Event], ...] = AnyEvent.__args__
"""What an application may fill itself, and hand to `send`."""

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "llmobs.run": llmobs.run,
    "llmobs.observe": llmobs.observe,
    "watchllm.trace": watchllm.trace,
    "watchllm.calculate_cost": watchllm.calculate_cost,
}
EXCLUDED_FUNCTIONS: Mapping[str, str] = {
    "llmobs.bind_run": "takes a function, and records nothing",
    "llmobs.flush_on_signals": "takes signals, and refuses others",
    "llmobs.instrument": _SETTINGS,
    "watchllm.auto_instrument": _SETTINGS,
    "watchllm.init": _SETTINGS,
}

ATTRIBUTES_EXCLUDED: Mapping[str, str] = {
    **dict.fromkeys(
        ("client", "run", "outer", "left", "is_run", "door", "on_cancelled", "complete"), "frames"
    ),
    **dict.fromkeys(
        (
            "recorded",
            "failures",
            "steps",
            "cost_usd",
            "sampled",
            "tokens_input",
            "tokens_output",
            "calls_unfiled",
        ),
        "counted by llmobs",
    ),
    **dict.fromkeys(
        ("event_id", "start_time", "started", "ended", "standalone"), "set by llmobs when it begins"
    ),
}
"""Attributes that an application reads and does not set."""

ODD_FIELDS = ("no_such_field", "client", "warnings", "standalone", "\ud83d")


def methods() -> Iterator[tuple[type, str]]:
    """Yield each public method that takes arguments, with its class; inherited ones once; and each event."""
    seen: set[Any] = set()
    for owner in CLASSES:
        for name, function in inspect.getmembers(owner, callable):
            key = (function, owner) if issubclass(owner, Operation) else function
            if not name.startswith("_") and name not in EXCLUDED and key not in seen:
                seen.add(key)
                if arguments_of(function):
                    yield owner, name
    for owner in EVENTS:
        yield owner, "send"


def functions(module: Any) -> dict[str, Callable[..., Any]]:
    """Return the public functions of *module* that take arguments, by qualified name."""
    name = module.__name__.rpartition(".")[2]
    found = {f"{name}.{n}": getattr(module, n) for n in module.__all__}
    return {n: f for n, f in found.items() if inspect.isfunction(f) and arguments_of(f)}


def arguments_of(function: Callable[..., Any], unknown: slice = slice(None)) -> list[str]:
    """Return the names of all that *function* takes, and of some that it does not: which of them."""
    names: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            others = [*ODD_FIELDS, *inspect.signature(llmobs.Tracker.log_prompt_call).parameters]
            others.remove("self")
            names += others[unknown]
        elif name != "self":
            names.append(name)
    return list(dict.fromkeys(names))


def attributes_of(thing: object) -> list[str]:
    """Return the names of what an application may set."""
    return [
        name
        for name in dir(thing)
        if not name.startswith("_")
        and name not in ATTRIBUTES_EXCLUDED
        and not callable(getattr(thing, name))
        and getattr(getattr(type(thing), name, None), "fset", True) is not None
    ]


def square(names: list[str], step: int = 1, first: int = 0) -> Iterator[dict[str, Any]]:
    """
    Yield arguments for one call after another: a Latin square of names and kinds.

    Each call gives every argument another kind; after all, every argument has had every kind, or
    every *step*-th from the *first*.
    """
    for shift in range(first, len(small()), step):
        yield row(names, small(), shift)


def row(names: list[str], kinds: Mapping[str, Any], shift: int) -> dict[str, Any]:
    """Return the arguments of one call."""
    given = list(kinds.values())
    return {name: given[(index + shift) % len(given)] for index, name in enumerate(names)}
