"""Putting the transport in, and taking it out again without a trace."""

import inspect
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from llmobs import Client, PromptCallEvent
from llmobs.contrib import anthropic as anthropic_door
from llmobs.contrib import httpx as door
from llmobs.contrib import openai as openai_door
from llmobs.contrib.httpx import AsyncRecordingTransport, RecordingTransport
from llmobs.testing import CapturedEvents

from .mock import JSON, WHOLE, answering, ask
from .scenarios import OPENAI, see

BASES = [
    next(base for base in client.__mro__ if base.__name__ in ("SyncAPIClient", "AsyncAPIClient"))
    for client in (openai.OpenAI, openai.AsyncOpenAI, anthropic.Anthropic, anthropic.AsyncAnthropic)
]


@pytest.fixture
def untouched() -> Iterator[None]:
    before = [base.__dict__["__init__"] for base in BASES]
    yield
    openai_door.uninstrument()
    anthropic_door.uninstrument()
    assert [base.__dict__["__init__"] for base in BASES] == before


def transports(http: Any) -> list[Any]:
    return [http._transport, *http._mounts.values()]


@pytest.mark.parametrize("kind", [httpx2.Client, httpx2.AsyncClient])
def test_mounts_too_twice_and_undone(kind: Any) -> None:
    is_async = kind is httpx2.AsyncClient
    base = httpx2.AsyncHTTPTransport if is_async else httpx2.HTTPTransport
    ours = AsyncRecordingTransport if is_async else RecordingTransport
    http = kind(mounts={"https://a.test": base(), "https://b.test": None})
    before = transports(http)
    assert door.instrument(http) is http
    first = transports(http)
    assert [type(t) for t in first] == [ours if t is not None else type(None) for t in before]
    door.instrument(http, capture_content="metadata")
    assert [t.inner for t in transports(http) if t] == [t for t in before if t]
    assert http._transport.options.capture_content == "metadata"
    door.uninstrument(http)
    assert transports(http) == before
    door.uninstrument(http)
    assert transports(http) == before


def test_only_http_clients() -> None:
    with pytest.raises(TypeError, match="no client of httpx2 or httpx"):
        door.instrument(object())
    with pytest.raises(TypeError, match="no client of the openai package"):
        openai_door.instrument(object())


class OtherSdk:
    """Keeps its HTTP client where OpenAI's does, and speaks a wire of its own (Ollama, Groq, ...)."""

    def __init__(self) -> None:
        self._client = httpx2.Client(headers={"user-agent": "ollama-python/1.0 (x86_64)"})


@pytest.mark.parametrize(
    ("instrument", "make"),
    [
        (openai_door.instrument, OtherSdk),
        (openai_door.instrument, lambda: anthropic.Anthropic(api_key="k")),
        (openai_door.instrument, lambda: httpx2.Client()),
        (openai_door.instrument, lambda: openai.OpenAI),
        (openai_door.instrument, lambda: openai),
        (openai_door.uninstrument, OtherSdk),
        (anthropic_door.instrument, lambda: openai.OpenAI(api_key="k")),
        (anthropic_door.instrument, lambda: openai.AsyncOpenAI(api_key="k")),
        (door.instrument, lambda: openai.OpenAI(api_key="k")),
        (door.instrument, lambda: httpx2.HTTPTransport()),
    ],
)
def test_clients_of_another_wire_are_refused(instrument: Any, make: Any) -> None:
    """Taken, they would record nothing, and nobody would notice."""
    client = make()
    with pytest.raises(TypeError, match="is no client of"):
        instrument(client)
    inner = getattr(client, "_client", client)
    assert not door.is_instrumented(inner)


def test_subclasses_and_proxies_of_a_client_are_clients() -> None:
    class Mine(openai.OpenAI):
        pass

    class Proxy:
        def __init__(self, client: Any) -> None:
            self._wrapped = client

        def __getattr__(self, name: str) -> Any:
            return getattr(self._wrapped, name)

        @property
        def __class__(self) -> Any:
            return self._wrapped.__class__

    for client in (Mine(api_key="k"), Proxy(openai.OpenAI(api_key="k"))):
        assert openai_door.instrument(client) is client
        assert door.is_instrumented(client._client)


