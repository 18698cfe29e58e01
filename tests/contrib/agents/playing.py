"""Plays a framework's driver in an environment of its own, kept from one run to the next."""

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.contrib.agents.table import FRAMEWORKS
from tests.support.environments import ROOT, python_packages

CALL, STEP, TOOL, RUN = "PromptCallEvent", "AgentStepEvent", "ToolCallEvent", "RunEvent"
Told = list[dict[str, Any]]
SECONDS = 300
"""Until a driver is taken to hang."""
QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "OPENAI_API_KEY": "any",
}
"""What keeps frameworks from asking anybody but the server of the test."""


def play(framework: str, *arguments: str) -> dict[str, Any]:
    """
    Return what the driver of a framework prints, given *arguments*; skip the test where nothing can be installed.

    Args:
        framework: Of `FRAMEWORKS`; older versions have their number behind the driver's name.
        arguments: For the driver.
    """
    packages = FRAMEWORKS[framework].packages
    driver = framework.rstrip("0123456789").rstrip("_")
    try:
        home = python_packages(ROOT / ".cache" / "agents" / framework, packages, with_llmobs=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"cannot be installed here: {error}")
    command = [home / "bin" / "python", "-m", f"tests.contrib.agents.drive_{driver}", *arguments]
    done = _finished(command, os.environ | QUIET | {"PYTHONFAULTHANDLER": "1"})
    assert done.returncode == 0, done.stderr
    assert "internal error" not in done.stderr, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _finished(command: Sequence[Any], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Return how *command* ended; one that hangs says where."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env
    ) as process:
        try:
            said, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # for which Python shows the stack of each thread
            said, errors = process.communicate(timeout=SECONDS)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, said, errors)


def kinds(told: Told) -> dict[str, int]:
    """Return how many events of each kind there are."""
    return dict(Counter(e["kind"] for e in told))


def of(told: Told, kind: str) -> Told:
    """Return the events of one kind."""
    return [e for e in told if e["kind"] == kind]


def by_run(told: Told) -> list[Told]:
    """Return the events, run by run."""
    runs = dict.fromkeys(e["run_id"] for e in told)
    return [[e for e in told if e["run_id"] == run] for run in runs]
