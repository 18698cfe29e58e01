"""What must hold whatever goes wrong: the ledger, the host's loop, the log, and nothing left behind."""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio
import sniffio

from llmobs import Statistics
from tests.support.polling import eventually

BEAT_SECONDS = 0.005
LATE_SECONDS = 1.0
"""Worst lateness of a beat; every fault here lasts longer, so a sink that blocks would show."""


def balance(statistics: Statistics) -> None:
    """Every accepted event is accounted for, in sum and per sink."""
    for s in (statistics, *statistics.sinks.values()):
        assert s.accepted == s.delivered + s.total_dropped + s.spooled + s.pending, s
        assert min(s.delivered, s.spooled, s.pending, *s.dropped.values(), 0) >= 0, s


@dataclass
class Pulse:
    """How the host's event loop fared."""

    beats: int = 0
    worst: float = 0.0
    """Seconds the latest beat came late."""


@asynccontextmanager
async def watching(*clients: object, late: float = LATE_SECONDS) -> AsyncIterator[Pulse]:
    """Check, beat by beat, that the clients' ledgers balance and that the loop is never held."""
    pulse = Pulse()

    async def beat() -> None:
        due = time.monotonic() + BEAT_SECONDS
        while True:
            await anyio.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            pulse.worst = max(pulse.worst, now - due)
            pulse.beats += 1
            for client in clients:
                balance(client.statistics())  # type: ignore[attr-defined]
            due = time.monotonic() + BEAT_SECONDS

    async with anyio.create_task_group() as group:
        group.start_soon(beat)
        yield pulse
        group.cancel_scope.cancel()
    assert pulse.beats > 0
    assert pulse.worst < late, f"the loop was held for {pulse.worst:.3f} s"


@contextmanager
def balancing(client: object) -> Iterator[None]:
    """The same for a sync client, from a thread: ledgers only."""
    stop = threading.Event()
    wrong: list[AssertionError] = []

    def look() -> None:
        while not stop.wait(BEAT_SECONDS):
            try:
                balance(client.statistics())  # type: ignore[attr-defined]
            except AssertionError as error:
                wrong.append(error)
                return

    thread = threading.Thread(target=look, name="balancing")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if wrong:
        raise wrong[0]


def tasks() -> int:
    """Tasks of the event loop running now."""
    if sniffio.current_async_library() == "trio":
        import trio

        return trio.lowlevel.current_statistics().tasks_living
    import asyncio

    return len(asyncio.all_tasks())


def descriptors() -> Counter[str]:
    """What this process has open, by kind; sockets and pipes without their numbers."""
    found: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the one that lists the directory
            continue
        found[target.partition(":")[0] if ":[" in target else target] += 1
    return found


def threads() -> list[str]:
    """Threads alive, without those that an event loop keeps for its host's use."""
    return sorted(
        thread.name
        for thread in threading.enumerate()
        if not thread.name.startswith(("AnyIO worker", "Trio thread", "asyncio_"))
    )


@contextmanager
def nothing_left(*, timeout: float = 5.0) -> Iterator[None]:
    """Threads and descriptors are the same before and after."""
    threads_before, open_before = threads(), descriptors()
    yield
    what = ""

    def is_back() -> bool:
        nonlocal what
        now_open = descriptors() - open_before
        new_threads = Counter(threads()) - Counter(threads_before)
        what = f"{dict(now_open)} {dict(new_threads)}"
        return not now_open and not new_threads

    try:
        eventually(is_back, timeout=timeout)
    except TimeoutError:
        raise AssertionError(f"left behind: {what}") from None


def distinct_lines(records: list[logging.LogRecord]) -> Counter[tuple[object, ...]]:
    """Lines by distinct trouble: same words, same sink, same kind of error."""
    lines: Counter[tuple[object, ...]] = Counter()
    for record in records:
        if record.name.startswith("llmobs"):
            args = record.args if isinstance(record.args, tuple) else ()
            kinds = [type(a) for a in args[1:] if isinstance(a, Exception)]
            lines[record.msg, str(args[0]) if args else "", *kinds] += 1
    return lines


def few_lines(records: list[logging.LogRecord]) -> None:
    """One line per distinct trouble (tests are shorter than its interval), and none from libraries."""
    lines = distinct_lines(records)
    assert all(count == 1 for count in lines.values()), lines
    loud = [r for r in records if r.name.startswith(("httpx", "httpcore", "asyncio"))]
    assert not loud, loud
