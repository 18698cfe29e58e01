"""The `aiohttp` package: applications that have no SDK."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tests.contrib.sdks.rows import shared
from tests.contrib.sdks.table import Row, Sdk

Q = shared.QUESTION


class Session(shared.AsyncScript):
    """``ClientSession.post``; what others do without asyncio, it does with it."""

    _model = "gpt-4o"
    _streaming = {"stream": True, "stream_options": {"include_usage": True}}

    def __init__(self, url: str) -> None:
        self._aiohttp = shared.sdk("aiohttp")
        self._base = f"{url}/v1"

    async def _post(self, path: str, asked: Any) -> Any:
        async with (
            self._aiohttp.ClientSession() as session,
            session.post(f"{self._base}{path}", json=asked) as response,
        ):
            return [response.status, await response.text()]

    async def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return await self._post("/chat/completions", self._asked(content, fault, **more))

    _ask_later = _ask

    async def _stream(self, content: Any, fault: str = "", **more: Any) -> AsyncIterator[Any]:
        asked = self._asked(content, fault, **self._streaming, **more)
        async with (
            self._aiohttp.ClientSession() as session,
            session.post(f"{self._base}/chat/completions", json=asked) as response,
        ):
            async for line in response.content:
                yield line

    async def _stream_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._stream(content, fault, **more)

    async def early_close(self) -> Any:
        stream: Any = self._stream(Q)
        first = await anext(stream)
        await stream.aclose()
        return first

    def threads(self, question: str) -> Any:
        return asyncio.run(self._ask(question))

    async def reasoning(self) -> Any:
        return await self._ask(Q, model="o3-mini")

    async def cached_tokens(self) -> Any:
        return await self._ask(shared.LONG)

    async def embeddings(self) -> Any:
        asked = {"model": "text-embedding-3-small", "input": ["tea", "coffee"]}
        return await self._post("/embeddings", asked)


SDK = Sdk(
    "aiohttp",
    versions=(("aiohttp==3.14.5",), ("aiohttp==3.12.0",)),
    door="llmobs.instrument",
    only="The major before, 2.x, ended in 2018: the oldest release that has middlewares stands for it.",
    rows=(
        Row(
            "ClientSession.post",
            Session,
            provider="openai",
            without={
                "retry": "it never asks again",
                "raw_response": "there is no other",
            },
            untold=frozenset({"thinking"}),
        ),
    ),
)
