"""
A script and an application of which tail sampling keeps the failed runs: some are open when they end.

`python -m tests.processes.tail`, or served as `tests.processes.tail:app`.
"""

import atexit
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import llmobs
from llmobs.contrib.asgi import LLMObsMiddleware
from tests.support.ledger import COST
from tests.support.signalled import say_ready, wait_for_the_signal

OPEN, GOOD, BAD = 20, 30, 10
EACH = 2
"""Calls per run; those that are over have an event of the run itself, too."""


def record(client: llmobs.Client | llmobs.AsyncClient) -> None:
    for kind, count in (("open", OPEN), ("good", GOOD), ("bad", BAD)):
        for number in range(count):
            run = client.run(f"{kind}-{number}")
            if kind != "open":
                run.__enter__()
            for call in range(EACH):
                run.log_prompt_call(f"question {call} of ann@example.com", "gpt-4o", "yes", **COST)
            if kind == "bad":
                run.log_prompt_call("q", "gpt-4o", "", status="error", **COST)
            if kind != "open":
                run.__exit__(None, None, None)


def note(client: llmobs.Client | llmobs.AsyncClient) -> None:
    counters = client.statistics()
    Path(os.environ["TEST_COUNTERS"]).write_text(
        json.dumps(
            {
                name: [s.delivered, s.spooled, s.pending, s.dropped]
                for name, s in counters.sinks.items()
            }
        )
    )


def script() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
    client = llmobs.Client(tail_sampling="errors")
    atexit.register(note, client)
    llmobs.flush_on_signals()
    record(client)
    say_ready()
    wait_for_the_signal()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    record(traced._owned)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"recorded"})


traced: Any = LLMObsMiddleware(answer, tail_sampling="errors")


async def app(scope: Any, receive: Any, send: Any) -> None:
    async def noting(message: Any) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            note(traced._owned)
        await send(message)

    await traced(scope, receive, noting)


if __name__ == "__main__":
    script()
