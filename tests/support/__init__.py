"""Receiving ends for tests: real servers and validators, independent of the package's code."""
