"""
Functions of other libraries wrapped where these have no hook, and given back; objects that exist already.

Which functions these are is said in docs/how-to/capture-everything.md: constructors, which run once per
client, and one function each of libraries that have no place to put something around what sends.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from llmobs.runtime.troubles import Troubles, internal_errors

__all__ = ["IsOn", "Patches", "Wrapper", "one_look"]

IsOn = Callable[[], bool]
"""Says whether a function is still to be wrapped."""
Wrapper = Callable[[Any, IsOn], Any]
"""Makes what takes the place of a function; given that."""
_troubles = Troubles()


class Patches:
    """What one door has wrapped."""

    def __init__(self) -> None:
        self._patches: list[_Patch] = []

    def __bool__(self) -> bool:
        return bool(self._patches)

    def every(self, kinds: Sequence[type], callback: Callable[[Any], object], what: str) -> None:
        """
        Have *callback* called with each object of *kinds*: those there are, and those made from now on.

        Args:
            kinds: Classes with an ``__init__`` of their own.
            callback: What goes wrong in it is reported, never raised.
            what: What is done, in words, for that report.
        """
        for kind in kinds:
            self.after(kind, "__init__", callback, what)
        wanted = _Wanted(tuple(kinds), callback, what)
        if _later is None:
            _look([wanted])
        else:
            _later.append(wanted)

    def after(self, owner: type, name: str, callback: Callable[[Any], object], what: str) -> None:
        """
        Have *callback* called with the object whenever its method *name* has returned.

        Args:
            owner: The class.
            name: A method of its own, such as ``__init__``.
            callback: What goes wrong in it is reported, never raised.
            what: What is done, in words, for that report.
        """

        def wrapper(original: Any, is_on: IsOn) -> Any:
            def method(this: Any, /, *args: Any, **kwargs: Any) -> None:
                original(this, *args, **kwargs)
                if is_on():
                    with internal_errors(what):
                        callback(this)

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


class _Wanted(NamedTuple):
    """Objects that are looked for."""

    kinds: tuple[type, ...]
    callback: Callable[[Any], object]
    what: str


_later: list[_Wanted] | None = None


@contextmanager
def one_look() -> Iterator[None]:
    """Have what `Patches.every` is asked for inside looked for at the end, at once."""
    global _later
    wanted: list[_Wanted] = []
    _later = wanted
    try:
        yield
    finally:
        _later = None
        if wanted:
            _look(wanted)


def _look(wanted: list[_Wanted]) -> None:
    """Look through the objects of the process: some 50 ms for half a million."""
    if gc.get_freeze_count():
        _troubles.log(
            "frozen",
            "llmobs: clients made before gc.freeze() cannot be found: those are not recorded. "
            "Call instrument() before it.",
        )
    asked: dict[type, list[_Wanted]] = {}
    for found in gc.get_objects():
        # By type(): isinstance asks proxies for their class, who then build what they stand for.
        kind = type(found)
        matching = asked.get(kind)
        if matching is None:
            matching = asked[kind] = [each for each in wanted if issubclass(kind, each.kinds)]
        for each in matching:
            with internal_errors(each.what):
                each.callback(found)
