"""What a connection may cost before a body: how many there are, how long a head is and how long it takes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from llmobs.server import protocol
from llmobs.server.protocol import Bounded

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"

Ask = Callable[..., Awaitable[bytes]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer at once on /early, else when the body is there; say how long it is."""
    size = 0
    while scope["path"] != "/early":
        message = await receive()
        size += len(message["body"])
        if not message["more_body"]:
            break
    body = b"%d bytes" % size
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(params=[H11Protocol, HttpToolsProtocol], ids=["h11", "httptools"])
def parser(request: pytest.FixtureRequest) -> Any:
    return type("Parsed", (Bounded, request.param), {})


@asynccontextmanager
async def served(parser: Any) -> AsyncIterator[int]:
    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none")
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: parser(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for one in list(state.connections):
            one.transport.abort()  # type: ignore[union-attr]
        await server.wait_closed()


async def ask(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send *pieces*; return what comes until the server closes, or has answered for a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        found = b""
        async with asyncio.timeout(10):
            while piece := await reader.read(65536):
                found += piece
                if b" bytes" in piece and b"HTTP/1.1 200" in found:
                    break
        return found
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


def run(task: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(task())  # type: ignore[arg-type]


def test_a_head_without_end_is_refused(parser: Any) -> None:
    async def main() -> None:
        async with served(parser) as port:
            header = b"x-%d: " + b"v" * 8_000 + b"\r\n"
            pieces = [header % number for number in range(20)]
            answer = await ask(port, HEAD, *pieces, pause=0.005)
            # h11 has a bound of its own, 16 KB, and says less.
            assert answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400", b"reset")), answer[:80]
            # Long, and within the bound.
            answer = await ask(port, HEAD, *pieces[:1], b"content-length: 2\r\n\r\nab", pause=0.005)
            assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"2 bytes")

    run(main)


def test_who_dawdles_over_a_head_is_let_go(parser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)

    async def main() -> None:
        async with served(parser) as port:
            for begun in (b"POST /", HEAD, HEAD + b"x-a: "):
                assert (await ask(port, begun)).startswith(b"HTTP/1.1 408"), begun
            drops = [bytes([byte]) for byte in HEAD * 3]
            assert (await ask(port, *drops, pause=0.02)).startswith((b"HTTP/1.1 408", b"reset"))
            # A body may take longer; who sends it is bounded elsewhere.
            answer = await ask(port, HEAD + b"content-length: 2\r\n\r\n", b"a", b"b", pause=0.4)
            assert answer.endswith(b"2 bytes")

    run(main)


def test_who_connects_and_asks_nothing_is_let_go_without_a_word(
    parser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As browsers do ahead of time: they would take an answer for that to what they ask next."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)

    async def main() -> None:
        async with served(parser) as port:
            assert await ask(port, b"") == b""

    run(main)


def test_bodies_are_no_heads(parser: Any) -> None:
    """Also where the answer came before the body did, and for the second request of a connection."""

    async def main() -> None:
        async with served(parser) as port:
            body = b"x" * 50_000
            whole = HEAD + b"content-length: 200000\r\n\r\n"
            first = await ask(port, whole + body, body, body, body, pause=0.005)
            assert first.endswith(b"200000 bytes")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            answer = b""
            for path in (b"/early", b"/", b"/"):
                writer.write(whole.replace(b"POST /", b"POST " + path) + body)
                if path == b"/early":
                    answer = await reader.readuntil(b"0 bytes")
                for _ in range(3):
                    writer.write(body)
                    await writer.drain()
                    await asyncio.sleep(0.005)
                if path != b"/early":
                    answer = await reader.readuntil(b" bytes")
                    assert answer.endswith(b"200000 bytes")
                assert answer.startswith(b"HTTP/1.1 200")
                if b"connection: close" in answer.lower():  # h11 gives up on a body nobody reads
                    break
            writer.close()

    run(main)


def test_connections_are_counted(parser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 3)

    async def main() -> None:
        async with served(parser) as port:
            open_ = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            answer = await ask(port)
            assert answer.startswith(b"HTTP/1.1 503") and b"retry-after: 5" in answer
            for _, writer in open_:
                writer.close()
            async with asyncio.timeout(10):
                while not answer.startswith(b"HTTP/1.1 200"):
                    answer = await ask(port, HEAD + b"content-length: 0\r\n\r\n")

    run(main)
