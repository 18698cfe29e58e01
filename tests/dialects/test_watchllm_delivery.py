"""llmobs.watchllm: batching, flushing, closing, and what happens when the server is in trouble."""

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from llmobs.watchllm import WatchLLMClient
from tests.dialects.conftest import MakeClient
from tests.dialects.rows import ROOT
from tests.helpers import llmobs_threads
from tests.support.faults import Fault
from tests.support.polling import eventually
from tests.support.ports import free_ports
from tests.support.watchllm_server import WatchLLMServer

row = pytest.mark.row


def log(client: WatchLLMClient, count: int = 1, prefix: str = "run") -> list[str]:
    # A model without a price: looking for one does not delay the first batch twice.
    return [
        client.log_prompt_call(f"{prefix}-{n}", "p", "no-such-model", "r", 1, 1, 1)
        for n in range(count)
    ]


def nobody_there() -> str:
    """A base URL that refuses connections."""
    [port] = free_ports(1)
    return f"http://127.0.0.1:{port}/v1"


def ids(server: WatchLLMServer) -> list[str]:
    return [event["event_id"] for event in server.events]


def sizes(server: WatchLLMServer) -> list[int]:
    return [request.body.count(b'"event_id"') for request in server.requests]


@pytest.fixture
def own_server() -> Iterator[WatchLLMServer]:
    """A server for faults."""
    with WatchLLMServer() as server:
        yield server


def client_of(server: WatchLLMServer, **parameters: Any) -> WatchLLMClient:
    return WatchLLMClient(
        **{"api_key": "test-key", "project_id": "p", "base_url": server.base_url, **parameters}
    )


# Batching and flushing.


@row("W045")
def test_twenty_events_are_two_requests(make_client: MakeClient, worker: WatchLLMServer) -> None:
    client = make_client(flush_interval_seconds=60)
    logged = log(client, 20)
    eventually(lambda: sum(sizes(worker)) == 20)
    assert sizes(worker) == [10, 10]
    assert ids(worker) == logged


@row("W046")
def test_a_full_batch_leaves_at_once(make_client: MakeClient, worker: WatchLLMServer) -> None:
    client = make_client(flush_interval_seconds=60)
    log(client)
    client.flush()  # the first batch also loads what pricing needs
    worker.forget()
    log(client, 10)
    full = time.monotonic()
    eventually(lambda: worker.requests)
    assert worker.requests[0].time - full < 1.0  # about 10 ms; the original takes up to a second


@row("W046")
def test_a_batch_that_is_not_full_waits(make_client: MakeClient, worker: WatchLLMServer) -> None:
    client = make_client(batch_size=2, flush_interval_seconds=60)
    log(client)
    time.sleep(0.2)
    assert worker.requests == []
    log(client)
    eventually(lambda: sum(sizes(worker)) == 2)
    assert sizes(worker) == [2]


@row("W047")
def test_one_event_leaves_after_the_interval_without_any_call(
    make_client: MakeClient, worker: WatchLLMServer
) -> None:
    make_client(flush_interval_seconds=0.2).log_error("r", ValueError("x"))
    eventually(lambda: len(worker.events) == 1)


@row("W048", "W101")
def test_flush_delivers_everything_logged_before(
    make_client: MakeClient, worker: WatchLLMServer
) -> None:
    client = make_client(flush_interval_seconds=60)
    logged = log(client, 250)
    report = client.flush()
    assert ids(worker) == logged
    assert (report.pending, report.dropped) == (0, {})
    assert client.flush().delivered == 0  # nothing is left, nothing happens


@row("W048")
def test_flush_waits_for_what_is_being_sent(own_server: WatchLLMServer) -> None:
    own_server.faults.add(Fault.slow(0.3))
    with client_of(own_server, flush_interval_seconds=60) as client:
        log(client, 10)
        eventually(lambda: client.statistics().queue_events == 0)  # the batch is in flight
        client.flush()
        assert len(own_server.events) == 10


