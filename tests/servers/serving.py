"""Start a real server on a free port, ask it things from outside, end it with a signal."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from websockets.sync.client import connect

from tests.support.arrivals import Arrivals
from tests.support.polling import eventually
from tests.support.ports import free_ports

ROOT = Path(__file__).parents[2]
APP = "tests.servers.app:app"
START_SECONDS = 30.0
END_SECONDS = 20.0
PYTHON = (sys.executable, "-m")


def command(server: str, port: int, app: str = APP) -> list[str]:
    """Return the command line of *server*: its name, then options."""
    name, *options = server.split()
    address = f"127.0.0.1:{port}"
    match name:
        case "uvicorn":
            own = ["uvicorn", app, "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
        case "hypercorn":
            own = ["hypercorn", app, "--bind", address, "--graceful-timeout", "5"]
        case "granian":
            own = [
                "granian",
                app,
                "--interface",
                "asgi",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ]
        case "gunicorn":
            own = ["gunicorn", app, "--bind", address, "--no-control-socket"]
            own += ["--worker-class", "uvicorn_worker.UvicornWorker"]
        case "gunicorn-wsgi":
            own = ["gunicorn", app, "--bind", address, "--no-control-socket"]
        case "granian-wsgi":
            own = [
                "granian",
                app,
                "--interface",
                "wsgi",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ]
        case "daphne":
            own = ["daphne", app, "-b", "127.0.0.1", "-p", str(port)]
        case "runserver":
            own = ["django", "runserver", address]
        case "uwsgi":  # a program of its own, with this Python inside
            own = ["--http-socket", address, "--module", app, "--master"]
            own += ["--enable-threads", "--need-app", "--hook-master-start"]
            own += ["unix_signal:15 gracefully_kill_them_all"]
            return [str(Path(sys.executable).with_name("uwsgi")), *own, *options]
        case _:
            raise AssertionError(f"no such server: {name}")
    return [*PYTHON, *own, *options]


@dataclass
class Server:
    """A running server, and where it leaves its traces."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    answered: Counter[str] = field(default_factory=Counter)
    run_ids: set[str] = field(default_factory=set)
    pids: set[str] = field(default_factory=set)

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text()

    def signal(self, number: int) -> None:
        """SIGTERM comes from a supervisor, to one process; SIGINT from a terminal, to all of them."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def wait(self) -> None:
        self.process.wait(END_SECONDS)

    def arrivals(self) -> Arrivals:
        return Arrivals.read(self.folder / "ledger", self.folder / "llmobs.db")

    def ask(self, client: httpx2.Client, path: str) -> str:
        answer = client.get(self.url + path)
        self.answered[f"{path.partition('?')[0]} {answer.status_code}"] += 1
        if "x-run-id" in answer.headers:
            self.run_ids.add(answer.headers["x-run-id"])
        return answer.text

    def talk(self) -> None:
        with connect(self.url.replace("http", "ws") + "/ws") as socket:
            assert socket.response is not None
            if run_id := socket.response.headers.get("x-run-id"):
                self.run_ids.add(run_id)
            for _ in range(2):
                socket.send("hello?")
                assert socket.recv(timeout=10) == "yes"
        self.answered["/ws 101"] += 1

    def take_200_requests(self, websockets: bool = True) -> None:
        """60 async, 50 sync, 40 streamed, 40 with background tasks, 10 WebSockets; from 6 threads."""
        paths = ["/async"] * 60 + ["/sync"] * 50 + ["/stream"] * 30 + ["/sync-stream"] * 10
        paths += ["/background"] * 40
        with httpx2.Client(timeout=20) as client, ThreadPoolExecutor(6) as pool:
            waiting = [pool.submit(self.ask, client, path) for path in paths]
            if websockets:
                waiting += [pool.submit(self.talk) for _ in range(10)]
            for future in waiting:
                text = future.result(60)
                if text and text.strip('"').isdigit():
                    self.pids.add(text.strip('"'))

    @contextmanager
    def streams_in_flight(self, *paths: str) -> Iterator[None]:
        """Inside the block, streams are half-way: by default one from the loop and one from threads."""
        paths = paths or (
            "/stream?chunks=12&pause=0.05",
            "/sync-stream?chunks=12&pause=0.05",
        )
        begun = threading.Barrier(len(paths) + 1, timeout=20)

        def read(path: str) -> None:
            try:
                with httpx2.stream("GET", self.url + path, timeout=20) as answer:
                    self.run_ids.add(answer.headers["x-run-id"])
                    chunks = answer.iter_raw()
                    next(chunks)
                    begun.wait()
                    self.answered[f"{path.partition('?')[0]} {answer.status_code}"] += 1
                    for _ in chunks:
                        pass
            except httpx2.HTTPError:
                self.answered["cut off"] += 1  # a server may cut what takes too long

        threads = [threading.Thread(target=read, args=(path,), daemon=True) for path in paths]
        for thread in threads:
            thread.start()
        try:
            begun.wait()
            yield
        finally:
            for thread in threads:
                thread.join(25)


@contextmanager
def serving(
    server: str, folder: Path, *, app: str = APP, python_path: Path | None = None, **env: str
) -> Iterator[Server]:
    """Run *server* with its store and ledger in *folder*; whatever happens, nothing of it stays."""
    (port,) = free_ports(1)
    path = os.pathsep.join(str(p) for p in (python_path, ROOT) if p is not None)
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "LLMOBS_SINK": f"sqlite:///{folder / 'llmobs.db'}",
        "LLMOBS_FLUSH_INTERVAL_SECONDS": "60",  # nothing leaves by itself: the end must deliver
        "TEST_LEDGER": str(folder / "ledger"),
        **env,
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command(server, port, app),
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, so that its workers end with it
        )
    started = Server(process, f"http://127.0.0.1:{port}", folder)
    try:
        eventually(lambda: _listens(started, port), timeout=START_SECONDS, what=f"{server} listens")
        yield started
    except BaseException as error:
        error.add_note(f"--- log of {server}\n{started.log[-5000:]}")
        raise
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _listens(server: Server, port: int) -> bool:
    assert server.process.poll() is None, "the server ended while starting"
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
