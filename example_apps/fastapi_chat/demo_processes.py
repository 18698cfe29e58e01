"""
The two servers of the demo, each ended by its pid whatever happens.

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

import httpx2

ROOT = Path(__file__).parents[2]
START_SECONDS = 30
STOP_SECONDS = 20


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


@contextmanager
def running_app(
    model_url: str, store: Path, app: str = "example_apps.fastapi_chat.app:app"
) -> Iterator[AppProcess]:
    """Run the API with this store, and yield it once it answers; its log is beside the store."""
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", app]
    command += ["--port", str(port), "--timeout-graceful-shutdown", "15"]
    environment = {
        **os.environ,
        "LLMOBS_SINK": f"sqlite:///{store.absolute()}",
        "OPENAI_BASE_URL": f"{model_url}/v1",
        "OPENAI_API_KEY": "demo",
        "ANTHROPIC_BASE_URL": model_url,
        "ANTHROPIC_API_KEY": "demo",
    }
    log = store.with_name("api.log")
    with log.open("wb") as output:
        started = subprocess.Popen(
            command, cwd=ROOT, env=environment, start_new_session=True, stdout=output, stderr=output
        )
    with _ended(started) as process:
        running = AppProcess(process, f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + START_SECONDS
        while not _answers(running.url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the API did not start:\n{log.read_text('utf-8', 'replace')}")
            time.sleep(0.05)
        yield running


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
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health", timeout=2).is_success
    except httpx2.TransportError:
        return False
