"""Tests of the sinks, against real receivers."""
