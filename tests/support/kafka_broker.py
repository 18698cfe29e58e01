"""One broker process: start, stop, kill, freeze, and never outlive the test run."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.kafka_runtime import KafkaRuntime
from tests.support.polling import eventually

_STARTED = b"Kafka Server started"
_GUARD = 'read -r _; kill -9 "$0"; sleep 0.3; rm -rf "$1"'
_PORT_TAKEN = b"Address already in use"


class PortTaken(Exception):
    """Somebody took a port between our choosing it and the broker's binding it."""


class Broker:
    """A Kafka node (controller and broker in one process) with its own directory.

    `home` is the cluster's directory, removed if this process dies before it can.
    """

    def __init__(
        self,
        runtime: KafkaRuntime,
        node_id: int,
        directory: Path,
        properties: Mapping[str, str],
        cluster_id: str,
        home: Path,
    ) -> None:
        self.node_id = node_id
        self.frozen = False
        self._runtime = runtime
        self._home = home
        self._log = directory / "broker.log"
        self._properties = directory / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._recording: Path | None = None
        self._started_at = 0
        directory.mkdir(parents=True)
        self._properties.write_text("".join(f"{k}={v}\n" for k, v in properties.items()))
        # What `kafka-storage format` would write, without a second JVM's start-up time.
        data = Path(properties["log.dirs"])
        data.mkdir(parents=True, exist_ok=True)
        (data / "meta.properties").write_text(
            f"version=1\ncluster.id={cluster_id}\nnode.id={node_id}\n"
        )

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        if self._process is None:
            raise RuntimeError(f"broker {self.node_id} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Is the process alive (a frozen one is)?"""
        if self._process is None:
            return False
        if self._process.poll() is None:
            return True
        self._dismiss_guard()  # its pid may soon belong to somebody else
        return False

    def launch(self, *, record: bool = False) -> None:
        """Start the process and return at once. `record`: write the class archive when it ends."""
        if self.running:
            raise RuntimeError(f"broker {self.node_id} is running already")
        if record:
            self._recording = self._runtime.archive.with_suffix(f".{os.getpid()}.new")
        self._started_at = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._runtime.command(self._properties, record_archive=self._recording),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # Its standard input ends when this process does, however it does: then the broker goes
        # too, and what it wrote.
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, str(self._process.pid), str(self._home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait_ready(self, timeout: float) -> None:
        """Wait until the broker serves clients.

        Raises:
            PortTaken: it ended because a port was taken.
            RuntimeError: it ended, or was not ready after `timeout` seconds; with its log.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._log.open("rb") as log:
                log.seek(self._started_at)
                said = log.read()
            if _STARTED in said:
                return
            if not self.running:
                if _PORT_TAKEN in said:
                    raise PortTaken
                raise RuntimeError(f"broker {self.node_id} ended while starting:\n{self.log()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"broker {self.node_id} is not ready:\n{self.log()}")
            time.sleep(0.02)

    def freeze(self) -> None:
        """Stop its clock: connections stay open, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        self.frozen = True
        # Each of its threads stops by itself: on a busy machine one still answered.
        tasks = Path(f"/proc/{self.pid}/task")
        if tasks.is_dir():
            eventually(
                lambda: all(map(_is_stopped, tasks.iterdir())), what="all of it stands still"
            )

    def thaw(self) -> None:
        """Let a frozen broker go on."""
        os.kill(self.pid, signal.SIGCONT)
        self.frozen = False

    def end(self, number: signal.Signals, timeout: float = 20.0) -> None:
        """End the process with a signal and wait for it; SIGKILL if it takes too long."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            if self.frozen:
                self.thaw()
            process.send_signal(number)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._process = None
        self._dismiss_guard()
        if self._recording is not None and self._recording.exists():
            self._recording.replace(self._runtime.archive)
        self._recording = None

    def finish(self) -> None:
        """End it for good: at once, unless it has a class archive to write."""
        self.end(signal.SIGTERM if self._recording else signal.SIGKILL)

    def _dismiss_guard(self) -> None:
        if self._guard is None:
            return
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard = None

    def log(self, lines: int = 40) -> str:
        """Return the last lines the broker wrote."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])


def _is_stopped(task: Path) -> bool:
    try:
        state = (task / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # it has ended
        return True
    return state in ("T", "t")