@row("W048", "W101")
def test_flush_reports_what_it_could_not_deliver(own_server: WatchLLMServer) -> None:
    own_server.faults.add(Fault.answer(503, times=-1))
    client = client_of(own_server, timeout=0.5)
    log(client, 3)
    assert client.flush().pending == 3
    own_server.faults.clear()
    client.close()
    assert len(own_server.events) == 3


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let closing take as long as a busy machine needs."""
    monkeypatch.setenv("LLMOBS_SHUTDOWN_TIMEOUT", "60")


@pytest.mark.usefixtures("patient")
@row("W049", "W103")
@pytest.mark.parametrize("count", [0, 1, 250, 1200])
def test_close_delivers_all_that_is_queued(
    count: int, make_client: MakeClient, worker: WatchLLMServer
) -> None:
    client = make_client(batch_size=100, flush_interval_seconds=60)
    logged = log(client, count)
    client.close()
    assert ids(worker) == logged
    assert max(sizes(worker), default=0) <= 100
    client.close()  # twice is harmless


@row("W103")
def test_close_ends_the_thread_and_is_fast_when_idle(
    make_client: MakeClient, worker: WatchLLMServer
) -> None:
    client = make_client()
    log(client)
    client.flush()
    assert llmobs_threads() == ["llmobs"]
    began = time.monotonic()
    client.close()
    assert time.monotonic() - began < 0.5  # the original takes a second
    assert llmobs_threads() == []


@row("W103")
def test_what_is_logged_after_close_is_said_and_counted(
    client: WatchLLMClient, worker: WatchLLMServer, caplog: pytest.LogCaptureFixture
) -> None:
    client.close()
    assert log(client)
    assert client.statistics().dropped == {"closed": 1}
    assert "after close()" in caplog.text
    assert worker.requests == []


@row("W050", "W112")
def test_the_context_manager_delivers_on_exit(
    make_client: MakeClient, worker: WatchLLMServer
) -> None:
    made = make_client(flush_interval_seconds=60)
    with made as client:
        assert client is made
        logged = log(client, 3)
    assert ids(worker) == logged


@row("W050", "W112")
def test_the_context_manager_delivers_when_the_body_raises(
    make_client: MakeClient, worker: WatchLLMServer
) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        make_client(flush_interval_seconds=60) as client,
    ):
        log(client, 3)
        raise ZeroDivisionError
    assert len(worker.events) == 3


@pytest.mark.usefixtures("patient")
@row("W113")
def test_a_tenth_of_ten_thousand_runs(make_client: MakeClient, worker: WatchLLMServer) -> None:
    # Which runs are kept follows from their ids alone, so this is the same every time.
    with make_client(sample_rate=0.1, batch_size=100) as client:
        assert len(set(log(client, 10_000))) == 10_000
    assert 900 <= len(worker.events) <= 1100
    assert client.statistics().dropped == {"sampled": 10_000 - len(worker.events)}


@row("W113")
def test_a_run_is_kept_whole_or_not_at_all(make_client: MakeClient, worker: WatchLLMServer) -> None:
    with make_client(sample_rate=0.5, batch_size=100) as client:
        for _ in range(3):
            log(client, 40)
    counts = Counter(event["run_id"] for event in worker.events)
    assert set(counts.values()) == {3}
    assert 5 < len(counts) < 35


@row("W114")
def test_fifty_events_are_one_request(make_client: MakeClient, worker: WatchLLMServer) -> None:
    client = make_client(batch_size=50, flush_interval_seconds=60)
    log(client, 50)
    eventually(lambda: sum(sizes(worker)) == 50)
    assert sizes(worker) == [50]


# In event loops.


@row("W102")
def test_flush_in_a_coroutine_delivers(client: WatchLLMClient, worker: WatchLLMServer) -> None:
    async def main() -> int:
        log(client, 25)
        client.flush()
        return len(worker.events)

    assert asyncio.run(main()) == 25


@row("W102", "W118")
def test_flush_in_a_coroutine_returns_soon_when_the_network_is_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLMOBS_SHUTDOWN_TIMEOUT", "0.1")
    client = WatchLLMClient("k", "p", base_url=nobody_there())

    async def main() -> float:
        log(client)
        began = time.monotonic()
        assert client.flush().pending == 1
        return time.monotonic() - began

    assert asyncio.run(main()) < 3.0  # not the 30 seconds of `timeout`: a loop stands still
    client.close()


@row("W128", "W007")
def test_logging_from_a_coroutine_takes_no_time(own_server: WatchLLMServer) -> None:
    own_server.faults.add(Fault.slow(0.3, times=3))

    async def main(client: WatchLLMClient) -> float:
        took = []
        for _ in range(300):
            began = time.perf_counter()
            log(client)
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0)
        return sorted(took)[150]

    with client_of(own_server) as client:
        assert asyncio.run(main(client)) < 0.005
    assert len(own_server.events) == 300


@pytest.mark.usefixtures("patient")
@row("W128")
def test_eight_threads_lose_and_double_nothing(
    make_client: MakeClient, worker: WatchLLMServer
) -> None:
    client = make_client(batch_size=100)
    logged: list[list[str]] = []

    def work(number: int) -> None:
        mine = log(client, 250, f"{number}a")
        client.flush()
        logged.append(mine + log(client, 250, f"{number}b"))

    workers = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join(30)
    closers = [threading.Thread(target=client.close) for _ in range(4)]
    for thread in closers:
        thread.start()
    for thread in closers:
        thread.join(30)
    client.close()
    assert sorted(ids(worker)) == sorted(event_id for mine in logged for event_id in mine)
    assert len(worker.events) == 4000


# Troubleshooting.


def texts(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "watchllm" and r.levelno >= level]


@row("W116")
def test_a_wrong_key_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    # The server answers 200 to it.
    with WatchLLMServer({"right": {"p"}}) as server:
        client = client_of(server, api_key="wrong")
        log(client)
        client.flush(0.5)
        client.close()
        assert [request.status for request in server.requests] == [200] * len(server.requests)
        assert server.events == []
    assert any("Invalid API key or project access" in line for line in texts(caplog, logging.ERROR))
    assert client.statistics().dropped == {"unauthorized": 1}
    assert "wrong" not in caplog.text.replace("http", "")


@row("W116")
def test_a_wrong_project_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    with WatchLLMServer({"right": {"other"}}) as server:
        client = client_of(server, api_key="right", project_id="mine")
        log(client)
        client.flush(0.5)
        client.close()
    assert any("project 'mine'" in line for line in texts(caplog, logging.ERROR))


@row("W116")
def test_a_401_is_logged_as_an_error(
    own_server: WatchLLMServer, caplog: pytest.LogCaptureFixture
) -> None:
    own_server.faults.add(Fault.answer(401, b'{"error":"Missing or invalid"}', times=-1))
    client = client_of(own_server)
    log(client)
    client.flush(0.5)
    client.close()
    assert any("HTTP 401: Missing or invalid" in line for line in texts(caplog, logging.ERROR))


FORGETFUL = """
import logging, sys
from llmobs.watchllm import WatchLLMClient
client = WatchLLMClient("test-key", "p", base_url=sys.argv[1], flush_interval_seconds=60)
for n in range(3):
    client.log_error("run-1", ValueError(n))
