"""Which event happened inside which."""

from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

__all__ = ["Node", "Placed", "nodes"]

MAX_SHOWN_DEPTH = 6
"""Deeper events are drawn at this depth: the page is only so wide."""


class Placed(Protocol):
    """An event, or what is known of one."""

    @property
    def event_id(self) -> str:
        """Its id."""
        ...

    @property
    def parent_id(self) -> str | None:
        """Of the one it happened inside."""
        ...


T = TypeVar("T", bound=Placed)


class Node(NamedTuple, Generic[T]):
    """One line of the tree."""

    event: T
    depth: int
    """Events it happened inside, `MAX_SHOWN_DEPTH` at most."""
    branch: str
    """What is drawn before the event's title, where characters draw."""
    trunk: str
    """What is drawn before the lines below the title."""


def nodes(events: Sequence[T]) -> Iterator[Node[T]]:
    """
    Yield *events* as a tree by ``parent_id``, siblings in the order given.

    An event whose parent is not there stands at the top, as do those that claim to be inside each
    other; each comes exactly once.
    """
    known = {event.event_id for event in events}
    children: dict[str | None, list[T]] = {}
    for event in events:
        parent = event.parent_id if event.parent_id in known else None
        children.setdefault(parent, []).append(event)
    seen: set[str] = set()
    tops = list(children.get(None, ()))
    # What cannot be reached from the top lies on a circle: cut it at its first event.
    reached = _reach(tops, children)
    for event in events:
        if event.event_id not in reached:
            tops.append(event)
            reached |= _reach([event], children)

    stack = [(event, "", index == len(tops) - 1) for index, event in reversed([*enumerate(tops)])]
    while stack:
        event, trunk, last = stack.pop()
        if event.event_id in seen:
            continue
        seen.add(event.event_id)
        below = trunk + ("   " if last else "│  ")
        inner = [e for e in children.get(event.event_id, ()) if e.event_id not in seen]
        depth = len(trunk) // 3
        yield Node(
            event, depth, trunk + ("└─ " if last else "├─ "), below + ("│  " if inner else "   ")
        )
        if len(below) >= 3 * MAX_SHOWN_DEPTH:
            below = trunk
        stack += [(e, below, i == len(inner) - 1) for i, e in reversed([*enumerate(inner)])]


def _reach(tops: Sequence[T], children: dict[str | None, list[T]]) -> set[str]:
    reached: set[str] = set()
    stack = list(tops)
    while stack:
        event = stack.pop()
        if event.event_id not in reached:
            reached.add(event.event_id)
            stack += children.get(event.event_id, ())
    return reached
