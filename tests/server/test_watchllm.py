"""WatchLLM's wire: the collector answers what WatchLLM's server does, and keeps what was meant."""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings

import llmobs
from llmobs.codec import encode
from llmobs.events import Event, PromptCallEvent
from llmobs.recorded.ids import new_id
from llmobs.server.keys import looks_like_a_key
from llmobs.server.watchllm.events import from_watchllm
from llmobs.server.watchllm.rules import parse_batch
from llmobs.sinks._watchllm import to_watchllm, wire_id
from tests.server.collecting import ids, stored
from tests.sinks.examples import every_kind, prompt_call
from tests.sinks.test_watchllm_wire import any_events
from tests.support.serving import Serving
from tests.support.watchllm_server import WatchLLMServer

DATA = Path(__file__).parents[1] / "data"
SAMPLE = json.loads((DATA / "watchllm_batch_all_types.json").read_bytes())
KEY = {"authorization": "Bearer test-key"}


def sample(**changes: Any) -> dict[str, Any]:
    """Return the batch of all types, with the first event changed; None takes out."""
    batch: dict[str, Any] = copy.deepcopy(SAMPLE)
    first = batch["events"][0]
    for name, value in changes.items():
        if value is ...:
            first.pop(name, None)
        else:
            first[name] = value
    return batch


BODIES: dict[str, Any] = {
    "all types": SAMPLE,
    "minimal": json.loads((DATA / "watchllm_batch_minimal.json").read_bytes()),
    "six digits": sample(timestamp="2024-01-01T00:00:00.123456Z"),
    "an offset": sample(timestamp="2024-01-01T00:00:00.123+01:00"),
    "no such day": sample(timestamp="2024-02-30T00:00:00.123Z"),
    "an empty response": sample(response=""),
    "two projects": sample(project_id="other", response=""),
    "null": sample(user_id=None),
    "a wrong word": sample(status="ok"),
    "another kind": sample(event_type="performance_alert"),
    "no kind": sample(event_type=...),
    "no id": sample(event_id="run-1"),
    "float tokens": sample(tokens_input=1.5),
    "whole float": sample(tokens_input=12.0),
    "negative": sample(latency_ms=-1),
    "tags null": sample(tags=None),
    "a tool without a name": sample(tool_calls=[{"input": {}}]),
    "a score of 2": sample(response_metadata={"safety_score": 2}),
    "unknown keys": sample(future=1, client={"hostname": "h", "x": 1}),
    "no events": {"events": []},
    "101 events": {"events": [SAMPLE["events"][0]] * 101},
    "not an object": [],
    "events is a text": {"events": "x"},
    "an event is a number": {"events": [1]},
    "NaN": b'{"events":[NaN]}',
    "not JSON": b"{",
    "nothing": b"",
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(SAMPLE).encode(),
    "half of a pair": json.dumps(sample(prompt="@@")).encode().replace(b"@@", b"\\ud83d"),
    "bad UTF-8": json.dumps(sample(prompt="@@")).encode().replace(b"@@", b"\xff\xfe"),
}


@pytest.fixture(scope="module")
def original() -> Iterator[WatchLLMServer]:
    with WatchLLMServer() as running:
        yield running


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("lead", ["", "/v1"])
def test_it_answers_as_the_original(
    collector: Serving, original: WatchLLMServer, name: str, lead: str
) -> None:
    body = BODIES[name]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    theirs = httpx2.post(f"{original.base_url}/events/batch", content=content, headers=KEY)
    ours = httpx2.post(f"{collector.url}{lead}/events/batch", content=content, headers=KEY)
    assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())


@pytest.mark.parametrize(
    "name", ["all types", "an empty response", "null", "two projects", "not JSON"]
)
def test_one_event_by_its_project(collector: Serving, original: WatchLLMServer, name: str) -> None:
    body = BODIES[name]
    content = body if isinstance(body, bytes) else json.dumps(body["events"][0]).encode()
    path = "/projects/proj-1/events"
    theirs = httpx2.post(f"{original.base_url}{path}", content=content, headers=KEY)
    ours = httpx2.post(f"{collector.url}/v1{path}", content=content, headers=KEY)
    assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())


