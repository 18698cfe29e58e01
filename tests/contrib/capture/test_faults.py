"""Everything that goes wrong: the host sees what it would have seen, the event says what it was."""

import gzip
from collections.abc import Iterator
from typing import Any

import anthropic
import anyio
import httpx2
import openai
import pytest

from llmobs import Client, PromptCallEvent
from llmobs.capture.joining import sightings
from llmobs.contrib import httpx as door
from llmobs.contrib import openai as openai_door
from llmobs.contrib.httpx import RecordingTransport
from llmobs.sinks.memory import MemorySink
from llmobs.testing import CapturedEvents
from tests.contrib.corpus import js, sse
from tests.contrib.corpus.openai_chat import chunk, said
from tests.helpers import poll

from .scenarios import ANTHROPIC, OPENAI, see, see_async, streamed

CALLS = {
    "chat": OPENAI["text"],
    "chat stream": streamed(OPENAI["text"]),
    "responses": OPENAI["responses"],
    "responses stream": streamed(OPENAI["responses"]),
    "messages": ANTHROPIC["text"],
    "messages stream": streamed(ANTHROPIC["text"]),
}
STATUSES = ("400", "401", "403", "404", "408", "409", "413", "422", "429", "500", "503", "529")


def faulty(call: tuple[str, dict[str, Any]], fault: str) -> tuple[str, dict[str, Any]]:
    return call[0], {**call[1], "extra_headers": {"x-fake-fault": fault}}


def both(
    name: str, fault: str, clients: dict[str, Any], stop_after: int | None = None
) -> list[Any]:
    """Make the call with and without us; return what the host saw, the same both times."""
    sdk = "claude" if name.startswith("messages") else "gpt"
    call = faulty(CALLS[name], fault)
    expected = see(clients[f"plain_{sdk}"], call, stop_after)
    assert see(clients[sdk], call, stop_after) == expected
    return expected


@pytest.fixture
def clients(
    plain_gpt: openai.OpenAI,
    gpt: openai.OpenAI,
    plain_claude: anthropic.Anthropic,
    claude: anthropic.Anthropic,
) -> dict[str, Any]:
    return {"plain_gpt": plain_gpt, "gpt": gpt, "plain_claude": plain_claude, "claude": claude}


def only(events: CapturedEvents) -> PromptCallEvent:
    [event] = events
    assert isinstance(event, PromptCallEvent)
    return event


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", ["chat", "messages stream", "responses"])
def test_statuses(name: str, status: str, clients: Any, events: CapturedEvents) -> None:
    seen = both(name, status, clients)
    assert seen[0][1] == int(status)
    event = only(events)
    assert event.status == "error"
    assert event.http_status == int(status)
    assert event.error is not None
    assert event.error.message in str(seen[0][2])
    assert event.prompt
    assert event.tokens_input is None


@pytest.mark.parametrize(
    ("fault", "streams", "whole"),
    [
        ("stream-error", "error", "error"),
        ("cut", "error", "error"),
        ("bad-json", "error", "error"),
        ("truncated-json", "error", "error"),
        ("usage-missing", "success", "success"),
        ("usage-lies", "success", "success"),
        ("gzip", "success", "success"),
        ("split", "success", "success"),
        ("crlf", "success", "success"),
        ("comments", "success", "success"),
        ("gzip,split", "success", "success"),
    ],
)
@pytest.mark.parametrize("name", CALLS)
def test_bodies(
    name: str, fault: str, streams: str, whole: str, clients: Any, events: CapturedEvents
) -> None:
    both(name, fault, clients)
    event = only(events)
    is_stream = name.endswith("stream")
    expected = streams if is_stream else whole
    assert event.status == expected
    if fault == "usage-missing":
        assert event.tokens_input is None
    if fault == "usage-lies" and not name.endswith("chat stream"):
        assert event.warnings or name.startswith("messages")
    if fault in ("bad-json", "truncated-json"):
        assert any("JSON" in warning for warning in event.warnings)
    if expected == "success" and fault not in ("usage-lies", "usage-missing"):
        assert event.warnings == ()
        assert event.response
        if is_stream:
            assert event.time_to_first_token_ms is not None


