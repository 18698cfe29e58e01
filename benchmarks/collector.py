"""
The HTTP server every row delivers to: a process of its own that answers all of us and counts events.

It keeps bodies as they came and looks into them only when asked for the count, after the measured
time: distinct markers (`benchmarks.workload.marker`), whatever wire and compression they came in.

    python -m benchmarks.collector SECONDS    # answers data that much later; prints its port
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection

from benchmarks import PYTHON, ROOT

_MARKER = re.compile(rb"event-[a-j]{6,};")
_COUNT = "/benchmarks/count"


@dataclass(frozen=True)
class Collector:
    """A running server."""

    url: str
    """``http://host:port``"""
    process: subprocess.Popen[str]

    def events(self) -> int:
        """Distinct events that arrived in requests received whole."""
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        try:
            connection.request("GET", _COUNT)
            return int(json.loads(connection.getresponse().read())["events"])
        finally:
            connection.close()

    def settled(self, quiet: float = 0.5, at_most: float = 20.0) -> int:
        """The count, as soon as it has not changed for *quiet* seconds: senders may be gone."""
        deadline = time.monotonic() + at_most
        before = -1
        while (now := self.events()) != before and time.monotonic() < deadline:
            before = now
            time.sleep(quiet)
        return now

    def freeze(self) -> None:
        """Stop the process: the kernel goes on accepting connections, nobody answers."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, with what waits in its sockets."""
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def collector(delay: float = 0.0) -> Iterator[Collector]:
    """Run one on a free port for the length of the block."""
    with subprocess.Popen(
        [os.environ.get(PYTHON, sys.executable), "-m", "benchmarks.collector", str(delay)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield Collector(f"http://127.0.0.1:{int(process.stdout.readline())}", process)
        finally:
            process.kill()  # also when frozen


class _Server:
    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.bodies: list[tuple[str, bytes]] = []
        self.found: set[bytes] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                request, *lines = head.splitlines()
                method, target, _ = request.split(" ", 2)
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if method == "POST":
                    self.bodies.append((headers.get("content-encoding", ""), body))
                    if self.delay:
                        await asyncio.sleep(self.delay)
                kind, answer = self.answer(method, target, headers.get("content-type", ""))
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b"
                    % (kind, len(answer), answer)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, method: str, target: str, content_type: str) -> tuple[bytes, bytes]:
        """Content type and body of what this client wants to hear."""
        if "protobuf" in content_type:
            return b"application/x-protobuf", b""  # an OTLP answer without partial success
        if method == "POST":
            said: object = {"success": True, "data": {"errors": []}}  # WatchLLM's and ours
        elif target == _COUNT:
            said = {"events": self.count()}
        elif target == "/v1/info":  # Logfire: whose token is it?
            said = {"project_name": "benchmarks", "project_url": "http://localhost/benchmarks"}
        else:  # LangSmith's /info, as the hosted service answers it
            said = {
                "version": "0.16.14",
                "instance_flags": {"zstd_compression_enabled": True},
                "batch_ingest_config": {
                    "use_multipart_endpoint": True,
                    "scale_up_qsize_trigger": 1000,
                    "scale_up_nthreads_limit": 16,
                    "scale_down_nempty_trigger": 4,
                    "size_limit": 100,
                    "size_limit_bytes": 20_971_520,
                },
            }
        return b"application/json", json.dumps(said).encode()

    def count(self) -> int:
        """Look into the bodies kept so far, and forget them."""
        for encoding, body in self.bodies:
            self.found.update(_MARKER.findall(_decoded(encoding, body)))
        self.bodies.clear()
        return len(self.found)


def _decoded(encoding: str, body: bytes) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "zstd":
        from backports import zstd

        return zstd.decompress(body)
    assert not encoding, encoding
    return body


async def _main() -> None:
    kept = _Server(float(sys.argv[1]))
    server = await asyncio.start_server(kept.serve, "127.0.0.1", 0, limit=1 << 24)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
