"""
Django under real servers: requests, a stream in flight, then a signal; what was recorded is in the store.

The events wait in memory until the end on purpose (`flush_interval_seconds` is a minute).
"""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.servers.serving import Server, serving
from tests.support.arrivals import Note
from tests.support.polling import eventually

pytest.importorskip("django")

pytestmark = [pytest.mark.servers]

WSGI = "tests.servers.django_wsgi:application"
ASGI = "tests.servers.django_asgi:application"
STREAM = "/stream?chunks=12&pause=0.05"
SYNC_STREAM = "/sync-stream?chunks=12&pause=0.05"

CASES = [
    ("gunicorn-wsgi --worker-class sync --workers 2", WSGI),
    ("gunicorn-wsgi --worker-class gthread --threads 4", WSGI),
    ("gunicorn-wsgi --worker-class gthread --threads 4 --preload --workers 2", WSGI),
    ("granian-wsgi", WSGI),
    ("uwsgi --processes 1", WSGI),
    ("uwsgi --processes 2 --threads 2", WSGI),
    ("gunicorn", ASGI),
    ("gunicorn --preload --workers 2", ASGI),
    ("uvicorn", ASGI),
    ("uvicorn --lifespan off", ASGI),
    ("uvicorn --workers 2", ASGI),
    ("hypercorn --worker-class asyncio", ASGI),
    ("granian", ASGI),
    ("daphne", ASGI),
]


def take_requests(server: Server) -> None:
    paths = ["/async"] * 20 + ["/sync"] * 20 + ["/sync-stream"] * 10 + ["/stream"] * 10
    with httpx2.Client(timeout=20) as client, ThreadPoolExecutor(4) as pool:
        for text in pool.map(lambda path: server.ask(client, path), paths):
            if text.isdigit():
                server.pids.add(text)


RECORDED = 20 + 20 + 20 * 4


@pytest.mark.parametrize(("name", "app"), CASES)
def test_everything_recorded_arrives(name: str, app: str, tmp_path: Path, note_row: Note) -> None:
    streams = (SYNC_STREAM,) if app == WSGI else (STREAM,)
    with serving(name, tmp_path, app=app) as server:
        take_requests(server)
        with server.streams_in_flight(*streams):
            server.signal(signal.SIGTERM)
        server.wait()
        arrivals = server.arrivals()
        note_row(f"Django: {name}", "SIGTERM", server.answered.total(), arrivals)
        assert len(arrivals.recorded) >= RECORDED + 1
        assert not arrivals.lost
        unfinished = server.run_ids - arrivals.runs
        # Daphne kills what it serves: what was recorded arrives, but the stream's run has not ended.
        assert len(unfinished) == (name == "daphne")


def test_runserver_delivers_at_its_reload_and_at_its_end(tmp_path: Path, note_row: Note) -> None:
    module = tmp_path / "code" / "reloaded.py"
    module.parent.mkdir()
    module.write_text(
        "from tests.servers.django_site import *\nfrom tests.servers.django_site import path\n"
    )
    with serving(
        "runserver", tmp_path, app="", python_path=module.parent, DJANGO_SETTINGS_MODULE="reloaded"
    ) as server:
        take_requests(server)
        (before,) = server.pids
        with server.streams_in_flight(SYNC_STREAM):
            module.write_text(module.read_text() + "# changed\n")
        eventually(lambda: _new_process(server, before), timeout=30, what="the reload")
        assert len(server.arrivals().stored) >= RECORDED
        (after,) = server.pids - {before}
        os.kill(int(after), signal.SIGTERM)
        server.wait()
        arrivals = server.arrivals()
        note_row("Django: runserver", "touch, SIGTERM", server.answered.total(), arrivals)
        # The old process serves on in daemon threads while it exits: some may answer our asking for the
        # new one after the last delivery.
        assert len(arrivals.lost) <= 3


def _new_process(server: Server, before: str) -> bool:
    try:
        with httpx2.Client(timeout=5) as client:
            answer = server.ask(client, "/sync")
    except httpx2.HTTPError:
        return False
    server.pids.add(answer)
    return answer != before


def test_the_plain_asgi_application_shows_why_there_is_ours(tmp_path: Path, note_row: Note) -> None:
    """Without it nothing tells the client of the end: if this delivered, ours would prove nothing."""
    with serving("uvicorn", tmp_path, app="tests.servers.django_plain:application") as server:
        take_requests(server)
        server.signal(signal.SIGTERM)
        server.wait()
        arrivals = server.arrivals()
        note_row(
            "Django: uvicorn, Django's own application",
            "SIGTERM",
            server.answered.total(),
            arrivals,
        )
        assert arrivals.lost


def test_a_wrong_setting_stops_an_asgi_server(tmp_path: Path) -> None:
    import subprocess

    from tests.servers.serving import ROOT, command
    from tests.support.ports import free_ports

    (port,) = free_ports(1)
    ended = subprocess.run(
        command("uvicorn", port, ASGI), cwd=tmp_path, capture_output=True, text=True, timeout=40, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LLMOBS_BATCH_SIZE": "many"},
    )  # fmt: skip
    assert ended.returncode != 0
    assert "LLMOBS_BATCH_SIZE" in ended.stderr
