"""The process that holds the broker shared by one test run, and ends it after the last user.

Every user (a pytest process or xdist worker) keeps one connection open for as long as it wants the
broker. The kernel closes it however the user ends, so the count is always right.

    python -m tests.support.kafka_holder STATE_FILE
"""

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support.kafka import KafkaCluster
from tests.support.kafka_mock import mock_cluster
from tests.support.kafka_runtime import KAFKA_VERSION, Unavailable

_SECONDS_FOR_FIRST_USER = 30


@contextmanager
def _best_broker() -> Iterator[dict[str, Any]]:
    """Yield what there is: a real broker, else a mock."""
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(KafkaCluster())
            broker: dict[str, Any] = {
                "kind": "kraft",
                "description": f"Apache Kafka {KAFKA_VERSION}, KRaft, from Maven",
                "bootstrap": cluster.bootstrap,
                "pid": cluster.pid(1),
            }
        except Unavailable as no_java:
            try:
                bootstrap = stack.enter_context(mock_cluster())
            except Unavailable as no_mock:
                raise Unavailable(f"{no_java}; {no_mock}") from no_java
            description = f"librdkafka's mock cluster ({no_java})"
            broker = {"kind": "mock", "description": description, "bootstrap": bootstrap}
        yield broker


async def _serve(state: Path, broker: dict[str, Any]) -> None:
    ended = asyncio.Event()
    users = 0

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal users
        users += 1
        try:
            writer.write(json.dumps(broker).encode() + b"\n")
            await reader.read()
        except OSError:
            pass  # a user that was killed is a user that has gone
        finally:
            users -= 1
            writer.close()
            if not users:
                ended.set()

    def end_if_unused() -> None:
        if not users:
            ended.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.call_later(_SECONDS_FOR_FIRST_USER, end_if_unused)
    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    _write(state, {"port": server.sockets[0].getsockname()[1]})
    await ended.wait()
    server.close()


def _write(state: Path, content: dict[str, Any]) -> None:
    fresh = state.with_suffix(".new")
    fresh.write_text(json.dumps(content))
    fresh.replace(state)


def main(state: Path) -> None:
    """Hold a broker, or leave word in `state` why there is none."""
    try:
        with _best_broker() as broker:
            asyncio.run(_serve(state, broker))
    except Unavailable as why:
        _write(state, {"unavailable": str(why)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
