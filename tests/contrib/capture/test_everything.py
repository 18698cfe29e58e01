"""`llmobs.instrument()`: what exists already, what is made and imported later, and all as it was afterwards."""

import gc
import logging
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest
import urllib3

import llmobs
from llmobs import Client, PromptCallEvent
from llmobs.contrib import _importing, _patching
from llmobs.contrib import httpx as door
from llmobs.contrib import openai as openai_door
from llmobs.contrib._wire import recognise
from llmobs.contrib.asgi import LLMObsMiddleware
from llmobs.runtime.troubles import Troubles
from llmobs.testing import CapturedEvents

from .mock import ASK, JSON, WHOLE, answering, ask
from .scenarios import ANTHROPIC, OPENAI, see

KINDS = [httpx2.Client, httpx2.AsyncClient, httpx.Client, httpx.AsyncClient]


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """After `uninstrument` nothing is left."""
    before = [kind.__dict__["__init__"] for kind in KINDS]
    finders = list(sys.meta_path)
    yield
    llmobs.uninstrument()
    assert [kind.__dict__["__init__"] for kind in KINDS] == before
    assert sys.meta_path == finders
    assert _importing._finder.waiting == {}


@pytest.mark.parametrize("kind", KINDS)
def test_clients_that_exist_and_clients_made_later(kind: Any, llmobs_client: Client) -> None:
    class Mine(kind):  # type: ignore[misc]
        """As SDKs derive theirs."""

    early = kind()
    before = early._transport
    llmobs.instrument(llmobs_client=llmobs_client)
    llmobs.instrument(llmobs_client=llmobs_client, capture_content="metadata")
    late = Mine()
    for client in (early, late):
        assert door.is_instrumented(client)
        assert not door.is_instrumented(client._transport.inner)
        assert not isinstance(client._transport.inner, type(client._transport))
        assert client._transport.options.capture_content == "metadata"
    llmobs.uninstrument()
    assert early._transport is before
    assert not door.is_instrumented(late)
    assert not door.is_instrumented(kind())


@pytest.mark.parametrize("library", [httpx2, httpx])
def test_functions_of_the_module(
    library: Any, llm_server: str, events: CapturedEvents, llmobs_client: Client
) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    plain = library.post(f"{llm_server}/v1/chat/completions", json=body)
    llmobs.instrument(llmobs_client=llmobs_client)
    seen = library.post(f"{llm_server}/v1/chat/completions", json=body)
    with library.stream("POST", f"{llm_server}/v1/chat/completions", json=body) as response:
        response.read()
    assert seen.status_code == plain.status_code == 200
    assert [e.model for e in events.of(PromptCallEvent)] == ["gpt-4o"] * 2


def test_sdks_made_before_and_after(
    llm_server: str, events: CapturedEvents, llmobs_client: Client
) -> None:
    with (
        openai.OpenAI(base_url=f"{llm_server}/v1", api_key="any", max_retries=0) as gpt,
        anthropic.Anthropic(base_url=llm_server, api_key="any", max_retries=0) as early,
    ):
        expected = see(gpt, OPENAI["text"]), see(early, ANTHROPIC["text"])
        llmobs.instrument(llmobs_client=llmobs_client)
        with anthropic.Anthropic(base_url=llm_server, api_key="any", max_retries=0) as late:
            assert (see(gpt, OPENAI["text"]), see(late, ANTHROPIC["text"])) == expected
            assert see(early, ANTHROPIC["text"]) == expected[1]
    assert [e.provider for e in events.of(PromptCallEvent)] == ["openai", "anthropic", "anthropic"]


def test_one_look_finds_what_all_doors_want(
    llmobs_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []
    found = gc.get_objects

    def counting() -> list[Any]:
        looks.append(None)
        return found()

    early = httpx2.Client(), httpx.AsyncClient()
    monkeypatch.setattr(gc, "get_objects", counting)
    llmobs.instrument(llmobs_client=llmobs_client)
    assert len(looks) == 1
    assert all(map(door.is_instrumented, early))


def test_who_was_given_options_keeps_them(llmobs_client: Client) -> None:
    http: Any = door.instrument(httpx2.Client(), capture_content="metadata")
    openai_door.instrument(capture_content="redacted")
    try:
        llmobs.instrument(llmobs_client=llmobs_client)
        gpt: Any = openai.OpenAI(api_key="k")
        assert http._transport.options.capture_content == "metadata"
        assert gpt._client._transport.options.capture_content == "redacted"
        later = httpx2.Client()
        door.instrument(later, capture_content="metadata")
        llmobs.uninstrument()
        assert door.is_instrumented(http)
        assert door.is_instrumented(later)
        assert door.is_instrumented(gpt._client)
    finally:
        openai_door.uninstrument()


def test_our_own_clients_are_left_alone() -> None:
    llmobs.instrument()
    with httpx2.Client(headers={"user-agent": "llmobs/0.1.0"}) as ours:
        assert not door.is_instrumented(ours)


def test_who_wrapped_the_constructor_after_us_stays(llmobs_client: Client) -> None:
    original = httpx2.Client.__dict__["__init__"]
    llmobs.instrument(llmobs_client=llmobs_client)
    ours = httpx2.Client.__dict__["__init__"]
    made = []

    def theirs(self: Any, *args: Any, **kwargs: Any) -> None:
        ours(self, *args, **kwargs)
        made.append(self)

    httpx2.Client.__init__ = theirs  # type: ignore[method-assign]
    try:
        llmobs.uninstrument()
        client = httpx2.Client()
        assert made == [client]
        assert not door.is_instrumented(client)
    finally:
        httpx2.Client.__init__ = original  # type: ignore[method-assign]


def test_a_client_nothing_can_be_attached_to_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "_troubles", Troubles())

    class Odd(httpx2.Client):
        def _init_transport(self, *args: Any, **kwargs: Any) -> Any:
            return object()

    llmobs.instrument()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            Odd()
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "Odd) are not recorded" in caplog.text


