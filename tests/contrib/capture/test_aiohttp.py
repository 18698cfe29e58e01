"""aiohttp's door, against the model server: the caller sees no difference, whichever way it reads."""

import asyncio
import gc
import json
import logging
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

import llmobs
from llmobs import Client, PromptCallEvent, Status
from llmobs.contrib import aiohttp as door
from llmobs.runtime import troubles
from llmobs.testing import CapturedEvents

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is a sonnet?"}]}
STREAM = {**BODY, "stream": True, "stream_options": {"include_usage": True}}

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["before", "after"])
async def session(
    request: pytest.FixtureRequest, llmobs_client: Client
) -> AsyncIterator[aiohttp.ClientSession]:
    """One that was there before, or was made after it; as it was afterwards."""
    constructor = aiohttp.ClientSession.__dict__["__init__"]
    build = aiohttp.client.__dict__["build_client_middlewares"]
    early = aiohttp.ClientSession()
    door.instrument(llmobs_client=llmobs_client)
    late = aiohttp.ClientSession()
    yield early if request.param == "before" else late
    door.uninstrument()
    assert early._middlewares == late._middlewares == ()
    assert aiohttp.ClientSession.__dict__["__init__"] is constructor
    assert aiohttp.client.__dict__["build_client_middlewares"] is build
    await early.close()
    await late.close()


def chat(server: str) -> str:
    return f"{server}/v1/chat/completions"


def only(events: CapturedEvents) -> PromptCallEvent:
    (event,) = events.of(PromptCallEvent)
    return event


async def test_an_answer(session: Any, llm_server: str, events: CapturedEvents) -> None:
    for fault in ("", "gzip"):
        async with session.post(
            chat(llm_server), json=BODY, headers={"x-fake-fault": fault}
        ) as response:
            assert isinstance(response.content, aiohttp.StreamReader)
            body = await response.json()
        event = events.of(PromptCallEvent)[-1]
        (message,) = event.response
        assert message["parts"][0]["content"] == body["choices"][0]["message"]["content"]
        assert event.tokens_input == body["usage"]["prompt_tokens"]
        assert (event.status, event.http_status) == (Status.SUCCESS, 200)
        assert event.warnings == ()


async def lines(content: Any) -> bytes:
    return b"".join([line async for line in content])


async def chunked(content: Any) -> bytes:
    return b"".join([piece async for piece in content.iter_chunked(7)])


async def anything(content: Any) -> bytes:
    return b"".join([piece async for piece in content.iter_any()])


async def chunks(content: Any) -> bytes:
    return b"".join([piece async for piece, _ in content.iter_chunks()])


async def until(content: Any) -> bytes:
    read = b""
    while piece := await content.readuntil(b"\n\n"):
        read += piece
    return read


async def exactly(content: Any) -> bytes:
    read: bytes = await content.readexactly(10)
    return read + await content.read()


@pytest.mark.parametrize("read", [lines, chunked, anything, chunks, until, exactly])
async def test_a_stream(
    read: Callable[[Any], Awaitable[bytes]], session: Any, llm_server: str, events: CapturedEvents
) -> None:
    async with session.post(chat(llm_server), json=STREAM) as response:
        text = await read(response.content)
    assert text.startswith(b"data: {")
    assert text.endswith(b"data: [DONE]\n\n")
    event = only(events)
    assert event.status == Status.SUCCESS
    assert event.stream
    assert event.tokens_output
    assert event.time_to_first_token_ms is not None
    assert event.warnings == ()


@pytest.mark.parametrize("how", ["close", "leave", "forget"])
async def test_closed_early(
    how: str, session: Any, llm_server: str, events: CapturedEvents
) -> None:
    response = await session.post(
        chat(llm_server), json=STREAM, headers={"x-fake-fault": "endless"}
    )
    read = b""
    while read.count(b'"content"') < 5:
        read += await response.content.readany()
    if how == "close":
        response.close()
    elif how == "leave":
        async with response:
            pass
    else:
        with warnings.catch_warnings(action="ignore"):  # aiohttp says so, rightly
            del response  # its connection has it still
            await session.close()
            gc.collect()
    event = only(events)
    assert event.status == Status.CANCELLED
    assert event.response


async def test_a_task_that_is_cancelled(
    session: Any, llm_server: str, events: CapturedEvents
) -> None:
    begun = asyncio.Event()

    async def ask() -> None:
        async with session.post(
            chat(llm_server), json=STREAM, headers={"x-fake-fault": "endless"}
        ) as response:
            async for _ in response.content:
                begun.set()

    task = asyncio.create_task(ask())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert only(events).status == Status.CANCELLED


