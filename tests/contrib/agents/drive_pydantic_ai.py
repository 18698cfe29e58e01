"""Plays Pydantic AI."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

import llmobs
from llmobs.contrib import pydantic_ai as door
from tests.contrib.agents.driving import Player, main


async def drive(player: Player) -> None:
    player.open(door)
    provider = OpenAIProvider(base_url=f"{player.url}/v1", api_key="any")

    def agent(name: str, model: str = "gpt-4o") -> Any:
        made = Agent(OpenAIChatModel(model, provider=provider), name=name)

        @made.tool_plain
        async def get_weather(city: str) -> str:
            """Tell the weather."""
            llmobs.current_tracker().agent_step("inside").start().end()
            if city == "Oslo":
                raise LookupError("no Oslo")
            return f"sunny in {city}"

        return made

    async def stream() -> None:
        async with agent("a").run_stream("hello") as result:
            async for _ in result.stream_text():
                pass

    async def many(i: int) -> None:
        await agent(f"agent-{i}").run("What is the weather in Paris?")

    await player.once("plain", lambda: agent("a").run("hello"))
    await player.once("tool", lambda: agent("a").run("What is the weather in Paris?"))
    await player.once("parallel", lambda: agent("a").run("What is the weather in Paris and Rome?"))
    await player.once("tool fails", lambda: agent("a").run("What is the weather in Oslo?"))
    await player.once("call fails", lambda: agent("a", "gpt-4o-fail-400").run("hello"))
    await player.once("stream", stream)
    await player.many(many)
    door.uninstrument()
    await player.once("off", lambda: agent("a").run("hello"), runs=0)
    door.instrument(llmobs_client=player.client, capture_content="metadata")
    await player.once("metadata", lambda: agent("a").run("What is the weather in Paris?"))
    door.uninstrument()
    Agent.instrument_all(True)
    door.instrument(llmobs_client=player.client)
    assert Agent._instrument_default is True


if __name__ == "__main__":
    main(drive)
