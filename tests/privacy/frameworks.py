"""
Plays one framework of agents, in an environment of its own, with canaries wherever its users write.

``python -m tests.privacy.frameworks FRAMEWORK URL DIRECTORY``: first without redaction, into
``DIRECTORY/seen``, which says what of it is recorded at all, then with it, into ``DIRECTORY/kept``.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportCallIssue=false
# mypy: disable-error-code="import-not-found,import-untyped"
import asyncio
import inspect
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import llmobs
from tests.privacy.canaries import every_canary

PLACES = ("prompt", "result", "name", "error", "label")
"""Where canaries are; what is in a prompt comes back as the argument of a tool."""
Work = Callable[[], Any]


def text(place: str) -> str:
    """Return the canaries of a place."""
    return every_canary(PLACES.index(place))


def search(query: str) -> str:
    """Search the news."""
    return f"found {text('result')}"


def search_failing(query: str) -> str:
    """Search the news."""
    raise LookupError(text("error"))


search_failing.__name__ = "search"
ASKED = "The latest news, please: " + text("prompt")
TOOL = {
    "type": "function",
    "function": {
        "name": "search",
        "description": f"Search the news. {text('label')}",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
    },
}


def litellm(url: str) -> list[Work]:
    import litellm

    litellm.suppress_debug_info = True
    given: dict[str, Any] = {
        "api_base": f"{url}/v1",
        "api_key": "any",
        "max_retries": 0,
        "num_retries": 0,
        "messages": [
            {"role": "user", "content": ASKED},
            {"role": "assistant", "content": text("result")},
            {"role": "user", "content": ASKED},
        ],
        "tools": [TOOL],
        "metadata": {"tags": [text("label")], "trace_user_id": text("label")},
        "user": text("label"),
    }
    return [
        lambda: litellm.completion("openai/gpt-4o", **given),
        lambda: litellm.acompletion("openai/gpt-4o", **given),
        lambda: list(litellm.completion("openai/gpt-4o", stream=True, **given)),
        lambda: litellm.completion("openai/" + text("name"), **given),
        lambda: litellm.completion("openai/gpt-4o-fail-400", **given),
        lambda: litellm.completion("gpt-4o", mock_response=Exception(text("error")), **given),
    ]


def pydantic_ai(url: str) -> list[Work]:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=f"{url}/v1", api_key="any")

    def agent(tool: Any, model: str = "gpt-4o") -> Any:
        chat = OpenAIChatModel(model, provider=provider)
        return Agent(chat, name=text("name"), instructions=text("label"), tools=[tool])

    return [
        lambda: agent(search).run(ASKED),
        lambda: agent(search_failing).run(ASKED),
        lambda: agent(search, "gpt-4o-fail-400").run(ASKED),
    ]


def llama_index(url: str) -> list[Work]:
    from llama_index.core import Document, MockEmbedding, VectorStoreIndex
    from llama_index.core.agent.workflow import FunctionAgent
    from llama_index.core.llms import ChatMessage
    from llama_index.core.tools import FunctionTool
    from llama_index.llms.openai import OpenAI

    def model(name: str = "gpt-4o", **more: Any) -> Any:
        return OpenAI(model=name, api_base=f"{url}/v1", api_key="any", max_retries=0, **more)

    def agent(tool: Any) -> Any:
        tools = [FunctionTool.from_defaults(fn=tool, description=text("label"))]
        more = {"name": text("name"), "system_prompt": text("label")}
        return FunctionAgent(tools=tools, llm=model(), streaming=False, **more)

    asked = [ChatMessage(role="user", content=ASKED)]
    failing = model(default_headers={"x-fake-fault": "400"})
    embedding = MockEmbedding(embed_dim=8)

    def query() -> Any:
        documents = [Document(text=text("result"), metadata={"of": text("label")})]
        index = VectorStoreIndex.from_documents(documents, embed_model=embedding)
        return index.as_query_engine(llm=model()).query(ASKED)

    async def run(tool: Any) -> None:
        await agent(tool).run(ASKED)

    return [
        lambda: model().chat(asked),
        lambda: list(model().stream_chat(asked)),
        lambda: failing.chat(asked),
        lambda: run(search),
        lambda: run(search_failing),
        query,
    ]


def dspy(url: str) -> list[Work]:
    import dspy

    class Question(dspy.Signature):
        question: str = dspy.InputField()
        answer: str = dspy.OutputField()

    Question.__doc__ = text("label")

    def model(name: str = "gpt-4o") -> Any:
        options = {"api_base": f"{url}/v1", "api_key": "any", "num_retries": 0, "cache": False}
        return dspy.LM(f"openai/{name}", engine="litellm", **options)

    def predict() -> None:
        with dspy.context(lm=model()):
            dspy.Predict(Question)(question=ASKED)

    return [
        lambda: model()(ASKED),
        lambda: model().acall(ASKED),
        predict,
        lambda: model("gpt-4o-fail-400")(ASKED),
        lambda: dspy.Tool(search, name=text("name"))(query=ASKED),
        lambda: dspy.Tool(search_failing)(query=ASKED),
    ]


def crewai(url: str) -> list[Work]:
    os.environ |= {"CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_TRACING_ENABLED": "false"}
    from crewai import LLM, Agent, Crew, Task
    from crewai.tools import tool

    def crew(function: Any, model: str = "gpt-4o") -> Any:
        agent = Agent(
            role=text("name"),
            goal=text("label"),
            backstory=text("label"),
            llm=LLM(model=f"openai/{model}", base_url=f"{url}/v1", api_key="any"),
            tools=[tool("search")(function)],
            max_iter=3,
            max_retry_limit=0,
        )
        task = Task(
            description=ASKED, expected_output=text("label"), agent=agent, name=text("name")
        )
        return Crew(agents=[agent], tasks=[task], name=text("name"))

    return [
        # It refuses to run where a loop runs.
        lambda: asyncio.to_thread(crew(search).kickoff),
        lambda: asyncio.to_thread(crew(search_failing).kickoff),
        lambda: asyncio.to_thread(crew(search, "gpt-4o-fail-400").kickoff),
    ]


def openai_agents(url: str) -> list[Work]:
    import agents
    from openai import AsyncOpenAI

    agents.set_trace_processors([])
    sdk = AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)

    def agent(tool: Any, model: str = "gpt-4o") -> Any:
        asked = agents.OpenAIResponsesModel(model, sdk)
        made = agents.function_tool(tool, failure_error_function=None)
        return agents.Agent(text("name"), instructions=text("label"), model=asked, tools=[made])

    async def stream() -> None:
        with agents.trace(text("name"), group_id=text("label"), metadata={"of": text("label")}):
            async for _ in agents.Runner.run_streamed(agent(search), ASKED).stream_events():
                pass

    run = agents.Runner.run
    return [
        lambda: run(agent(search), ASKED),
        lambda: run(agent(search_failing), ASKED),
        lambda: run(agent(search, "gpt-4o-fail-400"), ASKED),
        stream,
    ]


def smolagents(url: str) -> list[Work]:
    import smolagents

    class Search(smolagents.Tool):
        name = "search"
        description = f"Search the news. {text('label')}"
        inputs = {"query": {"type": "string", "description": "What."}}
        output_type = "string"

        def forward(self, query: str) -> str:
            return search(query)

    class Failing(Search):
        def forward(self, query: str) -> str:
            return search_failing(query)

    def agent(tool: Any, model: str = "gpt-4o") -> Any:
        asked = smolagents.OpenAIModel(
            model, api_base=f"{url}/v1", api_key="any", client_kwargs={"max_retries": 0}
        )
        more = {"instructions": text("label"), "verbosity_level": smolagents.LogLevel.OFF}
        return smolagents.ToolCallingAgent([tool], asked, max_steps=2, **more)

    return [
        lambda: agent(Search()).run(ASKED),
        lambda: agent(Failing()).run(ASKED),
        lambda: agent(Search(), "gpt-4o-fail-400").run(ASKED),
    ]


def google_adk(url: str) -> list[Work]:
    os.environ |= {"GOOGLE_API_KEY": "any", "GOOGLE_GENAI_USE_VERTEXAI": "false"}
    from google.adk.agents import LlmAgent
    from google.adk.models.google_llm import Gemini
    from google.adk.runners import Runner
    from google.adk.sessions import InMemorySessionService
    from google.genai import types

    async def run(tool: Any, model: str = "gemini-2.5-flash") -> None:
        asked = Gemini(model=model, base_url=url)
        root = LlmAgent(name="assistant", model=asked, instruction=text("label"), tools=[tool])
        sessions = InMemorySessionService()
        runner = Runner(
            agent=root, app_name="shop", session_service=sessions, auto_create_session=True
        )
        said = types.Content(role="user", parts=[types.Part(text=ASKED)])
        async for _ in runner.run_async(
            user_id=text("name"), session_id=text("label"), new_message=said
        ):
            pass

    return [
        lambda: run(search),
        lambda: run(search_failing),
        lambda: run(search, "gemini-2.5-flash-fail-400"),
    ]


PLAYS = {
    play.__name__: play
    for play in (
        litellm, pydantic_ai, llama_index, dspy, crewai, openai_agents, smolagents, google_adk,
    )
}  # fmt: skip
"""By what tests call the framework."""


async def all_of(works: list[Work]) -> None:
    """Do all of them, of which some fail, as they are to; what that is goes no further."""
    for work in works:
        with suppress(Exception):
            answer = work()
            if isinstance(answer, Awaitable) or inspect.isawaitable(answer):
                await answer


def main() -> None:
    """Play; print how many events came each time."""
    framework, url, directory = sys.argv[1:]
    works = PLAYS[framework](url)
    for name, redact in (("seen", False), ("kept", True)):
        folder = Path(directory) / name
        folder.mkdir()
        handler = logging.FileHandler(folder / "log")
        logging.getLogger("llmobs").addHandler(handler)
        logging.getLogger("llmobs").setLevel(logging.DEBUG)
        sinks = f"sqlite:///{folder / 'runs.db'} jsonl:///{folder / 'events.jsonl'} http://k@127.0.0.1:9/v1"
        client = llmobs.Client(
            sink=sinks,
            spool_dir=folder / "spool",
            redact_pii=redact,
            shutdown_timeout=5,
        )
        llmobs.instrument(llmobs_client=client)
        asyncio.run(all_of(works))
        (folder / "statistics").write_text(repr(client.statistics()))
        client.close()
        llmobs.uninstrument()
        logging.getLogger("llmobs").removeHandler(handler)
        print(client.statistics().accepted)


if __name__ == "__main__":
    main()
