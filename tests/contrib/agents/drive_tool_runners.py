"""Plays the tool runners of ``anthropic`` and ``openai``."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from typing import Any

import anthropic
import openai
from anthropic import beta_async_tool, beta_tool

import llmobs
from llmobs.contrib import tool_runners as door
from tests.contrib.agents.driving import Player, main

ASKED = "What is the weather in Paris and Rome?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def weather(city: str) -> str:
    llmobs.current_tracker().agent_step("inside").start().end()
    if city == "Oslo":
        raise LookupError("no Oslo")
    return f"sunny in {city}"


async def drive(player: Player) -> None:
    claude: dict[str, Any] = {"base_url": player.url, "api_key": "any", "max_retries": 0}
    gpt: dict[str, Any] = claude | {"base_url": f"{player.url}/v1"}
    llmobs.instrument(llmobs_client=player.client)
    llmobs.instrument(llmobs_client=player.client)
    from openai.lib.responses_tool_runner import (
        AsyncRegisteredFunction,
        AsyncResponsesToolRunner,
        RegisteredFunction,
        ResponsesToolRunner,
    )

    @beta_tool
    def get_weather(city: str) -> str:
        """Tell the weather."""
        return weather(city)

    @beta_async_tool
    async def get_weather_later(city: str) -> str:
        """Tell the weather."""
        return weather(city)

    params: dict[str, Any] = {"model": "claude-sonnet-4-5", "max_tokens": 1000}

    def by_claude(asked: str = ASKED) -> None:
        with player.client.run("mine"):
            messages: Any = [{"role": "user", "content": asked}]
            client = anthropic.Anthropic(**claude)
            client.beta.messages.tool_runner(
                **params, tools=[get_weather], messages=messages
            ).until_done()

    async def by_claude_later(asked: str = ASKED) -> None:
        with player.client.run("mine"):
            messages: Any = [{"role": "user", "content": asked}]
            client = anthropic.AsyncAnthropic(**claude)
            runner = client.beta.messages.tool_runner(
                **params, tools=[get_weather_later], messages=messages
            )
            await runner.until_done()

    tool: Any = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}

    def by_gpt(asked: str = ASKED) -> None:
        with player.client.run("mine"):
            made = RegisteredFunction(tool, lambda given: weather(str(given["city"])))
            runner = ResponsesToolRunner(functions=[made])
            runner.run(openai.OpenAI(**gpt), {"model": "gpt-4o", "input": asked})

    async def later(given: dict[str, object]) -> str:
        return weather(str(given["city"]))

    async def by_gpt_later(asked: str = ASKED) -> None:
        with player.client.run("mine"):
            runner = AsyncResponsesToolRunner(functions=[AsyncRegisteredFunction(tool, later)])
            await runner.run(openai.AsyncOpenAI(**gpt), {"model": "gpt-4o", "input": asked})

    asking = {
        "claude": by_claude,
        "claude later": by_claude_later,
        "gpt": by_gpt,
        "gpt later": by_gpt_later,
    }
    for name, ask in asking.items():
        await player.once(name, ask)
    await player.once("fails", lambda: by_claude("What is the weather in Oslo?"))
    door.uninstrument()
    await player.once("off", by_claude)


if __name__ == "__main__":
    main(drive)
