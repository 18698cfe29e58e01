"""A block around every call of a function, whatever kind of function it is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Protocol

from llmobs.runtime.context import Frame, current_frame, set_frame

__all__ = ["Block", "around"]


class Block(Protocol):
    """One call of a function."""

    def __enter__(self) -> object:
        """Begin it: of a generator, with its first value."""
        ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """End it; ``GeneratorExit`` if a generator's consumer has enough."""
        ...

    def set_result(self, result: Any) -> None:
        """Note what a function has returned."""
        ...

    def note(self, value: Any) -> None:
        """Note one value of a generator."""
        ...


class _Turns:
    """
    The turns that a generator takes with its consumer: what is current in the one is not in the other.

    A block for each turn of the generator.

    Args:
        outside: What is current for the consumer from now on; what is so until now is for the generator.
    """

    def __init__(self, outside: Frame | None) -> None:
        self._innermost = current_frame()
        self._outside: Frame | None = None
        set_frame(outside)

    def __enter__(self) -> None:
        self._outside = current_frame()
        set_frame(self._innermost)

    def __exit__(self, *error: object) -> None:
        self._innermost = current_frame()
        set_frame(self._outside)
        self._outside = None


Open = Callable[[tuple[Any, ...], dict[str, Any]], Block]


def around(target: Callable[..., Any], open_block: Open) -> Callable[..., Any]:
    """
    Return *target* with a block around each of its calls.

    Args:
        target: A function, a coroutine function, a generator function or an asynchronous one; so is
            what is returned.
        open_block: Makes the block; given the arguments and the keyword arguments.
    """
    if inspect.isasyncgenfunction(target):

        @functools.wraps(target)
        async def async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            block = open_block(args, kwargs)
            inner, outside = target(*args, **kwargs), current_frame()
            with block:
                turns = _Turns(outside)
                try:
                    resume = functools.partial(inner.asend, None)
                    while True:
                        with turns:
                            try:
                                value = await resume()
                            except StopAsyncIteration:
                                return
                        block.note(value)
                        try:
                            resume = functools.partial(inner.asend, (yield value))
                        except GeneratorExit:
                            raise
                        except BaseException as error:  # noqa: BLE001 - the generator's to handle
                            resume = functools.partial(inner.athrow, error)
                finally:
                    with turns:
                        await inner.aclose()

        return async_generator

    if inspect.isgeneratorfunction(target):

        @functools.wraps(target)
        def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            block = open_block(args, kwargs)
            inner, outside = target(*args, **kwargs), current_frame()
            with block:
                turns = _Turns(outside)
                try:
                    resume = functools.partial(inner.send, None)
                    while True:
                        with turns:
                            try:
                                value = resume()
                            except StopIteration as end:
                                return end.value
                        block.note(value)
                        try:
                            resume = functools.partial(inner.send, (yield value))
                        except GeneratorExit:
                            raise
                        except BaseException as error:  # noqa: BLE001 - the generator's to handle
                            resume = functools.partial(inner.throw, error)
                finally:
                    with turns:
                        inner.close()

        return generator

    if inspect.iscoroutinefunction(target):

        @functools.wraps(target)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with (block := open_block(args, kwargs)):
                result = await target(*args, **kwargs)
                block.set_result(result)
                return result

        return coroutine

    @functools.wraps(target)
    def plain(*args: Any, **kwargs: Any) -> Any:
        with (block := open_block(args, kwargs)):
            result = target(*args, **kwargs)
            block.set_result(result)
            return result

    return plain
