"""The parts that the ends of processes rest on, in this process."""

import gc
import logging
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

import llmobs
from llmobs.client import sync_client
from llmobs.pipeline.loop_thread import OwnLoop
from llmobs.pipeline.sink import Batch
from llmobs.pipeline.thread import BlockingThread
from tests.helpers import ScriptedSink, make_event
from tests.support.arrivals import Arrivals


def log(client: Any, count: int = 1) -> None:
    for _ in range(count):
        client.log_prompt_call("run", "q", "m", "a")


@pytest.mark.parametrize("threads_left", [True, False])
def test_the_private_loop_needs_no_executor(
    monkeypatch: pytest.MonkeyPatch, threads_left: bool
) -> None:
    """Fact 3: at exit there is none, and perhaps no thread; then names are resolved in place."""
    loop = OwnLoop()
    monkeypatch.setattr(loop, "run_in_executor", lambda *args: pytest.fail("needs an executor"))
    if not threads_left:
        monkeypatch.setattr(threading.Thread, "start", _refuse)
    try:
        addresses = loop.run_until_complete(loop.getaddrinfo("localhost", 80))
    finally:
        loop.close()
    assert addresses


def _refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't create new thread at interpreter shutdown")


def test_signals_are_for_the_main_thread() -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            llmobs.flush_on_signals()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


@pytest.mark.filterwarnings("default::ResourceWarning")
def test_an_async_client_never_run_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "llmobs")
    clients = [llmobs.AsyncClient(sink="memory:")]
    log(clients[0], 3)

    def drop() -> None:
        clients.clear()
        gc.collect()

    assert len(caplog.records) == 1
    assert "until `async with client:` is entered" in caplog.text
    with pytest.warns(ResourceWarning, match="3 events were recorded"):
        drop()


def test_a_client_dropped_while_it_delivers_is_kept_by_its_thread() -> None:
    sink = ScriptedSink()
    log(llmobs.Client(sink=sink, flush_interval_seconds=60), 3)
    gc.collect()
    sync_client.exit_hook.flush_all()
    assert len(sink.events) == 3
    sync_client.exit_hook.close_all()


def test_the_store_is_written_when_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Python 3.12 starts no thread once the interpreter is ending."""

    class Refused(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading, "Thread", Refused)
    client = llmobs.Client(sink=f"sqlite:///{tmp_path / 'llmobs.db'}")
    with caplog_disabled():
        log(client, 10)  # the client's own thread is refused, too
        client.close()
    assert client.statistics().delivered == 10
    assert len(Arrivals.read(tmp_path / "none", tmp_path / "llmobs.db").stored) == 10


class caplog_disabled:
    """Keep the expected line about the thread out of the test's output."""

    def __enter__(self) -> None:
        logging.disable(logging.CRITICAL)

    def __exit__(self, *error: object) -> None:
        logging.disable(logging.NOTSET)


def test_a_blocking_thread_that_runs_in_place_raises_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("no more threads")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        blocking = BlockingThread("test")
    with pytest.raises(ZeroDivisionError):
        anyio.run(blocking.call, lambda: 1 / 0)
    blocking.stop()


def test_a_client_works_inside_trio() -> None:
    """The caller's context says "trio"; the client's private loop is asyncio all the same."""
    sink = ScriptedSink()

    async def main() -> None:
        with llmobs.Client(sink=sink, flush_interval_seconds=60) as client:
            log(client, 2)
            assert client.flush(5).delivered == 2
            client.send(make_event(), 5)
            log(client, 2)
            await client.drain(5)
            assert len(sink.events) == 5

    anyio.run(main, backend="trio")


def test_a_thread_that_does_not_end_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits for something that never comes: what a fork at the wrong moment may leave behind."""
    release, sending = threading.Event(), threading.Event()

    class Stuck(ScriptedSink):
        async def send(self, batch: Batch) -> None:
            sending.set()
            release.wait(20)  # the private loop itself

    monkeypatch.setattr(sync_client, "GRACE_SECONDS", 0.1)
    client = llmobs.Client(sink=Stuck(), shutdown_timeout=0)
    log(client, 3)
    thread = client._thread
    assert thread is not None
    threading.Thread(target=client.flush, args=(20,)).start()
    assert sending.wait(20)
    client.close()
    release.set()
    thread.join(10)
    assert "did not end within 0 s; 3 events were not delivered" in caplog.text


def test_closing_from_several_threads_delivers_once() -> None:
    sink = ScriptedSink()
    client = llmobs.Client(sink=sink, flush_interval_seconds=60)
    log(client, 100)
    threads = [threading.Thread(target=client.close) for _ in range(4)]
    for thread in threads:
        thread.start()
    client.flush(5)
    for thread in threads:
        thread.join()
    assert len(sink.events) == 100
    assert sink.closed == 1
