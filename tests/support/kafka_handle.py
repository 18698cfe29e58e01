"""The broker of a test run, as tests see it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.consumer import Record, aread_topic, read_topic
from tests.support.kafka_admin import Administration
from tests.support.kafka_python import KafkaAdminClient


@dataclass(frozen=True)
class Kafka(Administration):
    """A broker to use, not to break.

    `kind` is `existing`, `kraft` or `mock`; the mock knows neither topic settings nor rights, and
    kafka-python (so `admin`, too) cannot talk to it.
    """

    bootstrap: list[str]
    kind: str
    description: str
    pid: int | None = None

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        """Yield an administrator."""
        client = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            yield client
        finally:
            client.close()

    def new_topic(self, partitions: int = 1, config: dict[str, str] | None = None) -> str:
        """Create a topic nobody else uses, and return its name."""
        name = f"llmobs-test-{uuid.uuid4().hex}"
        if self.kind != "mock":  # the mock makes topics up when they are first named
            self.create_topic(name, partitions, config=config)
        return name

    def read(self, topic: str, at_least: int = 0, timeout: float = 20.0) -> list[Record]:
        """Return all records of a topic, once there are `at_least` so many."""
        return read_topic(self.bootstrap, topic, at_least=at_least, timeout=timeout)

    async def aread(self, topic: str, at_least: int = 0, timeout: float = 20.0) -> list[Record]:
        """`read` that leaves the event loop free."""
        return await aread_topic(self.bootstrap, topic, at_least=at_least, timeout=timeout)
