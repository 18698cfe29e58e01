"""Plays smolagents: models over HTTP, and one of the application's own, which writes code."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportUntypedBaseClass=false
import asyncio
from typing import Any

import smolagents
from smolagents.models import ChatMessage, MessageRole

import llmobs
from llmobs.contrib import smolagents as door
from tests.contrib.agents.driving import Player, main

QUIET = smolagents.LogLevel.OFF
ASKED = "What is the weather in Paris?"


@smolagents.tool
def get_weather(city: str) -> str:
    """
    Tell the weather.

    Args:
        city: Where.
    """
    llmobs.current_tracker().agent_step("inside").start().end()
    return f"sunny in {city}"


@smolagents.tool
def get_forecast(city: str) -> str:
    """
    Tell the weather of tomorrow.

    Args:
        city: Where.
    """
    raise LookupError(f"no {city}")


class Coder(smolagents.Model):
    """Writes the same code whatever it is asked."""

    def __init__(self, code: str) -> None:
        super().__init__(model_id="coder")
        self.code = code

    def generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        content = f"I think.\n<code>\n{self.code}\n</code>"
        return ChatMessage(role=MessageRole.ASSISTANT, content=content)


class FurtherCoder(Coder):
    """Is asked, and asks its base: one call."""

    def generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        return super().generate(messages, *args, **kwargs)


async def drive(player: Player) -> None:
    player.open(door)

    def agent(*tools: Any, model: str = "gpt-4o", **more: Any) -> Any:
        asked = smolagents.OpenAIModel(
            model, api_base=f"{player.url}/v1", api_key="any", client_kwargs={"max_retries": 0}
        )
        given = [smolagents.FinalAnswerTool(), *tools]  # what the server calls for want of a better
        return smolagents.ToolCallingAgent(given, asked, verbosity_level=QUIET, **more)

    def coder(code: str, *tools: Any, kind: Any = FurtherCoder, **more: Any) -> Any:
        return smolagents.CodeAgent(list(tools), kind(code), verbosity_level=QUIET, **more)

    def stream(**more: Any) -> None:
        for _ in agent(get_weather, **more).run(ASKED, stream=True):
            # What the consumer does is not the agent's.
            llmobs.current_tracker().agent_step("between").start().end()

    def left() -> None:
        steps = agent(get_weather, stream_outputs=True).run(ASKED, stream=True)
        next(steps)
        try:
            steps.close()
        except RuntimeError:  # of smolagents, which goes on in `finally`
            player.found["close raised"] = True

    def managed() -> None:
        code = f"final_answer(forecaster(task={ASKED!r}))"
        forecaster = agent(get_weather, name="forecaster", description="Tells the weather.")
        coder(code, managed_agents=[forecaster]).run("Ask somebody")

    def handling() -> None:
        try:
            raise ValueError("somebody else's")
        except ValueError:
            agent().run("Explain queues")

    await player.once("plain", lambda: agent().run("Explain queues"))
    await player.once("handling", handling)
    await player.once("tool", lambda: agent(get_weather).run(task=ASKED))
    await player.once(
        "parallel", lambda: agent(get_weather).run("What is the weather in Paris and Rome?")
    )
    await player.once("stream", stream)
    await player.once("tokens", lambda: stream(stream_outputs=True))
    await player.once("left", left)
    await player.once("tool fails", lambda: agent(get_forecast, max_steps=1).run(ASKED))
    await player.once("call fails", lambda: agent(model="gpt-4o-fail-400").run("Explain queues"))
    await player.once(
        "plan", lambda: agent(planning_interval=1).run("Explain queues", return_full_result=True)
    )
    await player.once(
        "code", lambda: coder("final_answer(get_weather('Paris'))", get_weather).run("Code")
    )
    await player.once("code fails", lambda: coder("1 / 0", max_steps=1).run("Code"))
    await player.once("managed", managed)
    await player.many(lambda i: agent(get_weather).run(ASKED))

    async def many(i: int) -> None:
        await asyncio.to_thread(agent(get_weather).run, ASKED)

    await player.many(many)
    llmobs.uninstrument()
    door.uninstrument()
    await player.once("off", lambda: agent(get_weather).run(ASKED), runs=0)
    await player.once("off code", lambda: coder("final_answer(1)").run("Code"), runs=0)
    door.instrument(llmobs_client=player.client, capture_content="metadata")
    await player.once("metadata", lambda: agent(get_weather).run(ASKED))


if __name__ == "__main__":
    main(drive)
