"""Plays CrewAI."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
import asyncio
import os
from typing import Any

os.environ |= {"CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_TRACING_ENABLED": "false"}

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

import llmobs
from llmobs.contrib import crewai as door
from tests.contrib.agents.driving import Player, main


@tool("get_weather")
def get_weather(city: str) -> str:
    """Tell the weather."""
    llmobs.current_tracker().agent_step("inside").start().end()
    return f"sunny in {city}"


@tool("get_weather")
def get_late_weather(city: str) -> str:
    """Tell the weather, when nobody listens any more."""
    door.uninstrument()
    return f"sunny in {city}"


async def drive(player: Player) -> None:
    player.open(door)

    def crew(asked: str, model: str = "gpt-4o", used: Any = get_weather) -> Any:
        llm = LLM(model=f"openai/{model}", base_url=f"{player.url}/v1", api_key="any")
        agent = Agent(
            role="forecaster",
            goal="tell the weather",
            backstory="none",
            llm=llm,
            tools=[used],
            max_iter=3,
            max_retry_limit=0,
        )
        task = Task(description=asked, expected_output="a sentence", agent=agent, name="asked")
        return Crew(agents=[agent], tasks=[task], name="shop")

    async def kickoff(asked: str, model: str = "gpt-4o") -> None:
        await asyncio.to_thread(crew(asked, model).kickoff)  # it refuses to run where a loop runs

    await player.once("plain", lambda: kickoff("Explain queues"))
    await player.once("tool", lambda: kickoff("What is the weather in Paris?"))
    await player.once("call fails", lambda: kickoff("Explain", "gpt-4o-fail-400"))
    await player.once("later", lambda: crew("What is the weather in Paris?").kickoff_async())
    await player.many(lambda i: crew(f"Explain queue {i}").kickoff())
    undone = crew("What is the weather in Paris?", used=get_late_weather)
    await player.once("undone meanwhile", undone.kickoff_async)
    llmobs.uninstrument()
    await player.once("off", lambda: kickoff("Explain queues"), runs=0)


if __name__ == "__main__":
    main(drive)