def test_a_transport_around_ours_records_once(
    events: CapturedEvents, llmobs_client: Client
) -> None:
    class Logging(httpx2.BaseTransport):
        def __init__(self, inner: Any) -> None:
            self.inner_one = inner

        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            response: httpx2.Response = self.inner_one.handle_request(request)
            return response

    inner = RecordingTransport(answering(WHOLE, headers=JSON), llmobs_client=llmobs_client)
    with httpx2.Client(transport=Logging(inner)) as http:
        door.instrument(http, llmobs_client=llmobs_client)
        ask(http)
        ask(http)
    assert len(events) == 2


def test_closing_reaches_the_wrapped_transport() -> None:
    closed = []

    class Closing(httpx2.BaseTransport):
        def close(self) -> None:
            closed.append(self)

    with door.instrument(httpx2.Client(transport=Closing())):
        pass
    assert len(closed) == 1


@pytest.mark.anyio
async def test_closing_reaches_the_wrapped_async_transport() -> None:
    closed = []

    class Closing(httpx2.AsyncBaseTransport):
        async def aclose(self) -> None:
            closed.append(self)

    async with door.instrument(httpx2.AsyncClient(transport=Closing())):
        pass
    assert len(closed) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: openai.OpenAI(api_key="k"),
        lambda: openai.AsyncOpenAI(api_key="k"),
        lambda: openai.AzureOpenAI(api_key="k", azure_endpoint="https://a.test", api_version="1"),
        lambda: openai.AsyncAzureOpenAI(
            api_key="k", azure_endpoint="https://a.test", api_version="1"
        ),
    ],
)
def test_openai_clients_made_later(make: Any, untouched: None, llmobs_client: Client) -> None:
    signature = inspect.signature(openai.OpenAI)
    early = make()
    openai_door.instrument(llmobs_client=llmobs_client)
    openai_door.instrument(llmobs_client=llmobs_client)
    late = make()
    assert not door.is_instrumented(early._client)
    assert door.is_instrumented(late._client)
    assert not isinstance(late._client._transport.inner, RecordingTransport)
    assert door.is_instrumented(late.with_options(timeout=1)._client)
    assert inspect.signature(openai.OpenAI) == signature
    openai_door.uninstrument()
    assert not door.is_instrumented(late._client)
    assert not door.is_instrumented(make()._client)
    openai_door.uninstrument()


@pytest.mark.parametrize(
    "make",
    [
        lambda: anthropic.Anthropic(api_key="k"),
        lambda: anthropic.AsyncAnthropic(api_key="k"),
        lambda: anthropic.AnthropicBedrock(
            aws_region="us-east-1", aws_access_key="a", aws_secret_key="s"
        ),
        lambda: anthropic.AnthropicVertex(region="global", project_id="p", access_token="t"),
    ],
)
def test_anthropic_clients_made_later(make: Any, untouched: None) -> None:
    anthropic_door.instrument(capture_content="metadata")
    late = make()
    assert late._client._transport.options.capture_content == "metadata"
    anthropic_door.uninstrument()
    assert not door.is_instrumented(late._client)


def test_one_client_in_its_own_way(untouched: None) -> None:
    """What was said for a client holds against what is said for all."""
    openai_door.instrument(capture_content="full")
    http = door.instrument(httpx2.Client(), capture_content="metadata")
    openai.OpenAI(api_key="k", http_client=http)
    assert http._transport.options.capture_content == "metadata"
    openai_door.uninstrument()
    assert door.is_instrumented(http)


def test_wrong_options_are_refused_at_once(untouched: None) -> None:
    with pytest.raises(ValueError, match="capture_content"):
        openai_door.instrument(capture_content="some")  # type: ignore[call-overload]


def test_uninstrumented_clients_record_no_more(
    llm_server: str, events: CapturedEvents, llmobs_client: Client
) -> None:
    with openai.OpenAI(base_url=f"{llm_server}/v1", api_key="any") as client:
        before = client._client._transport
        openai_door.instrument(client, llmobs_client=llmobs_client)
        see(client, OPENAI["text"])
        openai_door.uninstrument(client)
        assert client._client._transport is before
        see(client, OPENAI["text"])
    assert len(events.of(PromptCallEvent)) == 1


def test_importing_the_doors_touches_nothing() -> None:
    """No SDK is imported, and nothing patched, before somebody asks."""
    import subprocess
    import sys

    code = (
        "import sys, llmobs.contrib.openai, llmobs.contrib.anthropic\n"
        "print([n for n in ('openai', 'anthropic', 'httpx', 'pydantic') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
