"""LangChain with real models' clients, chains and agents over the local model server."""

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableParallel
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from llmobs import (
    AgentStepEvent,
    Client,
    ErrorEvent,
    Event,
    PromptCallEvent,
    RunEvent,
    ToolCallEvent,
    current_tracker,
)
from llmobs.contrib import anthropic as anthropic_door
from llmobs.contrib import openai as openai_door
from llmobs.contrib.langchain import LLMObsCallbackHandler
from llmobs.testing import CapturedEvents
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]

PROMPT = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])
ASK = {"question": "hello"}
_numbers = count()


@pytest.fixture(params=["handler", "handler and transport"])
def config(request: pytest.FixtureRequest, client: Client) -> Iterator[Any]:
    """With the handler alone, and with the transports recorded too: the events are the same."""
    if "transport" in request.param:
        openai_door.instrument(llmobs_client=client, include_usage=True)
        anthropic_door.instrument(llmobs_client=client)
    yield {"callbacks": [LLMObsCallbackHandler(client)]}
    openai_door.uninstrument()
    anthropic_door.uninstrument()


@pytest.fixture(params=["openai", "anthropic"])
def model(request: pytest.FixtureRequest, llm_server: str, config: Any) -> Any:
    # Made after the instrumentation: it covers clients made later. langchain-anthropic shares its
    # HTTP clients between models of one address, and its timeout is part of what tells them apart.
    unique = 60 + next(_numbers)
    if request.param == "anthropic":
        return ChatAnthropic(
            model_name="claude-sonnet-4-6", base_url=llm_server, api_key="any",  # type: ignore[arg-type]
            max_retries=0, timeout=unique, stop=None,
        )  # fmt: skip
    return ChatOpenAI(
        model="gpt-4o", base_url=f"{llm_server}/v1", api_key="any",  # type: ignore[arg-type]
        max_retries=0, timeout=unique, stream_usage=True,
    )  # fmt: skip


def check(call: PromptCallEvent, *, stream: bool = False) -> None:
    assert call.status == "success"
    assert call.provider in ("openai", "anthropic")
    assert call.model in ("gpt-4o", "claude-sonnet-4-6")
    assert call.model_version
    # LangChain does not hand on the id of a stream; the transport sees it.
    assert call.response_id or (stream and not call.http_status)
    assert call.tokens_input
    assert call.tokens_output
    assert call.finish_reason in ("stop", "end_turn")
    assert call.prompt[-1]["role"] in ("user", "tool")
    assert call.response[0]["parts"][0]["content"]
    assert call.cost_usd
    if stream:
        assert call.stream is True
        assert call.latency_ms is not None
        assert call.time_to_first_token_ms is not None
        assert 0 < call.time_to_first_token_ms <= call.latency_ms


def run_in_loop(model: Any, work: Any) -> None:
    """Run *work* in a loop of its own, and close what the model left open in it."""

    async def main() -> None:
        await work
        client = getattr(model, "root_async_client", None) or model._async_client
        await client.close()

    asyncio.run(main())


def parent_of(event: Event, events: CapturedEvents) -> Any:
    return next((each for each in events if each.event_id == event.parent_id), None)


def test_a_chain_in_every_way(events: CapturedEvents, model: Any, config: Any) -> None:
    chain = PROMPT | model | StrOutputParser()

    async def asynchronously() -> None:
        await chain.ainvoke(ASK, config=config)
        async for _ in chain.astream(ASK, config=config):
            pass

    chain.invoke(ASK, config=config)
    list(chain.stream(ASK, config=config))
    run_in_loop(model, asynchronously())
    calls = events.of(PromptCallEvent)
    assert len(calls) == 4, "one call, one event"
    for call, stream in zip(calls, (False, True, False, True), strict=True):
        check(call, stream=stream)
        assert parent_of(call, events).step_name == "RunnableSequence"
    runs = events.of(RunEvent)
    assert [run.events for run in runs] == [4, 4, 4, 4]
    assert [run.tokens_output for run in runs] == [call.tokens_output for call in calls]


def test_many_at_once(events: CapturedEvents, model: Any, config: Any) -> None:
    async def main() -> None:
        await model.abatch(["a", "b", "c"], config=config)
        both = RunnableParallel(x=PROMPT | model, y=PROMPT | model)
        await both.ainvoke(ASK, config=config)

    model.batch(["a", "b", "c"], config=config)
    run_in_loop(model, main())
    calls = events.of(PromptCallEvent)
    assert len(calls) == 8
    assert len({call.response_id for call in calls}) == 8
    for call in calls:
        check(call)
        said = call.prompt[-1]["parts"][0]["content"]
        assert said in ("a", "b", "c", "hello")
    x, y = (call for call in calls if parent_of(call, events) is not None)
    assert x.parent_id != y.parent_id
    assert x.run_id == y.run_id


