"""What every sender asks, with the `openai` package; each calls `ask_all` and `agent` its own way."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import openai

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def client(make: Any = openai.OpenAI) -> Any:
    """Return a client of the model server."""
    return make(base_url=os.environ["MODEL_URL"] + "/v1", api_key="sk-any", max_retries=0)


def collector() -> str:
    """Return where to send to, without a slash at the end."""
    return os.environ["COLLECTOR_URL"]


def messages(text: str) -> Any:
    """Return a short conversation."""
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


def ask_all(model: Any) -> None:
    """Plain, streamed, with a tool, failing, thinking, from the cache, embeddings: a trace each."""
    chat = model.chat.completions
    chat.create(model="gpt-4o", messages=messages("What is tea?"), temperature=0.3)
    streamed = chat.create(
        model="gpt-4o",
        messages=messages("What is a stream?"),
        stream=True,
        stream_options={"include_usage": True},
    )
    for _ in streamed:
        pass
    chat.create(model="gpt-4o", messages=messages("Weather in Paris and Rome?"), tools=[TOOL])
    with suppress(openai.RateLimitError):
        chat.create(model="gpt-4o-fail-429", messages=messages("What breaks?"))
    chat.create(model="o4-mini", messages=[{"role": "user", "content": "Why is the sky blue?"}])
    long = [{"role": "system", "content": "Tea is good. " * 300}, *messages("And coffee?")[1:]]
    chat.create(model="gpt-4o", messages=long)
    model.embeddings.create(model="text-embedding-3-small", input=["tea", "coffee"], dimensions=8)


def agent(model: Any, get_weather: Callable[[str], str], question: str) -> str:
    """Ask until the model has all it wanted from the tool."""
    told: list[Any] = [{"role": "user", "content": question}]
    while True:
        answer = model.chat.completions.create(model="gpt-4o", messages=told, tools=[TOOL])
        said = answer.choices[0].message
        if not said.tool_calls:
            return said.content or ""
        told.append(said.model_dump(exclude_none=True))
        for call in said.tool_calls:
            result = get_weather(**json.loads(call.function.arguments))
            told.append({"role": "tool", "tool_call_id": call.id, "content": result})


QUESTION = "Briefly: what is the weather in Paris?"
