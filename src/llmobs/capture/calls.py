"""The event that sightings of one call make together; and, of like calls at once, who saw which."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from time import perf_counter
from typing import Final

from llmobs.capture.likeness import relation, response_ids
from llmobs.capture.sighting import Sighting, lock
from llmobs.events import Event, PromptCallEvent
from llmobs.pipeline.combine import combine

__all__ = ["Call", "calls_of", "warn"]

_RANK: Final = {"block": 0, "langchain": 1, "wire": 2, "span": 4}
"""Whose word counts more: what the application told, then what passed on the wire."""
_RANK_OF_OTHERS: Final = 3
"""Of frameworks, each of which is a door by its own name."""


class Call:
    """The sightings of one call, on their way to being one event."""

    is_read = False
    """Whether the event has left: nothing can be added any more."""
    has_usage = False
    _crowd: _Crowd | None = None
    _late: tuple[Sighting, ...] = ()

    def __init__(self, parts: list[Sighting], crowd: _Crowd | None = None) -> None:
        if crowd is not None:
            self._crowd = crowd
        self.parts = parts
        self.root = parts[0]
        self._failed = False
        for part in parts:
            part.called = self

    def findable(self) -> Call:
        """Note, and keep, what it takes to find it again when another door tells of it late; return it."""
        parts = self.parts
        self.model = next((part.model for part in parts if part.model), "")
        self.places = {place for part in parts for place in part.places}
        self.doors = {part.door for part in parts}
        self.when = perf_counter()
        return self

    def record(self) -> None:
        """Hand it to the pipeline, in the run and at the place of the outermost sighting."""
        root = self.root
        event = root.event
        if event is None:  # it is open still: what is inside takes its place
            event = next(part.event for part in self.parts if part.event is not None)
            event.event_id, event.run_id = root.event_id, root.tracker.run_id
            event.parent_id = root.parent_id
        event.parent_id = event.parent_id or ""  # the place of the call, not of its end
        size = 0
        for part in self.parts:
            size += part.size
            self._failed = self._failed or part.failed
        root.tracker.record(event, size=size, failed=self._failed, complete=self.complete)

    def add(self, more: list[Sighting]) -> bool:
        """Add what another door tells late, unless the event has left; with the lock held."""
        if not self.is_read:
            self._late += tuple(part for part in more if part not in self.parts)
        for part in more:
            part.called = self
        return not self.is_read

    def complete(self, event: Event) -> Iterator[None]:
        """Fill in what either knows, in steps; runs in the pipeline."""
        assert isinstance(event, PromptCallEvent)
        if self._crowd is not None:
            self._crowd.pair()
        with lock:
            self.is_read = True
            parts = sorted([*self.parts, *self._late], key=_rank)
        known = [part for part in parts if part.event is not None]
        for part in known:
            yield from _read(part)
        combine(event, [part.event for part in known if part.event is not None])
        if self.root.door != "block":
            for part in known:
                part.limit(event)
        self.has_usage = event.tokens_input is not None or event.tokens_output is not None
        if event.failed and not self._failed:
            self.root.tracker.failures += 1
        for part in parts:  # the call may be remembered for a while
            part.event = None
            part.release()


def _rank(part: Sighting) -> int:
    return _RANK.get(part.door, _RANK_OF_OTHERS)


class _Crowd:
    """Like calls at once, seen by two doors: who is whom is decided when answers can be read."""

    def __init__(self, first: list[Sighting], second: list[Sighting]) -> None:
        self._first, self._second = first, second
        self._is_paired = False
        pairs = zip_longest((root.parts for root in first), (root.parts for root in second))
        self.calls = [Call([*(one or ()), *(other or ())], self) for one, other in pairs]

    def pair(self) -> None:
        """Decide, before the first of the events leaves."""
        if self._is_paired:
            return
        for root in self._first + self._second:
            for part in root.parts:
                for _ in _read(part):  # at once: others ask for the pairs too
                    pass
        left = {id(root): root for root in self._second}
        certain = self._by_id(left)
        pairs = dict(certain)
        for at, root in enumerate(self._first):
            if at not in pairs:
                found = next((o for o in left.values() if relation(root, o) != "other"), None)
                if found is not None:
                    pairs[at] = left.pop(id(found))
        ambiguous = len(self._first) > 1 or len(self._second) > 1
        alone = list(left.values())
        with lock:
            if self._is_paired:
                return
            self._is_paired = True
            for at, call in enumerate(self.calls):
                if at >= len(self._first):
                    call.parts = alone.pop(0).parts
                elif at in pairs:
                    call.parts = self._first[at].parts + pairs[at].parts
                    if ambiguous and at not in certain:
                        warn(call.parts, "one of several like calls at once; paired by order")
                else:  # what it was held with has another's id
                    call.parts = self._first[at].parts
        for root in alone:  # its id is another's than all it was held for
            Call(root.parts).record()

    def _by_id(self, left: dict[int, Sighting]) -> dict[int, Sighting]:
        """Take from *left* what has the response id of one of the first; by the place of that."""
        known: dict[str, list[Sighting]] = {}
        for root in left.values():
            for response_id in response_ids(root):
                known.setdefault(response_id, []).append(root)
        pairs: dict[int, Sighting] = {}
        for at, root in enumerate(self._first):
            same = (o for each in response_ids(root) for o in known.get(each, ()))
            found = next((other for other in same if id(other) in left), None)
            if found is not None:
                pairs[at] = left.pop(id(found))
        return pairs


def calls_of(roots: list[Sighting]) -> list[Call]:
    """Decide which of *roots*, all like each other, are one call."""
    doors = sorted({root.door for root in roots})  # langchain, span, wire
    if len(doors) == 1:
        return [Call(root.parts) for root in roots]
    first = [root for root in roots if root.door == doors[0]]
    second = [root for root in roots if root.door == doors[-1]]
    rest = [root for root in roots if root.door not in (doors[0], doors[-1])]
    return _Crowd(first, second).calls + [Call(root.parts) for root in rest]


def _read(part: Sighting) -> Iterator[None]:
    if part.event is not None and not part.is_read:
        part.is_read = True
        yield from part.read(part.event) or ()
        part.response_id = part.response_id or part.event.response_id


def warn(parts: list[Sighting], words: str) -> None:
    """Say *words* in the event of *parts*."""
    event = next(part.event for part in parts if part.event is not None)
    event.warnings = (*event.warnings, words)
