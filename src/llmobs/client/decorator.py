"""A decorator that records each call of a function as an agent step or a tool call."""

import inspect
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

from llmobs.capture.operations import AgentStep, Operation, ToolCall
from llmobs.capture.run import NO_RECORDER
from llmobs.capture.tracker import Tracker
from llmobs.client.sync_client import current_tracker
from llmobs.codec import snapshot, text_of
from llmobs.events import StepType
from llmobs.runtime.around import around
from llmobs.runtime.troubles import Troubles

__all__ = ["observe"]

P = ParamSpec("P")
R = TypeVar("R")

MAX_YIELDED = 1_000
"""Values of a generator kept as its output."""


@overload
def observe(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def observe(
    *,
    name: str | None = None,
    step_type: StepType | str | None = None,
    tool: bool = False,
    capture: bool = True,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def observe(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    step_type: StepType | str | None = None,
    tool: bool = False,
    capture: bool = True,
) -> Any:
    """
    Record each call of the decorated function: its arguments, what it returned or raised, its time.

    Works on functions, coroutine functions, generators and async generators; a generator's step
    lasts from its first value to its end, also when it is closed early::

        @observe(tool=True)
        async def search(query: str) -> list[str]: ...

    Args:
        name: What it is called; the function's qualified name by default.
        step_type: What the agent does in it; ``reasoning`` by default.
        tool: Record tool calls instead of agent steps.
        capture: Whether arguments and results are recorded.
    """

    def decorate(target: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(target)
        yields = inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target)
        label = (None if name is None else text_of(name)) or target.__qualname__

        def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Observed:
            given = _arguments(signature, args, kwargs) if capture else None
            tracker = _tracker()
            if tool:
                return _Observed(tracker.tool_call(label, input=given), capture, yields)
            kind = StepType.REASONING if step_type is None else step_type
            return _Observed(tracker.agent_step(label, kind, input_data=given), capture, yields)

        return around(target, begin)

    return decorate if function is None else decorate(function)


def _tracker() -> Tracker:
    # The application calls a function of its own: what is wrong with our settings is not its error.
    try:
        return current_tracker()
    except Exception as error:  # noqa: BLE001 - a wrong setting, a missing extra, a sink's own
        _troubles.log("observe", "llmobs: @observe records nothing: %s", error, level=logging.ERROR)
        return Tracker(NO_RECORDER)


_troubles = Troubles()


class _Observed:
    """One call of a function, which is what an operation is."""

    def __init__(self, operation: Operation, capture: bool, yields: bool) -> None:
        self._operation = operation
        self._capture = capture
        self._values: list[Any] | None = [] if yields else None

    def __enter__(self) -> None:
        self._operation.start()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._values is not None:
            self.set_result(self._values)
        # Closing a generator early is how its consumer says it has enough.
        self._operation.end(None if isinstance(error, GeneratorExit) else error)

    def note(self, value: Any) -> None:
        if self._capture and self._values is not None and len(self._values) < MAX_YIELDED:
            self._values.append(snapshot(value))

    def set_result(self, result: Any) -> None:
        if not self._capture:
            return
        if isinstance(self._operation, ToolCall):
            self._operation.output = result
        elif isinstance(self._operation, AgentStep):
            self._operation.output_data = result


def _arguments(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    try:
        given = dict(signature.bind(*args, **kwargs).arguments)
    except TypeError:  # the call itself will say what is wrong
        return {"args": list(args), **kwargs}
    given.pop("self", None)
    given.pop("cls", None)
    return given
