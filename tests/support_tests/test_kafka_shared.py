"""One broker for all processes of a run, gone after the last of them, however they end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.support.kafka_runtime import Unavailable, load_runtime
from tests.support.kafka_shared import shared_broker
from tests.support.polling import eventually

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]

USER = """
import sys
from pathlib import Path
from tests.support.kafka_shared import shared_broker
with shared_broker(Path(sys.argv[1])) as broker:
    print(broker["pid"], flush=True)
    sys.stdin.read()
"""

OWNER = """
import sys
from tests.support.kafka import KafkaCluster
with KafkaCluster() as cluster:
    print(cluster.pid(1), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _real_broker() -> None:
    try:
        load_runtime()
    except Unavailable as why:
        pytest.skip(str(why))


def alive(pid: int) -> bool:
    """Does the process run? A zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it may go between opening and reading
        return False
    return state != "Z"


@contextmanager
def another(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def number(stream: IO[str] | None) -> int:
    assert stream is not None
    return int(stream.readline())


def test_everybody_gets_the_same_and_the_last_ends_it(tmp_path: Path) -> None:
    with another(USER, str(tmp_path)) as first, another(USER, str(tmp_path)) as second:
        pid = number(first.stdout)
        assert number(second.stdout) == pid
        first.communicate("")
        with shared_broker(tmp_path) as broker:
            second.send_signal(signal.SIGKILL)
            second.wait()
            assert broker["pid"] == pid
            assert alive(pid)
        eventually(lambda: not alive(pid), what="the end of the broker")


def test_it_starts_again_for_a_late_user(tmp_path: Path) -> None:
    with shared_broker(tmp_path) as broker:
        first = broker["pid"]
    eventually(lambda: not alive(first), what="the end of the broker")
    with shared_broker(tmp_path) as broker:
        assert broker["pid"] != first


def test_a_cluster_does_not_outlive_a_killed_owner() -> None:
    with another(OWNER) as owner:
        pid = number(owner.stdout)
        properties = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")[-1]
        directory = Path(properties).parents[2]
        assert directory.name.startswith("llmobs-kafka-")
        os.kill(owner.pid, signal.SIGKILL)
        eventually(lambda: not alive(pid), what="the end of the broker")
        eventually(lambda: not directory.exists(), what="the end of its data")


def test_why_there_is_none_is_told_to_everybody(tmp_path: Path) -> None:
    (tmp_path / "kafka.json").write_text('{"unavailable": "no java"}')
    with pytest.raises(Unavailable, match="no java"), shared_broker(tmp_path):
        pass
