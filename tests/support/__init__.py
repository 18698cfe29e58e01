"""Receiving ends for tests: real brokers, servers and validators, independent of the package's own code."""
