"""
The doors of single clients, on every event loop, with the SDKs that are installed here.

Every kind of call, in several versions of every SDK, is tried by `tests/contrib/sdks`.
"""

from typing import Any

import anthropic
import openai
import pytest

from llmobs import Client, PromptCallEvent
from llmobs.contrib import anthropic as anthropic_door
from llmobs.contrib import openai as openai_door
from llmobs.testing import CapturedEvents

from .scenarios import ANTHROPIC, OPENAI, see, see_async, streamed

Call = tuple[str, dict[str, Any]]


def asked(call: Call, *, stream: bool) -> Call:
    return streamed(call) if stream else call


def check(events: CapturedEvents, whole: Any, *, provider: str, stream: bool) -> None:
    """Compare the one event with the answer as the SDK read it (of the unstreamed call)."""
    [event] = events.of(PromptCallEvent)
    assert (event.status, event.warnings, event.provider) == ("success", (), provider)
    assert event.request_id
    assert event.stream is (True if stream else None)
    assert (event.time_to_first_token_ms is not None) is stream
    calls = [(call["name"], call["arguments"]) for call in event.tool_calls or ()]
    told = str(whole)
    assert len(calls) == 2
    for name, arguments in calls:
        assert name in told
        assert arguments["city"] in told
    assert len({arguments["city"] for _, arguments in calls}) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["tools in parallel", "responses with tools"])
def test_openai(
    name: str,
    stream: bool,
    plain_gpt: openai.OpenAI,
    gpt: openai.OpenAI,
    events: CapturedEvents,
) -> None:
    call = asked(OPENAI[name], stream=stream)
    expected = see(plain_gpt, call)
    assert events == []
    assert see(gpt, call) == expected
    check(events, see(plain_gpt, OPENAI[name]), provider="openai", stream=stream)


# The SDK leaves its async generators unfinished after [DONE], with and without us; trio minds.
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_openai_async(
    stream: bool, llm_server: str, llmobs_client: Client, events: CapturedEvents
) -> None:
    call = asked(OPENAI["tools in parallel"], stream=stream)
    async with openai.AsyncOpenAI(base_url=f"{llm_server}/v1", api_key="any") as client:
        whole = await see_async(client, OPENAI["tools in parallel"])
        expected = await see_async(client, call)
        openai_door.instrument(client, llmobs_client=llmobs_client)
        assert await see_async(client, call) == expected
    check(events, whole, provider="openai", stream=stream)


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic(
    stream: bool,
    plain_claude: anthropic.Anthropic,
    claude: anthropic.Anthropic,
    events: CapturedEvents,
) -> None:
    call = asked(ANTHROPIC["tools in parallel"], stream=stream)
    assert see(claude, call) == see(plain_claude, call)
    whole = see(plain_claude, ANTHROPIC["tools in parallel"])
    check(events, whole, provider="anthropic", stream=stream)


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_anthropic_async(
    stream: bool, llm_server: str, llmobs_client: Client, events: CapturedEvents
) -> None:
    call = asked(ANTHROPIC["tools in parallel"], stream=stream)
    async with anthropic.AsyncAnthropic(base_url=llm_server, api_key="any") as client:
        whole = await see_async(client, ANTHROPIC["tools in parallel"])
        expected = await see_async(client, call)
        anthropic_door.instrument(client, llmobs_client=llmobs_client)
        assert await see_async(client, call) == expected
    check(events, whole, provider="anthropic", stream=stream)
