"""
How the spans of a trace hang together: which are one call, and what happened inside which event.

It depends on the spans alone, never on the order they came in. A call inside a call is the same one,
told of twice, unless there are several: then the outer one is none itself. What failed beside one
that did not is an attempt of its own. Spans about nothing of interest only pass their place on.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct

from llmobs.recorded.ids import derived_id

__all__ = ["Link", "Node", "Tree", "What", "event_id_of", "run_event_id_of"]


class What(IntEnum):
    """What something that was received tells of."""

    NOTHING = 0
    """Nothing that becomes an event, but of what is around what."""
    CALL = 1
    """A call of a model."""
    CONTAINER = 2
    """A tool or a step: other events may be inside."""
    MORE = 3
    """More of the call that a span is about: a log record."""
    WHOLE = 4
    """All of the call that a span is about, be it that the span never comes."""


class Link(Struct, frozen=True, kw_only=True, gc=False):
    """A span or a log record, and how it hangs together with others."""

    run_id: str
    """Of the trace."""
    span_id: str
    """Of the span, or of the one that a log record belongs to."""
    what: What
    parent_id: str = ""
    """Of the span it happened inside; empty if there is none."""
    event_id: str = ""
    """Of the event that tells what it tells; empty if there is none."""
    rank: int = 0
    """
    How likely it is the run's own span: 3 a root, 2 one whose parent is in another process, 1 any; 0 if
    the event that the run would have then (`run_event_id_of`) did not come along.
    """
    failed: bool = False
    started: int = 0
    """Nanoseconds since 1970."""


class Node(NamedTuple):
    """A span of one trace."""

    span_id: str
    parent_id: str
    what: int
    failed: int
    started: int


def event_id_of(run_id: str, span_id: str) -> str:
    """Return the id of the event of a span."""
    return derived_id(run_id, span_id)


def run_event_id_of(run_id: str, span_id: str) -> str:
    """Return the id of the event of a run whose own span it is."""
    return derived_id(run_id, span_id, "run")


class Tree:
    """
    The spans of one trace, as far as they are asked for.

    Args:
        find: Returns a span by its id, if it is known.
        inside: Returns those whose parent a span is.
    """

    def __init__(
        self, find: Callable[[str], Node | None], inside: Callable[[str], Iterable[Node]]
    ) -> None:
        self._find = find
        self._inside = inside
        self._children: dict[str, list[Node]] = {}
        self._calls: dict[str, Node | None] = {}
        self._places: dict[tuple[str, bool], str | None] = {}
        self.nodes: dict[str, Node] = {}
        """Whose events may not be what, or where, they were."""
        self.heads: dict[str, str] = {}
        """Of each call among them the outermost span that tells of it."""
        self.inner: dict[str, str] = {}
        """The span inside that tells of the same call."""
        self.split: set[str] = set()
        """Spans of calls that went around several."""

    def look(self, new: Sequence[Node]) -> None:
        """Find out what depends on *new*."""
        below: dict[str, list[Node]] = {}
        descended: set[str] = set()
        for node in new:
            if (call := self._outermost(node)) is not None:
                self._descend(call, below, descended)
            self._descend(node, below, descended)
        self._join(below)

    def _outermost(self, node: Node) -> Node | None:
        """Return the outermost span of a call that *node* is, or is inside of with nothing between, if any."""
        way: list[Node] = []
        at: Node | None = node
        found: Node | None = None
        while at is not None and at.span_id not in self._calls:
            self._calls[at.span_id] = None  # should it come back to itself
            way.append(at)
            at = self._find(at.parent_id)
            if at is not None and at.what == What.CONTAINER:
                at = None
        if at is not None:
            found = self._calls[at.span_id]
        for inner in reversed(way):
            if found is None and inner.what == What.CALL:
                found = inner
            self._calls[inner.span_id] = found
        return found

    def _descend(self, root: Node, below: dict[str, list[Node]], descended: set[str]) -> None:
        stack = [(root, "")]
        while stack:
            node, around = stack.pop()
            if node.what != What.NOTHING:
                self.nodes[node.span_id] = node
            if around and node.what == What.CALL:
                below.setdefault(around, []).append(node)
            if node.span_id in descended or (node.what == What.CONTAINER and node is not root):
                continue
            descended.add(node.span_id)
            around = "" if node.what == What.CONTAINER else around
            if node.what == What.CALL:
                below.setdefault(node.span_id, [])
                around = node.span_id
            stack += [(child, around) for child in self._children_of(node.span_id)]

    def _children_of(self, span_id: str) -> list[Node]:
        found = self._children.get(span_id)
        if found is None:
            found = self._children[span_id] = list(self._inside(span_id))
        return found

    def _join(self, below: dict[str, list[Node]]) -> None:
        waiting = list(below)
        state: dict[str, bool] = {}
        while waiting:  # what is inside first
            call = waiting[-1]
            inside = [node.span_id for node in below[call]]
            if call not in state:
                state[call] = False
                more = [each for each in inside if each not in state]
                if more:
                    waiting += more
                    continue
            waiting.pop()
            if state[call]:
                continue
            state[call] = True
            candidates = sorted(below[call], key=lambda node: (node.started, node.span_id))
            alive = [node for node in candidates if not node.failed] or candidates[-1:]
            if len(alive) > 1 or (alive and alive[0].span_id in self.split):
                self.split.add(call)
            elif alive:
                self.inner[call] = alive[0].span_id
        within = set(self.inner.values())
        for call in below:
            if call in within:
                continue
            at: str | None = call
            while at is not None and at not in self.heads:
                self.heads[at] = call
                at = self.inner.get(at)
        for call in below:  # those that claim to be inside each other
            self.heads.setdefault(call, call)

    def told_by(self, head: str) -> list[str]:
        """Return the spans that tell of the call of *head*, outermost first."""
        found = {head: None}
        at = self.inner.get(head)
        while at is not None and at not in found:
            found[at] = None
            at = self.inner.get(at)
        return list(found)

    def enclosing(self, span_id: str) -> str | None:
        """Return the span whose event the one of *span_id* happened inside; perhaps one yet to come."""
        node = self.nodes[span_id]
        is_call = node.what == What.CALL
        way: list[str] = []
        found: str | None = None
        at = node
        while (at.span_id, is_call) not in self._places:
            self._places[at.span_id, is_call] = None  # should it come back to itself
            way.append(at.span_id)
            if not at.parent_id:
                break
            outer = self._find(at.parent_id)
            if outer is None or outer.what == What.CONTAINER:
                found = at.parent_id
                break
            if outer.what == What.CALL and not is_call:
                head = self.heads.get(outer.span_id, outer.span_id)
                if head not in self.split:
                    found = head
                    break
            at = outer
        else:
            found = self._places[at.span_id, is_call]
        for each in way:
            self._places[each, is_call] = found
        return found
