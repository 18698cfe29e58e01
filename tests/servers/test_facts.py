"""Facts of DESIGN §5 that need no signal, shown under a real uvicorn with their wrong variants."""

import signal
from collections.abc import Iterator

import httpx2
import pytest

from tests.servers.serving import Server, serving
from tests.support.polling import eventually

pytestmark = [pytest.mark.servers]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("facts")
    with serving("uvicorn", folder, app="tests.servers.facts_app:app") as server:
        yield server


def test_a_run_around_a_yield_survives_another_context(server: Server) -> None:
    """Fact 12: what is entered in one context may be left in another; tokens may not."""
    assert httpx2.get(f"{server.url}/right").status_code == 200
    assert "different Context" not in server.log
    httpx2.get(f"{server.url}/wrong")  # answered before the dependency is left
    wrong = "was created in a different Context"
    eventually(lambda: wrong in server.log, what="the error of the wrong variant")


def test_what_an_endpoint_does_behind_base_http_middleware_is_seen(server: Server) -> None:
    """Fact 19: a value set inside is not seen outside; the mutable run is."""
    answer = httpx2.get(f"{server.url}/count")
    assert answer.headers["x-run"] == "2"
    assert answer.headers["x-variable"] == "0"


def test_the_runs_are_in_the_store(server: Server) -> None:
    run_id = httpx2.get(f"{server.url}/right").text.strip('"')
    counted = httpx2.get(f"{server.url}/count").headers["x-run-id"]
    server.signal(signal.SIGTERM)
    server.wait()
    assert {run_id, counted} <= server.arrivals().runs
