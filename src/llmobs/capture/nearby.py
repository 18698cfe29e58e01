"""
Where calls happen: what other doors see there, and which of it may be the same call.

There may be hundreds of like calls at once; looking for one of them must not look at all.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Hashable, Iterator
from contextlib import suppress
from typing import Any

from llmobs.capture import joining
from llmobs.capture.joining import Sighting, is_vague, may_be_about, may_be_same, model_of
from llmobs.runtime.troubles import internal_errors

__all__ = ["Nearby", "in_task"]

_Places = dict[Hashable, dict[tuple[str, bool], dict[int, Sighting]]]


class Nearby:
    """
    What is not settled, by run or task. With the lock of `llmobs.capture.joining` held, but for `crowd_of`.
    """

    def __init__(self) -> None:
        self._places: _Places = {}
        """By place, then by door and whether it is under way."""
        self._unnamed: dict[Hashable, dict[int, Sighting]] = {}
        """What named no model when it was last looked at, by place."""

    def in_run(self, run_id: str) -> Iterator[Sighting]:
        """Return what is not settled in a run."""
        for some in self._places.get(run_id, {}).values():
            yield from some.values()

    def all(self) -> Iterator[Sighting]:
        """Return everything; what is in two places twice."""
        for place in self._places.values():
            for some in place.values():
                yield from some.values()

    def add(self, sighting: Sighting) -> None:
        """Note what begins, unless it is a block: those are around others, and never looked for."""
        if sighting.door == "block":
            return
        keys: list[Hashable] = [sighting.tracker.run_id] if sighting.is_home else []
        if not sighting.is_home or sighting.door == "span":
            keys.append(_place())
        sighting.keys = tuple(keys)
        for key in keys:
            near = self._places.setdefault(key, {})
            near.setdefault((sighting.door, True), {})[id(sighting)] = sighting
            if not sighting.model:
                sighting.was_unnamed = True
                self._unnamed.setdefault(key, {})[id(sighting)] = sighting

    def remove(self, sighting: Sighting) -> bool:
        """Take it from the table; says whether it was there."""
        was_there = False
        for key in sighting.keys:
            near = self._places.get(key, {})
            for state in ((sighting.door, True), (sighting.door, False)):
                some = near.get(state, {})
                was_there |= some.pop(id(sighting), None) is not None
                if not some:
                    near.pop(state, None)
            if not near:
                self._places.pop(key, None)
            self._name(key, sighting)
        return was_there

    def end(self, sighting: Sighting) -> None:
        """Note that it is not under way any more."""
        if self.remove(sighting):
            for key in sighting.keys:
                near = self._places.setdefault(key, {})
                near.setdefault((sighting.door, False), {})[id(sighting)] = sighting

    def others(self, root: Sighting, *states: bool) -> Iterator[Sighting]:
        """What other doors see where *root* happens: what is under way first; or only one of both."""
        doors = {part.door for part in root.parts}
        keys = {key for part in root.parts for key in part.keys}
        for under_way in states or (True, False):
            for key in keys:
                for (door, state), some in list(self._places.get(key, {}).items()):
                    if state is under_way and door not in doors:
                        yield from list(some.values())

    def _name(self, key: Hashable, sighting: Sighting) -> None:
        unnamed = self._unnamed.get(key, {})
        if unnamed.pop(id(sighting), None) is not None and not unnamed:
            del self._unnamed[key]

    def unnamed(self, root: Sighting) -> Iterator[Sighting]:
        """What names no model, where *root* happens."""
        for key in {key for part in root.parts for key in part.keys}:
            for each in list(self._unnamed.get(key, {}).values()):
                if each.model:
                    self._name(key, each)
                else:
                    yield each

    def _look(self, root: Sighting) -> None:
        """Ask what names no model yet, around *root*, whether it does by now; without the lock."""
        with joining.lock:
            unnamed = {id(each): each for each in [*root.parts, *self.unnamed(root)]}
        for each in unnamed.values():
            if not each.model:
                with internal_errors("look at a call under way"):
                    each.look()

    def _like(self, root: Sighting, under_way: bool) -> Iterator[Sighting]:
        for other in (each.root for each in self.others(root, under_way)):
            told = other.called is None and other is not root and not is_vague(other)
            if told and may_be_same(root, other):
                yield other

    def _under_way(self, root: Sighting) -> Sighting | None:
        return next((other for other in self._like(root, True) if not other.is_done), None)

    def crowd_of(self, root: Sighting, *, stop: bool = False) -> list[Sighting]:
        """
        Return *root* and all that may be the same call, or that one may be, and so on; by order.

        Args:
            root: The outermost sighting of a call.
            stop: Whether one under way is enough to know.
        """
        self._look(root)
        with joining.lock:
            # Mostly the first that is asked, of hundreds.
            if stop and (found := self._under_way(root)):
                return [root, found]
            near = next(self._like(root, False), None) if stop else None
            if near is not None and (found := self._under_way(near)):
                return [root, near, found]
            if stop and near is None and root.door != "span":  # one that may be it is enough
                vague = (each.root for each in self.unnamed(root))
                found = next((o for o in vague if is_vague(o) and may_be_same(root, o)), None)
                return [root] if found is None else [root, found]
            search = _Search(self._places)
            crowd = {id(root): root}
            todo = [root]
            while todo:
                known = todo.pop()
                for other in search.like(known):
                    if other.called is not None or id(other) in crowd:
                        continue
                    crowd[id(other)] = other
                    if is_vague(other):
                        continue
                    if stop and not other.is_done:
                        return list(crowd.values())
                    todo.append(other)
        return sorted(crowd.values(), key=lambda each: each.order)


class _Search:
    """
    One search for like calls: each is looked at once, by model, however many there are.

    Args:
        near: What is not settled, by place, door and state.
    """

    def __init__(self, near: _Places) -> None:
        self._places = near
        self._left: dict[Hashable, dict[tuple[str, str], dict[int, Sighting]]] = {}
        """What was not found yet: by place, then by door and model."""

    def like(self, known: Sighting) -> list[Sighting]:
        """Return what may be the same call as *known* and was not returned before."""
        found = []
        parts = known.parts
        doors = {part.door for part in parts}
        for key in {key for part in parts for key in part.keys}:
            for (door, model), some in self._left_in(key).items():
                if door in doors or not may_be_about(known, model):
                    continue
                for at, other in list(some.items()):
                    if may_be_same(known, other):
                        del some[at]
                        found.append(other)
        return found

    def _left_in(self, key: Hashable) -> dict[tuple[str, str], dict[int, Sighting]]:
        left = self._left.get(key)
        if left is None:
            left = self._left[key] = {}
            for (door, _), some in self._places.get(key, {}).items():
                for each in some.values():
                    root = each.root
                    left.setdefault((door, model_of(root)), {})[id(root)] = root
        return left


def _task() -> Any:
    for name in ("asyncio", "trio.lowlevel"):
        module = sys.modules.get(name)
        if module is not None:
            with suppress(RuntimeError):  # no loop runs here
                if (task := module.current_task()) is not None:
                    return task
    return None


def in_task() -> bool:
    """Whether a task runs here, of asyncio or trio."""
    return _task() is not None


def _place() -> Hashable:
    """Where code runs that no run of llmobs surrounds."""
    return threading.get_ident(), id(_task())
