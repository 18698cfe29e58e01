"""The WatchLLM stand-in over real HTTP: every answer, every fault."""

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.faults import Fault
from tests.support.polling import eventually
from tests.support.watchllm_server import EVERY_PROJECT, WatchLLMServer

MINIMAL = json.loads(
    (Path(__file__).parents[1] / "data" / "watchllm_batch_minimal.json").read_bytes()
)
EVENT = MINIMAL["events"][0]


@pytest.fixture
def server() -> Iterator[WatchLLMServer]:
    with WatchLLMServer() as running:
        yield running


@pytest.fixture
def http(server: WatchLLMServer) -> Iterator[httpx2.Client]:
    headers = {"authorization": "Bearer test-key"}
    with httpx2.Client(base_url=server.base_url, headers=headers, timeout=5) as client:
        yield client


def post(http: httpx2.Client, body: Any = MINIMAL, **options: Any) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http.post("/events/batch", content=content, **options)


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["event_id"] for event in events]


def test_base_url_ends_in_v1(server: WatchLLMServer) -> None:
    assert server.base_url.startswith("http://127.0.0.1:")
    assert server.base_url.endswith("/v1")


def test_all_stored(server: WatchLLMServer, http: httpx2.Client) -> None:
    answer = post(http)
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "total_processed": 6,
        "total_errors": 0,
        "results": [{"projectId": "proj-1", "success": True, "processed": 6, "errors": []}],
    }
    assert ids(server.events) == ids(MINIMAL["events"])


def test_one_result_for_each_project(http: httpx2.Client) -> None:
    other = EVENT | {"project_id": "proj-2"}
    answer = post(http, {"events": [EVENT, other, EVENT]}).json()
    assert [(r["projectId"], r["processed"]) for r in answer["results"]] == [
        ("proj-1", 2),
        ("proj-2", 1),
    ]


def test_duplicates_are_stored_twice(server: WatchLLMServer, http: httpx2.Client) -> None:
    post(http, {"events": [EVENT]})
    post(http, {"events": [EVENT]})
    assert ids(server.events) == [EVENT["event_id"]] * 2


def test_the_second_validator_refuses_single_events_with_200(
    server: WatchLLMServer, http: httpx2.Client
) -> None:
    late = EVENT | {"timestamp": "2024-01-01T00:00:00.123456Z"}
    answer = post(http, {"events": [EVENT, late]})
    assert answer.status_code == 200
    reason = "timestamp is required and must be a valid ISO date"
    assert answer.json() == {
        "success": False,
        "total_processed": 1,
        "total_errors": 1,
        "results": [
            {
                "projectId": "proj-1",
                "success": False,
                "processed": 1,
                "errors": [f"Event {EVENT['event_id']}: Invalid event: {reason}"],
            }
        ],
    }
    assert len(server.events) == 1


def test_zod_refuses_the_whole_batch(server: WatchLLMServer, http: httpx2.Client) -> None:
    bad = EVENT | {"status": "ok", "latency_ms": 1.5}
    answer = post(http, {"events": [EVENT, EVENT, EVENT, bad]})
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "Batch validation failed: events.3.status: Invalid enum value. Expected "
        "'success' | 'error' | 'timeout' | 'assertion_failed' | 'warning', received 'ok', "
        "events.3.latency_ms: Expected integer, received float"
    }
    assert server.events == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"events": [NaN]}',
        b'{"events": [Infinity]}',
        gzip.compress(json.dumps(MINIMAL).encode()),
    ],
    ids=["empty", "cut", "NaN", "Infinity", "gzip"],
)
def test_not_json(server: WatchLLMServer, http: httpx2.Client, body: bytes) -> None:
    answer = post(http, body, headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()) == (400, {"error": "Invalid JSON payload"})


@pytest.mark.parametrize("value", ["test-key", "bearer test-key", "Bearer", "Basic dGVzdA=="])
def test_authorization_has_one_form(
    server: WatchLLMServer, http: httpx2.Client, value: str
) -> None:
    answer = post(http, headers={"authorization": value})
    assert answer.status_code == 401
    assert answer.json() == {"error": "Missing or invalid Authorization header"}


def test_no_authorization(server: WatchLLMServer) -> None:
    assert httpx2.post(f"{server.base_url}/events/batch", json=MINIMAL).status_code == 401


