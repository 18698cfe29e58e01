"""Plays LlamaIndex: models, tools, agents, an index with a query engine."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from typing import Any

from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI

import llmobs
from llmobs.contrib import llama_index as door
from tests.contrib.agents.driving import Player, main


async def get_weather(city: str) -> str:
    """Tell the weather."""
    llmobs.current_tracker().agent_step("inside").start().end()
    return f"sunny in {city}"


async def get_forecast(city: str) -> str:
    """Tell the weather."""
    raise LookupError(f"no {city}")


async def drive(player: Player) -> None:
    player.open(door)

    def model(name: str = "gpt-4o") -> Any:
        return OpenAI(model=name, api_base=f"{player.url}/v1", api_key="any", max_retries=0)

    asked = [ChatMessage(role="user", content="Explain queues")]
    await player.once("chat", lambda: model().chat(asked))
    await player.once("achat", lambda: model().achat(asked))
    await player.once("complete", lambda: model().complete("Explain queues"))
    await player.once("stream", lambda: list(model().stream_chat(asked)))

    async def astream() -> None:
        async for _ in await model().astream_chat(asked):
            pass

    await player.once("astream", astream)
    failing = OpenAI(
        model="gpt-4o",
        api_base=f"{player.url}/v1",
        api_key="any",
        max_retries=0,
        default_headers={"x-fake-fault": "400"},
    )
    await player.once("call fails", lambda: failing.chat(asked))

    def agent(*tools: Any) -> Any:
        made = [FunctionTool.from_defaults(async_fn=each) for each in tools]
        return FunctionAgent(tools=made, llm=model(), streaming=False)

    async def run(*tools: Any, ask: str = "What is the weather in Paris?") -> None:
        await agent(*tools).run(ask)

    await player.once("tool", lambda: run(get_weather))
    await player.once(
        "parallel", lambda: run(get_weather, ask="What is the weather in Paris and Rome?")
    )
    await player.once("tool fails", lambda: run(get_forecast))

    index = VectorStoreIndex.from_documents(
        [Document(text="Queues are first in, first out.")], embed_model=MockEmbedding(embed_dim=8)
    )
    await player.once("query", lambda: index.as_query_engine(llm=model()).query("What are queues?"))

    async def many(i: int) -> None:
        await model().achat(asked)

    await player.many(many)
    await player.many(lambda i: model().chat(asked))

    async def get_late_weather(city: str) -> str:
        """Tell the weather, when nobody listens any more."""
        door.uninstrument()
        return f"sunny in {city}"

    await player.once("undone meanwhile", lambda: run(get_late_weather))
    await player.once("off", lambda: model().chat(asked), runs=0)
    door.instrument(llmobs_client=player.client, capture_content="metadata")
    await player.once("metadata", lambda: run(get_weather))


if __name__ == "__main__":
    main(drive)