def test_a_wrong_key_is_answered_as_there(collector: Serving, store: Path) -> None:
    """Behind a proxy nobody comes in without a key; its server says so with 200."""
    new = [
        sys.executable,
        "-m",
        "llmobs",
        "keys",
        "add",
        "--store",
        str(store),
        "--project",
        "proj-1",
    ]
    made = subprocess.run(new, capture_output=True, text=True, check=True).stdout
    (key,) = [word for word in made.split() if looks_like_a_key(word)]
    content = json.dumps(BODIES["two projects"]).encode()
    url, proxied = f"{collector.url}/v1/events/batch", {"x-forwarded-for": "192.0.2.7"}

    def answer(**headers: str) -> tuple[int, Any]:
        found = httpx2.post(url, content=content, headers={**proxied, **headers})
        return found.status_code, found.json()

    def refused(project: str) -> dict[str, Any]:
        errors = ["Invalid API key or project access"]
        return {"projectId": project, "success": False, "processed": 0, "errors": errors}

    bad_header = (401, {"error": "Missing or invalid Authorization header"})
    assert answer() == answer(authorization="bearer nope") == bad_header
    status, body = answer(authorization="Bearer nope")
    assert status == 200, body
    assert (status, body["success"], body["total_processed"], body["total_errors"]) == (
        200,
        False,
        0,
        2,
    )
    assert body["results"] == [refused("other"), refused("proj-1")]
    status, body = answer(authorization=f"Bearer {key}")
    assert (status, body["total_processed"]) == (200, 5)
    assert body["results"][0] == refused("other")  # its key is for proj-1 alone
    health = f"{collector.url}/v1/projects/proj-1/health"
    assert httpx2.get(health, headers=proxied).status_code == 401
    assert httpx2.get(health, headers={**proxied, "authorization": f"Bearer {key}"}).is_success


def test_compressed_is_not_json_to_it(collector: Serving) -> None:
    answer = httpx2.post(
        f"{collector.url}/v1/events/batch",
        content=b"\x1f\x8b",
        headers={"content-encoding": "gzip"},
    )
    assert (answer.status_code, answer.json()) == (400, {"error": "Invalid JSON payload"})


def test_too_much_has_the_form_of_its_proxy(collector: Serving) -> None:
    answer = httpx2.post(f"{collector.url}/v1/events/batch", content=b" " * (9 << 20))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"


def test_nonsense_without_end_has_an_answer_with_one(collector: Serving) -> None:
    body = b'{"events":[' + b"0," * 1_000_000 + b"0]}"
    answer = httpx2.post(f"{collector.url}/v1/events/batch", content=body, timeout=30)
    assert answer.status_code == 400
    assert len(answer.content) < 20_000


@pytest.mark.anyio
async def test_our_own_client_on_this_wire_loses_no_field(collector: Serving, store: Path) -> None:
    events = every_kind()
    for event in events:
        event.run_id = new_id()
    async with llmobs.AsyncClient(sink=f"{collector.url}/v1") as client:
        client.log_prompt_call(
            run_id=new_id(), prompt="p", model="m", response="r", session_id="s9"
        )
        assert (await client.flush()).delivered == 1
    for event in events:
        answer = httpx2.post(
            f"{collector.url}/v1/events/batch", content=encode({"events": [to_watchllm(event)]})
        )
        assert answer.json()["success"] is True, answer.text
    found = {event.event_id: event for event in stored(store)}
    assert all(event_id in found for event_id in ids(events))
    assert "s9" in {event.session_id for event in found.values()}


COUNTED = ("tokens_input", "tokens_output", "cost_usd", "latency_ms")


@pytest.mark.parametrize("event", every_kind(), ids=lambda event: str(event.event_type))
def test_every_kind_comes_back(event: Event) -> None:
    back = and_back(event)
    assert (type(back), back.event_id, back.run_id) == (type(event), event.event_id, event.run_id)
    assert (back.environment, back.user_id, back.tags) == (
        event.environment, event.user_id, event.tags,
    )  # fmt: skip


def test_a_call_comes_back_field_by_field() -> None:
    call = prompt_call(
        event_id="call-1", status="cancelled", environment="qa", provider="openai",
        finish_reason="stop", tokens_cached=4, tokens_output=None, cost_usd=None, stream=True,
        response_metadata={"own": [1], "attempt": "many"}, prompt_template_id="t1",
        time_to_first_token_ms=12.5,
        warnings=("something",), weight=4.0, trace_id="a" * 32, latency_ms=1250.0,
    )  # fmt: skip
    back = and_back(call)
    assert isinstance(back, PromptCallEvent)
    call.timestamp = back.timestamp  # milliseconds
    assert back == call


@settings(max_examples=60)
@given(any_events())
def test_whatever_was_recorded_comes_back_as_what_it_was(event: Event) -> None:
    back = and_back(event)
    assert type(back) is type(event)
    assert back.event_id in (event.event_id, wire_id(event))
    for name in COUNTED:
        value = getattr(event, name, None)
        if value is None and type(event) is PromptCallEvent:
            assert getattr(back, name) is None


def and_back(event: Event) -> Event:
    (wire,), issues = parse_batch({"events": [json.loads(encode(to_watchllm(event)))]})
    assert not issues
    return from_watchllm(wire)


def test_what_others_put_there_stays() -> None:
    wire = copy.deepcopy(SAMPLE["events"][0])
    wire["response_metadata"] = {
        "provider": 7, "event_id": "mine", "unknown": ["weather"], "environment": None, "weight": "heavy",
    }  # fmt: skip
    (parsed,), _ = parse_batch({"events": [wire]})
    event = from_watchllm(parsed)
    assert isinstance(event, PromptCallEvent)
    assert event.event_id == wire["event_id"]
    assert event.response_metadata is not None
    assert event.response_metadata["provider"] == 7 and event.response_metadata["weight"] == "heavy"
    assert event.response_metadata["unknown"] == ["weather"] and event.environment == wire["env"]
