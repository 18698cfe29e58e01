"""Worker processes: under load, bodies are read and prepared on other processors than the collector's."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Final, TypeVar, cast

import msgspec

from llmobs.pipeline.thread import BlockingThread
from llmobs.runtime.troubles import Troubles
from llmobs.server.bodies import RefusedError
from llmobs.server.preparing import Read, ReadsBody
from llmobs.server.worker import Done, Job, Start, frame, name_of, receive

__all__ = ["Workers", "is_worker_wanted", "processors"]

R = TypeVar("R", bound=Read)

BUSY_SHARE: Final = 0.5
"""Of the time that the collector's own thread has something to do, beyond which a worker is started."""
WORTH_SHARE: Final = 0.2
"""Of that time, from which on a worker is started where the process needs all that one processor gives."""
ALL_OF_ONE: Final = 0.8
"""Of a processor, which the threads of a process share: more is hardly to be had."""
WINDOW_SECONDS: Final = 1.0
"""Over which that is measured."""
IDLE_SECONDS: Final = 60.0
"""Without work after which a worker ends: each takes some 45 MB."""
PAUSE_SECONDS: Final = 60.0
"""Until the next attempt after one could not be started."""
PIPE_BYTES: Final = 1024 * 1024
"""Of a pipe, where that can be said: else a body passes in pieces of 64 KB, and wakes both for each."""
ANSWER_SECONDS: Final = 60.0
"""That an answer may take, or a start: then the process is ended, and its work done here."""
SLOW_BYTES: Final = 100_000
"""Of a body, for each of which an answer may take a second more: texts full of secrets take one for a megabyte."""
LONG_SECONDS: Final = 0.5
"""At one body, after which others do not wait for it."""


def processors() -> int:
    """Return on how many processors this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_worker_wanted(worked: float, used: float) -> bool:
    """
    Return whether a worker is to be started.

    Args:
        worked: The share of the time in which this process prepared.
        used: What it used of a processor, by all that it did: of two, up to 2.
    """
    return worked > (WORTH_SHARE if used > ALL_OF_ONE else BUSY_SHARE)


class _Worker:
    """One process, and the thread that speaks with it."""

    def __init__(self, key: bytes) -> None:
        self.thread = BlockingThread("llmobs-worker")
        self.waiting = 0
        """Jobs given to it and not yet done."""
        self.used_at = time.monotonic()
        """When it was given work, or has done some."""
        self._key = key
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; raises OSError or EOFError if that fails. In the thread."""
        if hasattr(signal, "pthread_sigmask"):
            # It is born deaf to what a terminal and a supervisor send to all of a group, before it can
            # say so itself; this thread hears nothing anyway.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        # It has to find the same modules, whatever this process was started by; and no others.
        paths = os.pathsep.join(filter(None, sys.path))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "llmobs.server.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
        )
        self.process = process
        for pipe in (process.stdin, process.stdout):
            _widen(cast("IO[bytes]", pipe))
        self._exchange(frame(Start(self._key)))

    def is_held_up(self) -> bool:
        """Whether what it has in hand takes long."""
        return self.waiting > 0 and time.monotonic() - self.used_at > LONG_SECONDS

    def do(self, job: Job, kind: type[R]) -> tuple[Done, R | None]:
        """Have *job* done; raises OSError or EOFError if the process is no more. In the thread."""
        done = msgspec.msgpack.decode(self._exchange(frame(job)), type=Done)
        if not done.result:
            return done, None
        found = msgspec.msgpack.decode(done.result, type=kind)
        found.events = done.filed
        return done, found

    def _exchange(self, message: bytearray) -> bytes:
        if self.process is None:
            raise EOFError
        to = cast("IO[bytes]", self.process.stdin)
        to.write(message)
        to.flush()
        return receive(cast("Any", self.process.stdout))

    def end(self) -> None:
        """
        End the process, whatever it does: nothing is lost with it. From any thread.

        A thread that waits for it hears at once.
        """
        if self.process is not None:
            self.process.kill()
        self.thread.then(self._clean_up)
        self.thread.stop()

    def _clean_up(self) -> None:
        if self.process is None:
            return
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # what was to be written has no reader
                cast("IO[bytes]", pipe).close()
        self.process.wait()


