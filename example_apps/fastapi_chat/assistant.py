"""The model behind the API: every call of it is recorded where it is made."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from openai import AsyncOpenAI
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionMessage, ChatCompletionMessageParam

from llmobs import Tracker

Messages = Sequence[ChatCompletionMessageParam]


class Assistant:
    """Asks the model, with the openai package, and tells the run's tracker about it."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    async def answer(
        self, tracker: Tracker, messages: Messages, *, model: str, **params: Any
    ) -> ChatCompletionMessage:
        with tracker.prompt_call(model=model, prompt=messages, provider="openai") as call:
            completion: ChatCompletion = await self._client.chat.completions.create(
                model=model, messages=list(messages), **params
            )
            choice = completion.choices[0]
            call.finish(
                response=choice.message.content or "",
                **_usage(completion.usage),
                finish_reason=choice.finish_reason,
                response_id=completion.id,
                model_version=completion.model,
                tool_calls=[item.model_dump() for item in choice.message.tool_calls or ()] or None,
            )
        return choice.message

    async def stream(
        self, tracker: Tracker, messages: Messages, *, model: str
    ) -> AsyncIterator[str]:
        with tracker.prompt_call(model=model, prompt=messages, provider="openai") as call:
            pieces: list[str] = []
            usage: CompletionUsage | None = None
            finish_reason: str | None = None
            stream = await self._client.chat.completions.create(
                model=model,
                messages=list(messages),
                stream=True,
                stream_options={"include_usage": True},
            )
            try:
                async with stream:
                    async for chunk in stream:
                        usage = chunk.usage or usage  # comes in a last chunk without choices
                        for choice in chunk.choices:
                            finish_reason = choice.finish_reason or finish_reason
                            if piece := choice.delta.content:
                                call.first_token()
                                pieces.append(piece)
                                yield piece
            finally:  # also what came of an answer that broke off
                call.finish(response="".join(pieces), finish_reason=finish_reason, **_usage(usage))


def _usage(usage: CompletionUsage | None) -> dict[str, int | None]:
    if usage is None:
        return {}
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return {
        "tokens_input": usage.prompt_tokens,
        "tokens_output": usage.completion_tokens,
        "tokens_cached": prompt.cached_tokens if prompt else None,
        "tokens_reasoning": completion.reasoning_tokens if completion else None,
    }