@pytest.mark.parametrize("name", CALLS)
def test_garbage(name: str, clients: Any, events: CapturedEvents) -> None:
    both(name, "garbage", clients)
    event = only(events)
    assert event.warnings
    assert event.http_status == 200


@pytest.mark.parametrize("name", [name for name in CALLS if name.endswith("stream")])
def test_a_stream_without_end_closed_early(name: str, clients: Any, events: CapturedEvents) -> None:
    seen = both(name, "endless", clients, stop_after=12)
    assert len(seen) == 12
    event = only(events)
    assert event.status == "cancelled"
    assert event.error is None
    assert event.response, "what came until then is kept"
    assert event.time_to_first_token_ms is not None


def test_each_attempt_is_seen_and_tokens_count_once(
    llm_server: str, llmobs_client: Client, events: CapturedEvents
) -> None:
    with openai.OpenAI(base_url=f"{llm_server}/v1", api_key="any", max_retries=2) as client:
        openai_door.instrument(client, llmobs_client=llmobs_client)
        with llmobs_client.run() as run:
            answer = client.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": "Once more, with feeling"}],
                extra_headers={
                    "x-fake-fault": "429-once",
                    "x-fake-retry-after": "0",
                    "idempotency-key": f"attempts-{run.run_id}",
                },
            )
    first, second = events.of(PromptCallEvent)
    assert (first.attempt, first.http_status, first.status) == (1, 429, "error")
    assert (second.attempt, second.http_status, second.status) == (2, 200, "success")
    assert answer.usage is not None
    assert run.tokens_input == second.tokens_input == answer.usage.prompt_tokens
    assert run.failures == 1


def test_a_timeout(llm_server: str, llmobs_client: Client, events: CapturedEvents) -> None:
    client = openai.OpenAI(base_url=f"{llm_server}/v1", api_key="any", max_retries=0, timeout=0.2)
    openai_door.instrument(client, llmobs_client=llmobs_client)
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "Hi"}],
            extra_headers={"x-fake-fault": "slow-header", "x-fake-slow-ms": "3000"},
        )
    event = only(events)
    assert event.status == "timeout"
    assert event.error is not None
    assert str(event.error.type).endswith(".ReadTimeout")
    assert event.http_status is None
    assert event.prompt


def test_nobody_listens(llmobs_client: Client, events: CapturedEvents) -> None:
    client = openai.OpenAI(base_url="http://127.0.0.1:1/v1", api_key="any", max_retries=1)
    openai_door.instrument(client, llmobs_client=llmobs_client)
    with pytest.raises(openai.APIConnectionError):
        client.embeddings.create(model="m", input="a")
    assert [(e.status, e.attempt) for e in events.of(PromptCallEvent)] == [
        ("error", 1),
        ("error", 2),
    ]


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.anyio
async def test_cancelled(llm_server: str, llmobs_client: Client, events: CapturedEvents) -> None:
    async with openai.AsyncOpenAI(base_url=f"{llm_server}/v1", api_key="any") as client:
        openai_door.instrument(client, llmobs_client=llmobs_client)
        with anyio.move_on_after(0.3) as scope:
            await see_async(client, faulty(CALLS["chat stream"], "endless"))
        assert scope.cancelled_caught
    event = only(events)
    assert event.status == "cancelled"
    assert event.response


