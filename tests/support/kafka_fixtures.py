"""pytest plugin: fixtures `kafka`, `kafka_topic` and `kafka_cluster`.

`kafka` is the first of these that there is: the broker named by `LLMOBS_TEST_KAFKA`
(`host:port,host:port`), a real one from Maven, librdkafka's mock cluster, a skip with one line. The
terminal summary says which it was. One broker serves all xdist workers of a run: it is never
stopped or frozen. Tests that do such things start their own with `kafka_cluster`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.kafka_runtime import Unavailable, load_runtime
from tests.support.kafka_shared import shared_broker

# kafka-python is imported by who asks for a broker, not by every test run.
if TYPE_CHECKING:
    from tests.support.kafka import KafkaCluster
    from tests.support.kafka_handle import Kafka

_VARIABLE = "LLMOBS_TEST_KAFKA"
_FIXTURES = {"kafka", "kafka_topic", "kafka_cluster"}
_used = pytest.StashKey[set[str]]()


@pytest.fixture(scope="session")
def kafka(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Kafka]":
    """The broker of this test run."""
    from tests.support.kafka_handle import Kafka

    used = request.config.stash[_used]
    if existing := os.environ.get(_VARIABLE):
        description = f"the broker named by {_VARIABLE}"
        used.add(description)
        yield Kafka(existing.split(","), "existing", description)
        return
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent  # the one that all workers of the run share
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(shared_broker(directory))
        except Unavailable as why:
            used.add(f"none: {why}")
            pytest.skip(f"no Kafka broker: {why}")
        used.add(broker["description"])
        yield Kafka(**broker)


@pytest.fixture
def kafka_topic(kafka: "Kafka") -> str:
    """A fresh topic with one partition, on the broker of this test run."""
    return kafka.new_topic()


@pytest.fixture
def kafka_cluster() -> "Iterator[Callable[..., KafkaCluster]]":
    """Start clusters to kill and freeze at will; takes `KafkaCluster`'s arguments.

    They end with the test; the test is skipped where no real broker can run.
    """
    from tests.support.kafka import KafkaCluster

    with ExitStack() as stack:

        def start(*args: Any, **options: Any) -> "KafkaCluster":
            try:
                return stack.enter_context(KafkaCluster(*args, **options))
            except Unavailable as why:
                pytest.skip(f"no Kafka broker: {why}")

        yield start


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what the fixtures found."""
    config.stash[_used] = set()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch Kafka, if anybody will want it, before the clock of the first test runs."""
    if session.config.option.collectonly:
        return
    if any(_FIXTURES.intersection(getattr(item, "fixturenames", ())) for item in session.items):
        with suppress(Unavailable):  # the fixtures will say so
            load_runtime()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the xdist controller what this worker used."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        used = session.config.stash[_used]
        output["llmobs_kafka"] = sorted(used)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take down what an xdist worker used."""
    config: pytest.Config = node.config
    config.stash[_used].update(getattr(node, "workeroutput", {}).get("llmobs_kafka", ()))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which broker the tests ran against."""
    used = config.stash[_used]
    for description in sorted(used):
        terminalreporter.write_line(f"kafka: {description}")
