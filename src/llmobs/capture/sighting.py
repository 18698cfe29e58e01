"""
A call as one door sees it; when two of these may be one call, and where to find such; the event they make.

Which belong together, and since when that is certain, is the business of `llmobs.capture.joining`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import lru_cache
from itertools import zip_longest
from time import perf_counter
from typing import Any, Final

from llmobs.events import Event, PromptCallEvent
from llmobs.pipeline.combine import combine
from llmobs.runtime.forks import ForkLock

__all__ = [
    "GRACE_SECONDS",
    "Call",
    "Places",
    "Sighting",
    "calls_of",
    "is_like",
    "is_vague",
    "lock",
    "may_be_same",
    "places_of",
    "warn",
]

GRACE_SECONDS: Final = 1.0
"""How long a span that tells of no answer waits for the transport to begin."""

_RANK: Final = {"block": 0, "langchain": 1, "wire": 2, "span": 4}
"""Whose word counts more: what the application told, then what passed on the wire."""
_RANK_OF_OTHERS: Final = 3
"""Of frameworks, each of which is a door by its own name."""
lock: Final = ForkLock()
"""Guards all sightings; what is not of this file or `llmobs.capture.joining` is called without it."""


class Sighting:
    """
    What one door sees of one call. Doors make one, and begin and end it in `llmobs.capture.joining.sightings`.

    Args:
        door: ``block``, ``langchain``, ``wire``, ``span``, or the name of another framework.
        tracker: The run it belongs to (a `llmobs.capture.tracker.Tracker`).
        event_id: Of the event it becomes, should no other door go around it.
        is_home: Whether the run was there; False: it was made for this call.
        started: When it began (``time.perf_counter``); by default now.
    """

    __slots__ = (
        "answered", "called", "door", "ended", "event", "event_id", "failed", "filed", "has_usage", "inner",
        "is_container", "is_home", "is_read", "model", "on_cancelled", "order", "outer",
        "parent_id", "places", "response_id", "size", "started", "tracker", "waiters", "waits_for",
    )  # fmt: skip

    def __init__(
        self,
        door: str,
        tracker: Any,
        *,
        event_id: str,
        is_home: bool = True,
        started: float | None = None,
    ) -> None:
        self.door = door
        self.tracker = tracker
        self.event_id = event_id
        self.parent_id: str | None = None
        self.is_home = is_home
        self.started = perf_counter() if started is None else started
        self.ended: float | None = None
        self.model = ""
        """Asked for, as far as known."""
        self.response_id: str | None = None
        self.answered = True
        """Whether it tells of an answer; if not, whoever saw that one may have begun later."""
        self.has_usage = False
        """Whether it tells of tokens, as far as can be said before it is read."""
        self.event: PromptCallEvent | None = None
        """What it becomes if nobody else saw the call; known at its end."""
        self.size = 0
        self.failed = False
        self.outer: Sighting | None = None
        """The block or span around it, which is the same call."""
        self.inner: Sighting | None = None
        self.is_container = False
        """Whether several calls happened inside: then it is none itself."""
        self.called: Call | None = None
        """The event it is part of, once that is decided."""
        self.on_cancelled: Callable[[], object] | None = None
        """Called when what is inside was cancelled, for doors that may never be told of their end."""
        self.is_read = False
        self.order = 0
        self.places: tuple[Hashable, ...] = ()
        """Where it happens: its run, or the task it began in."""
        self.filed: tuple[set[Hashable], tuple[str, str, bool]] | None = None
        """Where the table has it, as the root of a call: places, door, model, whether it is done."""
        self.waits_for: Sighting | None = None
        """The span without a model that it may turn out to be."""
        self.waiters: dict[int, Sighting] = {}
        """What waits for this one."""

    @property
    def root(self) -> Sighting:
        """The outermost sighting of this call."""
        root: Sighting = self
        while root.outer is not None:
            root = root.outer
        return root

    @property
    def parts(self) -> list[Sighting]:
        """This and what is inside, outermost first."""
        found: list[Sighting] = [self]
        while (inner := found[-1].inner) is not None:
            found.append(inner)
        return found

    @property
    def is_done(self) -> bool:
        """Whether this and all inside have ended."""
        return all(part.ended is not None for part in self.parts)

    # What doors may fill in.

    def look(self) -> None:
        """Find out :attr:`model` while it is under way, if that costs little."""

    def read(self, event: PromptCallEvent) -> Iterable[None] | None:
        """Fill :attr:`event` with what takes time to read, in steps; runs in the pipeline."""
        return None

    def limit(self, event: PromptCallEvent) -> None:
        """Take out what must not be kept of a call that no block told of."""

    def is_certain(self) -> bool:
        """Whether it is known to be a call; of some spans only their end tells."""
        return True

    def cut(self, why: str) -> None:
        """End it now although it goes on; *why* belongs into its warnings."""

    def release(self) -> None:
        """Let go of what :meth:`read` needs."""


class Call:
    """The sightings of one call, on their way to being one event."""

    def __init__(self, parts: list[Sighting], crowd: _Crowd | None = None) -> None:
        self.parts = parts
        self.root = parts[0]
        self.model = next((part.model for part in parts if part.model), "")
        self.places = {place for part in parts for place in part.places}
        self.doors = {part.door for part in parts}
        self.when = perf_counter()
        self.is_read = False
        """Whether the event has left: nothing can be added any more."""
        self.has_usage = False
        self._crowd = crowd
        self._late: list[Sighting] = []
        self._failed = any(part.failed for part in parts)
        for part in parts:
            part.called = self

    def record(self) -> None:
        """Hand it to the pipeline, in the run and at the place of the outermost sighting."""
        root = self.root
        event = root.event
        if event is None:  # it is open still: what is inside takes its place
            event = next(part.event for part in self.parts if part.event is not None)
            event.event_id, event.run_id = root.event_id, root.tracker.run_id
            event.parent_id = root.parent_id
        event.parent_id = event.parent_id or ""  # the place of the call, not of its end
        size = sum(part.size for part in self.parts)
        root.tracker.record(event, size=size, failed=self._failed, complete=self.complete)

    def add(self, more: list[Sighting]) -> bool:
        """Add what another door tells late, unless the event has left; with the lock held."""
        if not self.is_read:
            self._late += [part for part in more if part not in self.parts]
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
                found = next((o for o in left.values() if _ids(root, o) != "other"), None)
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
            for response_id in _response_ids(root):
                known.setdefault(response_id, []).append(root)
        pairs: dict[int, Sighting] = {}
        for at, root in enumerate(self._first):
            same = (o for each in _response_ids(root) for o in known.get(each, ()))
            found = next((other for other in same if id(other) in left), None)
            if found is not None:
                pairs[at] = left.pop(id(found))
        return pairs


def _rank(part: Sighting) -> int:
    return _RANK.get(part.door, _RANK_OF_OTHERS)


def calls_of(roots: list[Sighting]) -> list[Call]:
    """Decide which of *roots*, all like each other, are one call."""
    doors = sorted({root.door for root in roots})  # langchain, span, wire
    if len(doors) == 1:
        return [Call(root.parts) for root in roots]
    first = [root for root in roots if root.door == doors[0]]
    second = [root for root in roots if root.door == doors[-1]]
    rest = [root for root in roots if root.door not in (doors[0], doors[-1])]
    return _Crowd(first, second).calls + [Call(root.parts) for root in rest]


def _model_of(root: Sighting) -> str:
    """Return the model that was asked for, without who serves it; empty if it is not known yet."""
    if root.inner is None:
        return _bare(root.model)
    return _bare(next((part.model for part in root.parts if part.model), ""))


@lru_cache(maxsize=1024)
def _bare(model: str) -> str:
    return model.rpartition("/")[2].lower()


def is_like(one: Sighting, other: Sighting, model: str = "") -> bool:
    """Whether both may be the same call: by response id, else by model and time."""
    ids = _ids(one, other)
    if ids != "unknown":
        return ids == "same"
    its = _bare(model) if model else _model_of(other)
    return _is_same_model(_model_of(one), its) and _begins_in(one, other) and _begins_in(other, one)


def is_vague(root: Sighting) -> bool:
    """Whether it may turn out to be about any model: some spans tell of theirs only when they end."""
    return root.door == "span" and root.ended is None and not _model_of(root)


def _may_be_about(root: Sighting, model: str) -> bool:
    """Whether *root* may be a call of *model*, for all that is known before the calls are compared."""
    if not model or _response_ids(root):
        return True
    mine = _model_of(root)
    return _is_same_model(mine, model) or (not mine and is_vague(root))


def may_be_same(one: Sighting, other: Sighting) -> bool:
    """Whether both may be the same call, seen by different doors; none of them goes around the other."""
    if "block" in (one.door, other.door) or one.door == other.door:
        return False
    if one.tracker.client is not other.tracker.client:
        return False  # each has its own ledger
    if one.inner is not None or other.inner is not None:
        doors = {part.door for part in one.parts}
        if not doors.isdisjoint(part.door for part in other.parts):
            return False
    if is_vague(one) or is_vague(other):
        return _begins_in(one, other) and _begins_in(other, one)
    return is_like(one, other)


def _response_ids(root: Sighting) -> set[str]:
    return {part.response_id for part in root.parts if part.response_id is not None}


def _ids(one: Sighting, other: Sighting) -> str:
    if one.inner is None and other.inner is None:  # mostly
        if one.response_id is None or other.response_id is None:
            return "unknown"
        return "same" if one.response_id == other.response_id else "other"
    mine, its = _response_ids(one), _response_ids(other)
    if not mine or not its:
        return "unknown"
    return "other" if mine.isdisjoint(its) else "same"


def _is_same_model(one: str, other: str) -> bool:
    """Whether both name one model: ``gpt-4o`` and ``gpt-4o-2024-08-06`` are one."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def _begins_in(one: Sighting, other: Sighting) -> bool:
    ended = other.ended
    if ended is None:
        return True
    return one.started <= ended + (0.0 if other.answered else GRACE_SECONDS)


