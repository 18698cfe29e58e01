"""Programs in a family of processes of their own: started, waited for, and nothing of it stays."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 120.0  # of a machine that is busy with other things


@contextmanager
def started(command: Sequence[str], folder: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run `python -m command` in *folder*, with a ledger and a store there; stderr is a file there."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore::DeprecationWarning",  # forking with threads, Python 3.12
        "LLMOBS_SINK": f"sqlite:///{folder / 'llmobs.db'}",
        "TEST_LEDGER": str(folder / "ledger"),
        # Seven processes that end at once share a file.
        "LLMOBS_SHUTDOWN_TIMEOUT": str(SECONDS / 2),
        **env,
    }
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=10)


def running(name: str, folder: Path, **env: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """Run one of the programs."""
    return started(["tests.processes.programs", name], folder, **env)


def wait_for_family(process: subprocess.Popen[str]) -> int:
    """Wait until the process and its orphans have ended: they share its standard output."""
    process.communicate(timeout=SECONDS)
    return process.returncode


def stop(process: subprocess.Popen[str]) -> int:
    """Wait until the program is ready, then end it by SIGTERM."""
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    return process.wait(SECONDS)


def end(name: str, process: subprocess.Popen[str]) -> int:
    """Let the program end its way, and return its exit code."""
    return stop(process) if name.startswith("sigterm") else wait_for_family(process)
