"""One client on every sink there is, whose every byte can be looked at afterwards."""

import io
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from click.testing import CliRunner

import llmobs
from llmobs.cli.app import llmobs as command
from llmobs.codec import encode
from llmobs.events import PromptCallEvent
from llmobs.pipeline.sink import Batch
from llmobs.sinks._sentinel import native, telemetry
from llmobs.sinks.console import ConsoleSink
from llmobs.sinks.http import HTTPSink
from llmobs.sinks.otlp import OTLPSink
from llmobs.store.pieces import unpack
from llmobs.store.reader import Reader
from tests.helpers import ScriptedSink
from tests.support.scripted_server import Reply, ScriptedServer

__all__ = ["Net", "casting", "contents"]

OK = Reply(200, b'{"success": true, "data": {"processed": 0}}')


def contents(path: Path) -> bytes:
    """Return every byte of a file, and what a store keeps compressed in it."""
    data = path.read_bytes()
    if data.startswith(b"SQLite format 3\0"):
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        with suppress(sqlite3.OperationalError):  # another database, of keys for instance
            for (query,) in connection.execute(
                "SELECT 'SELECT body FROM parts' FROM sqlite_master WHERE name = 'parts'"
            ).fetchall():
                data += b"".join(unpack(one) or b"" for (one,) in connection.execute(query))
            data += b"".join(
                unpack(one) or b"" for (one,) in connection.execute("SELECT data FROM pieces")
            )
        connection.close()
    return data


class Records:
    """Keeps the records that Kafka would be sent, in both forms: keys, headers and values."""

    name = "records"
    max_batch_events: int | None = None
    max_batch_bytes: int | None = None

    def __init__(self) -> None:
        self.data = bytearray()

    async def open(self) -> None:
        """Nothing to open."""

    async def send(self, batch: Batch) -> None:
        """Keep each event as a record."""
        for event in batch.events:
            self._keep(native(event, encode(event)))
            if isinstance(event, PromptCallEvent):
                self._keep(telemetry(event))

    def _keep(self, message: Any) -> None:
        for part in (message.key, message.value, *(b for _, b in message.headers)):
            self.data += (part or b"") + b"\n"

    async def aclose(self) -> None:
        """Nothing to close."""


class Net:
    """What came out, by where."""

    def __init__(self, directory: Path, server: ScriptedServer) -> None:
        self.directory = directory
        self.server = server
        self.store = directory / "runs.db"
        self.console = io.StringIO()
        self.records = Records()
        self.judged: list[bytes] = []
        self.log = io.StringIO()
        self.other: dict[str, str] = {}
        """Anything else that was said: messages of exceptions, what `repr` returns."""
        self.files: dict[str, bytes] = {}

    def sinks(self) -> list[Any]:
        """Return one sink of each kind."""
        return [
            f"sqlite:///{self.store}",
            f"jsonl:///{self.directory / 'events.jsonl'}",
            ConsoleSink(self.console.write),
            HTTPSink(self.server.url + "/native", wire="native", compression="none"),
            HTTPSink(self.server.url + "/watchllm", "key", wire="watchllm"),
            OTLPSink(self.server.url + "/otlp", compression="none"),
            self.records,
            ScriptedSink([llmobs.SinkUnavailableError("down")] * 10_000, name="down"),
        ]

    def judge(self, events: Any) -> bool:
        """See what tail sampling held."""
        self.judged += [encode(event) for event in events]
        return True

    def look(self) -> dict[str, bytes]:
        """Return every byte that there is now, by where it is."""
        found = {
            "console": self.console.getvalue().encode(),
            "kafka": bytes(self.records.data),
            "tail sampling": b"\n".join(self.judged),
            "log": self.log.getvalue().encode(),
            "said": "\n".join(f"{k}: {v}" for k, v in self.other.items()).encode(),
        }
        for seen in self.server.requests:
            where = seen.path.strip("/").partition("/")[0]
            found[where] = found.get(where, b"") + seen.body + repr(seen).encode()
        for path in self.directory.rglob("*"):
            if path.is_file():
                inside = path.relative_to(self.directory)
                where = inside.parts[0].removesuffix("-wal").removesuffix("-shm")
                found[where] = found.get(where, b"") + contents(path)
        return found

    def command_line(self) -> bytes:
        """Return what every reading command prints of the store."""
        said = b""
        with Reader(self.store) as reader:
            runs = [run.run_id for run in reader.runs(limit=10_000)]
        for arguments in (
            ["runs", "--limit", "10000"],
            ["export"],
            ["cost"],
            *(["show", run] for run in runs[:12]),
        ):
            result = CliRunner().invoke(command, [*arguments, "--store", str(self.store)])
            said += result.output.encode()
        return said


@contextmanager
def casting(directory: Path, **settings: Any) -> Iterator[tuple[Net, llmobs.Client]]:
    """Yield a net, and a client that delivers into it."""
    with ExitStack() as stack:
        server = stack.enter_context(ScriptedServer())
        server.otherwise = OK
        net = Net(directory, server)
        handler = logging.StreamHandler(net.log)
        for name in ("llmobs", "watchllm"):
            logger = logging.getLogger(name)
            level = logger.level
            logger.addHandler(handler)
            logger.setLevel(logging.DEBUG)
            stack.callback(logger.setLevel, level)
            stack.callback(logger.removeHandler, handler)
        client = stack.enter_context(
            llmobs.Client(
                sink=net.sinks(), spool_dir=directory / "spool", tail_sampling=net.judge, **settings
            )
        )
        yield net, client
