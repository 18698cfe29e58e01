"""The HTTP sink against servers that behave, and servers that do not."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from backports import zstd

import llmobs
from llmobs.codec import decode
from llmobs.errors import (
    ConfigurationError,
    SinkError,
    SinkMisconfiguredError,
    SinkRejectedError,
    SinkTooLargeError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)
from llmobs.pipeline.sink import Batch
from llmobs.runtime.context import own_traffic
from llmobs.sinks import resolve
from llmobs.sinks.http import HTTPSink
from tests.sinks.examples import every_kind, prompt_call
from tests.support.certificates import make_certificates
from tests.support.faults import Fault
from tests.support.polling import eventually
from tests.support.scripted_server import Reply, ScriptedServer, Seen
from tests.support.watchllm_server import WatchLLMServer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def shared_server() -> Iterator[WatchLLMServer]:
    with WatchLLMServer({"test-key": {"shop", "other"}}) as server:
        yield server


@pytest.fixture
def server(shared_server: WatchLLMServer) -> WatchLLMServer:
    shared_server.faults.clear()
    shared_server.forget()
    return shared_server


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@asynccontextmanager
async def opened(*args: Any, **keywords: Any) -> AsyncIterator[HTTPSink]:
    sink = HTTPSink(*args, **{"timeout": 10, **keywords})
    await sink.open()
    try:
        yield sink
    finally:
        await sink.aclose()


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["event_id"] for event in events]


# WatchLLM's wire.


async def test_every_kind_of_event_is_stored(server: WatchLLMServer) -> None:
    events = every_kind()
    async with opened(server.base_url, "test-key") as sink:
        await sink.send(Batch(events))
    assert ids(server.events) == [event.event_id for event in events]
    (request,) = eventually(lambda: server.requests)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("llmobs/")
    assert "content-encoding" not in request.headers


async def test_end_to_end_through_a_client(server: WatchLLMServer) -> None:
    url = server.base_url.replace("http://", "http://test-key@")
    client = llmobs.AsyncClient(sink=url, project_id="shop", flush_interval_seconds=0.01)
    async with client:
        with client.run(name="job") as run:
            for number in range(250):
                run.log_prompt_call(f"prompt {number}", "gpt-4o", "answer", 1, 2, 3)
        report = await client.flush()
    assert (report.delivered, report.dropped, report.pending) == (251, {}, 0)
    assert len(server.events) == 251
    assert max(len(json.loads(r.body)["events"]) for r in server.requests) <= 100


async def test_a_connection_is_kept(scripted: ScriptedServer) -> None:
    async with opened(scripted.url) as sink:
        for _ in range(3):
            await sink.send(Batch([prompt_call()]))
    assert len({seen.port for seen in scripted.requests}) == 1


async def test_a_wrong_key_is_told_by_the_body_of_a_200(server: WatchLLMServer) -> None:
    async with opened(server.base_url, "wrong-key") as sink:
        with pytest.raises(SinkUnauthorizedError, match="Invalid API key or project access"):
            await sink.send(Batch([prompt_call()]))
    assert server.events == []


async def test_no_key_at_all(server: WatchLLMServer) -> None:
    async with opened(server.base_url) as sink:
        with pytest.raises(SinkUnauthorizedError, match="HTTP 401: Missing or invalid"):
            await sink.send(Batch([prompt_call()]))


async def test_a_project_the_key_does_not_open_loses_only_its_own_events(
    server: WatchLLMServer,
) -> None:
    good, bad = prompt_call(), prompt_call(project_id="foreign")
    async with opened(server.base_url, "test-key") as sink:
        with pytest.raises(SinkRejectedError) as caught:
            await sink.send(Batch([good, bad]))
    assert set(caught.value.events) == {bad.event_id}
    assert caught.value.delivered
    assert ids(server.events) == [good.event_id]


async def test_events_refused_one_by_one_are_named(scripted: ScriptedServer) -> None:
    first, second = prompt_call(), prompt_call()
    errors = [f"Event {second.event_id}: Invalid event: response is required, and so on"]
    result = {"projectId": "shop", "success": False, "processed": 1, "errors": errors}
    answer = {"success": False, "total_processed": 1, "total_errors": 1, "results": [result]}
    scripted.replies = [Reply(body=json.dumps(answer).encode())]
    async with opened(scripted.url) as sink:
        with pytest.raises(SinkRejectedError) as caught:
            await sink.send(Batch([first, second]))
    words = "Invalid event: response is required, and so on"
    assert caught.value.events == {second.event_id: words}
    assert caught.value.delivered


@pytest.mark.parametrize(
    ("processed", "named", "unknown", "outcome"),
    [
        pytest.param(3, 0, 1, (3, {}), id="all kept, and one complaint about nobody"),
        pytest.param(2, 0, 1, (2, {"rejected": 1}), id="one refused under another name"),
        pytest.param(1, 1, 0, (1, {"rejected": 2}), id="one refused in silence"),
        pytest.param(None, 1, 0, (2, {"rejected": 1}), id="no figures"),
        pytest.param(0, 0, 1, (0, {"rejected": 3}), id="nothing kept"),
    ],
)
async def test_what_a_200_counts_and_what_it_names(
    scripted: ScriptedServer,
    processed: int | None,
    named: int,
    unknown: int,
    outcome: tuple[int, dict[str, int]],
) -> None:
    def respond(seen: Seen) -> Reply:
        ids = [event["event_id"] for event in json.loads(seen.body)["events"]]
        errors = [f"Event {name}: Invalid event" for name in [*ids[:named], *["nobody"] * unknown]]
        answer = {"success": False, "results": [{"errors": errors}]}
        if processed is not None:
            answer["total_processed"] = processed
        return Reply(body=json.dumps(answer).encode())

    scripted.respond = respond
    async with llmobs.AsyncClient(sink=scripted.url) as client:
        for _ in range(3):
            client.log_prompt_call("run-1", "p", "m", "r", 1, 1, 1)
        report = await client.flush(5)
    assert (report.delivered, report.dropped) == outcome
    assert len(scripted.requests) == 1


async def test_events_beside_a_refused_one_that_were_not_kept_are_sent_again(
    scripted: ScriptedServer,
) -> None:
    def respond(seen: Seen) -> Reply:
        ids = [event["event_id"] for event in json.loads(seen.body)["events"]]
        errors = [f"Event {ids[0]}: Invalid event"] if len(ids) == 3 else []
        answer = {"success": not errors, "total_processed": 0 if errors else len(ids)}
        return Reply(body=json.dumps({**answer, "results": [{"errors": errors}]}).encode())

    scripted.respond = respond
    async with llmobs.AsyncClient(sink=scripted.url) as client:
        for _ in range(3):
            client.log_prompt_call("run-1", "p", "m", "r", 1, 1, 1)
        report = await client.flush(5)
    assert (report.delivered, report.dropped) == (2, {"rejected": 1})
    assert len(scripted.requests) == 2


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("words", ["Event {id}: {said}", "Invalid API key {said}", "Odd: {said}"])
async def test_what_a_server_repeats_of_the_key_is_not_said(
    scripted: ScriptedServer, status: int, words: str
) -> None:
    event = prompt_call()
    text = words.format(id=event.event_id, said="s3cret-key " + "x" * 100_000)
    body = {"success": False, "total_processed": 0, "results": [{"errors": [text]}]}
    if status == 400:
        body = {"error": f"events.0.prompt: {text}, events.{'9' * 5000}.prompt: odd"}
    scripted.replies = [Reply(status, json.dumps(body).encode())]
    async with opened(scripted.url, "s3cret-key") as sink:
        with pytest.raises(SinkError) as caught:
            await sink.send(Batch([event]))
    said = str(caught.value) + str(getattr(caught.value, "events", ""))
    assert "s3cret" not in said
    assert len(said) < 1_000


async def test_an_error_with_a_200_is_no_delivery(scripted: ScriptedServer) -> None:
    scripted.replies = [Reply(body=b'{"error":{"message":"the project is frozen"}}')]
    async with opened(scripted.url) as sink:
        with pytest.raises(SinkUnavailableError, match="the project is frozen"):
            await sink.send(Batch([prompt_call()]))


async def test_events_a_400_names_are_refused_and_the_rest_sent_again(
    scripted: ScriptedServer,
) -> None:
    events = [prompt_call() for _ in range(4)]
    issues = (
        "events.1.status: Invalid enum value. Expected 'success' | 'error', received 'x', "
        "events.1.prompt: Required, events.3.latency_ms: Expected integer"
    )
    scripted.replies = [
        Reply(400, json.dumps({"error": f"Batch validation failed: {issues}"}).encode())
    ]
    async with opened(scripted.url) as sink:
        with pytest.raises(SinkRejectedError) as caught:
            await sink.send(Batch(events))
    assert not caught.value.delivered
    assert caught.value.events == {
        events[1].event_id: "status: Invalid enum value. Expected 'success' | 'error', "
        "received 'x', prompt: Required",
        events[3].event_id: "latency_ms: Expected integer",
    }


async def test_refused_events_are_counted_and_the_rest_delivered(scripted: ScriptedServer) -> None:
    def respond(seen: Seen) -> Reply | None:
        events = json.loads(seen.body)["events"]
        bad = [i for i, event in enumerate(events) if event["prompt"] == "bad"]
        issues = ", ".join(f"events.{i}.prompt: Not nice" for i in bad)
        return Reply(400, json.dumps({"error": f"Failed: {issues}"}).encode()) if bad else None

    scripted.respond = respond
    async with llmobs.AsyncClient(sink=scripted.url, project_id="shop") as client:
        for number in range(10):
            client.log_prompt_call("run-1", "bad" if number == 4 else "good", "m", "r", 1, 1, 1)
        report = await client.flush()
    assert (report.delivered, report.dropped) == (9, {"rejected": 1})


async def test_a_body_over_the_limit_is_split_not_sent(server: WatchLLMServer) -> None:
    # 700 KB of memory is 1.4 MB of JSON: quotes are written as two characters.
    events = [prompt_call(prompt='"' * 350_000) for _ in range(2)]
    async with opened(server.base_url, "test-key") as sink:
        with pytest.raises(SinkTooLargeError):
            await sink.send(Batch(events))
        with pytest.raises(SinkTooLargeError):
            await sink.send(Batch([prompt_call() for _ in range(101)]))
        await sink.send(Batch(events[:1]))
    assert len(eventually(lambda: server.requests)) == 1


# The native wire.


async def test_the_native_wire_carries_every_field_compressed(scripted: ScriptedServer) -> None:
    events = every_kind()
    async with opened(f"{scripted.url}/v1", "k", wire="native") as sink:
        await sink.send(Batch(events))
    (seen,) = scripted.requests
    assert seen.path == "/v1/events/batch"
    assert seen.headers["content-encoding"] == "zstd"
    assert seen.headers["authorization"] == "Bearer k"
    body = json.loads(zstd.decompress(seen.body))
    assert [decode(json.dumps(event)) for event in body["events"]] == events


@pytest.mark.parametrize("compression", ["gzip", "none"])
async def test_other_compressions(scripted: ScriptedServer, compression: str) -> None:
    import gzip

    url = f"{scripted.url}?wire=native&compression={compression}"
    (sink,) = resolve(url, SimpleNamespace(api_key=None, timeout=5))
    await sink.open()
    await sink.send(Batch([prompt_call()]))
    await sink.aclose()
    seen = scripted.requests[0]
    raw = gzip.decompress(seen.body) if compression == "gzip" else seen.body
    assert len(json.loads(raw)["events"]) == 1
    assert seen.headers.get("content-encoding") == (None if compression == "none" else "gzip")


async def test_writing_a_large_batch_leaves_the_loop_free(scripted: ScriptedServer) -> None:
    events = [prompt_call(prompt="lorem ipsum " * 200, event_id=f"e{n}") for n in range(2000)]
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with opened(scripted.url, wire="native") as sink, anyio.create_task_group() as group:
        group.start_soon(count_turns)
        await sink._body(events)
        group.cancel_scope.cancel()
    assert turns > 10  # one turn per half millisecond of work; a blocking sink would give one


# What a status means.


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, SinkRejectedError), (401, SinkUnauthorizedError), (403, SinkUnauthorizedError),
        (404, SinkUnavailableError), (405, SinkUnavailableError), (408, SinkUnavailableError),
        (413, SinkTooLargeError), (415, SinkUnavailableError), (422, SinkRejectedError),
        (429, SinkUnavailableError), (500, SinkUnavailableError), (503, SinkUnavailableError),
        (301, SinkUnavailableError), (302, SinkUnavailableError), (304, SinkUnavailableError),
    ],
)  # fmt: skip
async def test_statuses(scripted: ScriptedServer, status: int, error: type[Exception]) -> None:
    scripted.otherwise = Reply(status, b'{"error":{"message":"because","code":"x"}}')
    async with opened(scripted.url) as sink:
        with pytest.raises(error) as caught:
            await sink.send(Batch([prompt_call()]))
    assert str(status) in str(caught.value)
    if status >= 400:
        assert "because" in str(caught.value)


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_an_empty_answer_is_an_acceptance(scripted: ScriptedServer, status: int) -> None:
    scripted.otherwise = Reply(status)
    async with opened(scripted.url) as sink:
        await sink.send(Batch([prompt_call()]))


@pytest.mark.parametrize("form", ["seconds", "date", "nonsense"])
async def test_retry_after(scripted: ScriptedServer, form: str) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    value = {"seconds": "90", "date": later, "nonsense": "soon"}[form]
    scripted.otherwise = Reply(503, headers={"retry-after": value})
    async with opened(scripted.url) as sink:
        with pytest.raises(SinkUnavailableError) as caught:
            await sink.send(Batch([prompt_call()]))
    if form == "nonsense":
        assert caught.value.retry_after is None
    else:
        assert caught.value.retry_after is not None
        assert 85 < caught.value.retry_after <= 90


@pytest.mark.parametrize("status", [200, 400, 401, 404, 422, 500])
@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"error":' * 100_000, b'{"results":' * 50_000])
async def test_an_answer_nested_without_end_is_a_bad_answer(
    scripted: ScriptedServer, status: int, body: bytes
) -> None:
    scripted.otherwise = Reply(status, body, {"content-type": "application/json"})
    async with opened(scripted.url) as sink:
        with pytest.raises(SinkError):
            await sink.send(Batch([prompt_call()]))


@pytest.mark.parametrize("status", [404, 405, 410, 415])
async def test_a_wrong_path_is_one_for_a_hand(scripted: ScriptedServer, status: int) -> None:
    scripted.otherwise = Reply(status, b"no such page")
    async with opened(scripted.url) as sink:
        with pytest.raises(SinkMisconfiguredError, match="is the URL right"):
            await sink.send(Batch([prompt_call()]))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_sink_is_named_by_its_scheme(scheme: str) -> None:
    assert HTTPSink(f"{scheme}://collector.example/v1").name == f"{scheme}:collector.example"


async def test_a_page_instead_of_the_protocol_is_not_a_delivery(scripted: ScriptedServer) -> None:
    page = Reply(200, b"<html>Sign in to the guest network</html>", {"content-type": "text/html"})
    scripted.otherwise = page
    async with opened(scripted.url) as sink:
        with pytest.raises(SinkUnavailableError, match="is the URL right"):
            await sink.send(Batch([prompt_call()]))


# Redirects.


async def test_a_redirect_on_the_same_server_is_followed(scripted: ScriptedServer) -> None:
    scripted.replies = [
        Reply(308, headers={"location": "/v2/events/batch"}),
        Reply(307, headers={"location": f"{scripted.url}/v3/events"}),
    ]
    async with opened(f"{scripted.url}/v1", "k") as sink:
        await sink.send(Batch([prompt_call()]))
    assert [seen.path for seen in scripted.requests] == [
        "/v1/events/batch",
        "/v2/events/batch",
        "/v3/events",
    ]
    assert len({seen.body for seen in scripted.requests}) == 1


async def test_the_key_never_follows_a_redirect_elsewhere(scripted: ScriptedServer) -> None:
    with ScriptedServer() as stranger:
        target = f"{stranger.url}/take?token=hush"
        scripted.otherwise = Reply(307, headers={"location": target})
        async with opened(scripted.url, "the-secret-key") as sink:
            with pytest.raises(SinkUnavailableError, match="another server") as caught:
                await sink.send(Batch([prompt_call()]))
        assert stranger.requests == []
    assert "hush" not in str(caught.value)


async def test_a_redirect_loop_ends(scripted: ScriptedServer) -> None:
    scripted.otherwise = Reply(307, headers={"location": "/again"})
    async with opened(scripted.url) as sink:
        with pytest.raises(SinkUnavailableError, match="redirects"):
            await sink.send(Batch([prompt_call()]))
    assert len(scripted.requests) == 4


# Servers that break off, stall or never end.


@pytest.mark.parametrize("fault", [Fault.reset, Fault.close, Fault.swallow, Fault.endless_headers])
async def test_broken_connections_are_retriable(server: WatchLLMServer, fault: Any) -> None:
    server.faults.add(fault())
    async with opened(server.base_url, "test-key") as sink:
        with pytest.raises(SinkUnavailableError):
            await sink.send(Batch([prompt_call()]))
        await sink.send(Batch([prompt_call()]))  # and the next attempt works


async def test_a_silent_server_meets_the_deadline(server: WatchLLMServer) -> None:
    server.faults.add(Fault.half_open())
    async with opened(server.base_url, "test-key", timeout=0.2) as sink:
        with pytest.raises(SinkUnavailableError, match="no answer within"):
            await sink.send(Batch([prompt_call()]))


async def test_an_endless_answer_is_cut(scripted: ScriptedServer) -> None:
    scripted.otherwise = Reply(200, b"x" * 65536, endless=True)
    async with opened(scripted.url) as sink:
        with pytest.raises(SinkUnavailableError, match="longer than"):
            await sink.send(Batch([prompt_call()]))


async def test_nobody_listens() -> None:
    from tests.support.ports import free_ports

    async with opened(f"http://127.0.0.1:{free_ports(1)[0]}") as sink:
        with pytest.raises(SinkUnavailableError, match="ConnectError"):
            await sink.send(Batch([prompt_call()]))


async def test_a_client_delivers_everything_through_faults(server: WatchLLMServer) -> None:
    server.faults.add(
        Fault.answer(503, retry_after=0), Fault.close(), Fault.answer(429), Fault.reset()
    )
    url = server.base_url.replace("http://", "http://test-key@")
    async with llmobs.AsyncClient(sink=url, project_id="shop") as client:
        sent = [client.log_prompt_call("r", "p", "m", "r", 1, 1, 1) for _ in range(20)]
        report = await client.flush()
        assert client.statistics().retries >= 4
    assert (report.delivered, report.dropped) == (20, {})
    assert set(sent) == set(ids(server.events))


# Secrets, logs, configuration.


async def test_no_secret_reaches_messages_reprs_or_logs(
    scripted: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = "lgw_test_0123456789"
    scripted.otherwise = Reply(401, json.dumps({"error": f"key {key} is unknown"}).encode())
    url = scripted.url.replace("http://", f"http://{key}@")
    (sink,) = resolve(url, SimpleNamespace(api_key=None, timeout=5))
    await sink.open()
    with pytest.raises(SinkUnauthorizedError) as caught:
        await sink.send(Batch([prompt_call()]))
    await sink.aclose()
    assert scripted.requests[0].headers["authorization"] == f"Bearer {key}"
    told = f"{caught.value!r} {sink!r} {sink.name} {vars(sink)['_http']!r} {caplog.text}"
    assert key not in told
    assert "key *** is unknown" in str(caught.value)


async def test_httpx_writes_no_line_for_our_requests_and_one_for_others(
    scripted: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with opened(scripted.url) as sink:
        await sink.send(Batch([prompt_call()]))
        assert [r for r in caplog.records if r.name.startswith("http")] == []
        async with httpx2.AsyncClient() as other:
            await other.post(scripted.url)
    assert any(r.name == "httpx2" for r in caplog.records)


@pytest.mark.parametrize("library", [httpx2, httpx])
async def test_a_client_handed_in_is_used_and_left_open(
    scripted: ScriptedServer, library: Any
) -> None:
    seen: list[bool] = []

    async def note(request: Any) -> None:
        seen.append(own_traffic.get())

    async with library.AsyncClient(event_hooks={"request": [note]}) as given:
        async with opened(scripted.url, client=given) as sink:
            await sink.send(Batch([prompt_call()]))
            scripted.respond = lambda _: Reply(200, b"x" * 65536, endless=True)
            with pytest.raises(SinkUnavailableError):
                await sink.send(Batch([prompt_call()]))
        assert not given.is_closed
    assert seen == [True, True]
    assert not own_traffic.get()


@pytest.mark.parametrize("library", [httpx2, httpx])
async def test_a_client_handed_in_raises_its_own_errors(library: Any) -> None:
    async with library.AsyncClient() as given, opened("http://127.0.0.1:1", client=given) as sink:
        with pytest.raises(SinkUnavailableError, match="ConnectError"):
            await sink.send(Batch([prompt_call()]))


async def test_proxies_come_from_the_environment(
    scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", scripted.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with opened("http://collector.invalid/v1") as sink:
        await sink.send(Batch([prompt_call()]))
    assert scripted.requests[0].path == "http://collector.invalid/v1/events/batch"


async def test_a_private_authority(tmp_path_factory: pytest.TempPathFactory) -> None:
    certificates = make_certificates(tmp_path_factory.mktemp("tls"))
    with ScriptedServer(tls=(str(certificates.server), str(certificates.server_key))) as server:
        async with opened(server.url, ca_file=certificates.ca) as sink:
            await sink.send(Batch([prompt_call()]))
        async with opened(server.url) as sink:
            with pytest.raises(
                SinkUnavailableError, match=r"certificate is not trusted: .*ca_file"
            ):
                await sink.send(Batch([prompt_call()]))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https:///v1", "needs a host"),
        ("https://key@host:port/v1", "port"),
        ("https://user:pass@host/v1", "key alone"),
        ("https://host/v1?wire=json", "wire must be watchllm or native"),
        ("https://host/v1?compression=zstd", "needs wire=native"),
        ("https://host/v1?wire=native&compression=br", "compression must be"),
        ("https://host/v1?ca_file=/no/such/file.pem", "ca_file"),
        ("https://host/v1?verify=no", "no such option 'verify'"),
        ("https://host/v1?timeout=soon", "'timeout' must be float"),
        ("https://host/v1?timeout=-1", "timeout must be above 0"),
        ("https://host/v1?timeout=nan", "timeout must be above 0"),
        ("https://k%0Aey@host/v1", "the key has characters other than printable ASCII"),
        ("https://k3y/s3cret@host/v1", "write / as %2F"),
        ("kafka://user:k3y/s3cret@host/topic", "write / as %2F"),
        ("k3y@host/v1", "'host/v1' is not a URL"),
        ("https://k3y#s3cret@host/v1", "# as %23"),
    ],
)
def test_a_wrong_url_names_what_is_wrong(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        resolve(url, SimpleNamespace(api_key=None, timeout=5))
    assert "k3y" not in str(caught.value)


async def test_a_server_without_tls_is_named_as_such(scripted: ScriptedServer) -> None:
    async with opened(f"https://{scripted.address}") as sink:
        with pytest.raises(SinkUnavailableError, match="is it http:// instead of https://"):
            await sink.send(Batch([prompt_call()]))


@pytest.mark.parametrize("proxy", ["foo://user:hunter2@host:1", "http://user:hunter2@host:abc"])
async def test_a_proxy_that_cannot_be_used_keeps_the_events(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    async with llmobs.AsyncClient(sink="http://collector.invalid/v1") as client:
        client.log_error("run-1", "e")
        await client.flush(0.2)
        statistics = client.statistics()
        assert (statistics.pending, statistics.dropped) == (1, {})
        assert "HTTP_PROXY" in (statistics.last_error or "")
    assert "hunter2" not in caplog.text + (statistics.last_error or "")


async def test_what_a_server_sends_makes_no_endless_messages() -> None:
    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\n\x00bad" + b"A" * 50_000 + b"\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with opened(f"http://127.0.0.1:{port}") as sink:
            with pytest.raises(SinkUnavailableError) as caught:
                await sink.send(Batch([prompt_call()]))
        group.cancel_scope.cancel()
    assert len(str(caught.value)) < 400


def test_a_wrong_certificate_file(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(ConfigurationError, match="not a readable PEM file"):
        HTTPSink("https://host", ca_file=tmp_path / "ca.pem")


def test_the_key_of_the_settings_is_the_second_choice() -> None:
    settings = llmobs.Settings(api_key="from-settings")
    for url, key in [("https://host/v1", "from-settings"), ("https://own@host/v1", "own")]:
        sink = HTTPSink.from_url(url, settings)
        assert sink._http._headers["authorization"] == f"Bearer {key}"


def test_the_native_wire_takes_batches_of_any_size() -> None:
    assert HTTPSink("https://h").max_batch_events == 100
    assert HTTPSink("https://h", wire="native").max_batch_events is None
