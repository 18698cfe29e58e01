"""One broker for a whole test run, whoever of its processes asks first."""

import fcntl
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.kafka_runtime import Unavailable

_ROOT = Path(__file__).parents[2]
_SECONDS_TO_START = 90.0


@contextmanager
def shared_broker(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield the description of the broker that all users of `directory` share.

    The first user starts it; it ends when the last one leaves or dies.

    Raises:
        Unavailable: there is none to be had on this machine.
    """
    state = directory / "kafka.json"
    with (directory / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        joined = _join(state) or _start(state)
    connection, broker = joined
    with connection:
        yield broker


def _join(state: Path) -> tuple[socket.socket, dict[str, Any]] | None:
    """Connect to the holder named in `state`; None if it has gone or never was."""
    try:
        content = json.loads(state.read_text())
    except FileNotFoundError:
        return None
    if "unavailable" in content:
        raise Unavailable(content["unavailable"])
    try:
        connection = socket.create_connection(("127.0.0.1", content["port"]), 5)
    except OSError:
        return None
    try:
        with connection.makefile("rb") as lines:
            line = lines.readline()
    except OSError:
        line = b""
    if not line:
        connection.close()
        return None
    return connection, json.loads(line)


def _start(state: Path) -> tuple[socket.socket, dict[str, Any]]:
    state.unlink(missing_ok=True)
    log = state.with_suffix(".log")
    with log.open("ab") as output:
        # A session of its own: Ctrl-C is for the users, and the holder ends after them.
        holder = _Holder(
            [sys.executable, "-m", "tests.support.kafka_holder", str(state)],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + _SECONDS_TO_START
    while True:
        ended = holder.poll() is not None
        if (joined := _join(state)) is not None:
            return joined
        if ended:
            raise RuntimeError(f"the broker's holder failed:\n{log.read_text()}")
        if time.monotonic() > deadline:
            holder.terminate()
            raise RuntimeError(f"no broker after {_SECONDS_TO_START} s:\n{log.read_text()}")
        time.sleep(0.02)


class _Holder(subprocess.Popen[bytes]):
    """Outlives who started it: it ends with the last who needs the broker."""

    def __del__(self) -> None:
        """Not that nobody waited for it, which Python warns of, also while it exits."""