async def _answer(worker: _Worker, job: Job, kind: type[R]) -> tuple[Done, R | None]:
    """Have *job* done; raises TimeoutError where that takes too long, from when its turn has come."""
    loop = asyncio.get_running_loop()
    seconds = ANSWER_SECONDS + len(job.body) / SLOW_BYTES

    async with asyncio.timeout(None) as limit:

        def begin() -> None:
            with suppress(RuntimeError):  # who waited was cancelled meanwhile
                limit.reschedule(loop.time() + seconds)

        def do() -> tuple[Done, R | None]:
            loop.call_soon_threadsafe(begin)
            return worker.do(job, kind)

        return await worker.thread.call(do)


def _widen(pipe: IO[bytes]) -> None:
    """Let *pipe* hold a body, where the system can and allows it."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


class Workers:
    """
    As many worker processes as there is work for. Belongs to one event loop.

    Args:
        most: How many there may be at a time.
        key: What identifiers are renamed by.
    """

    def __init__(self, most: int, key: bytes) -> None:
        self._most = most
        self._key = key
        self._workers: list[_Worker] = []
        self._troubles = Troubles()
        self._worked = 0.0
        self._works_since: float | None = None
        self._not_before = 0.0

    def __len__(self) -> int:
        """How many are ready."""
        return len(self._workers)

    @property
    def process_ids(self) -> list[int]:
        """Of those that are ready."""
        return [w.process.pid for w in self._workers if w.process is not None]

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Take note that the collector's own thread works for as long as the block takes."""
        began = self._works_since = time.monotonic()
        try:
            yield
        finally:
            self._works_since = None
            self._worked += time.monotonic() - began

    async def look_after(self) -> None:
        """Start a worker when the last second called for one, and end those that have nothing to do."""
        if not self._most:
            return
        while True:
            self._worked = 0.0
            began, used = time.monotonic(), time.process_time()
            await asyncio.sleep(WINDOW_SECONDS)
            now = time.monotonic()
            used_share = (time.process_time() - used) / (now - began)
            since = self._works_since
            # Also what is not done yet: one body may take longer than all seconds so far.
            share = (self._worked + (now - since if since is not None else 0)) / (now - began)
            for worker in [one for one in self._workers if not one.waiting]:
                if now - worker.used_at > IDLE_SECONDS:
                    self._end(worker)
            wanted = is_worker_wanted(share, used_share)
            if wanted and len(self._workers) < self._most and now >= self._not_before:
                await self.start()

    async def start(self) -> None:
        """Start one; if that fails, say so, and try no more for a while."""
        worker = _Worker(self._key)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await worker.thread.call(worker.start)
        except (OSError, EOFError) as error:
            self._not_before = time.monotonic() + PAUSE_SECONDS
            self._troubles.log("start", "llmobs: cannot start a worker process: %r", error)
        else:
            self._workers.append(worker)
        finally:
            if worker not in self._workers:
                worker.end()

    async def read(
        self,
        read: ReadsBody[R],
        kind: type[R],
        body: bytes,
        project: str | None,
        *,
        salt: bytes,
        others: int,
    ) -> tuple[R | None, int]:
        """
        Have *body* read and prepared by a worker, and its events filed.

        Args:
            read: Reads it.
            kind: What that returns.
            body: What came.
            project: Whose its events are; None: as they say.
            salt: Of the store, by which they are filed.
            others: How many the collector's own process has in hand: it takes no more of them than a worker.

        Returns:
            What was read, None if the collector has to do it itself; and how many failures of
            redaction there were.

        Raises:
            RefusedError: As *read* does.
        """
        worker = self._free(others)
        if worker is None:
            return None, 0
        if not worker.waiting:
            worker.used_at = time.monotonic()
        worker.waiting += 1
        job = Job(name_of(read), project, salt, body)
        try:
            done, found = await _answer(worker, job, kind)
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            if worker in self._workers:
                self._troubles.log("lost", "llmobs: a worker process is lost: %r", error)
                self._end(worker)
            return None, 0
        finally:
            worker.waiting -= 1
            worker.used_at = time.monotonic()
        if (why := done.refusal) is not None:
            raise RefusedError(why.status, why.message, why.field, why.retry_after)
        return found, done.failures

    def have_time(self, others: int) -> bool:
        """Whether `read` would have something read by a worker now."""
        return self._free(others) is not None

    def _free(self, others: int) -> _Worker | None:
        free = [one for one in self._workers if not one.is_held_up()]
        worker = min(free, key=lambda one: one.waiting, default=None)
        return None if worker is None or others + 1 < worker.waiting else worker

    def _end(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.end()

    def close(self) -> None:
        """End all of them."""
        for worker in list(self._workers):
            self._end(worker)
