"""A real `llmobs serve` in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from llmobs.server.keys import KeyFile
from tests.support.polling import eventually

__all__ = ["Serving", "serving"]


class Serving(NamedTuple):
    """One that answers."""

    url: str
    port: int
    store: Path
    process: "subprocess.Popen[str]"
    lines: list[str]
    """Of standard output: the access log."""
    said: list[str]
    """Of standard error."""

    def key(self, **what: Any) -> str:
        """Make a key for it; it knows within a second."""
        return KeyFile(self.store).add(**what)[1]

    def log(self) -> list[dict[str, Any]]:
        """The access log, where it is JSON."""
        return [json.loads(line) for line in self.lines]


@contextmanager
def serving(store: Path, *arguments: str, **environment: str) -> Iterator[Serving]:
    """Serve *store* until the block ends; then as SIGTERM ends it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "llmobs", "serve", "--store", str(store), "--port", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    lines: list[str] = []
    said: list[str] = []
    readers = [
        threading.Thread(target=_read, args=pair, daemon=True)
        for pair in ((process.stdout, lines), (process.stderr, said))
    ]
    for reader in readers:
        reader.start()
    try:
        found = eventually(
            lambda: (
                re.search(r"listening on http://\S*:(\d+)", "".join(said)) or _ended(process, said)
            ),
            timeout=60,
            what="the collector's start",
        )
        port = int(found[1])
        yield Serving(f"http://127.0.0.1:{port}", port, store, process, lines, said)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)
        for reader in readers:
            reader.join(10)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def _ended(process: "subprocess.Popen[str]", said: list[str]) -> None:
    assert process.poll() is None, "".join(said)


def _read(stream: Any, lines: list[str]) -> None:
    lines.extend(iter(stream.readline, ""))
