"""`llmobs serve` in a process of its own, as a user starts it."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.polling import eventually

LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")


class Serving:
    """A collector that runs between entering and leaving; leaving kills it if nobody has ended it.

    Args:
        store: Where it stores.
        options: Further words of its command line; without ``--port`` it takes any that is free.
        env: Variables of its environment, beside ours.
    """

    def __init__(self, store: Path, *options: str, env: dict[str, str] | None = None) -> None:
        port = () if "--port" in options else ("--port", "0")
        self._command = [sys.executable, "-m", "llmobs", "serve", "--store", str(store)]
        self._command += [*port, *options]
        without = {k: v for k, v in os.environ.items() if not k.startswith("LLMOBS_")}
        self._env = {**without, **(env or {})}
        self.lines: list[str] = []
        """What it has logged so far."""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command, env=self._env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        match = eventually(self._listening, timeout=60, what=f"listening: {self.lines}")
        assert match is not None
        self.port = int(match[1])
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def _listening(self) -> re.Match[str] | None:
        if self.process.poll() is not None:
            self._reader.join(10)
            raise RuntimeError(f"it ended with {self.process.returncode}: {self.lines}")
        return LISTENING.search("\n".join(self.lines))

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return "\n".join(self.lines)

    def terminate(self) -> int:
        """Ask it to end; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self._reader.join(10)
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
        self._reader.join(10)
        for stream in (self.process.stderr, self.process.stdout):
            if stream is not None:
                stream.close()
