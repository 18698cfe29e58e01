"""
Which test proves which promise of the two documents.

`tests/data/seeds-checklist.md` numbers the promises: W001 to W130 of the WatchLLM document, S001 to
S170 of the LLM Sentinel document. A test names those it proves::

    @pytest.mark.row("W055", "W072")
    def test_log_prompt_call_returns_the_id_on_the_wire(): ...

Parameters of a test name theirs with ``pytest.param(..., marks=pytest.mark.row("W030"))``.
`docs/generate_promises.py` writes the page, `test_promises.py` checks it and that no row is missing.
"""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

__all__ = ["CHECKLIST", "ROOT", "Row", "checklist", "collect", "collect_apart", "page"]

ROOT = Path(__file__).parents[2]
CHECKLIST = ROOT / "tests" / "data" / "seeds-checklist.md"


class Row(NamedTuple):
    """One promise."""

    id: str
    section: str
    """Where the document makes it."""
    kind: str
    promise: str
    idea: str
    """How it can be tested."""


def checklist() -> list[Row]:
    """Return every promise, in the order of the checklist."""
    rows = []
    for line in CHECKLIST.read_text(encoding="utf-8").splitlines():
        if line.startswith(("| S", "| W")):
            cells = line.strip().removeprefix("|").removesuffix("|").replace(r"\|", "\0").split("|")
            rows.append(Row(*(cell.strip().replace("\0", "|") for cell in cells)))
    return rows


class _Collector:
    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            test = item.nodeid.partition("[")[0]
            for mark in item.iter_markers("row"):
                for row in mark.args:
                    tests = self.found.setdefault(row, [])
                    if test not in tests:
                        tests.append(test)


def collect() -> dict[str, list[str]]:
    """
    Return the tests that name each row, by collecting `tests/dialects` in this process.

    Raises:
        RuntimeError: The tests cannot be collected; holds what pytest says.
    """
    collector = _Collector()
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        code = pytest.main(
            ["--collect-only", "-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}",
             "-c", str(ROOT / "pyproject.toml"), str(ROOT / "tests" / "dialects")],
            plugins=[collector],
        )  # fmt: skip
    if code != pytest.ExitCode.OK:
        raise RuntimeError(told.getvalue())
    return collector.found


def collect_apart() -> dict[str, list[str]]:
    """Return what `collect` does, from a process of its own: for use inside a test."""
    command = [sys.executable, "-m", "tests.dialects.rows"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def page(rows: Iterable[Row], tests: Mapping[str, Iterable[str]]) -> str:
    """Return the text of `docs/reference/promises.md`."""
    lines = [
        "# Promises and their tests",
        "",
        "What the documents of WatchLLM (W) and LLM Sentinel (S) promise, and the tests that hold",
        "`llmobs.watchllm` and `llmobs.sentinel` to it. Written by `docs/generate_promises.py`; the",
        "suite fails if a promise has no test or this page is out of date.",
        "",
        "| row | where | promise | tests |",
        "|---|---|---|---|",
    ]
    for row in rows:
        links = "<br>".join(map(_link, tests.get(row.id, ()))) or "none"
        promise = row.promise.replace("|", r"\|")
        lines.append(f"| {row.id} | {row.section} | {promise} | {links} |")
    return "\n".join(lines) + "\n"


def _link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name}](../../{path})"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(collect()))
