"""An HTTP server in a process of its own that takes everything and keeps nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness import ROOT

_ANSWER = b'{"success": true, "data": {"errors": []}}'


@contextmanager
def null_server(delay: float = 0.0) -> Iterator[str]:
    """Run one on a free port for the length of the block; yields its ``http://host:port``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.null_server", str(delay)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait(10)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(
        _ANSWER
    )
    try:
        while True:
            request = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, found, rest = request.partition(b"content-length:")
            await reader.readexactly(int(rest.split(b"\r\n", 1)[0]) if found else 0)
            if delay:
                await asyncio.sleep(delay)
            writer.write(head + _ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _main() -> None:
    delay = float(sys.argv[1])
    server = await asyncio.start_server(
        lambda r, w: _answer(r, w, delay), "127.0.0.1", 0, limit=1 << 24
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
