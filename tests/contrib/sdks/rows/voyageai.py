"""The `voyageai` package."""

from typing import Any

from tests.contrib.sdks.rows import shared
from tests.contrib.sdks.table import Row, Sdk

Q = shared.QUESTION


class Vectors:
    """``Client`` and ``AsyncClient``."""

    def __init__(self, url: str) -> None:
        voyageai = shared.sdk("voyageai")

        options: Any = {"api_key": "any", "base_url": f"{url}/voyage/v1"}
        self._client: Any = voyageai.Client(**options)
        self._patient: Any = voyageai.Client(**options, max_retries=2)
        self._later: Any = voyageai.AsyncClient(**options)

    def _ask(self, text: str, fault: str = "") -> Any:
        found = self._client.embed([text], model=f"voyage-3.5{fault}")
        return [found.embeddings, found.total_tokens]

    def plain(self) -> Any:
        return self._ask(Q)

    def embeddings(self) -> Any:
        found = self._client.embed(["tea", "coffee"], model="voyage-3.5", input_type="query")
        return [found.embeddings, found.total_tokens]

    def contextualized(self) -> Any:
        inputs = [["tea", "is hot"], ["coffee"]]
        found = self._client.contextualized_embed(inputs=inputs, model="voyage-context-3")
        return [[each.embeddings for each in found.results], found.total_tokens]

    def multimodal(self) -> Any:
        found = self._client.multimodal_embed(inputs=[["tea"]], model="voyage-multimodal-3")
        return [found.embeddings, found.total_tokens]

    def rerank(self) -> Any:
        found = self._client.rerank("tea", ["tea", "coffee"], model="rerank-2.5")
        return [found.results, found.total_tokens]

    def error_4xx(self) -> Any:
        return self._ask(Q, "-fail-429")

    def error_5xx(self) -> Any:
        return self._ask(Q, "-fail-500")

    def retry(self) -> Any:
        return self._patient.embed([Q], model="voyage-3.5-fail-503-once").embeddings

    async def gather(self, question: str) -> Any:
        return (await self._later.embed([question], model="voyage-3.5")).embeddings

    def threads(self, question: str) -> Any:
        return self._ask(question)


_NO_CHATS = (
    "stream", "tools", "parallel_tools", "reasoning", "cached_tokens", "error_in_stream", "early_close",
    "cancel",
)  # fmt: skip
SDK = Sdk(
    "voyageai",
    versions=(("voyageai==0.5.0",), ("voyageai==0.4.1",)),
    door="llmobs.instrument",
    rows=(
        Row(
            "Client: embed, contextualized_embed, multimodal_embed, rerank",
            Vectors,
            provider="voyage_ai",
            host="api.voyageai.com",
            without={
                **dict.fromkeys(_NO_CHATS, "Voyage has no chats"),
                "raw_response": "the SDK has none",
            },
            untold=frozenset({"attempt"}),
            not_captured="Models that run in the process.",
        ),
    ),
)
