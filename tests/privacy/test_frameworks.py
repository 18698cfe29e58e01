"""The matrix once more, through the real frameworks of agents, each in an environment of its own."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.contrib.agents.playing import QUIET
from tests.contrib.agents.table import FRAMEWORKS
from tests.privacy.canaries import numbers_in
from tests.privacy.frameworks import PLACES, PLAYS
from tests.privacy.net import contents
from tests.support.environments import ROOT, python_packages
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]

NOT_NAMED = {"smolagents"}
"""Their agents have no names of the user's."""


def found_in(folder: Path) -> dict[str, set[tuple[int, str]]]:
    """Return the canaries in each file, at any depth."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = {str(f.relative_to(folder)): numbers_in(contents(f), range(len(PLACES))) for f in files}
    return {name: numbers for name, numbers in found.items() if numbers}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("framework", PLAYS)
def test_no_framework_lets_anything_out(framework: str, llm_server: str, tmp_path: Path) -> None:
    try:
        home = python_packages(
            ROOT / ".cache" / "agents" / framework, FRAMEWORKS[framework].packages, with_llmobs=True
        )
    except subprocess.CalledProcessError as error:
        pytest.skip(f"cannot be installed here: {error}")
    done = subprocess.run(
        [home / "bin" / "python", "-m", "tests.privacy.frameworks", framework, llm_server, tmp_path],
        capture_output=True, text=True, timeout=500, check=False, cwd=ROOT, env=os.environ | QUIET,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    seen, kept = (tmp_path / name for name in ("seen", "kept"))
    recorded = {number for numbers in found_in(seen).values() for number, _ in numbers}
    missing = {PLACES[n] for n in range(len(PLACES)) if n not in recorded}
    assert missing <= ({"name"} if framework in NOT_NAMED else set()), "the net has holes"
    assert any((kept / "spool").rglob("*")), "nothing was spooled"
    assert found_in(kept) == {}
