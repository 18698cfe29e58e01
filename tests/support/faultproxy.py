"""A loopback TCP proxy that delays, cuts, freezes and counts what passes."""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

_CHUNK = 64 * 1024
_LINGER_ZERO = struct.pack("ii", 1, 0)


class FaultProxy:
    """Passes connections on to `target`; a context manager with its own thread and loop.

    Args:
        target: `host:port` to connect to; may be set or changed later, for new connections.
        delay: seconds each chunk waits, in both directions.
        cut_chance: chance, per chunk, that the connection is reset instead of passing it on.
        seed: of the random cuts; the n-th connection meets the same dice in every run.

    `delay` and `cut_chance` may be changed at any time.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        delay: float = 0.0,
        cut_chance: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.target = target
        self.delay = delay
        self.cut_chance = cut_chance
        self.refusing = False
        """Reset every new connection at once."""
        self.bytes_up = 0
        """Bytes passed from clients to the target."""
        self.bytes_down = 0
        """Bytes passed from the target to clients."""
        self.connections = 0
        """Connections accepted so far."""
        self.cuts = 0
        """Ends of connections reset by this proxy so far."""
        self._seed = seed
        self._socket = socket.socket()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self._moving = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """`host:port` clients connect to."""
        return f"127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """The port clients connect to."""
        port: int = self._socket.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._socket.bind(("127.0.0.1", 0))
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def freeze(self) -> None:
        """Pass nothing on, in either direction, and keep every connection open."""
        self._loop.call_soon_threadsafe(self._moving.clear)

    def thaw(self) -> None:
        """Go on after `freeze`; nothing was lost."""
        self._loop.call_soon_threadsafe(self._moving.set)

    def cut(self) -> None:
        """Reset every open connection now."""
        self._call(self._cut_all())

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        self._moving.set()
        self._server = await asyncio.start_server(self._accept, sock=self._socket)

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)  # connections accepted just now get to register
        await self._cut_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close one step later

    async def _cut_all(self) -> None:
        for writer in list(self._open):
            self.cuts += 1
            self._reset(writer)

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        raw = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._open.add(writer)
        self.connections += 1
        try:
            await self._join(reader, writer, number=self.connections)
        except* (OSError, _Cut):
            self._reset(writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, number: int
    ) -> None:
        if self.refusing or self.target is None:
            raise _Cut
        host, _, port = self.target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        self._open.add(far_writer)
        up, down = (random.Random(f"{self._seed}/{number}/{way}") for way in ("up", "down"))
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pass(reader, far_writer, up, up=True))
                ways.create_task(self._pass(far_reader, writer, down, up=False))
        except BaseException:
            self._reset(far_writer)
            raise
        finally:
            self._open.discard(far_writer)
            far_writer.close()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        dice: random.Random,
        *,
        up: bool,
    ) -> None:
        while chunk := await reader.read(_CHUNK):
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._moving.wait()
            if dice.random() < self.cut_chance:
                self.cuts += 1
                raise _Cut
            writer.write(chunk)
            await writer.drain()
            if up:
                self.bytes_up += len(chunk)
            else:
                self.bytes_down += len(chunk)
        writer.write_eof()


class _Cut(Exception):
    """The dice said so."""
