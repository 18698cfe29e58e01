"""Where calls happen that are not resolved: the table in which doors find each other's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator

from llmobs.capture.likeness import is_same_model, is_vague, may_be_about, may_be_same, model_of
from llmobs.capture.sighting import Sighting

__all__ = ["Places", "places_of"]

# A door, a model, and whether the call is over as far as seen.
_Kind = tuple[str, str, bool]
_Groups = dict[_Kind, dict[int, Sighting]]


class Places:
    """
    Calls that are not resolved, by where they happen; of each the outermost sighting. With the lock held.

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
            places, kind = places_of(root), (root.door, model_of(root), root.is_done)
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
        model = model_of(root)
        for place in places_of(root):
            per_door = Counter[str]()
            for (door, its, _), group in list(self._groups.get(place, {}).items()):
                if door != "block" and is_same_model(model, its):
                    per_door[door] += len(group)
            if per_door["span"] < max(per_door.values(), default=1):
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
                    if state is not is_done or door in doors or not may_be_about(known, model):
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
