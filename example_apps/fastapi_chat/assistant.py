"""The model behind the API. Nothing here records anything: the client was instrumented."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessage, ChatCompletionMessageParam

Messages = Sequence[ChatCompletionMessageParam]


class Assistant:
    """Asks the model, with the openai package."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    async def answer(
        self, messages: Messages, *, model: str, **params: Any
    ) -> ChatCompletionMessage:
        completion: ChatCompletion = await self._client.chat.completions.create(
            model=model, messages=list(messages), **params
        )
        return completion.choices[0].message

    async def stream(self, messages: Messages, *, model: str) -> AsyncIterator[str]:
        stream = await self._client.chat.completions.create(
            model=model, messages=list(messages), stream=True
        )
        async with stream:
            async for chunk in stream:
                for choice in chunk.choices:
                    if piece := choice.delta.content:
                        yield piece
