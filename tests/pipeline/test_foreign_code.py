"""What others' code raises in the pipeline costs its own work: never the worker, the host, the thread."""

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from llmobs import AsyncClient, Client, PromptCallEvent
from llmobs.events import Event
from llmobs.pipeline.cost import Pricing
from llmobs.pipeline.sink import Batch
from tests.helpers import ScriptedSink, make_event

pytestmark = pytest.mark.anyio

# An error that is an Exception too surfaces in our own tests; see test_worker for those of sinks.
STRANGE = [asyncio.CancelledError, SystemExit, KeyboardInterrupt, GeneratorExit, BaseException]
SECONDS = 10


class Raising(ScriptedSink):
    """Raises in one of its methods, the first so many times."""

    def __init__(self, error: type[BaseException], method: str, times: int) -> None:
        super().__init__()
        self.error, self.method, self.times = error, method, times

    def _raise(self, method: str) -> None:
        if method == self.method and self.times:
            self.times -= 1
            raise self.error("theirs")

    async def open(self) -> None:
        self._raise("open")
        await super().open()

    async def send(self, batch: Batch) -> None:
        self._raise("send")
        await anyio.sleep(0)
        self._raise("send after a pause")
        await super().send(batch)

    async def aclose(self) -> None:
        self._raise("aclose")
        await super().aclose()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmobs.pipeline.health.backoff", lambda attempt, retry_after=None: 0.001)


@pytest.fixture(autouse=True)
def ctrl_c_is_the_event_loop_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under `asyncio.run`: else Python raises KeyboardInterrupt wherever the program is."""
    monkeypatch.setattr("llmobs.runtime.troubles.signal.default_int_handler", object())


@pytest.mark.parametrize("error", STRANGE)
@pytest.mark.parametrize("method", ["open", "send", "send after a pause", "aclose"])
async def test_a_sink(error: type[BaseException], method: str) -> None:
    sink = Raising(error, method, 1)
    async with AsyncClient(sink=sink) as client:
        client.log_error("r", "one")
        report = await client.flush(SECONDS)
        client.log_error("r", "two")
    assert (report.delivered, report.pending) == (1, 0)
    assert len(sink.events) == 2
    assert client.statistics().delivered == 2


@pytest.mark.parametrize("error", STRANGE)
async def test_a_sink_that_never_stops(error: type[BaseException]) -> None:
    async with AsyncClient(sink=Raising(error, "send", sys.maxsize)) as client:
        client.log_error("r", "one")
        report = await client.flush(SECONDS)
    assert report.dropped == {"internal": 1}


@pytest.mark.parametrize("error", STRANGE)
def test_a_sink_in_the_private_thread(error: type[BaseException]) -> None:
    with Client(sink=(sink := Raising(error, "send", 1))) as client:
        client.log_error("r", "one")
        assert client.flush(SECONDS).delivered == 1
        client.log_error("r", "two")
        assert client.flush(SECONDS).delivered == 1
    assert len(sink.events) == 2


def raising(error: type[BaseException]) -> Callable[..., Any]:
    def function(*_: object) -> Any:
        raise error("theirs")

    return function


@pytest.mark.parametrize("error", STRANGE)
async def test_a_redactor_costs_its_field(error: type[BaseException]) -> None:
    sink = ScriptedSink()
    async with AsyncClient(sink=sink, redactor=raising(error)) as client:
        client.log_prompt_call("r", "secret", "m", "secret", 1, 2)
    (event,) = sink.events
    assert isinstance(event, PromptCallEvent)
    assert (event.prompt, event.tokens_input) == ("[REDACTION_FAILED]", 1)


@pytest.mark.parametrize("error", STRANGE)
async def test_complete_costs_what_it_would_have_filled_in(error: type[BaseException]) -> None:
    async with AsyncClient(sink=(sink := ScriptedSink())) as client:
        client.record(make_event(prompt="p"), None, 100, False, raising(error))
        client.record(make_event(prompt="q"), None, 100, False, _stops_midway(error))
        client.log_error("r", "next")
        await client.flush(SECONDS)
    first, second, _ = sink.events
    assert "could not be read" in first.warnings[0]
    assert "could not be read" in second.warnings[0]


def _stops_midway(error: type[BaseException]) -> Callable[[Event], Any]:
    def complete(event: Event) -> Any:
        yield
        raise error("theirs")

    return complete


@pytest.mark.parametrize("error", STRANGE)
@pytest.mark.parametrize("method", ["price", "load"])
async def test_a_price(
    error: type[BaseException], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pricing, method, raising(error))
    async with AsyncClient(sink=(sink := ScriptedSink())) as client:
        client.log_prompt_call("r", "p", "gpt-4o", "a", 1, 2)
        await client.flush(SECONDS)
    assert len(sink.events) == 1
    assert client.statistics().delivered == 1


PROGRAM = """
    import asyncio, os, signal, sys
    import anyio
    from llmobs import AsyncClient
    from tests.helpers import ScriptedSink

    class Sink(ScriptedSink):
        async def send(self, batch):
            if not self.attempts:
                self.attempts += 1
                {action}
            await super().send(batch)

    async def main():
        {before}
        async with AsyncClient(sink=Sink(), shutdown_timeout=1) as client:
            client.log_error("r", "boom")
            report = await client.flush(60)
            print("delivered", report.delivered, flush=True)
            await anyio.sleep(5)
        print("left", flush=True)

    {run}
"""


def ended(action: str, run: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    program = textwrap.dedent(PROGRAM).format(action=action, run=run, before=before)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )


ASYNCIO = "anyio.run(main, backend='asyncio')"
TRIO = "anyio.run(main, backend='trio')"


@pytest.mark.parametrize("run", [ASYNCIO, TRIO])
def test_a_signal_s_own_exit_is_not_swallowed(run: str) -> None:
    before = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))"
    process = ended("os.kill(os.getpid(), signal.SIGTERM)", run, before)
    assert process.returncode != 0, process.stdout


@pytest.mark.parametrize("run", [ASYNCIO, TRIO])
def test_ctrl_c_ends_the_host_in_good_order(run: str) -> None:
    process = ended("os.kill(os.getpid(), signal.SIGINT)", run)
    assert "KeyboardInterrupt" in process.stderr


@pytest.mark.parametrize("run", [ASYNCIO, TRIO])
def test_a_keyboard_interrupt_of_a_sink_s_own_is_its_own(run: str) -> None:
    process = ended("raise KeyboardInterrupt", run)
    assert "delivered 1" in process.stdout, process.stderr
    assert "left" in process.stdout


async def test_a_deadline_outside_still_cancels_what_waits_inside() -> None:
    class Endless(ScriptedSink):
        async def send(self, batch: Batch) -> None:
            await anyio.sleep_forever()

    with anyio.fail_after(SECONDS):
        async with AsyncClient(sink=Endless(), shutdown_timeout=0.05) as client:
            client.log_error("r", "boom")
            with anyio.move_on_after(0.05) as scope:
                await client.flush(SECONDS)
            assert scope.cancelled_caught
    assert client.statistics().dropped == {"shutdown": 1}
