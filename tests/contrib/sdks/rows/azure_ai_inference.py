"""The `azure-ai-inference` package."""

from typing import Any

from tests.contrib.sdks.rows import shared
from tests.contrib.sdks.table import Row, Sdk

Q = shared.QUESTION


class Chat(shared.AsyncScript):
    """``ChatCompletionsClient`` and ``EmbeddingsClient``, and their async twins."""

    _model = "gpt-4o"
    _streaming = {"stream": True, "model_extras": {"stream_options": {"include_usage": True}}}

    def __init__(self, url: str) -> None:
        inference = shared.sdk("azure.ai.inference")
        key = shared.sdk("azure.core.credentials").AzureKeyCredential("any")
        options: Any = {"endpoint": f"{url}/models", "credential": key}
        self._client = inference.ChatCompletionsClient(**options, retry_total=0)
        self._patient = inference.ChatCompletionsClient(**options, retry_backoff_factor=0.01)
        later = shared.sdk("azure.ai.inference.aio")
        self._later = later.ChatCompletionsClient(**options, retry_total=0)
        self._embedder = inference.EmbeddingsClient(**options)

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.complete(**self._asked(content, fault, **more))

    async def _ask_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return await self._later.complete(**self._asked(content, fault, **more))

    def reasoning(self) -> Any:
        return self._ask(Q, model_extras={"reasoning_effort": "low"})

    def cached_tokens(self) -> Any:
        return self._ask(shared.LONG)

    def embeddings(self) -> Any:
        return self._embedder.embed(model="text-embedding-3-small", input=["tea", "coffee"])

    def retry(self) -> Any:
        return self._patient.complete(**self._asked(Q, "-fail-500-once"))

    def cut_by_max_tokens(self) -> Any:
        return self._ask(Q, max_tokens=5)


SDK = Sdk(
    "azure-ai-inference",
    versions=(
        ("azure-ai-inference==1.0.0b9", "aiohttp"),
        ("azure-ai-inference==1.0.0b8", "aiohttp"),
    ),
    only="There have been betas of 1.0 alone.",
    door="llmobs.instrument",
    rows=(
        Row(
            "ChatCompletionsClient, EmbeddingsClient",
            Chat,
            provider="azure.ai.inference",
            host="a.services.ai.azure.com",
            without={"raw_response": "the SDK has none"},
            untold=frozenset({"thinking"}),
            not_captured="Embeddings of pictures.",
        ),
    ),
)
