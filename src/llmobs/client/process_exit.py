"""
The ends of a process: a normal exit, the end of a child of ``multiprocessing`` or Celery, a signal.
"""

import _thread
import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, Protocol

from llmobs.runtime.troubles import internal_errors

__all__ = ["ExitHook", "exit_hook", "flush_on_signals"]


class _Started(Protocol):
    settings: Any

    def flush(self, timeout: float | None = None) -> object: ...

    def close(self) -> None: ...


class ExitHook:
    """Closes, at the end of the process, the clients that were started and that nobody closed."""

    def __init__(self) -> None:
        self._clients: set[_Started] = set()
        self._pid: int | None = None

    def add(self, client: _Started) -> None:
        """Close *client* at the end."""
        self._clients.add(client)
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._register_with_multiprocessing()
            self._register_with_celery()

    def _register_with_multiprocessing(self) -> None:
        # Its forked children leave by `os._exit`, which skips atexit, after running finalizers.
        process = sys.modules.get("multiprocessing.process")
        util = sys.modules.get("multiprocessing.util")
        if process is not None and util is not None and process.parent_process() is not None:
            util.Finalize(None, self.close_all, exitpriority=0)

    def _register_with_celery(self) -> None:
        # The children of its prefork pool leave by `os._exit`, too, and run no finalizers: they
        # send this signal. Last in line, again after a fork: other receivers may record something.
        if (signals := sys.modules.get("celery.signals")) is not None:
            signals.worker_process_shutdown.disconnect(self._end_of_pool_process)
            signals.worker_process_shutdown.connect(self._end_of_pool_process, weak=False)

    def _end_of_pool_process(self, **details: object) -> None:
        self.close_all()

    def discard(self, client: _Started) -> None:
        """Forget *client*: it was closed."""
        self._clients.discard(client)

    def close_all(self) -> None:
        """Deliver everything and end the threads; each client takes its ``shutdown_timeout`` at most."""
        for client in list(self._clients):
            client.close()

    def flush_all(self) -> None:
        """Deliver what is queued; each client takes its ``shutdown_timeout`` at most."""
        for client in list(self._clients):
            with internal_errors("deliver before a signal"):
                client.flush(client.settings.shutdown_timeout)


exit_hook = ExitHook()
# Here and not with the first event: exit handlers run last in, first out, so those that record
# something run before this one, and one that is registered during the exit would not run at all.
atexit.register(exit_hook.close_all)

REPEAT_SECONDS: Final = 0.1
"""Until a signal that the main thread has not heard is sent to it again."""

Handler = Callable[[int, FrameType | None], Any] | int | None

_previous: dict[int, Handler] = {}
_delivering: set[int] = set()
_delivered: set[int] = set()


def _after_fork() -> None:
    # The thread that delivers for its parent does not exist in the child, which hears anew.
    _delivering.clear()
    _delivered.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def flush_on_signals(*signals: int) -> None:
    """
    Let every `llmobs.Client` deliver what is queued before a signal ends this process.

    For plain scripts and workers, which die of SIGTERM without running ``atexit``. Call it once, in
    the main thread; forked children inherit it. The handler that was there before (or the default
    action) runs after the delivery, which takes at most ``shutdown_timeout`` per client; meanwhile
    the program goes on. Web servers handle their signals themselves: there the middleware delivers.

    Python runs a handler when the main thread next executes Python code, and a signal that comes
    just before that thread begins to wait does not end the wait: wait in steps of a second or so,
    and let the workers of a ``multiprocessing.Pool`` end by ``close()`` and ``join()``.

    Args:
        signals: Which ones; SIGTERM by default.

    Raises:
        RuntimeError: This is not the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("flush_on_signals() must be called in the main thread")
    for number in signals or (signal.SIGTERM,):
        previous = signal.signal(number, _handle)
        if previous is not _handle:
            _previous[number] = previous


def _handle(number: int, frame: FrameType | None) -> None:
    # The main thread may be interrupted anywhere, also while it holds the queue's lock. Waiting
    # for a delivery here could wait for ourselves: another thread waits, then signals again.
    if number in _delivered:
        _delivered.discard(number)
        _delivering.discard(number)
        _chain(number, frame)
    elif number not in _delivering:
        _delivering.add(number)
        try:
            # Not `threading.Thread`, whose own locks may be held by the interrupted code.
            _thread.start_new_thread(_deliver_then_repeat, (number,))
        except RuntimeError:  # the interpreter is ending: its exit hook delivers
            _delivering.discard(number)
            _chain(number, frame)


def _deliver_then_repeat(number: int) -> None:
    exit_hook.flush_all()
    _delivered.add(number)
    # To the main thread by name: the one thread whose sleep it must interrupt.
    main = threading.main_thread().ident
    if main is None or not hasattr(signal, "pthread_kill"):
        signal.raise_signal(number)
        return
    # Until it is heard: what comes just before the main thread begins to wait does not end the wait.
    while number in _delivered:
        signal.pthread_kill(main, number)
        time.sleep(REPEAT_SECONDS)


def _chain(number: int, frame: FrameType | None) -> None:
    previous = _previous.get(number)
    if callable(previous):
        previous(number, frame)
    elif previous != signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