def test_clients_that_cannot_be_found_are_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_patching, "_troubles", Troubles())
    monkeypatch.setattr(gc, "get_freeze_count", lambda: 7)
    llmobs.instrument()
    assert caplog.text.count("before gc.freeze() cannot be found") == 1


def test_an_unknown_path_of_a_known_host_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, llmobs_client: Client
) -> None:
    monkeypatch.setattr(recognise, "_troubles", Troubles())
    recognise.recognise.cache_clear()
    llmobs.instrument(llmobs_client=llmobs_client)
    with (
        httpx2.Client(transport=answering(WHOLE, headers=JSON)) as http,
        caplog.at_level(logging.WARNING),
    ):
        for number in (1, 2):
            ask(http, f"https://api.openai.com/v1/dreams/dream_{number}/interpret")
            ask(http, f"https://elsewhere.test/v1/dreams/dream_{number}/interpret")
    assert len(caplog.records) == 1
    assert "https://api.openai.com/v1/dreams/*/interpret is not read" in caplog.text


def test_wrong_options_are_refused_and_change_nothing() -> None:
    with pytest.raises(ValueError, match="capture_content"):
        llmobs.instrument(capture_content="some")  # type: ignore[arg-type]


def test_a_call_that_passes_two_doors_is_one(
    llm_server: str, events: CapturedEvents, llmobs_client: Client
) -> None:
    class Inside(httpx2.BaseTransport):
        """Sends with another library, as the SDKs' transports over aiohttp do."""

        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            answer = urllib3.request(
                "POST", str(request.url), body=request.content, headers=dict(request.headers)
            )
            return httpx2.Response(answer.status, headers=answer.headers, content=answer.data)

    llmobs.instrument(llmobs_client=llmobs_client)
    with httpx2.Client(transport=Inside()) as http:
        http.post(f"{llm_server}/v1/chat/completions", json=ASK)
    assert len(events.of(PromptCallEvent)) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # the library's own transport warns on trio
async def test_a_gateway_in_the_same_process_calls_too(
    llm_server: str, events: CapturedEvents, llmobs_client: Client
) -> None:
    llmobs.instrument(llmobs_client=llmobs_client)

    async def gateway(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        async with httpx2.AsyncClient() as upstream:
            answer = await upstream.post(f"{llm_server}/v1/chat/completions", content=body)
        await send({"type": "http.response.start", "status": answer.status_code, "headers": []})
        await send({"type": "http.response.body", "body": answer.content})

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(gateway)) as http:
        await http.post("http://gateway.test/v1/chat/completions", json=ASK)
    hosts = sorted(e.server_address or "" for e in events.of(PromptCallEvent))
    assert hosts == ["127.0.0.1", "gateway.test"]


@pytest.mark.anyio
@pytest.mark.parametrize("capture", [True, False])
async def test_the_middleware_does_it(capture: bool) -> None:
    LLMObsMiddleware(lambda *_: None, sink="memory:", capture=capture)  # type: ignore[arg-type,return-value]
    async with httpx2.AsyncClient() as http:
        assert door.is_instrumented(http) is capture


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.strip()


def test_before_any_import() -> None:
    """Nothing is imported for it; what is imported later is covered, and knows its own loader."""
    said = run("""
        import sys, llmobs
        llmobs.instrument()
        print([n for n in "httpx urllib3 aiohttp openai requests".split() if n in sys.modules])
        import importlib.util
        importlib.util.find_spec("httpx")
        import httpx
        from llmobs.contrib.httpx import is_instrumented
        print(is_instrumented(httpx.Client()), type(httpx.__loader__).__name__)
        print(httpx.__spec__.loader is httpx.__loader__)
        llmobs.uninstrument()
        print(is_instrumented(httpx.Client()))
    """)
    assert said.splitlines() == ["[]", "True SourceFileLoader", "True", "False"]


def test_an_sdk_out_of_reach_is_said_once(tmp_path: Any) -> None:
    (tmp_path / "xai_sdk.py").write_text("")
    said = run(f"""
        import logging, sys, llmobs
        sys.path.insert(0, {str(tmp_path)!r})
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        llmobs.instrument()
        import xai_sdk
        llmobs.instrument()
    """)
    assert said == (
        "llmobs: calls made with xai_sdk are not recorded: "
        "it speaks gRPC; api.x.ai answers the openai package, too."
    )
