"""Marks the suite, keeps one server per module, and looks after every test for what it left."""

from collections.abc import Iterator

import pytest
import uvloop

from llmobs.pipeline.pricing import PriceBook, Usage
from tests.faults.watch import few_lines, nothing_left
from tests.support.faultproxy import FaultProxy
from tests.support.watchllm_server import WatchLLMServer


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """One loop where a test does not ask for others: the suite is long."""
    return "asyncio", {"use_uvloop": False}


@pytest.fixture(scope="session", autouse=True)
def everything_is_loaded() -> None:
    """What is made once per process is made before the first test looks."""
    # Reading the price table holds the interpreter for a while; it is not these tests' matter.
    PriceBook().cost("gpt-4o", None, Usage(1, 1))
    uvloop.new_event_loop().close()


@pytest.fixture(scope="module")
def shared_server() -> Iterator[WatchLLMServer]:
    with WatchLLMServer() as server:
        yield server


@pytest.fixture
def server(shared_server: WatchLLMServer) -> Iterator[WatchLLMServer]:
    shared_server.faults.clear()
    shared_server.forget()
    yield shared_server
    shared_server.faults.clear()


@pytest.fixture
def proxy(server: WatchLLMServer) -> Iterator[FaultProxy]:
    with FaultProxy(server.address) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def left_behind(
    server: WatchLLMServer, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """No thread, socket or file is left; no more than one line per distinct trouble was logged."""
    with nothing_left():
        yield
    few_lines(caplog.get_records("call"))
