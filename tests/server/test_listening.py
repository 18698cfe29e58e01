"""Where it listens, who it tells what, and how it ends."""

import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.server.collecting import body_of, post, stored
from tests.sinks.examples import prompt_call
from tests.support.polling import eventually
from tests.support.serving import Serving

HAS_IPV6 = socket.has_ipv6 and Path("/proc/net/if_inet6").exists()


def refused(*options: str) -> str:
    """Return what it says when it does not start."""
    command = [sys.executable, "-m", "llmobs", "serve", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.count("\n") == 1
    return ended.stderr


@pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 here")
def test_both_loopback_addresses(collector: Serving) -> None:
    assert post(f"http://127.0.0.1:{collector.port}", b'{"events":[]}').status_code == 200
    assert post(f"http://[::1]:{collector.port}", b'{"events":[]}').status_code == 200


def test_a_taken_port_names_its_holder_and_the_way_out(collector: Serving, tmp_path: Path) -> None:
    words = refused("--port", str(collector.port), "--store", str(tmp_path / "other.db"))
    assert f"port {collector.port} on 127.0.0.1 is taken" in words
    assert f"process {collector.process.pid} (" in words and "--port" in words
    assert not (tmp_path / "other.db").exists()


def test_a_port_taken_on_one_address_only(tmp_path: Path) -> None:
    """Half a collector, that SDKs find or not by how they resolve a name, does not start."""
    if not HAS_IPV6:
        pytest.skip("no IPv6 here")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as holder:
        port = holder.getsockname()[1]
        assert "on ::1 is taken" in refused("--port", str(port), "--store", str(tmp_path / "x.db"))


def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    words = refused("--host", "192.0.2.1", "--store", str(tmp_path / "x.db"))
    assert "--host 192.0.2.1" in words


def test_a_store_that_cannot_be_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused("--port", "0", "--store", str(tmp_path / "file" / "x.db"))
    (tmp_path / "lines.jsonl").write_text("{}\n")
    assert "JSON lines" in refused("--port", "0", "--store", str(tmp_path / "lines.jsonl"))


def test_who_speaks_grpc_is_told_once(collector: Serving) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", collector.port), timeout=10) as client:
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            answer = b"".join(iter(lambda: client.recv(4096), b""))
            # SETTINGS, then GOAWAY with HTTP_1_1_REQUIRED and the way out.
            assert answer.startswith(b"\0\0\0\4") and b"http/protobuf" in answer
    said = eventually(
        lambda: [x for x in collector.lines if "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in x],
        what="the line",
    )
    assert len(said) == 1


def test_what_is_no_http_is_no_trouble(collector: Serving) -> None:
    for junk in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\0" * 100):
        with socket.create_connection(("127.0.0.1", collector.port), timeout=10) as client:
            client.sendall(junk)
            client.shutdown(socket.SHUT_WR)
            client.recv(4096)
    assert post(collector.url, b'{"events":[]}').status_code == 200
    assert "Traceback" not in collector.log


def test_asked_to_end_it_answers_what_it_took_and_ends_with_0(tmp_path: Path) -> None:
    with Serving(tmp_path / "llmobs.db") as running:
        event = prompt_call()
        # A body that is half there when the signal comes.
        body = body_of([event])
        with socket.create_connection(("127.0.0.1", running.port), timeout=30) as client:
            client.sendall(
                b"POST /v1/events/batch HTTP/1.1\r\nhost: localhost\r\n"
                b"content-type: application/vnd.llmobs+json\r\n"
                b"content-length: %d\r\n\r\n" % len(body) + body[:20]
            )
            post(running.url, b'{"events":[]}')  # it has been seen
            running.process.terminate()
            eventually(lambda: _is_closed(running.port), what="no more connections")
            client.sendall(body[20:])
            answer = b"".join(iter(lambda: client.recv(4096), b""))
            assert b" 200 " in answer.splitlines()[0] and b'"stored":1' in answer
        assert running.terminate() == 0
    assert not (tmp_path / "llmobs.db-wal").exists()  # folded back into the file
    assert [found.event_id for found in stored(tmp_path / "llmobs.db")] == [event.event_id]
    assert "Traceback" not in running.log


def _is_closed(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return True
    return False


def test_it_starts_light(collector: Serving) -> None:
    """Neither pydantic nor SDKs come along; the budget itself is measured in benchmarks."""
    code = (
        "import sys\nfrom llmobs.server import command\n"
        "print([m for m in ('pydantic', 'httpx2', 'rich', 'opentelemetry', 'genai_prices', 'aiokafka')"
        " if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_help_says_what_it_does() -> None:
    command = [sys.executable, "-m", "llmobs", "serve", "--help"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"--port.*4318", out, re.DOTALL)


def test_it_speaks_to_plain_clients(collector: Serving) -> None:
    request = urllib.request.Request(f"{collector.url}/v1/events/batch", data=b"{")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert caught.value.code == 400
    caught.value.close()
