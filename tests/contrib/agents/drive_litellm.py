"""Plays LiteLLM."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
import asyncio
from typing import Any

import litellm

from llmobs.contrib import litellm as door
from tests.contrib.agents.driving import Player, main

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


async def drive(player: Player) -> None:
    litellm.suppress_debug_info = True
    player.open(door)
    gpt: dict[str, Any] = {
        "model": "openai/gpt-4o",
        "api_base": f"{player.url}/v1",
        "api_key": "any",
        "num_retries": 0,
        "max_retries": 0,
    }
    claude: dict[str, Any] = gpt | {"model": "anthropic/claude-sonnet-4-5", "api_base": player.url}
    asked = [{"role": "user", "content": "What is the weather in Paris?"}]
    ask, aask = litellm.completion, litellm.acompletion

    async def inside(work: Any) -> None:
        with player.client.run("mine") as run:
            answer = work()
            if asyncio.iscoroutine(answer):
                await answer
            run.agent_step("after").start().end()

    async def stream(leave: bool = False, **more: Any) -> None:
        answer: Any = await aask(**{**gpt, **more}, messages=asked, stream=True)
        async for _ in answer:
            if leave:
                break
        if leave:
            await answer.aclose() if hasattr(answer, "aclose") else None
            del answer

    async def provider(name: str, model: dict[str, Any]) -> None:
        plain = {**model, "messages": asked, "tools": [TOOL]}
        await player.once(f"{name} sync", lambda: inside(lambda: ask(**plain)))
        await player.once(f"{name} async", lambda: inside(lambda: aask(**plain)))
        await player.once(f"{name} alone", lambda: ask(**plain), runs=0, calls=1)
        await player.once(f"{name} alone async", lambda: aask(**plain), runs=0, calls=1)
        await player.once(f"{name} stream", lambda: inside(lambda: stream(**model)))
        failing = {**plain, "model": f"{model['model']}-fail-400"}
        await player.once(f"{name} fails", lambda: inside(lambda: aask(**failing)))

    await provider("openai", gpt)
    await provider("anthropic", claude)
    embed = {"model": "openai/text-embedding-3-small", "input": ["a", "b"]}
    await player.once("embeddings", lambda: inside(lambda: litellm.embedding(**{**gpt, **embed})))
    mock = {"model": "gpt-4o", "messages": asked, "mock_response": "sunny"}
    await player.once("mock", lambda: inside(lambda: aask(**mock)))

    async def many(i: int) -> None:
        await aask(**gpt, messages=asked)

    def threads(i: int) -> None:
        ask(**gpt, messages=asked)

    await player.many(many)
    await player.many(threads)
    if "wire" in player.kind:
        await player.once(
            "left", lambda: inside(lambda: stream(leave=True, model="openai/gpt-4o-fail-endless"))
        )
    door.uninstrument()
    await player.once("off", lambda: aask(**gpt, messages=asked), runs=0)


if __name__ == "__main__":
    main(drive)
