"""
Locks: what every lock of ours keeps to, and work that a fork must not cut in two.

The rule. A signal handler or a finalizer runs wherever Python happens to be, also while this very
thread holds a lock, and may record an event there. So every lock of ours is re-entrant, and under
one of them we call nobody: no other lock of ours is taken, nothing is logged, no foreign code runs.
What is changed under it is changed in single steps (``x += 1``, ``append``, ``popitem``), each
reading afresh what it changes, so that what an interruption does in between is not undone. And
every lock is a `ForkLock`, unless its owner makes a new one in a forked child.

A fork's child inherits memory as it is at that instant: half-done imports, locks whose holder does
not exist there, and the bookkeeping of libraries about locks which, in the child, nobody holds.
"""

import os
import threading
import weakref
from _thread import RLock
from collections.abc import Callable
from contextlib import suppress
from typing import Final

__all__ = ["ForkLock"]

FORK_WAIT_SECONDS: Final = 11.0
"""How long a fork waits for work in progress: a little more than SQLite's own busy timeout."""

_locks: "weakref.WeakSet[ForkLock]" = weakref.WeakSet()
_registry = threading.RLock()


class ForkLock(RLock):  # type: ignore[misc]  # CPython lets it have subclasses
    """
    A re-entrant lock that ``os.fork()`` takes too: the child never inherits another thread's work
    half done. (Its own thread's work goes on in the child.)

    Args:
        before_fork: Called in the forking thread, with the lock held.
    """

    def __init__(self, before_fork: Callable[[], None] = lambda: None) -> None:
        self._before_fork = before_fork
        self._forking = False
        with _registry:
            _locks.add(self)

    def pause(self) -> None:
        """Before a fork: wait for the work in progress, and hold off more."""
        self._forking = self.acquire(timeout=FORK_WAIT_SECONDS)
        if self._forking:
            self._before_fork()

    def resume(self) -> None:
        """After a fork, in the parent."""
        if self._forking:
            self._forking = False
            self.release()

    def renew(self) -> None:
        """After a fork, in the child: another thread that held the lock does not exist here."""
        if self._forking:
            self.resume()
        else:
            self._at_fork_reinit()  # type: ignore[attr-defined]  # typeshed leaves it out


def _before() -> None:
    with _registry:
        locks = list(_locks)
    for lock in locks:
        with suppress(Exception):  # a fork hook has nobody to tell
            lock.pause()


def _after_in_parent() -> None:
    for lock in list(_locks):
        lock.resume()


def _after_in_child() -> None:
    global _registry
    _registry = threading.RLock()
    for lock in list(_locks):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
