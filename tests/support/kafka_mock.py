"""librdkafka's mock cluster: speaks the protocol from memory, where no Java can run."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.kafka_runtime import Unavailable


@contextmanager
def mock_cluster() -> Iterator[list[str]]:
    """Yield the `host:port` list of a mock cluster that lives as long as the context.

    Raises:
        Unavailable: `confluent-kafka` is not installed.
    """
    try:
        from confluent_kafka import Producer
    except ImportError as error:
        raise Unavailable("confluent-kafka is not installed") from error
    owner = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "ignored"})
    metadata = owner.list_topics(timeout=10)
    yield [f"{broker.host}:{broker.port}" for broker in metadata.brokers.values()]
    owner.flush(1)
