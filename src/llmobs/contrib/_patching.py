"""
Functions of other libraries wrapped where these have no hook, and given back; objects that exist already.

Which functions these are is said in docs/how-to/capture-everything.md: constructors, which run once per
client, and one function each of libraries that have no place to put something around what sends.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import Any

from llmobs.runtime.troubles import Troubles, internal_errors

__all__ = ["Patches", "existing"]

Wrapper = Callable[[Any, Callable[[], bool]], Any]
_troubles = Troubles()


class Patches:
    """What one door has wrapped."""

    def __init__(self) -> None:
        self._patches: list[_Patch] = []

    def __bool__(self) -> bool:
        return bool(self._patches)

    def after(self, owner: type, name: str, take: Callable[[Any], object], what: str) -> None:
        """
        Have *take* called with the object whenever its method *name* has returned.

        Args:
            owner: The class.
            name: A method of its own, such as ``__init__``.
            take: What goes wrong in it is reported, never raised.
            what: What is done, in words, for that report.
        """

        def wrapper(original: Any, is_on: Callable[[], bool]) -> Any:
            def method(this: Any, /, *args: Any, **kwargs: Any) -> None:
                original(this, *args, **kwargs)
                if is_on():
                    with internal_errors(what):
                        take(this)

            return method

        self.around(owner, name, wrapper)

    def around(self, owner: Any, name: str, wrapper: Wrapper) -> None:
        """
        Put what *wrapper* returns in the place of a function.

        Args:
            owner: A class or a module.
            name: What it calls the function.
            wrapper: Is given the function, and what says whether it is still to be wrapped.
        """
        self._patches.append(_Patch(owner, name, wrapper))

    def undo(self) -> None:
        """Give back what was wrapped."""
        for patch in reversed(self._patches):
            patch.undo()
        self._patches.clear()


class _Patch:
    def __init__(self, owner: Any, name: str, wrapper: Wrapper) -> None:
        self._owner = owner
        self._name = name
        self._original = owner.__dict__[name]
        self._is_on = True
        self._ours = functools.wraps(self._original)(wrapper(self._original, lambda: self._is_on))
        setattr(owner, name, self._ours)

    def undo(self) -> None:
        self._is_on = False
        # Somebody may have wrapped ours since: theirs stays, and ours only passes on.
        if self._owner.__dict__.get(self._name) is self._ours:
            setattr(self._owner, self._name, self._original)


def existing(*classes: type) -> list[Any]:
    """Return the objects of *classes* there are; takes some 100 ms for half a million objects."""
    if gc.get_freeze_count():
        _troubles.log(
            "frozen",
            "llmobs: clients made before gc.freeze() cannot be found: those are not recorded. "
            "Call instrument() before it.",
        )
    # By type(): isinstance asks proxies for their class, who then build what they stand for.
    return [found for found in gc.get_objects() if issubclass(type(found), classes)]
