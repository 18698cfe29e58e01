"""
Measures llmobs against its budgets, beside floors written by hand and beside peers, in the same run.

A row is a module of this package with ``TITLE`` and ``run(quick) -> Result``. Where state matters
(threads, imports, memory) it also has ``sample(variant, quick) -> {metric: number}``, which
`benchmarks.harness.interleave` calls in a fresh process per variant and round.
"""
