"""
What the tasks of every queue do here, and how they are sent: the same tasks, whatever carries them.

A task notes in the ledger what it recorded, and at its end a line in `done`.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import llmobs
from tests.support.ledger import Ledger
from tests.workers.queues import RECORDS

FOLDER = Path(os.environ["TEST_FOLDER"])
REDIS = os.environ.get("TEST_REDIS", "")
LONG_SECONDS = 30.0

ledger = Ledger(os.environ["TEST_LEDGER"])
done = Ledger(FOLDER / "done")


def _log(count: int) -> None:
    tracker = llmobs.current_tracker()
    for number in range(count):
        ledger.note(
            tracker.log_prompt_call(f"question {number}", "gpt-4o", "yes", 3, 4, cost_usd=0.01)
        )


def record(count: int) -> None:
    _log(count)
    done.note("record")


def flaky() -> None:
    """Fail the first time."""
    _log(1)
    tried = FOLDER / "tried"
    if not tried.exists():
        tried.touch()
        raise OSError("only once")
    done.note("flaky")


def broken() -> None:
    _log(1)
    done.note("broken")
    raise ValueError("for good")


def start_long() -> float:
    """Record, and tell how long to work on."""
    _log(1)
    done.note(f"long {os.getpid()}")
    return LONG_SECONDS


def long() -> None:
    time.sleep(start_long())


def before() -> int:
    """The first task of a pipeline."""
    _log(1)
    done.note("before")
    return 1


def after(result: int) -> None:
    """The second, which is given what the first returned."""
    _log(result)
    done.note("after")


Send = dict[str, Callable[..., object]]


def send(tasks: Send) -> None:
    """Send, inside a run, the tasks that the command line asks for: ``all`` or their names."""
    names = sys.argv[1:]
    with llmobs.Client() as client:
        request = client.run("request-1", name="POST /orders", user_id="u1", session_id="s1")
        with request as run:
            ledger.note(run.log_prompt_call("which?", "gpt-4o", "this", 3, 4, cost_usd=0.01))
            for name in (
                ["record"] * RECORDS + [n for n in ("flaky", "broken") if n in tasks]
                if names == ["all"]
                else names
            ):
                tasks[name](3) if name == "record" else tasks[name]()
