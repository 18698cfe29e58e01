"""
The processes of a demo, each ended by its pid whatever happens.

Each has a session of its own: Ctrl-C in a terminal reaches the demo alone, which ends them in order.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import httpx2

ROOT = Path(__file__).parents[2]
START_SECONDS = 30
STOP_SECONDS = 20
VIEWER_PORT = 4318
"""OTLP's, which `llmobs serve` takes by itself; another one if somebody has it."""


class AppProcess:
    """The API under uvicorn."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url

    def terminate(self) -> None:
        """Send SIGTERM, as a deploy does."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until it has ended; returns its exit code, negative for a signal."""
        return self.process.wait(STOP_SECONDS)


@contextmanager
def running_model_server() -> Iterator[str]:
    """Run the local model server, and yield its address."""
    options = ["--port", "0", "--ttft-ms", "60", "--chunk-ms", "4", "--retry-after", "0.3"]
    command = [sys.executable, "-m", "example_apps.llm_server", *options]
    with _ended(
        subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE)
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        if not line.startswith("listening on "):
            raise SystemExit("the model server did not start")
        yield line.removeprefix("listening on ").strip()


def environment_of(model_url: str) -> dict[str, str]:
    """Return the environment in which SDKs ask that model server."""
    return {
        **os.environ,
        "OPENAI_BASE_URL": f"{model_url}/v1",
        "OPENAI_API_KEY": "demo",
        "ANTHROPIC_BASE_URL": model_url,
        "ANTHROPIC_API_KEY": "demo",
    }


@contextmanager
def running(
    module: str, *options: str, environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module of this Python's in the background; what it says goes to *log*."""
    command = [sys.executable, "-m", module, *options]
    with log.open("wb") as output:
        started = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            stdout=output,
            stderr=output,
        )
    with _ended(started) as process:
        yield process


@contextmanager
def running_app(
    model_url: str, store: Path, app: str = "example_apps.fastapi_chat.app:app", **more: str
) -> Iterator[AppProcess]:
    """Run the API with this store, and yield it once it answers; its log is beside the store."""
    port = _free_port()
    options = [app, "--port", str(port), "--timeout-graceful-shutdown", "15"]
    environment = {
        **environment_of(model_url),
        "LLMOBS_SINK": f"sqlite:///{store.absolute()}",
        **more,
    }
    log = store.with_name("api.log")
    with running("uvicorn", *options, environment=environment, log=log) as process:
        app_process = AppProcess(process, f"http://127.0.0.1:{port}")
        _wait_for("the API", app_process.url, process, log)
        yield app_process


@contextmanager
def running_viewer(store: Path) -> Iterator[str]:
    """Run `llmobs serve` for this store, and yield its address once it answers."""
    port = VIEWER_PORT if _is_free(VIEWER_PORT) else _free_port()
    options = ["serve", "--store", str(store), "--port", str(port)]
    log = store.with_name("viewer.log")
    with running("llmobs", *options, environment=dict(os.environ), log=log) as process:
        url = f"http://127.0.0.1:{port}"
        _wait_for("the viewer", url, process, log)
        yield url


def _wait_for(what: str, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{what} did not start:\n{log.read_text('utf-8', 'replace')}")
        time.sleep(0.05)


def end_in_order_on_sigterm() -> None:
    """Asked to end, a demo must end what it started: the blocks above see to it."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # with its children: a worker has some
                process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health", timeout=2).is_success
    except httpx2.TransportError:
        return False