def test_a_body_of_50_megabytes(events: CapturedEvents) -> None:
    """The host gets all of it, we hold a bounded copy, and usage is found at the end."""
    body = said(
        {"content": "x" * 50_000_000},
        usage={"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    )
    sizes = []

    class Body(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for at in range(0, len(body), 65_536):
                yield body[at : at + 65_536]

    class Weighing(Client):
        def record_later(self, make: Any, run: Any, size: int, *more: Any) -> None:
            sizes.append(size)
            super().record_later(make, run, size, *more)

    inner = httpx2.MockTransport(lambda request: httpx2.Response(200, stream=Body()))
    transport = RecordingTransport(inner, llmobs_client=Weighing(sink="memory:"))
    with openai.OpenAI(
        base_url="http://mock.test/v1",
        api_key="any",
        http_client=httpx2.Client(transport=transport),
    ) as client:
        answer = client.chat.completions.with_raw_response.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Hi"}]
        )
    assert len(answer.content) == len(body)
    event = only(events)
    assert (event.status, event.tokens_input, event.tokens_output) == ("success", 5, 7)
    assert event.warnings == (
        f"response: 1048576 of {len(body)} bytes kept; the middle is missing",
    )
    assert sizes[0] < 1_100_000


def test_a_bomb_in_gzip(events: CapturedEvents, llmobs_client: Client) -> None:
    bomb = gzip.compress(b" " * 30_000_000)

    class Body(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield bomb

    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    inner = httpx2.MockTransport(
        lambda request: httpx2.Response(200, headers=headers, stream=Body())
    )
    with httpx2.Client(transport=RecordingTransport(inner, llmobs_client=llmobs_client)) as http:
        ask = js({"model": "gpt-4o", "messages": []})
        http.post("http://mock.test/v1/chat/completions", content=ask)
    assert any("too long" in warning for warning in only(events).warnings)


class Keeping:
    """A client that keeps runs with errors alone; what it delivered is in ``events``."""

    def __init__(self, llm_server: str) -> None:
        sink = MemorySink()
        self.events = sink.events
        self.client = Client(
            sink=sink, tail_sampling="errors", tail_seconds=0.01, flush_interval_seconds=0.01
        )
        self.gpt = openai.OpenAI(base_url=f"{llm_server}/v1", api_key="any", max_retries=0)
        self.claude = anthropic.Anthropic(base_url=llm_server, api_key="any", max_retries=0)
        for sdk in (self.gpt, self.claude):
            door.instrument(sdk._client, llmobs_client=self.client)

    def see(self, call: tuple[str, dict[str, Any]], stop_after: int | None = None) -> list[Any]:
        see(self.claude if call[0].startswith("messages") else self.gpt, call, stop_after)
        sightings.resolve(self.client)
        poll(lambda: self.client.statistics().pending == 0)  # a flush would keep everything
        return [event.status for event in self.events if isinstance(event, PromptCallEvent)]


@pytest.fixture(scope="module")
def keeping(llm_server: str) -> Iterator[Keeping]:
    kept = Keeping(llm_server)
    with kept.client, kept.gpt, kept.claude:
        yield kept


@pytest.mark.parametrize("fault", ["stream-error", "cut", "bad-json", "truncated-json"])
@pytest.mark.parametrize("name", [name for name in CALLS if name.endswith("stream")])
def test_what_fails_in_a_stream_is_kept_of_a_run_that_is_not(
    name: str, fault: str, keeping: Keeping
) -> None:
    """It is decided by what the answer turns out to be once it is read."""
    keeping.events.clear()
    assert keeping.see(CALLS[name]) == []
    assert keeping.see(faulty(CALLS[name], fault)) == ["error"]


def test_what_was_cancelled_is_not_kept(keeping: Keeping) -> None:
    keeping.events.clear()
    assert keeping.see(faulty(CALLS["chat stream"], "endless"), stop_after=12) == []


def test_mid_stream_errors_count_for_the_run(events: CapturedEvents, llmobs_client: Client) -> None:
    body = sse(chunk({"content": "Hello"}), {"error": {"message": "Oh no", "type": "server_error"}})

    class Body(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield body

    headers = {"content-type": "text/event-stream"}
    inner = httpx2.MockTransport(
        lambda request: httpx2.Response(200, headers=headers, stream=Body())
    )
    with (
        httpx2.Client(transport=RecordingTransport(inner, llmobs_client=llmobs_client)) as http,
        llmobs_client.run() as run,
    ):
        ask = js({"model": "gpt-4o", "messages": [], "stream": True})
        http.post("http://mock.test/v1/chat/completions", content=ask)
    assert events.of(PromptCallEvent)[0].status == "error"
    assert run.failures == 1
