"""The local model server as a fixture: a real process on a free port, answering without delay.

Import `llm_server` into a conftest to use it there.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_START_SECONDS = 30


@contextmanager
def running_llm_server(*options: str) -> Iterator[str]:
    """Run `python -m example_apps.llm_server` with these options, and yield its base URL."""
    command = [sys.executable, "-m", "example_apps.llm_server", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        # A server that never says its line must not hang the tests: killing it ends the read.
        watchdog = threading.Timer(_START_SECONDS, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            watchdog.cancel()
            assert line.startswith("listening on "), f"the model server did not start: {line!r}"
            yield line.removeprefix("listening on ").strip()
        finally:
            watchdog.cancel()
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="session")
def llm_server() -> Iterator[str]:
    """Base URL of one server for the whole session, without `/v1` and without any delay."""
    with running_llm_server("--ttft-ms", "0", "--chunk-ms", "0") as url:
        yield url
