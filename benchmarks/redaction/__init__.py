"""Redaction: how fast it is, and how much it finds and leaves alone."""

from benchmarks.redaction.throughput import LEAST, TITLE, run, sample

__all__ = ["LEAST", "TITLE", "run", "sample"]
