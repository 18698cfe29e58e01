"""A decorator that records each call of a function as an agent step or a tool call."""

import functools
import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, ParamSpec, TypeVar, overload

from llmobs.capture.operations import AgentStep, Operation, ToolCall
from llmobs.capture.run import NO_RECORDER
from llmobs.capture.tracker import Tracker
from llmobs.client.sync_client import current_tracker
from llmobs.codec import snapshot, text_of
from llmobs.events import StepType
from llmobs.runtime.context import Frame, current_frame, set_frame
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
        label = (None if name is None else text_of(name)) or target.__qualname__

        def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation:
            given = _arguments(signature, args, kwargs) if capture else None
            tracker = _tracker()
            if tool:
                return tracker.tool_call(label, input=given)
            return tracker.agent_step(
                label, StepType.REASONING if step_type is None else step_type, input_data=given
            )

        def keep(operation: Operation, result: Any) -> None:
            if not capture:
                return
            if isinstance(operation, ToolCall):
                operation.output = result
            elif isinstance(operation, AgentStep):
                operation.output_data = result

        return _wrap(target, begin, keep)

    return decorate if function is None else decorate(function)


def _tracker() -> Tracker:
    # The application calls a function of its own: what is wrong with our settings is not its error.
    try:
        return current_tracker()
    except Exception as error:  # noqa: BLE001 - a wrong setting, a missing extra, a sink's own
        _troubles.log("observe", "llmobs: @observe records nothing: %s", error, level=logging.ERROR)
        return Tracker(NO_RECORDER)


_troubles = Troubles()

Begin = Callable[[tuple[Any, ...], dict[str, Any]], Operation]
Keep = Callable[[Operation, Any], None]


def _wrap(target: Callable[..., Any], begin: Begin, keep: Keep) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(target):

        @functools.wraps(target)
        async def async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            operation = begin(args, kwargs)
            inner = target(*args, **kwargs)
            with _Stepwise(operation, keep) as steps:
                try:
                    resume = functools.partial(inner.asend, None)
                    while True:
                        with steps.inside():
                            try:
                                value = await resume()
                            except StopAsyncIteration:
                                return
                        steps.note(value)
                        try:
                            resume = functools.partial(inner.asend, (yield value))
                        except GeneratorExit:
                            raise
                        except BaseException as error:  # noqa: BLE001 - the generator's to handle
                            resume = functools.partial(inner.athrow, error)
                finally:
                    await inner.aclose()

        return async_generator

    if inspect.isgeneratorfunction(target):

        @functools.wraps(target)
        def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            operation = begin(args, kwargs)
            inner = target(*args, **kwargs)
            with _Stepwise(operation, keep) as steps:
                try:
                    resume = functools.partial(inner.send, None)
                    while True:
                        with steps.inside():
                            try:
                                value = resume()
                            except StopIteration as end:
                                return end.value
                        steps.note(value)
                        try:
                            resume = functools.partial(inner.send, (yield value))
                        except GeneratorExit:
                            raise
                        except BaseException as error:  # noqa: BLE001 - the generator's to handle
                            resume = functools.partial(inner.throw, error)
                finally:
                    inner.close()

        return generator

    if inspect.iscoroutinefunction(target):

        @functools.wraps(target)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with begin(args, kwargs) as operation:
                result = await target(*args, **kwargs)
                keep(operation, result)
                return result

        return coroutine

    @functools.wraps(target)
    def plain(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs) as operation:
            result = target(*args, **kwargs)
            keep(operation, result)
            return result

    return plain


class _Stepwise:
    """A generator's operation: current only while the generator itself runs, never for its caller."""

    def __init__(self, operation: Operation, keep: Keep) -> None:
        self._operation = operation
        self._keep = keep
        self._values: list[Any] = []
        self.innermost: Frame | None = operation
        """What the generator itself has open."""

    def __enter__(self) -> "_Stepwise":
        outer = current_frame()
        self._operation.start()
        set_frame(outer)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._keep(self._operation, self._values)
        # Closing a generator early is how its consumer says it has enough.
        self._operation.end(None if isinstance(error, GeneratorExit) else error)

    def note(self, value: Any) -> None:
        if len(self._values) < MAX_YIELDED:
            self._values.append(snapshot(value))

    def inside(self) -> "_Inside":
        return _Inside(self)


class _Inside:
    def __init__(self, steps: _Stepwise) -> None:
        self._steps = steps

    def __enter__(self) -> None:
        self._outside = current_frame()
        set_frame(self._steps.innermost)

    def __exit__(self, *error: object) -> None:
        self._steps.innermost = current_frame()
        set_frame(self._outside)


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
