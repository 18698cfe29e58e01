"""For programs that a test ends by a signal: they say when, and wait for it."""

import sys
import time


def say_ready() -> None:
    """Let the test send its signal: `tests.processes.running.stop` waits for this line."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def wait_for_the_signal() -> None:
    """Wait in steps: what comes just before a wait begins, Python hears when that wait is over."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.05)
