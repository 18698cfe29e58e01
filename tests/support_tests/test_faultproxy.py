"""The proxy between a client and an echo server."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.faultproxy import FaultProxy
from tests.support.polling import eventually


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while data := self.request.recv(65536):
                self.request.sendall(data)
        except OSError:
            pass  # cut by the proxy


class EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture
def echo() -> Iterator[str]:
    with EchoServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def dial(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), 5)


def read_exactly(sock: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        chunk = sock.recv(count - len(found))
        assert chunk, "closed too early"
        found += chunk
    return found


def ended(sock: socket.socket) -> bool:
    """Has the other side closed or reset this connection?"""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def turned_away(proxy: FaultProxy) -> bool:
    """Is a new connection reset, be it before `connect` returns or after?"""
    try:
        with dial(proxy) as sock:
            return ended(sock)
    except ConnectionResetError:
        return True


def test_passes_and_counts(echo: str) -> None:
    with FaultProxy(echo) as proxy, dial(proxy) as sock:
        data = bytes(range(256)) * 4000
        threading.Thread(target=sock.sendall, args=(data,)).start()
        assert read_exactly(sock, len(data)) == data
        eventually(lambda: proxy.bytes_down == len(data))
        assert (proxy.bytes_up, proxy.connections, proxy.cuts) == (len(data), 1, 0)


def test_half_close_passes(echo: str) -> None:
    with FaultProxy(echo) as proxy, dial(proxy) as sock:
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        assert read_exactly(sock, 10) == b"last words"
        assert sock.recv(1) == b""


def test_delays(echo: str) -> None:
    with FaultProxy(echo, delay=0.1) as proxy, dial(proxy) as sock:
        began = time.monotonic()
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        assert time.monotonic() - began >= 0.2  # there and back


def test_freezes_and_loses_nothing(echo: str) -> None:
    with FaultProxy(echo) as proxy, dial(proxy) as sock:
        sock.sendall(b"a")
        assert sock.recv(1) == b"a"
        proxy.freeze()
        sock.settimeout(0.2)
        sock.sendall(b"b")
        with pytest.raises(TimeoutError):
            sock.recv(1)
        proxy.thaw()
        sock.settimeout(5)
        assert sock.recv(1) == b"b"


def test_cuts_on_demand(echo: str) -> None:
    with FaultProxy(echo) as proxy, dial(proxy) as sock:
        sock.sendall(b"a")
        assert sock.recv(1) == b"a"
        proxy.cut()
        assert ended(sock)
        assert proxy.cuts == 2


def survived(echo: str, seed: int) -> list[int]:
    """Return how many round trips each of ten connections made before it was cut."""
    trips = []
    with FaultProxy(echo, cut_chance=0.2, seed=seed) as proxy:
        for _ in range(10):
            with dial(proxy) as sock:
                made = 0
                try:
                    while made < 100:
                        sock.sendall(b"x")
                        if not sock.recv(1):
                            break
                        made += 1
                except ConnectionError:
                    pass
                trips.append(made)
        assert proxy.cuts == 10
    return trips


def test_random_cuts_repeat_with_their_seed(echo: str) -> None:
    first = survived(echo, seed=1)
    assert first == survived(echo, seed=1)
    assert first != survived(echo, seed=2)


def test_refuses(echo: str) -> None:
    with FaultProxy(echo) as proxy:
        proxy.refusing = True
        assert turned_away(proxy)
        proxy.refusing = False
        with dial(proxy) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"


def test_target_may_be_told_later_and_may_be_down(echo: str) -> None:
    with FaultProxy() as proxy:
        assert turned_away(proxy)
        proxy.target = echo
        with dial(proxy) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"


def test_ends_while_frozen_with_data_on_its_way(echo: str) -> None:
    with FaultProxy(echo) as proxy, dial(proxy) as sock:
        proxy.freeze()
        sock.sendall(b"x")
        eventually(lambda: proxy.connections == 1)
