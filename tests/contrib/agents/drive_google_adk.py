"""Plays Google's Agent Development Kit, whose models are Gemini's."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
import asyncio
import os
from contextlib import aclosing
from typing import Any

os.environ |= {"GOOGLE_API_KEY": "any", "GOOGLE_GENAI_USE_VERTEXAI": "false"}

from google.adk.agents import LiveRequestQueue, LlmAgent, ParallelAgent, SequentialAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models.google_llm import Gemini
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.sessions import InMemorySessionService
from google.adk.tools import ToolContext
from google.adk.tools.agent_tool import AgentTool
from google.genai import Client, types

import llmobs
from llmobs.contrib import google_adk as door
from tests.contrib.agents.driving import Player, main

ASKED = "What is the weather in Paris?"


def get_weather(city: str) -> str:
    """Tell the weather."""
    llmobs.current_tracker().agent_step("inside").start().end()
    return f"sunny in {city}"


async def get_forecast(city: str) -> str:
    """Tell the weather of tomorrow."""
    raise LookupError(f"no {city}")


async def get_rain(city: str) -> str:
    """Tell the weather, for ever."""
    await asyncio.sleep(60)
    return city


def ask_about_weather(city: str, tool_context: ToolContext) -> str:
    """Hand over to who knows."""
    tool_context.actions.transfer_to_agent = "forecaster"
    return "asked"


def said(text: str, role: str = "user") -> Any:
    return types.Content(role=role, parts=[types.Part(text=text)])


def spoken_to(url: str) -> Any:
    """Return a model that is spoken to; with a key its client knows TLS alone, whatever the address says."""
    client = Client(api_key="any", http_options={"base_url": url})
    inner = client._api_client
    inner._websocket_base_url = lambda *_: url.replace("http:", "ws:")
    inner._websocket_ssl_ctx = {}
    return Gemini(model="gemini-3.1-flash-live-preview", client=client)


async def drive(player: Player) -> None:
    player.open(door)

    def agent(
        *tools: Any, name: str = "assistant", model: Any = "gemini-2.5-flash", **more: Any
    ) -> Any:
        asked = Gemini(model=model, base_url=player.url) if isinstance(model, str) else model
        return LlmAgent(name=name, model=asked, instruction="Be brief.", tools=list(tools), **more)

    def runner(root: Any) -> Any:
        sessions = InMemorySessionService()
        return Runner(
            agent=root, app_name="shop", session_service=sessions, auto_create_session=True
        )

    async def run(root: Any, asked: str = ASKED, leave: bool = False, **more: Any) -> None:
        events = runner(root).run_async(
            user_id="u", session_id="s", new_message=said(asked), **more
        )
        async with aclosing(events):
            async for _ in events:
                # What the consumer does is not the agent's.
                llmobs.current_tracker().agent_step("between").start().end()
                if leave:
                    break

    async def live(root: Any, leave: bool = False) -> None:
        asked = LiveRequestQueue()
        asked.send_content(said(ASKED))
        events = runner(root).run_live(
            user_id="u",
            session_id="s",
            live_request_queue=asked,
            run_config=RunConfig(response_modalities=["TEXT"]),
        )
        async with aclosing(events):
            async for event in events:
                llmobs.current_tracker().agent_step("between").start().end()
                if leave:
                    break
                if event.turn_complete:
                    asked.close()

    async def cancelled() -> None:
        async with asyncio.timeout(0.5):
            await run(agent(get_rain))

    async def handling() -> None:
        try:
            raise ValueError("somebody else's")
        except ValueError:
            await run(agent(), "Explain queues")

    def now(root: Any) -> None:
        for _ in runner(root).run(user_id="u", session_id="s", new_message=said(ASKED)):
            pass

    streaming: dict[str, Any] = {"run_config": RunConfig(streaming_mode=StreamingMode.SSE)}
    forecaster = agent(get_weather, name="forecaster", description="Tells the weather.")
    asking = agent(ask_about_weather, name="first", sub_agents=[forecaster.clone()])
    steps = [agent(name="one"), agent(name="two")]
    instead: dict[str, Any] = {
        "before_model_callback": lambda **_: LlmResponse(content=said("cached", "model"))
    }
    skipped: dict[str, Any] = {"before_agent_callback": lambda **_: said("no", "model")}

    await player.once("plain", lambda: run(agent(), "Explain queues"))
    await player.once("handling", handling)
    await player.once("tool", lambda: run(agent(get_weather)))
    await player.once(
        "parallel", lambda: run(agent(get_weather), "What is the weather in Paris and Rome?")
    )
    await player.once("stream", lambda: run(agent(get_weather), **streaming))
    await player.once("left", lambda: run(agent(get_weather), leave=True))
    await player.once("cancelled", cancelled)
    await player.once("tool fails", lambda: run(agent(get_forecast)))
    await player.once("call fails", lambda: run(agent(model="gemini-2.5-flash-fail-400")))
    await player.once("transfer", lambda: run(asking))
    await player.once("as a tool", lambda: run(agent(AgentTool(forecaster))))
    await player.once("sequence", lambda: run(SequentialAgent(name="both", sub_agents=steps)))
    steps = [each.clone() for each in steps]
    await player.once("at once", lambda: run(ParallelAgent(name="both", sub_agents=steps)))
    await player.once("instead", lambda: run(agent(**instead)))
    await player.once("skipped", lambda: run(agent(**skipped)), runs=0)
    model = spoken_to(player.url)
    await player.once("live", lambda: live(agent(get_weather, model=model)))
    await player.once("live left", lambda: live(agent(get_weather, model=model), leave=True))
    await player.many(lambda i: now(agent(get_weather)))

    async def many(i: int) -> None:
        await run(agent(get_weather))

    await player.many(many)
    kept = runner(agent(get_weather))
    async for _ in kept.run_async(user_id="u", session_id="s", new_message=said(ASKED)):
        pass
    llmobs.uninstrument()
    door.uninstrument()
    player.found["plugins"] = len(kept.plugin_manager.plugins)
    await player.once("off", lambda: run(agent(get_weather)), runs=0)
    door.instrument(llmobs_client=player.client, capture_content="metadata")
    await player.once("metadata", lambda: run(agent(get_weather)))


if __name__ == "__main__":
    main(drive)
