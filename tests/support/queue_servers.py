"""What task queues stand on: a Redis and a PostgreSQL of our own, gone when the block ends."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.support.debian import Unavailable, program
from tests.support.polling import eventually
from tests.support.ports import free_ports

DATABASES = 1000
START_SECONDS = 30.0


@contextmanager
def redis_server() -> Iterator[str]:
    """Run a Redis; give the URL of its database 0, whose number the caller may replace."""
    binary = program("redis-server", "redis-server")
    (port,) = free_ports(1)
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--databases", str(DATABASES), "--appendonly", "no"]

    def answers() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False

    with _folder() as folder, _running(command, folder):
        eventually(answers, timeout=START_SECONDS, what="Redis's answer")
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgres_server() -> Iterator[str]:
    """Run a PostgreSQL; give the words to connect to its database ``postgres``."""
    initdb, binary = program("initdb", "postgresql"), program("postgres", "postgresql")
    # It refuses to run as root.
    user = pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() else "postgres"
    switch: dict[str, Any] = (
        {} if os.geteuid() else {"user": user, "group": user, "extra_groups": []}
    )
    (port,) = free_ports(1)
    with _folder() as folder:
        if switch:
            try:
                shutil.chown(folder, user, user)
            except LookupError:
                raise Unavailable("PostgreSQL needs a user that is not root") from None
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", data, "-U", "tests", "-A", "trust", "-N", "--no-instructions"],
            check=True, capture_output=True, cwd=folder, **switch,
        )  # fmt: skip
        command = [binary, "-D", str(data), "-p", str(port), "-k", str(folder)]
        for setting in ("fsync=off", "listen_addresses=127.0.0.1"):
            command += ["-c", setting]
        info = f"host=127.0.0.1 port={port} user=tests dbname=postgres"

        def answers() -> bool:
            try:
                psycopg.connect(info).close()
            except psycopg.OperationalError:
                return False
            return True

        with _running(command, folder, **switch):
            eventually(answers, timeout=START_SECONDS, what="PostgreSQL's answer")
            yield info


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="llmobs-queue-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(command: Sequence[str], folder: Path, **how: Any) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **how)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