def test_a_wrong_key_is_answered_with_200(server: WatchLLMServer, http: httpx2.Client) -> None:
    answer = post(http, headers={"authorization": "Bearer other"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["success"], body["total_processed"], body["total_errors"]) == (False, 0, 1)
    assert body["results"][0]["errors"] == ["Invalid API key or project access"]
    assert server.events == []


def test_a_key_may_be_for_some_projects() -> None:
    with (
        WatchLLMServer({"mine": {"proj-1"}, "all": EVERY_PROJECT}) as server,
        httpx2.Client(base_url=server.base_url) as http,
    ):
        both = {"events": [EVENT, EVENT | {"project_id": "proj-2"}]}
        mine = post(http, both, headers={"authorization": "Bearer mine"}).json()
        assert [result["success"] for result in mine["results"]] == [True, False]
        every = post(http, both, headers={"authorization": "Bearer all"}).json()
        assert every["success"]
        assert post(http, both, headers={"authorization": "Bearer test-key"}).json()[
            "total_errors"
        ] == len(both["events"])


def test_a_limit_on_the_body_if_asked() -> None:
    with (
        WatchLLMServer(most_bytes=1024 * 1024) as server,
        httpx2.Client(base_url=server.base_url) as http,
    ):
        headers = {"authorization": "Bearer test-key"}
        answer = post(http, {"events": [EVENT | {"prompt": "x" * 1024 * 1024}]}, headers=headers)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "request_too_large"
        assert post(http, headers=headers).status_code == 200


def test_single_event_route(server: WatchLLMServer, http: httpx2.Client) -> None:
    route = "/projects/proj-1/events"
    stored = http.post(route, json=EVENT)
    assert stored.json() == {"success": True, "event_id": EVENT["event_id"]}
    refused = {
        "project_id in event does not match URL parameter": EVENT | {"project_id": "proj-2"},
        "Validation failed: status: Invalid enum value.": EVENT | {"status": "ok"},
    }
    for error, body in refused.items():
        answer = http.post(route, json=body)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(error)
    wrong = http.post(route, json=EVENT, headers={"authorization": "Bearer other"})
    assert wrong.json() == {"error": "Invalid API key or project access"}
    assert len(server.events) == 1


def test_health_checks_the_key(http: httpx2.Client) -> None:
    assert http.get("/projects/p/health").json()["status"] == "healthy"
    other = {"authorization": "Bearer other"}
    assert http.get("/projects/p/health", headers=other).status_code == 401


def test_requests_are_remembered(server: WatchLLMServer, http: httpx2.Client) -> None:
    before = time.monotonic()
    post(http, headers={"User-Agent": "me/1"})
    (seen,) = eventually(lambda: server.requests)
    assert (seen.method, seen.path, seen.status) == ("POST", "/v1/events/batch", 200)
    assert seen.headers["user-agent"] == "me/1"
    assert json.loads(seen.body) == MINIMAL
    assert seen.size == len(json.dumps(MINIMAL))
    assert before <= seen.time <= time.monotonic()
    server.forget()
    assert (server.requests, server.events) == ([], [])


def test_faults_come_in_their_order_and_end(server: WatchLLMServer, http: httpx2.Client) -> None:
    server.faults.add(
        Fault.answer(503, retry_after=2, times=2), Fault.answer(429, b'{"error":"x"}')
    )
    statuses = [post(http) for _ in range(4)]
    assert [answer.status_code for answer in statuses] == [503, 503, 429, 200]
    assert statuses[0].headers["retry-after"] == "2"
    assert statuses[2].json() == {"error": "x"}
    assert len(server.events) == len(MINIMAL["events"])


def test_a_fault_can_last_until_cleared(server: WatchLLMServer, http: httpx2.Client) -> None:
    server.faults.add(Fault.answer(500, times=-1))
    assert {post(http).status_code for _ in range(5)} == {500}
    server.faults.clear()
    assert post(http).status_code == 200


def test_slow(server: WatchLLMServer, http: httpx2.Client) -> None:
    server.faults.add(Fault.slow(0.3))
    began = time.monotonic()
    assert post(http).status_code == 200
    assert time.monotonic() - began >= 0.3


def test_closed_without_an_answer(server: WatchLLMServer, http: httpx2.Client) -> None:
    server.faults.add(Fault.close())
    with pytest.raises(httpx2.RemoteProtocolError):
        post(http)
    assert server.events == []
    assert eventually(lambda: server.requests)[0].status is None


def test_stored_but_never_answered(server: WatchLLMServer, http: httpx2.Client) -> None:
    server.faults.add(Fault.swallow())
    with pytest.raises(httpx2.RemoteProtocolError):
        post(http)
    assert ids(server.events) == ids(MINIMAL["events"])


def test_reset_in_the_body(server: WatchLLMServer, http: httpx2.Client) -> None:
    server.faults.add(Fault.reset())
    with pytest.raises(httpx2.ReadError):
        post(http)


def test_half_open(server: WatchLLMServer, http: httpx2.Client) -> None:
    server.faults.add(Fault.half_open())
    with pytest.raises(httpx2.ReadTimeout):
        post(http, timeout=0.3)
    assert post(http).status_code == 200


def test_ending_does_not_wait_for_a_half_open_connection() -> None:
    with WatchLLMServer() as server:
        server.faults.add(Fault.half_open())
        client = httpx2.Client(base_url=server.base_url, timeout=0.2)
        with pytest.raises(httpx2.ReadTimeout):
            post(client)
        began = time.monotonic()
    client.close()
    assert time.monotonic() - began < 3


def test_wrong_json(server: WatchLLMServer, http: httpx2.Client) -> None:
    server.faults.add(Fault.wrong_json())
    answer = post(http)
    assert answer.status_code == 200
    with pytest.raises(ValueError):
        answer.json()


def test_endless_headers(server: WatchLLMServer, http: httpx2.Client) -> None:
    server.faults.add(Fault.endless_headers())
    with pytest.raises(httpx2.RemoteProtocolError):
        post(http)


def test_redirect_loop(server: WatchLLMServer, http: httpx2.Client) -> None:
    server.faults.add(Fault.redirect_loop())
    answer = post(http)
    assert answer.status_code == 307
    assert answer.headers["location"] == f"{server.base_url}/events/batch"
    with pytest.raises(httpx2.TooManyRedirects):
        post(http, follow_redirects=True)
