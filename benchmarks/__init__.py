"""
Measures llmobs against its budgets, beside floors written by hand and beside peers, in the same run.

A row is a module of this package with ``TITLE`` and ``run(quick) -> Result``. Where state matters
(threads, imports, memory) it also has ``sample(variant, quick) -> {metric: number}``, which
`benchmarks.harness.interleave` calls in a fresh process per variant and round.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "benchmarks"
"""Throw-away files: peers, virtual environments, stores. Ignored by git."""
PYTHON = "BENCHMARKS_PYTHON"
"""Environment variable with our interpreter, for samples that run with a peer's."""