async def test_a_run_of_each(
    session: Any, llm_server: str, events: CapturedEvents, llmobs_client: Client
) -> None:
    async def ask() -> tuple[str, str]:
        with llmobs_client.run() as run:
            async with session.post(chat(llm_server), json=BODY) as response:
                return run.run_id, (await response.json())["id"]

    asked = dict(await asyncio.gather(*(ask() for _ in range(20))))
    assert {e.run_id: e.response_id for e in events.of(PromptCallEvent)} == asked


@pytest.mark.parametrize("raising", [True, False])
async def test_an_error(
    raising: bool, session: Any, llm_server: str, events: CapturedEvents
) -> None:
    asking = session.post(
        chat(llm_server), json=BODY, headers={"x-fake-fault": "429"}, raise_for_status=raising
    )
    if raising:
        with pytest.raises(aiohttp.ClientResponseError):
            await asking
    else:
        async with asking as response:
            message = (await response.json())["error"]["message"]
        assert only(events).error.message == message  # type: ignore[union-attr]
    assert (only(events).status, only(events).http_status) == (Status.ERROR, 429)


@pytest.mark.parametrize(("fault", "raises"), [("cut", True), ("stream-error", False)])
async def test_a_stream_that_fails(
    fault: str, raises: bool, session: Any, llm_server: str, events: CapturedEvents
) -> None:
    async with session.post(
        chat(llm_server), json=STREAM, headers={"x-fake-fault": fault}
    ) as response:
        if raises:
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        else:
            await response.read()
    assert only(events).status == Status.ERROR
    assert only(events).error is not None


async def test_a_timeout(session: Any, llm_server: str, events: CapturedEvents) -> None:
    timeout = aiohttp.ClientTimeout(sock_read=0.05)
    with pytest.raises(asyncio.TimeoutError):
        await session.post(
            chat(llm_server), json=BODY, headers={"x-fake-fault": "slow-header"}, timeout=timeout
        )
    assert only(events).status == Status.TIMEOUT


async def test_middlewares_of_the_application_stay(llm_server: str, events: CapturedEvents) -> None:
    seen: list[Any] = []

    async def theirs(request: Any, handler: Any) -> Any:
        seen.append(request.headers.get("x-llmobs-capture-content"))
        return await handler(request)

    with Client(sink="memory:") as client:
        door.instrument(llmobs_client=client)
        try:
            async with aiohttp.ClientSession(middlewares=(theirs,)) as http:
                headers = {"X-LLMObs-Capture-Content": "metadata"}
                async with http.post(
                    chat(llm_server), data=json.dumps(BODY), headers=headers
                ) as response:
                    await response.read()
                    assert "X-LLMObs-Capture-Content" not in response.request_info.headers
        finally:
            door.uninstrument()
    assert seen == ["metadata"]
    event = only(events)
    assert not event.prompt
    assert not event.response
    assert event.model == "gpt-4o"


async def test_middlewares_of_one_request(
    session: Any, llm_server: str, events: CapturedEvents
) -> None:
    asked = 0

    async def twice(request: Any, handler: Any) -> Any:
        nonlocal asked
        asked += 1
        (await handler(request)).release()
        return await handler(request)

    async with session.post(chat(llm_server), json=BODY, middlewares=(twice,)) as response:
        assert await response.json()
    assert asked == 1
    assert [event.status for event in events.of(PromptCallEvent)] == ["cancelled", "success"]


async def test_others_pass(session: Any, llm_server: str, events: CapturedEvents) -> None:
    async with session.get(f"{llm_server}/v1/models") as response:
        assert type(response.content) is aiohttp.StreamReader
        assert response.ok
    assert not events


async def test_our_errors_never_reach_the_host(
    session: Any,
    llm_server: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    troubles.raise_internal_errors(False)
    monkeypatch.setattr(troubles, "_troubles", troubles.Troubles())

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("our own fault")

    for where in ("begin", "_Content"):
        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            patch.setattr(door, where, broken)
            async with session.post(chat(llm_server), json=BODY) as response:
                assert await response.json()
        assert "our own fault" in caplog.text
        gc.collect()


async def test_everything_covers_it(
    llm_server: str, events: CapturedEvents, llmobs_client: Client
) -> None:
    llmobs.instrument(llmobs_client=llmobs_client)
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.post(chat(llm_server), json=BODY) as response,
        ):
            await response.read()
    finally:
        llmobs.uninstrument()
    assert only(events).model == "gpt-4o"
