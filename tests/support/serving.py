"""`llmobs serve` in a process of its own, as a user starts it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from llmobs.server.keys import KeyFile
from tests.support.polling import eventually

__all__ = ["Serving", "children_of"]

LISTENING = re.compile(r"listening on http://\S*:(\d+)")


def children_of(process_id: int) -> list[int]:
    """Return the processes that a process has started, and not waited for yet."""
    tasks = Path(f"/proc/{process_id}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


class Serving:
    """A collector that runs between entering and leaving; leaving kills it if nobody has ended it.

    Args:
        store: Where it stores.
        options: Further words of its command line; without ``--port`` it takes any that is free.
        env: Variables of its environment, beside ours.
    """

    def __init__(self, store: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.store = store
        port = () if "--port" in options else ("--port", "0")
        self._command = [sys.executable, "-m", "llmobs", "serve", "--store", str(store)]
        self._command += [*port, *options]
        without = {k: v for k, v in os.environ.items() if not k.startswith("LLMOBS_")}
        self._env = {**without, **(env or {})}
        self.lines: list[str] = []
        """What it has logged so far, on standard error."""
        self.accesses: list[str] = []
        """The access log so far, on standard output."""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command, env=self._env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._readers = [
            threading.Thread(target=_read, args=pair, daemon=True)
            for pair in ((self.process.stderr, self.lines), (self.process.stdout, self.accesses))
        ]
        for reader in self._readers:
            reader.start()
        match = eventually(self._listening, timeout=60, what=f"listening: {self.lines}")
        assert match is not None
        self.port = int(match[1])
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def _listening(self) -> re.Match[str] | None:
        if self.process.poll() is not None:
            self._join()
            raise RuntimeError(f"it ended with {self.process.returncode}: {self.lines}")
        return LISTENING.search("\n".join(self.lines))

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return "\n".join(self.lines)

    def key(self, **what: Any) -> str:
        """Make a key for it; it knows within a second."""
        return KeyFile(self.store).add(**what)[1]

    def access_log(self) -> list[dict[str, Any]]:
        """The access log so far, where it is JSON."""
        return [json.loads(line) for line in self.accesses]

    def terminate(self) -> int:
        """Ask it to end; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self._join()
        return code

    def kill(self) -> None:
        """Let it have no last word."""
        self.process.kill()
        self.process.wait(60)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._join()
        for stream in (self.process.stderr, self.process.stdout):
            if stream is not None:
                stream.close()

    def _join(self) -> None:
        for reader in self._readers:
            reader.join(10)


def _read(stream: IO[str], lines: list[str]) -> None:
    lines.extend(line.rstrip("\n") for line in stream)
