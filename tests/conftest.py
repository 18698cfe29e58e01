"""Fixtures every room may use."""

pytest_plugins = ["tests.support.kafka_fixtures"]