def _read(part: Sighting) -> Iterator[None]:
    if part.event is not None and not part.is_read:
        part.is_read = True
        yield from part.read(part.event) or ()
        part.response_id = part.response_id or part.event.response_id


def warn(parts: list[Sighting], words: str) -> None:
    """Say *words* in the event of *parts*."""
    event = next(part.event for part in parts if part.event is not None)
    event.warnings = (*event.warnings, words)


# A door, a model, and whether the call is over as far as seen.
_Kind = tuple[str, str, bool]
_Groups = dict[_Kind, dict[int, Sighting]]


class Places:
    """
    Calls that are not settled, by where they happen; of each the outermost sighting. With the lock held.

    There may be hundreds of like calls at once: they lie in groups, so that looking for one of them
    does not look at all.
    """

    def __init__(self) -> None:
        self._groups: dict[Hashable, _Groups] = {}
        self._takes_first = False

    def __bool__(self) -> bool:
        """Whether there are any; to be asked without the lock, too."""
        return bool(self._groups)

    def file(self, *changed: Sighting | None) -> None:
        """Put what has *changed* where it belongs now: only the outermost sighting of a call."""
        for each in changed:
            if each is not None:
                self.remove(each)
        for each in changed:
            if each is None or ((root := each.root).called is not None and root.is_done):
                continue
            self.remove(root)
            places, kind = places_of(root), (root.door, _model_of(root), root.is_done)
            root.filed = (places, kind)
            for place in places:
                groups = self._groups.setdefault(place, {})
                groups.setdefault(kind, {})[id(root)] = root

    def remove(self, root: Sighting) -> None:
        """Take *root* out, if it is there."""
        filed, root.filed = root.filed, None
        if filed is None:
            return
        places, kind = filed
        for place in places:
            # Nothing is taken for granted: a signal handler may be at it, too.
            groups = self._groups.get(place, {})
            group = groups.get(kind, {})
            group.pop(id(root), None)
            if not group:
                groups.pop(kind, None)
            if not groups:
                self._groups.pop(place, None)

    def at(self, place: Hashable) -> Iterator[Sighting]:
        """Return all that is at one place."""
        for group in list(self._groups.get(place, {}).values()):
            yield from list(group.values())

    def crowd(self, root: Sighting, *, stop: bool = False) -> list[Sighting]:
        """
        Return *root* and all that may be the same call, or that one may be, and so on; by order.

        Spans that name no model are left out.

        Args:
            root: The outermost sighting of a call.
            stop: Whether one that is not done is enough to know.
        """
        search = _Search(self._groups)
        crowd = {id(root): root}
        todo = [search.like(root)]
        while todo:
            other = next(todo[-1], None)
            if other is None:
                todo.pop()
            elif id(other) not in crowd:  # it may be in two places
                crowd[id(other)] = other
                if stop and not other.is_done:
                    break
                todo.append(search.like(other))
        return sorted(crowd.values(), key=lambda each: each.order)

    def like(self, root: Sighting) -> Sighting | None:
        """Return one that may be the same call as *root*, if there is any."""
        return next(_Search(self._groups).like(root), None)

    def vague_near(self, root: Sighting) -> Sighting | None:
        """Return a span that names no model and may be *root*, which is none."""
        for place in places_of(root):
            spans = list(self._groups.get(place, {}).get(("span", "", False), {}).values())
            if not spans:
                continue
            # The first or the last, in turn, so that what waits is spread: when one of them ends, half of
            # what waited for it moves on, whatever order they end in.
            self._takes_first = not self._takes_first
            for other in (spans[0 if self._takes_first else -1], *spans):
                if is_vague(other) and other.called is None and may_be_same(root, other):
                    return other
        return None

    def lacks_spans(self, root: Sighting) -> bool:
        """Whether fewer spans than calls of *root*'s model have told of theirs, where it happens."""
        model = _model_of(root)
        for place in places_of(root):
            told = Counter[str]()
            for (door, its, _), group in list(self._groups.get(place, {}).items()):
                if door != "block" and _is_same_model(model, its):
                    told[door] += len(group)
            if told["span"] < max(told.values(), default=1):
                return True
        return False


class _Search:
    """One search for like calls: each is found once, however many there are."""

    def __init__(self, groups: dict[Hashable, _Groups]) -> None:
        self._groups = groups
        self._left: dict[Hashable, _Groups] = {}
        """What was not found yet."""

    def like(self, known: Sighting) -> Iterator[Sighting]:
        """Find what may be the same call as *known*: what is under way first."""
        doors = {part.door for part in known.parts}
        for is_done in (False, True):
            for place in places_of(known):
                for (door, model, state), group in self._at(place).items():
                    if state is not is_done or door in doors or not _may_be_about(known, model):
                        continue
                    for at, other in list(group.items()):
                        if (
                            at in group
                            and other.called is None
                            and not is_vague(other)
                            and may_be_same(known, other)
                        ):
                            del group[at]
                            yield other

    def _at(self, place: Hashable) -> _Groups:
        left = self._left.get(place)
        if left is None:
            groups = self._groups.get(place, {})
            left = self._left[place] = {kind: group.copy() for kind, group in list(groups.items())}
        return left


def places_of(root: Sighting) -> set[Hashable]:
    """Return where it happens, whoever saw it."""
    if root.inner is None:
        return set(root.places)
    return {place for part in root.parts for place in part.places}
