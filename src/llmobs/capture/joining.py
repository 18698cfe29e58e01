"""
One call, one event: what several doors saw of one call of a model is joined here, and nowhere else.

A `Sighting` is what one door saw of one call. Two rules say which belong together:

- A call that happens inside a block, or inside the span of a call, is that call, seen twice. The
  last attempt inside a block is the block's; earlier ones are events of their own.
- Else, within one run or trace (outside any run: one task), the same response id, or the same model
  at the same time. Never two of one door, each once. Several like ones are paired by response id, or
  by order where that is unknown, which ``warnings`` say. A span that names no model before its end may
  be any of these until then: they wait for it, unless as many spans as calls have told of theirs.

What has to wait is counted as pending by its client, and bounded in number and age.

Any thread, signal handler or finalizer may come here. The one lock is re-entrant, and what is not of
this file, `calls`, `likeness`, `places` or `sighting` is called without it.
"""

from __future__ import annotations

import os
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import Any, Final

from llmobs.capture.calls import Call, calls_of, warn
from llmobs.capture.likeness import is_like
from llmobs.capture.places import Places, places_of
from llmobs.capture.sighting import GRACE_SECONDS, Sighting, lock
from llmobs.capture.where import places_here
from llmobs.events import PromptCallEvent, Status
from llmobs.pipeline.statistics import DropReason
from llmobs.runtime.troubles import internal_errors

__all__ = [
    "MAX_WAITING",
    "MAX_WAITING_BYTES",
    "OPEN_SECONDS",
    "RUN_SECONDS",
    "WAIT_SECONDS",
    "sightings",
]

