"""
Programs that record 1,000 events and end in some way: `python -m tests.processes.programs NAME`.

Each event is noted in the ledger. None of them closes its client, unless its name says so.
"""

import asyncio
import atexit
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import llmobs
from llmobs.pipeline.loop_thread import OwnLoop
from llmobs.pipeline.sink import Batch
from llmobs.pipeline.thread import BlockingThread
from llmobs.runtime import forks
from llmobs.sinks.sqlite import SQLiteSink
from tests.support.ledger import COST, Ledger
from tests.support.signalled import say_ready, wait_for_the_signal

ledger = Ledger(os.environ["TEST_LEDGER"])
PROGRAMS: dict[str, Callable[[], None]] = {}


def program(function: Callable[[], None]) -> Callable[[], None]:
    PROGRAMS[function.__name__] = function
    return function


def log(count: int, client: llmobs.Client | None = None) -> None:
    client = client or llmobs.default_client()
    for number in range(count):
        question = f"question {number}"
        ledger.note(client.log_prompt_call("run", question, "gpt-4o", "yes", 3, 4, **COST))


@program
def normal_exit() -> None:
    log(1000)


@program
def normal_exit_before_the_first_batch() -> None:
    log(10)


@program
def closed() -> None:
    with llmobs.Client() as client:
        log(1000, client)


@program
def sys_exit() -> None:
    log(1000)
    sys.exit(3)


@program
def unhandled_exception() -> None:
    log(1000)
    raise ValueError("on purpose")


@program
def dropped_client() -> None:
    log(1000, llmobs.Client())
    gc.collect()


@program
def first_event_at_exit() -> None:
    client = llmobs.Client()
    atexit.register(log, 1000, client)


@program
def daemon_threads() -> None:
    done = threading.Barrier(5)

    def work() -> None:
        log(250)
        done.wait()
        time.sleep(60)

    for _ in range(4):
        threading.Thread(target=work, daemon=True).start()
    done.wait()


@program
def thread_that_outlives_main() -> None:
    def work() -> None:
        threading.main_thread().join()
        log(1000)

    threading.Thread(target=work).start()


@program
def thread_pool() -> None:
    pool = ThreadPoolExecutor(4)
    for _ in range(10):
        pool.submit(log, 100)


# Forks.


def fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        work()
        sys.exit()
    return pid


@program
def fork_before_use() -> None:
    llmobs.default_client()
    pid = fork(lambda: log(500))
    log(500)
    os.waitpid(pid, 0)


@program
def fork_after_use() -> None:
    """The parent has events queued, its store open, and ends before the child goes on."""
    client = llmobs.default_client()
    log(200)
    client.flush()
    log(200)
    parent_ended, held_by_parent = os.pipe()
    child_writes, told_by_child = os.pipe()

    def child() -> None:
        os.close(held_by_parent)
        log(200)
        client.flush()
        os.write(told_by_child, b".")
        os.read(parent_ended, 1)  # end of file: nobody holds the writing end any more
        log(200)

    fork(child)
    log(200)
    os.read(child_writes, 1)  # both have the store open now


@program
def fork_after_use_wrong() -> None:
    """The same, with the store open during the fork: the obvious code."""
    forks.ForkLock.pause = forks.ForkLock.resume = lambda self: None  # type: ignore[method-assign]

    def work(self: BlockingThread) -> None:
        # Holds on to what it did last: the child inherits that, and no thread that lets go of it.
        while (job := self._next()) is not None:
            job()

    BlockingThread._work = work  # type: ignore[method-assign]
    fork_after_use()


@program
def forks_under_load() -> None:
    """Forks at any moment, while other threads record and the pipeline delivers."""
    os.environ["LLMOBS_BATCH_SIZE"] = "10"  # or it would wait for the end

    def work() -> None:
        for _ in range(20):
            log(10)
            time.sleep(0.02)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    pids = []
    for _ in range(6):
        time.sleep(0.05)
        pids.append(fork(lambda: log(100)))
    for thread in threads:
        thread.join()
    for pid in pids:
        os.waitpid(pid, 0)


def run_processes(method: str) -> None:
    log(400)
    context = multiprocessing.get_context(method)
    processes = [context.Process(target=log, args=(200,)) for _ in range(3)]  # type: ignore[attr-defined]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)


@program
def multiprocessing_fork() -> None:
    run_processes("fork")


@program
def multiprocessing_spawn() -> None:
    run_processes("spawn")


@program
def process_pool() -> None:
    log(400)
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        list(pool.map(log, [100] * 6))


@program
def multiprocessing_pool() -> None:
    """Leaving the block sends SIGTERM to the workers that have not ended."""
    log(400)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(log, [100] * 6)
        pool.close()
        pool.join()


@program
def two_writers() -> None:
    """Two processes write one file at once, in many small transactions."""

    def write() -> None:
        client = llmobs.Client(batch_size=10)
        for _ in range(50):
            log(10, client)

    pid = fork(write)
    write()
    os.waitpid(pid, 0)


# Signals: the test waits for the line, then sends SIGTERM.


@program
def sigterm() -> None:
    llmobs.flush_on_signals()
    log(1000)
    say_ready()
    wait_for_the_signal()


@program
def sigterm_without_the_helper() -> None:
    log(1000)
    say_ready()
    wait_for_the_signal()


@program
def sigterm_in_a_busy_loop() -> None:
    """The helper waits for no lock that the interrupted thread holds; then the old handler runs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
    llmobs.flush_on_signals()
    log(10)
    say_ready()
    client = llmobs.default_client()
    while True:
        log(1)
        if client.statistics().pending > 5_000:  # or what is oldest would give way
            time.sleep(0.001)


class HeldSink(SQLiteSink):
    """Writes once it may."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.reached = threading.Event()
        self.go_on = threading.Event()

    async def send(self, batch: Batch) -> None:
        self.reached.set()
        while not self.go_on.is_set():
            await asyncio.sleep(0.005)
        await super().send(batch)


@program
def fork_while_a_signal_waits_for_delivery() -> None:
    """The child hears the next signal: what its parent was about is not its own."""
    heard = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: heard.set())
    llmobs.flush_on_signals()
    path = os.environ["LLMOBS_SINK"].removeprefix("sqlite:///")
    sink = HeldSink(path)
    client = llmobs.Client(sink=sink)
    log(900, client)
    signal.raise_signal(signal.SIGTERM)
    assert sink.reached.wait(30)

    def child() -> None:
        sink.go_on.set()
        log(100, client)
        signal.raise_signal(signal.SIGTERM)
        assert heard.wait(30)

    pid = fork(child)
    assert os.waitpid(pid, 0)[1] == 0
    sink.go_on.set()
    assert heard.wait(30)


# Host names at exit.


class ResolvingSink(SQLiteSink):
    """Looks up a host name before it writes, as sinks on the network do."""

    async def send(self, batch: Batch) -> None:
        loop: Any = asyncio.get_running_loop()
        assert await loop.getaddrinfo("localhost", 80)
        await super().send(batch)


@program
def host_name_at_exit() -> None:
    path = os.environ["LLMOBS_SINK"].removeprefix("sqlite:///")
    log(1000, llmobs.Client(sink=ResolvingSink(path), batch_size=2000))


@program
def host_name_at_exit_wrong() -> None:
    """The same with asyncio's own look-up, which needs an executor."""
    del OwnLoop.getaddrinfo
    host_name_at_exit()


if __name__ == "__main__":
    PROGRAMS[sys.argv[1]]()
