"""Plays the OpenAI Agents SDK."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
import asyncio
from typing import Any

import agents
from openai import AsyncOpenAI

import llmobs
from llmobs.contrib import openai_agents
from tests.contrib.agents.driving import Player, main


class Exporter(agents.tracing.TracingProcessor):
    """Stands for the vendor's: it must go on seeing everything."""

    def __init__(self) -> None:
        self.spans = 0

    def on_trace_start(self, trace: Any) -> None: ...
    def on_trace_end(self, trace: Any) -> None: ...
    def on_span_start(self, span: Any) -> None: ...
    def shutdown(self) -> None: ...
    def force_flush(self) -> None: ...

    def on_span_end(self, span: Any) -> None:
        self.spans += 1


@agents.function_tool
async def get_weather(city: str) -> str:
    """Tell the weather."""
    llmobs.current_tracker().agent_step("inside").start().end()
    return f"sunny in {city}"


@agents.function_tool(failure_error_function=None)
def get_forecast(city: str) -> str:
    """Tell the weather."""
    raise LookupError(f"no {city}")


@agents.input_guardrail
async def no_rudeness(context: Any, agent: Any, given: Any) -> agents.GuardrailFunctionOutput:
    return agents.GuardrailFunctionOutput(output_info=None, tripwire_triggered="rude" in str(given))


async def drive(player: Player) -> None:
    exporter = Exporter()
    agents.set_trace_processors([exporter])

    def new_sdk() -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{player.url}/v1", api_key="any", max_retries=0)

    shared = new_sdk()
    player.open(openai_agents)
    is_chat = "chat" in player.kind
    model_of = agents.OpenAIChatCompletionsModel if is_chat else agents.OpenAIResponsesModel

    def agent(name: str, model: str = "gpt-4o", sdk: Any = shared, **more: Any) -> Any:
        return agents.Agent(name=name, instructions="Be brief.", model=model_of(model, sdk), **more)

    run = agents.Runner.run
    weather: dict[str, Any] = {"tools": [get_weather]}

    async def handling() -> None:
        try:
            raise ValueError("somebody else's")
        except ValueError:
            await run(agent("a"), "hello")

    async def stream(leave: bool = False) -> None:
        result = agents.Runner.run_streamed(agent("a", **weather), "use get_weather")
        async for event in result.stream_events():
            if leave and event.type == "raw_response_event":
                break
        if leave:
            result.cancel()

    async def many(i: int) -> None:
        await run(agent(f"agent-{i}", **weather), "use get_weather")

    def threads(i: int) -> None:
        # A client belongs to one loop, and each thread has its own. It is closed there: left to the garbage
        # collector it closes its connections in any thread, and another's may wait for ever.
        sdk = new_sdk()
        agents.Runner.run_sync(agent(f"agent-{i}", sdk=sdk, **weather), "use get_weather")
        asyncio.get_event_loop().run_until_complete(sdk.close())

    await player.once("plain", lambda: run(agent("a"), "hello"))
    await player.once("handling", handling)
    await player.once("tool", lambda: run(agent("a", **weather), "use get_weather"))
    await player.once(
        "parallel", lambda: run(agent("a", **weather), "What is the weather in Paris and Rome?")
    )
    await player.once(
        "tool fails", lambda: run(agent("a", tools=[get_forecast]), "What is the weather in Oslo?")
    )
    await player.once("call fails", lambda: run(agent("a", "gpt-4o-fail-400"), "hello"))
    await player.once("guardrail", lambda: run(agent("a", input_guardrails=[no_rudeness]), "rude"))
    await player.once(
        "handoff",
        lambda: run(agent("a", handoffs=[agent("forecaster")]), "use transfer_to_forecaster"),
    )
    await player.once("stream", stream)
    await player.once("left", lambda: stream(leave=True))
    await player.many(many)
    await player.many(threads)
    player.found["exported"] = exporter.spans
    openai_agents.uninstrument()
    await player.once("off", lambda: run(agent("a"), "hello"), runs=0)
    assert exporter.spans > player.found["exported"]
    openai_agents.instrument(llmobs_client=player.client, capture_content="metadata")
    await player.once("metadata", lambda: run(agent("a", **weather), "use get_weather"))


if __name__ == "__main__":
    main(drive)