MAX_WAITING: Final = 10_000
"""Calls that may wait; beyond, the oldest is resolved as it is."""
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""What these hold on to, estimated; beyond, the oldest is resolved as it is."""
WAIT_SECONDS: Final = 5.0
"""How long a call that has ended waits for another door that may still be looking at it."""
OPEN_SECONDS: Final = 3600.0
"""How long a call waits for its answer, once its block has ended or its provider works in the background."""
RUN_SECONDS: Final = 300.0
"""How long the event of a run that has ended waits for calls in it that have not."""
MAX_RECENT: Final = 256
"""Resolved calls that another door may still report."""


class _Held:
    """What was accepted and waits: a call, or the event of a run that has ended."""

    def __init__(
        self, client: Any, seconds: float, root: Sighting | None, tracker: Any = None
    ) -> None:
        self.client = client
        self.until = perf_counter() + seconds
        self.root = root
        self.tracker = tracker
        self.size = 0 if root is None else sum(part.size for part in root.parts)
        self.write: Callable[[str | None], object] = lambda warning: None


class Sightings:
    """The table of calls that have begun and are not resolved. There is one: `sightings`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start from nothing: also in a forked child, as the parent resolves what is open."""
        self._doors: set[str] = set()
        self._only_door = ""
        """The door in use, if there is one alone, and others could ask for none of its sightings."""
        self._alone: dict[Sighting, Sighting] = {}
        """Open sightings of that door that nothing surrounds: counted in their runs, filed nowhere."""
        self._open: OrderedDict[int, Sighting] = OrderedDict()
        self._blocks: dict[int, weakref.ref[Any]] = {}
        self._places = Places()
        self._held: OrderedDict[int, _Held] = OrderedDict()
        self._held_bytes = 0
        self._recent: deque[Call] = deque(maxlen=MAX_RECENT)
        self._awaited: dict[str, Sighting] = {}
        self._fetched: OrderedDict[str, None] = OrderedDict()

    # Doors.

    def begin(self, sighting: Sighting, outer: Sighting | None = None) -> None:
        """Note a call that begins, inside *outer*: a block, or the span of a call."""
        if outer is None and sighting.door == self._only_door and len(self._alone) < MAX_WAITING:
            if not sighting.is_home:
                sighting.places = places_here(sighting)
            sighting.tracker.calls_unfiled.append(None)
            self._alone[sighting] = sighting
            if sighting.door != self._only_door:  # another one came into use just now
                with lock:
                    self._show(sighting)
            return
        apart = None
        if not sighting.model and not self._doors <= {sighting.door}:
            with internal_errors("look at a call that begins"):
                sighting.look()  # others will ask what it is about
        with lock:
            if sighting.door != "block":  # those are around others, and never looked for
                self._meet(sighting.door)
                sighting.places = places_here(sighting)
            sighting.order = perf_counter()
            if outer is not None and outer.tracker.client is sighting.tracker.client:
                apart = self._nest(sighting, outer)
            if sighting.ended is None:
                self._open[id(sighting)] = sighting
                self._places.file(sighting)
            if len(self._open) > MAX_WAITING:
                # It is recorded at its end all the same, only not looked for by others.
                oldest = self._open.popitem(last=False)[1]
                oldest.places = ()
                self._places.file(oldest)
        if apart is not None:
            self._advance(apart)

    def _show(self, *sightings: Sighting) -> None:
        """Let others find *sightings* from now on; with the lock held."""
        for sighting in sightings:
            if self._alone.pop(sighting, None) is not None:
                sighting.places = sighting.places or places_here(sighting)
                sighting.order = sighting.started
                self._open[id(sighting)] = sighting
                self._places.file(sighting)
                sighting.tracker.calls_unfiled.pop()  # last: `has_calls` looks without the lock

    def _meet(self, door: str) -> None:
        """Note that *door* is in use; with the lock held."""
        if door in self._doors:
            return
        self._doors.add(door)
        # Of a span it is known late what it is about: it is looked at while it is open.
        self._only_door = door if len(self._doors) == 1 and door != "span" else ""
        self._show(*self._alone.values())

    def nest(self, sighting: Sighting, outer: Sighting) -> None:
        """Note that *sighting*, which began before, happens inside *outer*."""
        apart = None
        with lock:
            if sighting.outer is None and sighting.ended is None and outer.root is not sighting:
                apart = self._nest(sighting, outer)
        if apart is not None:
            self._advance(apart)

    def pop_alone(self, sighting: Sighting) -> bool:
        """Give out a sighting that nobody else has seen, to be recorded, and then to `count_off`."""
        return self._alone.pop(sighting, None) is not None  # in one step

    def end(self, sighting: Sighting, event: PromptCallEvent, size: int, failed: bool) -> None:
        """
        Note a call that has ended; it is recorded once everybody is done with it.

        Args:
            sighting: What a door saw of it.
            event: What it becomes if nobody else saw it.
            size: Estimated bytes of what it holds on to.
            failed: Whether it failed.
        """
        if self.pop_alone(sighting):
            sighting.note_end(event, size, failed)
            try:
                _record(Call([sighting]))
            finally:
                self.count_off(sighting.tracker)
            return
        with lock:
            if sighting.ended is not None:
                return
            sighting.note_end(event, size, failed)
            self._open.pop(id(sighting), None)
            root, outer = sighting.root, sighting.outer
            if root.filed is not None:
                self._places.file(root)
            tell = None
            if outer is not None and outer.ended is None and event.status == Status.CANCELLED:
                tell = outer.on_cancelled
        if tell is not None:
            tell()
        self._advance(sighting.root)
        self._wake(sighting)

    def drop(self, sighting: Sighting) -> None:
        """Forget what turned out to be no call: a redirect, a span about something else."""
        with lock:
            outer, inner = sighting.outer, sighting.inner
            if self._alone.pop(sighting, None) is not None:
                sighting.tracker.calls_unfiled.pop()
            if outer is not None:
                outer.inner = inner
            if inner is not None:
                inner.outer = outer
            sighting.outer = sighting.inner = None
            self._forget(sighting)
            self._places.file(inner, outer)
        for other in (inner, outer):
            if other is not None:
                self._advance(other.root)
        self._wake(sighting)
        if self._held:
            self._release(sighting.tracker)

    def adopt(self, outer: Sighting, inside: list[Sighting]) -> None:
        """Note that *outer*, which begins and ends now, is a call, and went around *inside*."""
        with lock:
            if outer.inner is not None or outer.is_container:
                return  # it was looked at while it happened
            inside = [each for each in inside if not each.failed] or inside[-1:]
            root = inside[0].root
            if root is outer.root:
                return
            if len(inside) > 1:
                outer.is_container = True
            elif root.called is not None:
                outer.called = root.called
            elif root.door not in ("block", outer.door):
                outer.inner, root.outer = root, outer
            self._places.file(root, outer)

    def _nest(self, sighting: Sighting, outer: Sighting) -> Sighting | None:
        """Put *sighting* inside *outer*; returns what now is a call of its own, if anything."""
        self._show(outer)
        while (inner := outer.inner) and inner.ended is None and inner.door != sighting.door:
            outer = inner
        if outer.ended is not None or outer.called is not None or outer.is_container:
            return None  # a task that outlives the block it was started in
        apart = None
        if inner is None:
            outer.inner, sighting.outer = sighting, outer
        elif inner.door != sighting.door and sighting.started < (inner.ended or 0):
            if sighting.door not in {part.door for part in inner.parts}:  # told of late
                last = inner.parts[-1]
                last.inner, sighting.outer = sighting, last
        elif outer.door == "span" and not inner.failed:
            outer.is_container = True
            outer.inner = inner.outer = None
            apart = inner
        elif inner.ended is not None:  # else two at once in one block: the first keeps it
            inner.outer = None  # an attempt that was retried
            outer.inner, sighting.outer = sighting, outer
            apart = inner
        self._places.file(sighting, outer, inner)
        return apart

    def _forget(self, root: Sighting) -> None:
        self._places.remove(root)
        self._await(root, None)
        for part in root.parts:
            self._let_go(id(part))
            self._open.pop(id(part), None)

    def _await(self, root: Sighting, span: Sighting | None) -> None:
        """Let *root* be looked at again when *span* says what it is about, and no longer another."""
        if root.waits_for is not None:
            (root.waits_for.waiters or {}).pop(id(root), None)
        root.waits_for = span
        if span is not None:
            waiters = span.waiters = span.waiters or {}
            waiters[id(root)] = root

    # Blocks, for when their client closes.

    def opened(self, block: Any) -> None:
        """Note a block that begins."""
        self._blocks[id(block)] = weakref.ref(block)
        if len(self._blocks) > MAX_WAITING:  # never ended, most of them: their owners forgot them
            with suppress(RuntimeError):  # another thread has changed it just now
                self._blocks.pop(next(iter(self._blocks), 0), None)

    def ended(self, block: Any) -> None:
        """Note that it is over."""
        self._blocks.pop(id(block), None)

    # From sightings to events.

    def _advance(self, root: Sighting) -> None:
        """Resolve *root* if everybody is done with it, or say that it waits."""
        if not root.is_done:
            # Whose block has ended was accepted; so was what a span goes on around.
            if root.ended is not None:
                self._hold(root, OPEN_SECONDS)
            elif root.door == "span" and root.inner is not None and root.inner.is_done:
                self._hold(root, WAIT_SECONDS)
            return
        if root.called is not None or root.is_container:
            # Without one, its event has left: the door around it was told that this is cancelled.
            if root.event is not None:
                self._tell_late(root, root.called)
            return
        if root.door == "block" or len(self._doors) == 1:
            self._resolve([root])
            return
        self._decide(root)

    def _decide(self, root: Sighting) -> None:
        """Resolve *root*, which is done, unless somebody else may still tell of it."""
        self._look(root.parts)
        while True:
            with lock:
                crowd, vague = self._candidates(root)
                self._await(root, vague)
            if vague is None or not self._look(vague.parts):
                break
        if vague is not None or not all(each.is_done for each in crowd):
            self._hold(root, WAIT_SECONDS)
        elif len(crowd) == 1 and not root.answered and not root.inner and "wire" in self._doors:
            self._hold(root, GRACE_SECONDS)
        else:
            self._resolve(crowd)

    def _candidates(self, root: Sighting) -> tuple[list[Sighting], Sighting | None]:
        """Return what may be the same call as *root*, and a span to wait for before that is known."""
        near = root if root.door != "span" else self._places.like(root)
        vague = None if near is None else self._places.vague_near(near)
        if near is not None and vague is not None and self._places.lacks_spans(near):
            return [root], vague
        crowd = self._places.crowd(root, stop=True)
        doors = Counter(each.door for each in crowd)
        if doors["span"] >= max(doors.values()):  # all have theirs
            return crowd, None
        found = (self._places.vague_near(each) for each in crowd if each.door != "span")
        return crowd, vague or next((each for each in found if each is not None), None)

    def _look(self, parts: list[Sighting]) -> bool:
        """Ask *parts* that name no model whether they do by now; says whether one does."""
        found = False
        for part in parts:
            if not part.model:
                with internal_errors("look at a call under way"):
                    part.look()
                if part.model:
                    found = True
                    with lock:
                        if (root := part.root).filed is not None:
                            self._places.file(root)
        return found

    def _wake(self, sighting: Sighting) -> None:
        """Look again at what waited for *sighting* to say what it is about."""
        with lock:
            waiters, sighting.waiters = sighting.waiters, None
        for root in (waiters or {}).values():
            if root.called is None and root.outer is None and root.is_done:
                self._decide(root)

    def _resolve(self, roots: list[Sighting]) -> None:
        """Record *roots*: one call, or a crowd of like ones."""
        late: Call | None = None
        calls: list[Call] = []
        with self._recording(*roots):
            with lock:
                roots = [root for root in roots if root.called is None]
                if len(roots) == 1:
                    late = self._recorded(roots[0])
                if late is None and roots:
                    calls = calls_of(roots)
                    if len(self._doors) > 1:
                        self._recent += [c.findable() for c in calls if c.root.door != "block"]
                for root in roots:
                    if root.is_done:
                        self._forget(root)
            if late is not None:
                self._tell_late(roots[0], late)
            for call in calls:
                _record(call)

    @contextmanager
    def _recording(self, *roots: Sighting) -> Iterator[None]:
        """Keep the runs of *roots* from being recorded before what is recorded meanwhile counts in them."""
        trackers = {id(root.tracker): root.tracker for root in roots}.values()
        for tracker in trackers:
            tracker.calls_unfiled.append(None)
        try:
            yield
        finally:
            for tracker in trackers:
                self.count_off(tracker)

    def count_off(self, tracker: Any) -> None:
        """Count one call less that is not recorded and not filed."""
        tracker.calls_unfiled.pop()
        if self._held:
            self._release(tracker)

    def _recorded(self, root: Sighting) -> Call | None:
        """Return the call recorded lately that *root* saw too."""
        if root.door == "block" or len(self._doors) == 1:
            return None
        doors = {part.door for part in root.parts}
        places = places_of(root)
        for call in self._recent:
            if (
                perf_counter() - call.when < WAIT_SECONDS
                and call.root.tracker.client is root.tracker.client
                and doors.isdisjoint(call.doors)
                and not places.isdisjoint(call.places)
                and is_like(root, call.root, call.model)
            ):
                call.doors |= doors
                return call
        return None

    def _tell_late(self, root: Sighting, call: Call | None) -> None:
        """Resolve a sighting whose call was recorded without it."""
        event = root.event
        assert event is not None
        with self._recording(root):
            with lock:
                added = call is not None and call.add(root.parts)
                self._forget(root)
            if not added:
                knows_more = any(part.has_usage for part in root.parts)
                if call is not None and knows_more and not call.has_usage:
                    warn([root], f"the same call as {call.root.event_id}, whose event had left")
                    Call(root.parts).record()
                else:
                    root.tracker.client.refuse(event, root.tracker, DropReason.DUPLICATE)

    # What waits.

    def _hold(self, root: Sighting, seconds: float) -> None:
        eldest = None
        with lock:
            if root.called is not None:
                return
            self._show(root)
            if id(root) not in self._held:
                held = self._held[id(root)] = _Held(root.tracker.client, seconds, root)
                self._held_bytes += held.size
            if len(self._held) > MAX_WAITING or self._held_bytes > MAX_WAITING_BYTES:
                eldest = next(iter(self._held.values()))
        if eldest is not None:
            self._give_up(eldest, "too many calls wait for their end")
        with internal_errors("wait for the end of a call"):
            root.tracker.client.expect()

    def _let_go(self, key: int) -> bool:
        held = self._held.pop(key, None)
        if held is not None:
            self._held_bytes -= held.size
        return held is not None

    def waiting(self, client: Any) -> int:
        """Return how many events of *client* were accepted and wait here."""
        with lock:
            return sum(held.client is client for held in list(self._held.values()))

    def next_deadline(self, client: Any) -> float | None:
        """Return in how many seconds `expire` has something to do, or None."""
        with lock:
            times = [held.until for held in list(self._held.values()) if held.client is client]
        return max(0.0, min(times) - perf_counter()) if times else None

    def expire(self, client: Any) -> None:
        """Resolve what of *client* has waited long enough."""
        now = perf_counter()
        for held in self._held_by(client):
            if held.until <= now:
                self._give_up(held, "its end was not seen in time")

    def resolve(self, client: Any) -> None:
        """Resolve the calls of *client* that are over, whoever may still look at them."""
        for held in self._held_by(client):
            if held.root is not None and held.root.parts[-1].ended is not None:
                self._resolve_now(held.root)

    def close(
        self, client: Any, why: str = "the client was closed before its end", since: float = 0.0
    ) -> None:
        """
        Resolve everything of *client*, as far as known.

        Args:
            client: It is being closed, or what it records goes elsewhere from now on.
            why: Said of what has not ended.
            since: Only what began later (``time.perf_counter``).
        """
        with lock:
            blocks = [each for ref in list(self._blocks.values()) if (each := ref()) is not None]
            blocks = [each for each in blocks if each.run.client is client]
            streams = [  # from the inside: then what is around it
                part
                for part in [*self._open.values(), *self._alone.values()]
                if part.tracker.client is client and (part.inner is None or part.inner.is_done)
            ]
        for block in blocks:
            if block.start_time >= since:
                with internal_errors("end a block"):
                    block._cut(why)  # noqa: SLF001 - not for applications, which end theirs
        for part in streams:
            if part.started >= since:
                with internal_errors("end a call"):
                    part.cut(why)
        for _ in range(2):  # then runs, of which calls were given up just now
            for held in self._held_by(client):
                if (held.root or held.tracker).started >= since:
                    self._give_up(held, why)

    def _held_by(self, client: Any) -> list[_Held]:
        with lock:
            return [held for held in list(self._held.values()) if held.client is client]

    def _give_up(self, held: _Held, why: str) -> None:
        root = held.root
        if root is None:
            self._write(held, f"{why}: calls in it had not ended, and are not in its totals")
            return
        for part in root.parts:
            if part.ended is None:
                with internal_errors("end a call"):
                    part.cut(why)
        self._resolve_now(root)

    def _resolve_now(self, root: Sighting) -> None:
        while root.ended is None and root.inner is not None and not root.is_certain():
            with lock:
                self._let_go(id(root))
                inner, root.inner = root.inner, None
                inner.outer = None
                self._places.file(root, inner)
            root = inner
        if root.called is None and any(part.event is not None for part in root.parts):
            self._look(root.parts)
            with lock:
                crowd = self._places.crowd(root)
            # A span that is open goes around what has ended: its name and place are known. With
            # several it is not: then they stay apart, and what ends later is told late.
            if len(crowd) != 2 or any(not each.is_done and each.door != "span" for each in crowd):
                crowd = [each for each in crowd if each.is_done or each is root]
            self._resolve(crowd)
        with lock:
            self._let_go(id(root))

    # Runs: their own event must not leave before their totals are right.

    def when_resolved(self, tracker: Any, write: Callable[[str | None], object]) -> None:
        """
        Call *write* once the calls of a run that has ended are recorded.

        Args:
            tracker: The run.
            write: Records the run; takes a warning, or None.
        """
        held = None
        with lock:
            if self._has_open(tracker):
                held = _Held(tracker.client, RUN_SECONDS, None, tracker)
                held.write = write
                self._held[id(held)] = held
        if held is None:
            write(None)
            return
        self._release(tracker)  # its last call may have been counted off before this was held
        with internal_errors("wait for the end of a call"):
            tracker.client.expect()

    def has_calls(self, tracker: Any) -> bool:
        """Whether calls of this run are not recorded yet."""
        # Most requests call no model, nor does anybody else meanwhile. Looked at twice: what is taken from the
        # table in another thread is counted before.
        if not (tracker.calls_unfiled or self._places or self._held or tracker.calls_unfiled):
            return False
        with lock:
            return self._has_open(tracker)

    def _has_open(self, tracker: Any) -> bool:
        if tracker.calls_unfiled or any(
            part.tracker is tracker
            # A span that has named no model yet is about something else, most likely.
            and (part.door != "span" or part.model or part.inner or part.ended)
            for root in self._places.at(tracker.run_id)
            for part in root.parts
        ):
            return True
        return any(
            held.root is not None and held.root.tracker is tracker for held in self._held.values()
        )

    def _release(self, tracker: Any) -> None:
        with lock:
            due = [held for held in list(self._held.values()) if held.tracker is tracker]
            if not due or self._has_open(tracker):
                return
        for held in due:
            self._write(held, None)

    def _write(self, held: _Held, warning: str | None) -> None:
        with lock:
            if not self._let_go(id(held)):
                return
        held.write(warning)

    # Answers that are fetched later: the provider works in the background.

    def await_answer(self, sighting: Sighting, key: str) -> None:
        """Hold *sighting*, which stays open, until the answer *key* is fetched."""
        with lock:
            self._awaited[key] = sighting
        self._hold(sighting.root, OPEN_SECONDS)

    def take_awaited(self, key: str) -> Sighting | None:
        """Return the call that waits for the answer *key*, which has come or will not."""
        with lock:
            return self._awaited.pop(key, None)

    def is_news(self, key: str) -> bool:
        """Whether the answer *key* was not fetched before."""
        with lock:
            news = key not in self._fetched
            self._fetched[key] = None
            self._fetched.move_to_end(key)
            if len(self._fetched) > MAX_WAITING:
                self._fetched.popitem(last=False)
            return news


sightings: Final = Sightings()


def _record(call: Call) -> None:
    try:
        call.record()
    except Exception:  # the guard is entered for errors alone: it takes its time
        with internal_errors("record a call"):
            raise


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=sightings.reset)