"""


@row("W117")
def test_a_process_that_forgets_close_delivers_at_exit(worker: WatchLLMServer) -> None:
    command = [sys.executable, "-W", "error", "-c", FORGETFUL, worker.base_url]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=40, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(worker.events) == 3


UNREACHABLE = """
import sys
from llmobs.watchllm import WatchLLMClient
client = WatchLLMClient("secret-key", "p", base_url=sys.argv[1])
client.log_error("run-1", ValueError("x"))
print(client.flush(0.3).pending, "the application goes on")
"""


@row("W118", "W119")
def test_a_server_that_is_away_is_named_on_stderr_by_default() -> None:
    url = nobody_there()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", UNREACHABLE, url],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        cwd=ROOT,
        env={"LLMOBS_SHUTDOWN_TIMEOUT": "0.2"},
    )
    assert done.returncode == 0
    assert done.stdout == "1 the application goes on\n"
    assert url in done.stderr
    assert "secret-key" not in done.stderr


@row("W120")
def test_the_logger_watchllm_tells_of_queueing_batches_and_answers(
    client: WatchLLMClient, caplog: pytest.LogCaptureFixture, worker: WatchLLMServer
) -> None:
    caplog.set_level(logging.DEBUG, logger="watchllm")
    event_id = client.log_error("run-7", ValueError("x"))
    client.flush()
    lines = texts(caplog, logging.DEBUG)
    assert any(event_id in line and "queued error" in line for line in lines)
    assert any(f"sending 1 events to {worker.base_url}/events/batch" in line for line in lines)
    assert any("1 events stored" in line for line in lines)


@row("W120")
def test_the_logger_watchllm_tells_what_sampling_leaves_out(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="watchllm")
    log(make_client(sample_rate=0.0))
    assert [line.partition(":")[0] for line in texts(caplog, logging.DEBUG)] == [
        "left out by sampling"
    ]


@row("W120")
def test_the_logger_watchllm_is_silent_unless_asked(
    client: WatchLLMClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    log(client, 30)
    client.flush()
    assert texts(caplog, logging.NOTSET) == []


@row("W121")
def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = WatchLLMClient("k", "p", batch_size=10_000, flush_interval_seconds=3600).settings
    assert settings.max_queue_bytes <= 64 * 1024 * 1024
    monkeypatch.setenv("LLMOBS_MAX_QUEUE_EVENTS", "50")
    monkeypatch.setenv("LLMOBS_SHUTDOWN_TIMEOUT", "0")
    client = WatchLLMClient(
        "k",
        "p",
        base_url=nobody_there(),
        batch_size=1000,
        flush_interval_seconds=3600,
    )
    log(client, 500)
    statistics = client.statistics()
    assert statistics.pending <= 50 + 1
    assert statistics.dropped["queue_full"] >= 449
    client.close()


@row("W122")
def test_backlog_and_losses_can_be_seen(make_client: MakeClient) -> None:
    client = make_client(flush_interval_seconds=60)
    log(client, 5)
    assert client.statistics().queue_events == 5
    assert client.statistics().queue_bytes > 0
    client.flush()
    statistics = client.statistics()
    assert (statistics.accepted, statistics.delivered, statistics.pending) == (5, 5, 0)
    assert statistics.dropped == {}


@row("W123")
def test_a_smaller_batch(make_client: MakeClient, worker: WatchLLMServer) -> None:
    client = make_client(batch_size=5, flush_interval_seconds=3)
    log(client, 5)
    eventually(lambda: sum(sizes(worker)) == 5)
    assert sizes(worker) == [5]


@row("W124")
@pytest.mark.parametrize(
    "fault",
    [
        Fault.half_open(),
        Fault.answer(503),
        Fault.answer(500, times=2),
        Fault.answer(408),
        Fault.answer(429, retry_after=0),
        Fault.close(),
        Fault.reset(),
    ],
    ids=lambda fault: f"{fault.action}-{fault.status}",
)
def test_troubles_of_the_server_are_logged_and_the_events_are_sent_again(
    fault: Fault, own_server: WatchLLMServer, caplog: pytest.LogCaptureFixture
) -> None:
    own_server.faults.add(fault)
    with client_of(own_server, timeout=1) as client:
        logged = log(client, 3)
    assert ids(own_server) == logged
    assert any("delivery failed" in line for line in texts(caplog, logging.WARNING))


@row("W124")
def test_a_body_the_server_finds_too_large_is_halved() -> None:
    with WatchLLMServer(most_bytes=5_000) as server:
        with client_of(server, batch_size=100) as client:
            logged = log(client, 60)
        assert ids(server) == logged


@row("W125")
def test_the_timeout_reaches_the_request(own_server: WatchLLMServer) -> None:
    own_server.faults.add(Fault.slow(0.7))
    with client_of(own_server, timeout=60) as client:
        log(client)
    assert [request.status for request in own_server.requests] == [200]
    assert client.settings.timeout == 60
