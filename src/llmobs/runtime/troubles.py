"""
Keep the host out of our troubles: errors of ours are logged and counted, never raised into it.

One distinct trouble gives at most one log line per interval, with the number of lines held back.
"""

import logging
import math
import os
import signal
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from traceback import walk_tb
from types import TracebackType
from typing import Any, Final, TypeVar

from llmobs.runtime.log import own_logger

__all__ = [
    "LOG_INTERVAL_SECONDS",
    "ForeignExitError",
    "Troubles",
    "comes_from_outside",
    "contain",
    "foreign_call",
    "foreign_code",
    "internal_errors",
    "raise_internal_errors",
]

LOG_INTERVAL_SECONDS: Final = 60.0
"""Seconds during which the same trouble is logged once."""

MAX_DISTINCT: Final = 256
"""Distinct troubles remembered; the oldest is forgotten, so memory stays bounded."""

logger = own_logger("llmobs")

T = TypeVar("T")

_strict = False


def raise_internal_errors(enabled: bool) -> None:
    """Let internal errors surface instead of being logged: for tests of llmobs itself."""
    global _strict
    _strict = enabled


class Troubles:
    """
    A log that cannot storm.

    Args:
        interval: Seconds during which one key is logged once.
        loggers: Loggers to write to; default is ``llmobs`` alone.
    """

    def __init__(
        self,
        interval: float = LOG_INTERVAL_SECONDS,
        *,
        loggers: tuple[logging.Logger, ...] = (logger,),
    ) -> None:
        self._interval = interval
        self._loggers = loggers
        self._lock = threading.RLock()
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()
        _logs.add(self)

    def log(
        self,
        key: str,
        message: str,
        *args: object,
        level: int = logging.WARNING,
        exc_info: bool = False,
    ) -> None:
        """
        Log *message* unless *key* was logged within the interval; then only count it.

        Args:
            key: Names the trouble; lines with the same key are the same trouble.
            message: A format string for the standard library's logging.
            level: Standard logging level, ``WARNING`` by default.
            exc_info: Add the traceback of the exception being handled.
        """
        now = time.monotonic()
        with self._lock:
            known = self._seen.get(key)
            if known is not None and now - known[0] < self._interval:
                self._seen[key] = (known[0], known[1] + 1)
                return
            held_back = known[1] if known else 0
            self._seen.pop(key, None)
            self._seen[key] = (now, 0)
            if len(self._seen) > MAX_DISTINCT:
                self._seen.popitem(last=False)
        if held_back:
            message += " (and %d more like this since the last line)"
            args = (*args, held_back)
        for target in self._loggers:
            target.log(level, message, *args, exc_info=exc_info)

    def after_fork(self) -> None:
        """Replace the lock, which another thread of the parent may have held."""
        self._lock = threading.RLock()


_logs: "weakref.WeakSet[Troubles]" = weakref.WeakSet()


def _after_fork() -> None:
    for log in list(_logs):
        log.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

_troubles = Troubles()


# Classes, as generators cost four times as much, several times for each event.


class internal_errors:  # noqa: N801 - reads as what is done
    """
    Log and swallow any error of the block: the host goes on, with less telemetry.

    Args:
        doing: What the block does, in a few words, for the log line.
    """

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None or self._passes(error):
            return False
        _swallow(error, self._doing)
        return True

    def _passes(self, error: BaseException) -> bool:
        return not isinstance(error, Exception)


class foreign_code(internal_errors):  # noqa: N801 - as above
    """
    Like `internal_errors`, for blocks that run code of others in the pipeline: what it should not
    raise (``CancelledError``, ``SystemExit``) costs its own work too, and neither task nor thread.
    """

    __slots__ = ()

    def _passes(self, error: BaseException) -> bool:
        return comes_from_outside(error)


class foreign_call(internal_errors):  # noqa: N801 - as above
    """
    Like `foreign_code`, around what awaits nothing: nobody closes us there, so that a
    ``GeneratorExit`` is the foreign code's own too.
    """

    __slots__ = ()

    def _passes(self, error: BaseException) -> bool:
        return comes_from_outside(error, can_be_closed=False)


class ForeignExitError(Exception):
    """A coroutine of others raised ``GeneratorExit``, which only its caller may."""


class contain(Awaitable[T]):  # noqa: N801 - reads as what is done
    """
    Call and await foreign code, whose own ``GeneratorExit`` is an error like any other.

    Event loops take one that comes out of a task for a task being closed: asyncio leaves it, trio
    breaks down. From inside, it cannot be told from our own being closed, which is no error.

    Args:
        function: What to call; it returns something to await.
        args: Its arguments.

    Raises:
        ForeignExitError: In the place of its ``GeneratorExit``.
    """

    def __init__(self, function: Callable[..., Awaitable[T]], *args: Any) -> None:
        self._call = partial(function, *args)

    def __await__(self) -> Generator[Any, Any, T]:
        inner: Any = None

        def begin() -> Any:
            nonlocal inner
            inner = self._call().__await__()
            return next(inner)

        step: Callable[[], Any] = begin
        while True:
            try:
                waits_for = step()
            except StopIteration as end:
                result: T = end.value
                return result
            except GeneratorExit as error:
                raise ForeignExitError("GeneratorExit") from error
            try:
                sent = yield waits_for
            except GeneratorExit:  # ours: we are being closed
                getattr(inner, "close", lambda: None)()
                raise
            except BaseException as error:  # noqa: BLE001 - meant for who waits there
                step = partial(inner.throw, error)
            else:
                step = partial(next, inner) if sent is None else partial(inner.send, sent)


def _swallow(error: BaseException, doing: str) -> None:
    if _strict and isinstance(error, Exception) and not isinstance(error, ForeignExitError):
        raise error
    _troubles.log(
        f"internal:{doing}:{type(error).__name__}",
        "llmobs: internal error while trying to %s: %r. The application is not affected.",
        doing,
        error,
        level=logging.ERROR,
    )


def comes_from_outside(error: BaseException, *, can_be_closed: bool = True) -> bool:
    """
    Tell whether *error*, seen where foreign code was called, is not that code's own: somebody
    cancels or closes this task, or a signal ends the program.

    Args:
        error: What was seen.
        can_be_closed: Whether anything was awaited there outside `contain`.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, BaseExceptionGroup):
        return any(comes_from_outside(e, can_be_closed=can_be_closed) for e in error.exceptions)
    if isinstance(error, GeneratorExit):
        return can_be_closed
    if type(error).__name__ in _CANCELLATIONS:
        return _is_being_cancelled()
    if threading.current_thread() is not threading.main_thread():
        return False  # no signal handler runs here
    if isinstance(error, KeyboardInterrupt):
        # Event loops that handle Ctrl-C themselves do not raise it where the program happens to be.
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return _was_raised_by_signal_handler(error)


_CANCELLATIONS: Final = frozenset({"CancelledError", "Cancelled"})
"""Of asyncio (and concurrent.futures, an Exception), and of trio, which need not be installed."""


def _is_being_cancelled() -> bool:
    import asyncio  # costs 50 ms, and is there where anything can be cancelled

    import anyio

    try:
        if anyio.current_effective_deadline() == -math.inf:
            return True
        task = asyncio.current_task()
    except RuntimeError:  # no event loop here; or trio's, which has no other cancellation
        return False
    return task is not None and task.cancelling() > 0


def _was_raised_by_signal_handler(error: BaseException) -> bool:
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    codes = {getattr(handler, "__code__", None) for handler in handlers} - {None}
    return any(frame.f_code in codes for frame, _ in walk_tb(error.__traceback__))