@pytest.mark.filterwarnings("ignore:Unexpected type for token usage")
def test_several_prompts_in_one_call(events: CapturedEvents, model: Any, config: Any) -> None:
    prompts = [[HumanMessage("a")], [HumanMessage("b")]]
    model.generate(prompts, callbacks=config["callbacks"])
    run_in_loop(model, model.agenerate(prompts, callbacks=config["callbacks"]))
    calls = events.of(PromptCallEvent)
    assert len(calls) == 4
    for call in calls:
        check(call)
    assert sorted(call.prompt[0]["parts"][0]["content"] for call in calls) == ["a", "a", "b", "b"]


def test_an_agent(events: CapturedEvents, model: Any, config: Any) -> None:
    @tool
    def weather(city: str) -> str:
        """Return the weather of a city."""
        current_tracker().log_error("a note from inside the tool")
        return f"sunny in {city}"

    agent = create_agent(model, [weather])
    question = {"messages": [HumanMessage("Call the tool weather: how is it in Paris?")]}

    async def asynchronously() -> None:
        await agent.ainvoke(question, config=config)

    agent.invoke(question, config=config)
    first = CapturedEvents(events)
    events.clear()
    run_in_loop(model, asynchronously())
    for seen in (first, events):
        asked, answered = seen.of(PromptCallEvent)
        [used] = seen.of(ToolCallEvent)
        [note] = seen.of(ErrorEvent)
        steps = {step.step_name: step for step in seen.of(AgentStepEvent)}
        graph = steps["LangGraph"]
        assert asked.finish_reason in ("tool_calls", "tool_use")
        assert asked.tool_calls is not None
        assert asked.tool_calls[0]["name"] == "weather"
        assert used.tool_id == asked.tool_calls[0]["id"]
        assert used.input == asked.tool_calls[0]["arguments"]
        assert str(used.output).startswith("sunny in")
        assert note.parent_id == used.event_id
        assert parent_of(used, seen) is steps["tools"]
        assert parent_of(asked, seen).step_name == parent_of(answered, seen).step_name == "model"
        assert {step.parent_id for step in steps.values()} == {None, graph.event_id}
        check(answered)
        [run] = seen.of(RunEvent)
        assert run.tokens_input == (asked.tokens_input or 0) + (answered.tokens_input or 0)


def test_a_streamed_agent(events: CapturedEvents, model: Any, config: Any) -> None:
    @tool
    def weather(city: str) -> str:
        """Return the weather of a city."""
        return f"sunny in {city}"

    agent = create_agent(model, [weather])
    question = {"messages": [HumanMessage("Call the tool weather: how is it in Paris?")]}

    async def main() -> None:
        async for _ in agent.astream(question, config=config, stream_mode="messages"):
            pass

    run_in_loop(model, main())
    asked, answered = events.of(PromptCallEvent)
    check(answered, stream=True)
    assert asked.tool_calls
    assert len(events.of(ToolCallEvent)) == 1


def test_errors_and_retries_of_the_sdk(
    events: CapturedEvents, llm_server: str, client: Client
) -> None:
    openai_door.instrument(llmobs_client=client)
    try:
        config: Any = {"callbacks": [LLMObsCallbackHandler(client)]}
        model = ChatOpenAI(
            model="gpt-4o", base_url=f"{llm_server}/v1", api_key="any",  # type: ignore[arg-type]
            max_retries=1, timeout=55, default_headers={"x-fake-retry-after": "0"},
        )  # fmt: skip
        model.bind(model="gpt-4o-fail-429-once").invoke("hi", config=config)
        with pytest.raises(Exception, match="404"):
            model.bind(model="gpt-4o-fail-404").invoke("hi", config=config)
    finally:
        openai_door.uninstrument()
    refused, answered, failed = events.of(PromptCallEvent)
    assert (refused.status, refused.http_status, refused.attempt) == ("error", 429, 1)
    assert refused.parent_id == answered.event_id, "an attempt of that call"
    assert (answered.status, answered.http_status, answered.attempt) == ("success", 200, 2)
    assert (failed.status, failed.http_status) == ("error", 404)
    assert failed.error is not None
    assert failed.model == "gpt-4o-fail-404"
    assert [run.errors for run in events.of(RunEvent)] == [1, 1]


def test_a_cancelled_call_is_recorded(events: CapturedEvents, client: Client) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked.set()
        await reader.read()
        writer.close()

    asked = asyncio.Event()

    async def main() -> None:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        openai_door.instrument(llmobs_client=client)
        try:
            model = ChatOpenAI(
                model="gpt-4o", base_url=f"http://127.0.0.1:{port}/v1", api_key="any",  # type: ignore[arg-type]
                max_retries=0, timeout=54,
            )  # fmt: skip
            config: Any = {"callbacks": [LLMObsCallbackHandler(client)]}
            task = asyncio.create_task(model.ainvoke("hi", config=config))
            await asyncio.wait_for(asked.wait(), 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await model.root_async_client.close()
        finally:
            openai_door.uninstrument()
            server.close()

    asyncio.run(main())
    [call] = events.of(PromptCallEvent)
    assert call.status == "cancelled"
    assert call.prompt[0]["parts"][0]["content"] == "hi"
    assert len(events.of(RunEvent)) == 1
