"""Drives the OpenAI Agents SDK in an environment of its own; prints what was recorded, as JSON."""

import asyncio
import json
import sys
from typing import Any

import agents
from openai import AsyncOpenAI

import llmobs
from llmobs import Client
from llmobs.contrib import openai as openai_door
from llmobs.contrib import openai_agents
from llmobs.testing import capture_events


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


@agents.input_guardrail
async def no_rudeness(context: Any, agent: Any, given: Any) -> agents.GuardrailFunctionOutput:
    return agents.GuardrailFunctionOutput(output_info=None, tripwire_triggered="rude" in str(given))


async def drive(url: str, kind: str, wire: bool) -> dict[str, Any]:
    exporter = Exporter()
    agents.set_trace_processors([exporter])
    sdk = AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    found: dict[str, Any] = {}
    with Client(sink="memory:") as client, capture_events() as events:
        if wire:
            openai_door.instrument(sdk, llmobs_client=client)
        openai_agents.instrument(llmobs_client=client)
        openai_agents.instrument(llmobs_client=client)
        kinds = {
            "chat": agents.OpenAIChatCompletionsModel,
            "responses": agents.OpenAIResponsesModel,
        }
        model = kinds[kind]("gpt-4o", sdk)

        def agent(name: str, **more: Any) -> Any:
            return agents.Agent(name=name, instructions="Be brief.", model=model, **more)

        async def once(name: str, work: Any) -> None:
            events.clear()
            try:
                await work
            except Exception as error:
                found[f"{name} raised"] = type(error).__name__
            found[name] = [
                {"kind": type(e).__name__, **json.loads(llmobs.codec.encode(e))} for e in events
            ]

        run = agents.Runner.run
        await once("plain", run(agent("a"), "hello"))
        try:
            raise ValueError("somebody else's")
        except ValueError:
            await once("handling", run(agent("a"), "hello"))
        await once("tool", run(agent("a", tools=[get_weather]), "use get_weather"))
        await once("guardrail", run(agent("a", input_guardrails=[no_rudeness]), "rude"))

        async def stream() -> None:
            result = agents.Runner.run_streamed(agent("a", tools=[get_weather]), "use get_weather")
            async for _ in result.stream_events():
                pass

        await once("stream", stream())

        async def many() -> None:
            async def one(i: int) -> None:
                with client.run(f"run-{i}"):
                    await run(agent(f"agent-{i}", tools=[get_weather]), "use get_weather")

            await asyncio.gather(*map(one, range(20)))

        await once("many", many())

        spans = exporter.spans
        openai_agents.uninstrument()
        await once("off", run(agent("a"), "hello"))
        found["exported"] = spans
        assert exporter.spans > spans
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(drive(sys.argv[1], sys.argv[2], sys.argv[3] == "wire"))))
