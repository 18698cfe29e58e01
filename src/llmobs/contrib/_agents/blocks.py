"""Pieces of work around code of a framework's, for doors that wrap functions of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from llmobs.capture.operations import Operation, PromptCall
from llmobs.contrib._agents.work import Make, OpenWork, Piece
from llmobs.contrib._patching import IsOn, Wrapper
from llmobs.runtime.around import around
from llmobs.runtime.troubles import internal_errors

__all__ = ["Block", "piece_per_call"]

MAX_YIELDED: Final = 10_000
"""Values of a generator that its door is told of."""


class Block:
    """
    A piece of work around a block of a framework's code; see `llmobs.runtime.around`.

    What goes wrong in llmobs is reported, and the block runs all the same: then it is given None.

    Args:
        work: What it belongs to.
        make: As of `OpenWork.begin`; None records nothing.
        tell: As of `piece_per_call`.
        whole: As of `OpenWork.end`, and so *gives_up*.
        more: As of `OpenWork.begin`.
    """

    def __init__(
        self,
        work: OpenWork,
        make: Make | None,
        tell: Callable[[Any, Any], object] | None = None,
        *,
        whole: bool = False,
        gives_up: bool = True,
        **more: Any,
    ) -> None:
        self._how = {"whole": whole, "gives_up": gives_up}
        self._work = work
        self._make = make
        self._tell = tell
        self._more = more
        self._result: Any = None
        self._piece: Piece | None = None

    def __enter__(self) -> Piece | None:
        if self._make is not None:
            with internal_errors(f"record what {self._work.door} does"):
                self._piece = self._work.begin(self, self._make, **self._more)
        return self._piece

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if type(error) is RuntimeError and type(error.__context__) is GeneratorExit:
            error = error.__context__  # the generator was left, and went on
        with internal_errors(f"record what {self._work.door} did"):
            tell = None if self._tell is None else self._tell_with_result
            self._work.end(self, error, tell=tell, **self._how)

    def _tell_with_result(self, operation: Any) -> None:
        assert self._tell is not None
        self._tell(operation, self._result)

    def set_result(self, result: Any) -> None:
        """Note what a function has returned."""
        self._result = result

    def note(self, value: Any) -> None:
        """Note one value of a generator."""
        if self._result is None:
            self._result = []
            if self._piece is not None and isinstance(self._piece.operation, PromptCall):
                self._piece.operation.first_token()
        if self._tell is not None and len(self._result) < MAX_YIELDED:
            self._result.append(value)


def piece_per_call(
    work: OpenWork,
    make: Callable[..., Operation | None],
    tell: Callable[[Any, Any], object] | None = None,
    **more: Any,
) -> Wrapper:
    """
    Return what puts a piece of work around each call of a function; see `llmobs.contrib._patching.Patches.around`.

    The function may be of any kind: a plain or a coroutine function, a generator function or an asynchronous one.

    Args:
        work: What the calls belong to.
        make: Makes the block that records a call, if any; given the tracker and the arguments.
        tell: Fills it in; given it and what was returned, or of a generator a list of its values.
        more: As of `Block`.
    """

    def wrapper(original: Callable[..., Any], is_on: IsOn) -> Callable[..., Any]:
        def opened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Block:
            if not is_on():
                return Block(work, None)
            return Block(work, lambda tracker: make(tracker, *args, **kwargs), tell, **more)

        return around(original, opened)

    return wrapper
