"""Plays one version of one SDK, and judges it."""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from llmobs import codec
from tests.contrib.sdks.expected import compare, fields_of
from tests.contrib.sdks.table import SCENARIOS, Row, Trial
from tests.support.environments import ROOT, python_packages

HELD = Path(__file__).parent / "held"
SECONDS = 400
Held = dict[str, dict[str, list[str]]]
"""By the names of rows: the scenarios that held, and the fields that were recorded."""


def environment(trial: Trial) -> Path:
    """Return where the trial's packages are, installed if need be."""
    return python_packages(ROOT / ".cache" / "sdks" / str(trial), trial.packages, with_llmobs=True)


def play(trial: Trial, url: str) -> Held:
    """
    Play a trial in its environment against the server at *url*; return what held.

    Raises:
        AssertionError: Something did not; tells what, of every scenario.
    """
    python = environment(trial) / "bin" / "python"
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    env |= {"PYTHONPATH": str(ROOT), "LLMOBS_SINK": "memory:"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        command = [python, "-m", "tests.contrib.sdks.player", trial.module, url, file]
        ended = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert ended.returncode == 0, f"{trial}: {ended.stderr[-20_000:]}"
        found = json.loads(file.read_text())
    wrong: list[str] = []
    held = {row.name: _judge(row, found, wrong) for row in trial.sdk.rows}
    assert not wrong, f"{trial}:\n" + "\n".join(wrong)
    return held


def _judge(row: Row, found: dict[str, Any], wrong: list[str]) -> dict[str, list[str]]:
    before, after = found["without"][row.name], found["with"][row.name]
    scenarios, fields = [], set()
    for name, played in after.items():
        try:
            _same(played["seen"], before[name]["seen"], row)
            events = [codec.decode(json.dumps(each)) for each in played["events"]]
            compare(name, events, played["answered"], row)
        except AssertionError as error:
            wrong.append(f"{row.name}, {name}: {error}")
        else:
            scenarios.append(name)
            fields |= fields_of(events)
    order = [*SCENARIOS, *after]
    return {"scenarios": sorted(scenarios, key=order.index), "fields": sorted(fields)}


def _same(seen: Any, before: Any, row: Row) -> None:
    found, wanted = (re.sub(row.made_up, "", str(each)) for each in (seen, before))
    if found != wanted:
        pairs = enumerate(zip(found, wanted, strict=False))
        at = next((place for place, (one, other) in pairs if one != other), len(wanted))
        around = slice(max(at - 100, 0), at + 200)
        raise AssertionError(f"the host sees {found[around]} instead of {wanted[around]}")


def held(package: str) -> dict[str, Held]:
    """Return what was kept of the last time, by version."""
    file = HELD / f"{package}.json"
    kept: dict[str, Held] = json.loads(file.read_text()) if file.exists() else {}
    return kept
