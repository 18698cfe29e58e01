"""The model behind the site. Nothing here records anything: the clients were instrumented."""

from collections.abc import AsyncIterator
from functools import cache

from openai import AsyncOpenAI, OpenAI

from llmobs.contrib.openai import instrument

MODEL = "gpt-4o-mini"


@cache
def _client() -> OpenAI:
    # When first needed: each child of a worker or a server has its own. The address and the key
    # come from OPENAI_BASE_URL and OPENAI_API_KEY.
    return instrument(OpenAI(max_retries=2, timeout=30))


def answer(message: str, model: str = MODEL) -> str:
    completion = _client().chat.completions.create(
        model=model, messages=[{"role": "user", "content": message}]
    )
    return completion.choices[0].message.content or ""


async def stream(message: str, model: str = MODEL) -> AsyncIterator[str]:
    # One for each answer: Django has no place for a client that lives as long as the event loop.
    async with instrument(AsyncOpenAI(max_retries=2, timeout=30), include_usage=True) as client:
        chunks = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": message}], stream=True
        )
        async for chunk in chunks:
            for choice in chunk.choices:
                if piece := choice.delta.content:
                    yield piece
