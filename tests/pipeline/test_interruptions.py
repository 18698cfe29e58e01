"""
Recording from a signal handler or a finalizer, whatever this thread was doing: never a deadlock,
nothing lost, nothing counted twice.
"""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import llmobs

ROOT = Path(__file__).parents[2]
KNOWN = {
    "llmobs.client.sync_client._default_lock",
    "llmobs.runtime.troubles.Troubles._lock",
    "llmobs.pipeline.intake.Intake._lock",
    "llmobs.pipeline.intake.Intake._room",
    "llmobs.pipeline.outbox.Outbox._lock",
    "llmobs.client.sync_client.Client._lock",
    "llmobs.contrib._agents.table.Table._lock",
    "llmobs.contrib._spans.open.OpenSpans._lock",
    "llmobs.pipeline.pricing.PriceBook._lock",
    "llmobs.watchllm.instrumentation._lock",
    "llmobs.runtime.forks._registry",
}
NOT_RE_ENTRANT = {"Lock", "Semaphore", "BoundedSemaphore", "allocate_lock"}
A_TIME = 8
"""Events that the program records each time in its client, with the run's own."""


def run(mode: str, tmp_path: Path) -> Any:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.pipeline.interrupted", mode],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LLMOBS_SINK": "memory:"},
        capture_output=True,
        text=True,
        timeout=600,  # the program ends itself when it stands still
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-6000:]
    return json.loads(ended.stdout)


@pytest.mark.parametrize("mode", ["signals", "finalizers"])
def test_while_this_thread_holds_a_lock(mode: str, tmp_path: Path) -> None:
    told = run(mode, tmp_path)
    assert set(told["locks"]) >= KNOWN
    times = len(told["locks"]) + 1
    assert told["times"] == times
    assert told["delivered"] == {"memory": A_TIME * times, "memory#2": A_TIME * times}
    assert told["lost"] == [0]
    assert told["others"] == [times, times]


def test_before_every_line_of_ours(tmp_path: Path) -> None:
    told = run("everywhere", tmp_path)
    times = told["interruptions"]
    assert times > 200
    assert told["times"] == times
    own = 3 + 3  # calls; a run with a step and a call
    expected = A_TIME * times + own
    assert told["delivered"] == {"memory": expected, "memory#2": expected}
    assert told["lost"] == [0]
    assert told["others"] == [times + 3, times + 1]
    assert told["threads"] == 1  # the default client's


def test_every_lock_is_re_entrant() -> None:
    """The rule of `llmobs.runtime.forks`."""
    package = Path(llmobs.__file__).parent
    offenders = []
    for path in package.rglob("*.py"):
        # `type(threading.Lock())` makes none to hold.
        for node in ast.walk(
            ast.parse(re.sub(r"type\(threading\.\w+\(\)\)", "type", path.read_text()))
        ):
            match node:
                case ast.Call(
                    func=ast.Name(name)
                    | ast.Attribute(value=ast.Name("threading" | "_thread"), attr=name)
                ) if name in NOT_RE_ENTRANT:
                    offenders.append(f"{path.relative_to(package)}:{node.lineno}")
    assert offenders == []
