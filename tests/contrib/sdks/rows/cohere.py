"""The `cohere` package: its second client."""

from typing import Any

from tests.contrib.sdks.rows import shared
from tests.contrib.sdks.table import Row, Sdk

Q = shared.QUESTION
NEVER = {"request_options": {"max_retries": 0}}


class V2(shared.AsyncScript):
    """``ClientV2`` and ``AsyncClientV2``."""

    _model = "command-a-03-2025"

    def __init__(self, url: str) -> None:
        cohere = shared.sdk("cohere")

        self._client: Any = cohere.ClientV2(api_key="any", base_url=url)
        self._later: Any = cohere.AsyncClientV2(api_key="any", base_url=url)

    def _asked(self, content: Any, fault: str = "", **more: Any) -> dict[str, Any]:
        return super()._asked(content, fault, **(NEVER | more))

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.chat(**self._asked(content, fault, **more))

    def _stream(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.chat_stream(**self._asked(content, fault, **more))

    async def _ask_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return await self._later.chat(**self._asked(content, fault, **more))

    async def _stream_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._later.chat_stream(**self._asked(content, fault, **more))

    def reasoning(self) -> Any:
        return self._ask(Q, thinking={"type": "enabled"})

    def reasoning_streamed(self) -> Any:
        return self._stream(Q, thinking={"type": "enabled"})

    def cached_tokens(self) -> Any:
        return self._ask(shared.LONG)

    def embeddings(self) -> Any:
        return self._client.embed(
            model="embed-v4.0",
            texts=["tea", "coffee"],
            input_type="search_query",
            embedding_types=["float"],
        )

    def retry(self) -> Any:
        return self._ask(Q, "-fail-500-once", request_options={"max_retries": 1})

    def raw_response(self) -> Any:
        found = self._client.with_raw_response.chat(**self._asked(Q))
        return [found.headers["x-request-id"], found.data]

    def documents(self) -> Any:
        return self._ask(Q, documents=["Queues wait."])

    def rerank(self) -> Any:
        return self._client.rerank(model="rerank-v3.5", query="tea", documents=["tea", "coffee"])

    def cut_by_max_tokens(self) -> Any:
        return self._ask(Q, max_tokens=5)


SDK = Sdk(
    "cohere",
    versions=(("cohere==7.3.1",), ("cohere==6.1.0",)),
    door="llmobs.instrument",
    rows=(
        Row(
            "ClientV2",
            V2,
            provider="cohere",
            untold=frozenset({"reasoning", "attempt"}),
            endings={"stop": "COMPLETE", "tools": "TOOL_CALL", "length": "MAX_TOKENS"},
            not_captured="`/v1/chat` of the first client, embed jobs, classifications.",
        ),
    ),
)
