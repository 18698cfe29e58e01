"""
A program that records from where nobody expects it: `python -m tests.pipeline.interrupted MODE`.

Modes: ``signals`` and ``finalizers`` interrupt this thread while it holds each lock of llmobs in
turn; ``everywhere`` interrupts it before every line of llmobs that it runs, up to three times. Prints what it did as
JSON. A deadlock ends it with all tracebacks.
"""

import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import Context
from types import FrameType, ModuleType
from typing import Any
from uuid import uuid4

import httpx2
from langchain_core.messages import HumanMessage

import llmobs
from llmobs import AsyncClient, Client
from llmobs.contrib.httpx import instrument
from llmobs.contrib.langchain import LLMObsCallbackHandler
from llmobs.contrib.opentelemetry import tracer_provider
from llmobs.pipeline.pricing import PriceBook, Usage
from llmobs.runtime.forks import ForkLock

SECONDS = 60
PACKAGE = os.path.dirname(llmobs.__file__)
_LOCKS = (ForkLock, type(threading.Lock()), type(threading.RLock()), threading.Condition)


class Application:
    """Records through every door, in two clients and the default one."""

    def __init__(self) -> None:
        self.client = Client(sink="memory: memory:", flush_interval_seconds=0.01)
        self.not_running = AsyncClient(sink="memory:", max_queue_events=20)
        self.handler = LLMObsCallbackHandler(self.client)
        self.tracer = tracer_provider(self.client).get_tracer("tests")
        answer = httpx2.Response(200, json={"model": "m", "choices": []})
        self.http = instrument(
            httpx2.Client(transport=httpx2.MockTransport(lambda _: answer)),
            llmobs_client=self.client,
        )
        self.prices = PriceBook()
        self.times = 0

    def record(self, *_: object) -> None:
        """Record through each door once: 8 events in the client, 1 in each of the others."""
        self.times += 1
        Context().run(self._record)  # outside any run, whatever was interrupted

    def _record(self) -> None:
        self.client.log_prompt_call("r", "p", "m", "a", 1, 2)
        self.client.log_error("r", "boom")
        with self.client.run() as run, run.agent_step("step"), run.prompt_call(model="m"):
            pass
        run_id = uuid4()
        self.handler.on_chat_model_start({"name": "m"}, [[HumanMessage("x")]], run_id=run_id)
        self.handler.on_llm_error(ValueError("no"), run_id=run_id)
        with self.tracer.start_as_current_span("chat", attributes={"gen_ai.request.model": "m"}):
            pass
        self.http.post("https://api.test/v1/chat/completions", json={"model": "m"})
        self.not_running.log_error("r", "boom")
        llmobs.current_tracker().log_error("boom")

    def counts(self) -> dict[str, Any]:
        """Deliver everything; return what became of it."""
        self.client.flush(20)
        statistics = self.client.statistics()
        default = llmobs.default_client()
        default.flush(20)
        self.client.close()
        return {
            "times": self.times,
            "delivered": {name: sink.delivered for name, sink in statistics.sinks.items()},
            "lost": [*statistics.dropped, *default.statistics().dropped, statistics.pending],
            "others": [
                self.not_running.statistics().accepted,
                default.statistics().delivered,
            ],
            "threads": sum(thread.name == "llmobs" for thread in threading.enumerate()),
        }


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(llmobs.__path__, "llmobs."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def members(thing: Any) -> Iterator[tuple[str, Any]]:
    yield from list(getattr(thing, "__dict__", {}).items())
    for kind in type(thing).__mro__:
        for name in getattr(kind, "__slots__", ()):
            yield name, getattr(thing, name, None)


def locks() -> list[tuple[str, Any]]:
    """Return every lock that a module or an object of llmobs has now, with its name."""
    found = {}
    owners = [(module.__name__, module) for module in modules()]
    for thing in gc.get_objects():
        kind = type(thing)
        if str(kind.__module__).startswith("llmobs.") and kind is not ForkLock:
            owners.append((f"{kind.__module__}.{kind.__qualname__}", thing))
    for name, owner in owners:
        for attribute, value in members(owner):
            if issubclass(type(value), _LOCKS):  # not what a lazy object would say it is
                full = f"{name}.{attribute}"  # one lock may have two owners
                found[full, id(value)] = (full, value)
    return list(found.values())


def expect_progress() -> None:
    """End the program with all tracebacks if nothing happens from now on, however busy the machine is."""
    faulthandler.dump_traceback_later(SECONDS, exit=True)


def with_each_lock(interrupt: Callable[[], None]) -> list[str]:
    names = []
    found = locks()
    gc.freeze()  # what was imported is no garbage, and looking at it takes most of the time
    for name, lock in found:
        print("holding", name, file=sys.stderr)
        expect_progress()
        with lock:
            interrupt()
        names.append(name)
    return names


def by_signal(application: Application) -> Callable[[], None]:
    signal.signal(signal.SIGUSR1, application.record)
    return lambda: signal.raise_signal(signal.SIGUSR1)


def by_finalizer(application: Application) -> Callable[[], None]:
    class Garbage:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            application.record()

    def interrupt() -> None:
        Garbage()
        gc.collect()

    return interrupt


def everywhere(interruption: Callable[[], None], work: Callable[[], None]) -> int:
    """Do *work*, interrupted before each line of llmobs; return how often that was."""
    times = 0
    seen = Counter[tuple[str, int]]()  # or an eviction would never be done, as it never has room

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal times
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        place = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and seen[place] < 3:
            seen[place] += 1
            times += 1
            if times % 100 == 0:
                expect_progress()
            interruption()  # not traced itself
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return times


def main(mode: str) -> None:
    expect_progress()
    application = Application()
    report: dict[str, Any] = {}
    if mode == "everywhere":
        client = application.client

        def work() -> None:
            llmobs.current_tracker().log_error("first of the default client")
            for _ in range(3):
                client.log_prompt_call("r", "p", "m", "a", 1, 2)
                application.not_running.log_error("r", "boom")
            with client.run() as run, run.agent_step("step"), run.prompt_call(model="m"):
                pass

        report["interruptions"] = everywhere(application.record, work)
    else:
        application.record()
        application.prices.cost("m", None, Usage(1, 1))
        interrupt = by_signal if mode == "signals" else by_finalizer
        report["locks"] = with_each_lock(interrupt(application))
    expect_progress()
    report.update(application.counts())
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1])
