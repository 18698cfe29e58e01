"""The collector of ``llmobs serve``, beside others'."""

from benchmarks.serve.measure import TITLE, run

__all__ = ["TITLE", "run"]
