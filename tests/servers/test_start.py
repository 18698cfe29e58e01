"""A wrong setting stops the start, with its words; a sink that does not answer stops nobody."""

import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.servers.serving import ROOT, command, serving
from tests.support.polling import eventually
from tests.support.ports import free_ports

pytestmark = [pytest.mark.servers]


@pytest.mark.parametrize(
    "server",
    [
        "uvicorn",
        "uvicorn --lifespan on",
        "hypercorn --worker-class asyncio",
        "hypercorn --worker-class trio",
        "granian",
        "gunicorn",
    ],
)
def test_a_wrong_setting_stops_the_start_with_its_words(server: str, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command(server, port),
            cwd=tmp_path,
            env={
                "PATH": "",
                "PYTHONPATH": str(ROOT),
                "TEST_LEDGER": str(tmp_path / "ledger"),
                "TEST_OPTIONS": '{"header_name": "no header"}',
            },
            stdout=log,
            stderr=log,
        )
    try:
        process.wait(30)
    finally:
        process.kill()
        process.wait(10)
    assert process.returncode != 0 or server.startswith("hypercorn")  # it ends with 0, always
    assert "header_name: 'no header' is no name of an HTTP header" in (tmp_path / "log").read_text()


def test_a_sink_that_does_not_answer_occupies_no_request(tmp_path: Path) -> None:
    """Without a lifespan one request at a time waits for the delivery; the others are free."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with (
            serving(
                "uvicorn --lifespan off --limit-concurrency 10",
                tmp_path,
                LLMOBS_SINK=f"http://127.0.0.1:{port}/v1",
                LLMOBS_FLUSH_INTERVAL_SECONDS="0.05",
                LLMOBS_SHUTDOWN_TIMEOUT="5",
            ) as server,
            httpx2.Client(limits=httpx2.Limits(max_connections=3), timeout=20) as client,
        ):
            with ThreadPoolExecutor(3) as pool:
                asked = [pool.submit(server.ask, client, "/async") for _ in range(60)]
                for future in asked:
                    future.result(30)
            eventually(lambda: "no lifespan" in server.log, what="the log line")
            assert server.answered == {"/async 200": 60}
