"""The collectors that are measured: ours, and the two viewers that pip can install."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks import CACHE, ROOT
from benchmarks.peers import environment

_fresh: set[str] = set()
START_SECONDS = 400.0


@dataclass(frozen=True)
class Target:
    """How to install, start and ask one."""

    name: str
    pins: tuple[str, ...]
    command: Callable[[Path, Path, int], list[str]]
    """From its environment's ``bin``, a directory of its own, and a port."""
    ready: str
    """What answers 200 once it serves."""
    file: str
    """The store, in the directory."""
    count: str
    """How many spans are stored, in SQL."""
    variables: Callable[[Path, int], Mapping[str, str]] = lambda home, port: {}
    headers: Mapping[str, str] = field(default_factory=dict)

    def install(self) -> Path:
        """Return the environment, made now if need be."""
        is_ours = self.name == "llmobs"
        if is_ours and self.name not in _fresh:  # its source changes, its pin does not
            (CACHE / "peers" / self.name / ".pins").unlink(missing_ok=True)
            _fresh.add(self.name)
        return environment(self.name, self.pins, as_ours=is_ours).parent

    def stored(self, home: Path) -> int:
        """Return how many spans *home* holds."""
        try:
            # Not read-only: after a kill, whoever reads first takes in the log.
            with closing(sqlite3.connect(home / self.file, timeout=30)) as database:
                return int(database.execute(self.count).fetchone()[0])
        except sqlite3.OperationalError:  # not there yet, or locked
            return 0

    def bytes(self, home: Path) -> int:
        """Return what the store takes on disk."""
        return sum(path.stat().st_size for path in home.glob(f"{self.file}*"))


TARGETS = {
    target.name: target
    for target in (
        Target(
            "llmobs", (f"llmobs[serve,otlp] @ {ROOT.as_uri()}",),
            lambda bin, home, port: [
                str(bin / "llmobs"), "serve", "--store", str(home / "llmobs.db"), "--port",
                str(port), "--access-log", "off",
            ],
            "/health", "llmobs.db", "SELECT count(*) FROM events WHERE event_type = 'prompt_call'",
        ),
        Target(
            "phoenix", ("arize-phoenix==20.26.1",),
            lambda bin, home, port: [str(bin / "phoenix"), "serve"],
            "/healthz", "phoenix.db", "SELECT count(*) FROM spans",
            lambda home, port: {
                "PHOENIX_WORKING_DIR": str(home), "PHOENIX_PORT": str(port),
                "PHOENIX_HOST": "127.0.0.1", "PHOENIX_GRPC_PORT": str(free_port()),
                "PHOENIX_TELEMETRY_ENABLED": "false",
            },
        ),
        Target(
            "mlflow", ("mlflow==3.17.2",),
            lambda bin, home, port: [
                str(bin / "mlflow"), "server", "--backend-store-uri", f"sqlite:///{home}/mlflow.db",
                "--default-artifact-root", str(home / "artifacts"), "--port", str(port),
            ],
            "/health", "mlflow.db", "SELECT count(*) FROM spans",
            lambda home, port: {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
            {"x-mlflow-experiment-id": "0"},
        ),
    )
}  # fmt: skip


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Running:
    """A started one."""

    target: Target
    process: subprocess.Popen[bytes]
    port: int
    home: Path
    start_seconds: float
    """Until its first answer."""

    def memory(self) -> int:
        """Return the resident bytes of all its processes."""
        pages = 0
        for pid in self._family(self.process.pid):
            try:
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except OSError:
                continue
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """Return the seconds of processor that its processes have used: what others do counts little."""
        ticks = 0
        for pid in self._family(self.process.pid):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _family(self, pid: int) -> Iterator[int]:
        yield pid
        try:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                for child in (thread / "children").read_text().split():
                    yield from self._family(int(child))
        except OSError:
            return

    def end(self, how: signal.Signals) -> None:
        """Send *how*, SIGKILL to all its processes; wait until it has gone."""
        if how == signal.SIGKILL:
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        try:
            self.process.wait(90)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def running(target: Target, home: Path) -> Iterator[Running]:
    """Start *target* with its store in *home*, wait for its first answer; it ends with the block."""
    environment_bin = target.install()
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    with (home / "output.log").open("ab") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            target.command(environment_bin, home, port),
            env=variables | dict(target.variables(home, port)),
            cwd=home, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        while not _answers(port, target.ready):
            if process.poll() is not None or time.monotonic() - began > START_SECONDS:
                raise RuntimeError(f"{target.name} does not start; see {home / 'output.log'}")
            time.sleep(0.01)
        yield Running(target, process, port, home, time.monotonic() - began)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(port: int, path: str) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
