"""A real Apache Kafka cluster on this machine's loopback, for tests.

KRaft, every node controller and broker in one small JVM. Each has three listeners: CLIENT for
whoever is tested (protected if asked), INTERNAL for the nodes and for administration by this
module, CONTROLLER for the quorum.
"""

import base64
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.kafka_admin import Administration
from tests.support.kafka_broker import Broker, PortTaken
from tests.support.kafka_python import KafkaAdminClient
from tests.support.kafka_runtime import KafkaRuntime, load_runtime
from tests.support.kafka_security import Mechanism, Protocol, Security
from tests.support.polling import eventually
from tests.support.ports import free_ports

_ATTEMPTS = 3
_SECONDS_TO_START = 60.0


class KafkaCluster(Administration):
    """A cluster of `brokers` nodes, numbered from 1; a context manager.

    Args:
        brokers: how many nodes.
        properties: server properties that win over the defaults here.
        security: protocol of the CLIENT listener; None is plaintext without access rules.
        advertise: address clients are told for a node instead of the real one, for a proxy in
            between: `{1: "127.0.0.1:4567"}`.
        data_dir: parent of the nodes' data directories (a small disk, say); a temporary directory
            by default. Only what the cluster made is removed at the end.

    Raises:
        Unavailable: (on entering) this machine cannot run a broker.
    """

    def __init__(
        self,
        brokers: int = 1,
        properties: Mapping[str, str] | None = None,
        security: Protocol | None = None,
        *,
        advertise: Mapping[int, str] | None = None,
        data_dir: Path | None = None,
    ) -> None:
        self.security: Security | None = None
        self._count = brokers
        self._overrides = dict(properties or {})
        self._protocol = security
        self._advertise = dict(advertise or {})
        self._data_dir = data_dir
        self._directory = Path()
        self._brokers: dict[int, Broker] = {}
        self._clients: dict[int, str] = {}
        self._internal: dict[int, str] = {}
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        runtime = load_runtime()
        self._directory = Path(tempfile.mkdtemp(prefix="llmobs-kafka-"))
        try:
            if self._protocol is not None:
                self.security = Security(self._protocol, self._directory / "security")
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    self._launch(runtime)
                    break
                except PortTaken:
                    self._finish()
                    if attempt == _ATTEMPTS:
                        raise
            if self._protocol is not None and self._protocol.startswith("SASL"):
                self.add_scram_users()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every node and remove its data."""
        self._finish()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def bootstrap(self) -> list[str]:
        """`host:port` of every node's CLIENT listener, as clients are told."""
        return [self._advertise.get(node, real) for node, real in self._clients.items()]

    def address(self, broker: int = 1) -> str:
        """`host:port` of a node's own CLIENT listener, past any proxy."""
        return self._clients[broker]

    def client_options(
        self, user: str = "alice", mechanism: Mechanism = "PLAIN", password: str | None = None
    ) -> dict[str, Any]:
        """Return keywords to reach this cluster with kafka-python or aiokafka."""
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap}
        if self.security is not None:
            options |= self.security.client_options(user, mechanism, password)
        return options

    def pid(self, broker: int) -> int:
        """Return the process id of a node."""
        return self._brokers[broker].pid

    def running(self, broker: int) -> bool:
        """Is the node's process alive (a frozen one is)?"""
        return self._brokers[broker].running

    def kill(self, broker: int) -> None:
        """SIGKILL a node."""
        self._brokers[broker].end(signal.SIGKILL)

    def stop(self, broker: int) -> None:
        """SIGTERM a node and wait until it has handed over and ended."""
        self._brokers[broker].end(signal.SIGTERM)

    def start(self, broker: int) -> None:
        """Start a killed or stopped node again, with its data, and wait until it serves."""
        self._brokers[broker].launch()
        self._brokers[broker].wait_ready(_SECONDS_TO_START)

    def freeze(self, broker: int) -> None:
        """SIGSTOP a node: its connections stay open and nothing answers."""
        self._brokers[broker].freeze()

    def thaw(self, broker: int) -> None:
        """SIGCONT a frozen node."""
        self._brokers[broker].thaw()

    def log(self, broker: int, lines: int = 40) -> str:
        """Return the last lines a node wrote."""
        return self._brokers[broker].log(lines)

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        """Yield an administrator at the nodes that can answer, by the INTERNAL listener."""
        able = [
            self._internal[node]
            for node, broker in self._brokers.items()
            if broker.running and not broker.frozen
        ]
        client = KafkaAdminClient(bootstrap_servers=able, request_timeout_ms=10_000)
        try:
            yield client
        finally:
            client.close()

    def _launch(self, runtime: KafkaRuntime) -> None:
        nodes = range(1, self._count + 1)
        ports = iter(free_ports(3 * self._count))
        loopback = {node: [f"127.0.0.1:{next(ports)}" for _ in range(3)] for node in nodes}
        self._clients = {node: addresses[0] for node, addresses in loopback.items()}
        self._internal = {node: addresses[1] for node, addresses in loopback.items()}
        quorum = ",".join(f"{node}@{addresses[2]}" for node, addresses in loopback.items())
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        run = Path(tempfile.mkdtemp(dir=self._directory, prefix="run-"))
        data = Path(tempfile.mkdtemp(dir=self._data_dir or run, prefix="data-"))
        self._made.append(data)
        for node, addresses in loopback.items():
            properties = self._properties(node, addresses, quorum, data / str(node))
            self._brokers[node] = Broker(
                runtime, node, run / str(node), properties, cluster_id, self._directory
            )
        for node, broker in self._brokers.items():
            broker.launch(record=node == 1 and not runtime.archive.exists())
        for broker in self._brokers.values():
            broker.wait_ready(_SECONDS_TO_START)
        if self._count > 1:
            eventually(self._all_registered, what="every broker's registration")

    def _all_registered(self) -> bool:
        with self.admin() as admin:
            return len(admin.describe_cluster()["brokers"]) == self._count

    def _finish(self) -> None:
        for broker in self._brokers.values():
            broker.finish()
        self._brokers.clear()
        for data in self._made:
            shutil.rmtree(data, ignore_errors=True)
        self._made.clear()

    def _properties(
        self, node: int, addresses: list[str], quorum: str, data: Path
    ) -> dict[str, str]:
        client, internal, controller = addresses
        copies = str(min(self._count, 3))
        defaults = {
            "process.roles": "broker,controller",
            "node.id": str(node),
            "controller.quorum.voters": quorum,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "INTERNAL",
            "listeners": f"CLIENT://{client},INTERNAL://{internal},CONTROLLER://{controller}",
            "advertised.listeners": (
                f"CLIENT://{self._advertise.get(node, client)},INTERNAL://{internal}"
            ),
            "listener.security.protocol.map": (
                f"CLIENT:{self._protocol or 'PLAINTEXT'},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"
            ),
            "log.dirs": str(data),
            # One partition of each internal topic, and few threads: it starts faster.
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": "1",
            "default.replication.factor": copies,
            "num.network.threads": "2",
            "num.io.threads": "2",
            "background.threads": "2",
            "log.cleaner.dedupe.buffer.size": "4194304",  # the default is half the heap
            "group.initial.rebalance.delay.ms": "0",
            # A dead broker is noticed in seconds, not tens of them.
            "broker.heartbeat.interval.ms": "500",
            "broker.session.timeout.ms": "3000",
            "controller.quorum.election.timeout.ms": "600",
            "controller.quorum.fetch.timeout.ms": "1500",
            "replica.lag.time.max.ms": "5000",
        }
        if self.security is not None:
            defaults |= self.security.broker_properties()
        return defaults | self._overrides
