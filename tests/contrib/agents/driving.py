"""What drivers share: each plays scenarios of one framework in its environment, and prints what was recorded."""

import asyncio
import inspect
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import llmobs
from llmobs import Client, PromptCallEvent, RunEvent, codec
from llmobs.testing import CapturedEvents, capture_events

PATIENCE = 10.0
"""Seconds in which the runs of a scenario must have come."""
TIMES = 20


class Player:
    """
    Plays scenarios, and keeps what was recorded in each.

    Attributes:
        url: Of `example_apps.llm_server`.
        kind: What else the test asked for.
        client: Given to doors.
    """

    def __init__(self, url: str, kind: str, client: Client, events: CapturedEvents) -> None:
        self.url, self.kind, self.client = url, kind, client
        self.found: dict[str, Any] = {}
        self._events = events

    def open(self, door: Any) -> None:
        """Record with *door*, or with every door if the kind says ``wire``; told twice, which changes nothing."""
        instrument = llmobs.instrument if "wire" in self.kind else door.instrument
        for _ in range(2):
            instrument(llmobs_client=self.client)

    async def once(
        self, name: str, work: Callable[[], Any], *, runs: int = 1, calls: int = 0
    ) -> Any:
        """
        Play a scenario; return what it returned.

        Args:
            name: By which the test finds what was recorded; what was raised is under ``NAME raised``.
            work: Plain or asynchronous.
            runs: How many runs must have come before it is over.
            calls: How many calls.
        """
        self._events.clear()
        answer = None
        try:
            answer = work()
            if inspect.isawaitable(answer):
                answer = await answer
        except (Exception, asyncio.CancelledError) as error:
            self.found[f"{name} raised"] = type(error).__name__
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and (
            len(self._events.of(RunEvent)) < runs or len(self._events.of(PromptCallEvent)) < calls
        ):
            await asyncio.sleep(0.01)
        self.found[name] = [
            {"kind": type(e).__name__, **json.loads(codec.encode(e))} for e in self._events
        ]
        return answer

    async def many(self, ask: Callable[[int], Any]) -> None:
        """Ask 20 times at once, each in a run of its own; from threads if *ask* is no coroutine function."""

        async def one(i: int) -> None:
            with self.client.run(f"run-{i}"):
                if inspect.iscoroutinefunction(ask):
                    await ask(i)
                else:
                    await asyncio.to_thread(ask, i)

        name = "many" if inspect.iscoroutinefunction(ask) else "threads"

        async def all_at_once() -> None:
            await asyncio.gather(*map(one, range(TIMES)))

        await self.once(name, all_at_once, runs=TIMES)


def main(drive: Callable[[Player], Any]) -> None:
    """Play what *drive* says; print what was found."""
    url, kind = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    with ExitStack() as stack:
        client = stack.enter_context(Client(sink="memory:"))
        events = stack.enter_context(capture_events())
        player = Player(url, kind, client, events)
        asyncio.run(drive(player))
    print("\n" + json.dumps(player.found))  # on a line of its own, whatever frameworks print
