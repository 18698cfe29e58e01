"""
200 requests and two streams in flight, then a signal: every event recorded is in the store.

The events wait in memory until the end on purpose (`flush_interval_seconds` is a minute).
"""

import signal
from importlib.util import find_spec
from pathlib import Path

import httpx2
import pytest

from tests.servers.serving import Server, serving
from tests.support.arrivals import Note
from tests.support.polling import eventually

pytestmark = [pytest.mark.servers]

needs_httptools = pytest.mark.skipif(find_spec("httptools") is None, reason="needs httptools")

CASES = [
    ("uvicorn --loop asyncio --http h11", "SIGTERM"),
    ("uvicorn --loop uvloop", "SIGTERM"),
    pytest.param("uvicorn --loop uvloop --http httptools", "SIGTERM", marks=needs_httptools),
    ("uvicorn", "SIGINT"),
    ("uvicorn --workers 2", "SIGTERM"),
    ("uvicorn --workers 2", "SIGINT"),
    ("uvicorn --lifespan off", "SIGTERM"),
    ("hypercorn --worker-class asyncio", "SIGTERM"),
    ("hypercorn --worker-class asyncio", "SIGINT"),
    ("hypercorn --worker-class trio", "SIGTERM"),
    ("hypercorn --worker-class trio", "SIGINT"),
    ("granian", "SIGTERM"),
    ("granian", "SIGINT"),
    ("granian --workers 2", "SIGTERM"),
    ("gunicorn", "SIGTERM"),
    ("gunicorn", "SIGINT"),
    ("gunicorn --preload --workers 2", "SIGTERM"),
]


@pytest.mark.parametrize(("name", "signal_name"), CASES)
def test_everything_recorded_arrives(
    name: str, signal_name: str, tmp_path: Path, note_row: Note
) -> None:
    websockets = "trio" not in name  # hypercorn's trio worker loses its own, without us too
    # One ends after it has looked for prices.
    priced = {"TEST_LOOKS_FOR_PRICES": "1"} if name == "uvicorn" else {}
    with serving(name, tmp_path, **priced) as server:
        server.take_200_requests(websockets)
        with server.streams_in_flight():
            server.signal(getattr(signal, signal_name))
        server.wait()
        arrivals = server.arrivals()
        note_row(name, signal_name, server.answered.total(), arrivals)
        assert server.answered.total() >= 192 + 10 * websockets
        assert len(arrivals.recorded) >= 60 + 50 + 30 * 4 + 10 * 3 + 40 * 2 + 20 * websockets + 2
        assert not arrivals.lost
        assert server.run_ids <= arrivals.runs
        assert "'lifespan' protocol" not in server.log  # how uvicorn says that it went wrong


def test_a_reload_delivers_what_the_old_process_recorded(tmp_path: Path, note_row: Note) -> None:
    module = tmp_path / "code" / "reloaded.py"
    module.parent.mkdir()
    module.write_text("from tests.servers.app import app\n")
    name = f"uvicorn --reload --reload-dir {module.parent}"
    with serving(name, tmp_path, app="reloaded:app", python_path=module.parent) as server:
        server.take_200_requests()
        (before,) = server.pids
        with server.streams_in_flight():
            module.write_text("from tests.servers.app import app  # changed\n")
        eventually(lambda: _new_process(server, before), timeout=20, what="the reload")
        delivered = server.arrivals()
        with server.streams_in_flight():
            server.signal(signal.SIGTERM)
        server.wait()
        arrivals = server.arrivals()
        note_row("uvicorn --reload", "touch, SIGTERM", server.answered.total(), arrivals)
        assert len(delivered.stored) >= 385  # by the old process, while the new one serves
        assert not arrivals.lost
        assert server.run_ids <= arrivals.runs


def _new_process(server: Server, before: str) -> bool:
    try:
        answer = httpx2.get(f"{server.url}/async", timeout=5)
    except httpx2.HTTPError:
        return False
    return answer.text.strip('"') != before


def test_without_lifespan_failed_requests_are_delivered_too(tmp_path: Path, note_row: Note) -> None:
    with serving("uvicorn --lifespan off", tmp_path) as server:
        for _ in range(5):
            with httpx2.Client() as client:  # anew: uvicorn hangs up after an exception
                assert "Internal Server Error" in server.ask(client, "/fails")
        # They wait a tenth of a second for it at most, which on a busy machine is too short.
        eventually(
            lambda: len(server.arrivals().runs) == 5, what="delivery, with no end and no interval"
        )
        server.signal(signal.SIGTERM)
        server.wait()
        arrivals = server.arrivals()
        note_row("uvicorn --lifespan off, 500s", "SIGTERM", server.answered.total(), arrivals)
        assert len(arrivals.recorded) == 5
        assert not arrivals.lost
        assert len(arrivals.runs) == 5
        assert server.log.count("runs no lifespan") == 1


@pytest.mark.parametrize("variant", ["wraps-the-lifespan", "trusts-atexit"])
def test_the_obvious_wrong_middleware_loses_events(
    variant: str, tmp_path: Path, note_row: Note
) -> None:
    """Facts 1 and 2: if these delivered, the tests above would prove nothing."""
    with serving("uvicorn", tmp_path, TEST_VARIANT=variant) as server:
        server.take_200_requests(websockets=False)
        server.signal(signal.SIGTERM)
        server.wait()
        arrivals = server.arrivals()
        note_row(f"uvicorn, wrong: {variant}", "SIGTERM", server.answered.total(), arrivals)
        assert len(arrivals.recorded) == 340
        assert len(arrivals.lost) > 0
