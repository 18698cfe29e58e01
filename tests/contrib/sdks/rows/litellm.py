"""The `litellm` package, which speaks to each provider with a client of its own."""

import os
from typing import Any

from tests.contrib.sdks.rows import shared
from tests.contrib.sdks.table import Row, Sdk

Q = shared.QUESTION


class OpenAI(shared.AsyncScript):
    """``completion`` and ``acompletion``, at OpenAI."""

    _model = "openai/gpt-4o"
    _path = "/v1"
    _streaming = {"stream": True, "stream_options": {"include_usage": True}}
    _thinks: Any = {"reasoning_effort": "low", "allowed_openai_params": ["reasoning_effort"]}

    def __init__(self, url: str) -> None:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks the network for prices
        self._litellm = shared.sdk("litellm")
        self._base = f"{url}{self._path}"

    def _asked(self, content: Any, fault: str = "", **more: Any) -> dict[str, Any]:
        at = {"api_base": self._base, "api_key": "any", "max_retries": 0}
        return super()._asked(content, fault, **at, **more)

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._litellm.completion(**self._asked(content, fault, **more))

    async def _ask_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return await self._litellm.acompletion(**self._asked(content, fault, **more))

    def reasoning(self) -> Any:
        return self._ask(Q, **self._thinks)

    def cached_tokens(self) -> Any:
        return self._ask(shared.LONG)

    def retry(self) -> Any:
        return self._ask(Q, "-fail-500-once", num_retries=1)


class Embedding(OpenAI):
    """`OpenAI`, with its vectors."""

    def embeddings(self) -> Any:
        at = {"api_base": self._base, "api_key": "any"}
        model = "openai/text-embedding-3-small"
        return self._litellm.embedding(model=model, input=["tea", "coffee"], **at)


class Anthropic(OpenAI):
    """The same, at Anthropic."""

    _model = "anthropic/claude-sonnet-4-6"
    _path = ""
    _thinks = {"thinking": {"type": "enabled", "budget_tokens": 1024}}

    def cached_tokens(self) -> Any:
        cached = {"cache_control": {"type": "ephemeral"}}
        rules = {"type": "text", "text": "Rules. " * 1500, **cached}
        return self._ask([{"role": "system", "content": [rules]}, *shared.LONG])


class Gemini(OpenAI):
    """The same, at Gemini."""

    _model = "gemini/gemini-2.5-flash"
    _path = "/v1beta"


class Jina:
    """``embedding``, ``aembedding`` and ``rerank``, at Jina."""

    def __init__(self, url: str) -> None:
        self._litellm = shared.sdk("litellm")
        self._base = f"{url}/jina/v1"

    def _asked(self, texts: Any, fault: str = "") -> dict[str, Any]:
        model = f"jina_ai/jina-embeddings-v3{fault}"
        at = {"api_base": self._base, "api_key": "any", "max_retries": 0}
        return {"model": model, "input": texts, **at}

    def _ask(self, texts: Any, fault: str = "") -> Any:
        return self._litellm.embedding(**self._asked(texts, fault))

    def plain(self) -> Any:
        return self._ask([Q])

    def embeddings(self) -> Any:
        return self._ask(["tea", "coffee"])

    def picture(self) -> Any:
        return self._ask(["tea", f"data:image/png;base64,{shared.PNG}"])

    def rerank(self) -> Any:
        return self._litellm.rerank(**self._ranked())

    async def rerank_async(self) -> Any:
        return await self._litellm.arerank(**self._ranked())

    def _ranked(self) -> dict[str, Any]:
        model = "jina_ai/jina-reranker-v2-base-multilingual"
        at = {"api_base": self._base, "api_key": "any"}
        return {"model": model, "query": "tea", "documents": ["coffee", "tea"], "top_n": 1, **at}

    def error_4xx(self) -> Any:
        return self._ask([Q], "-fail-429")

    def error_5xx(self) -> Any:
        return self._ask([Q], "-fail-500")

    async def gather(self, question: str) -> Any:
        return await self._litellm.aembedding(**self._asked([question]))

    def threads(self, question: str) -> Any:
        return self._ask([question])


_NO_CHATS = (
    "stream", "tools", "parallel_tools", "reasoning", "cached_tokens", "error_in_stream", "early_close",
    "cancel",
)  # fmt: skip
_RAW = {"raw_response": "LiteLLM has none"}
_VECTORS = {"embeddings": "they are tried at OpenAI"}
_OWN = r'"created":\d+|chatcmpl-[0-9a-f-]{36}'
SDK = Sdk(
    "litellm",
    versions=(("litellm==1.110.2", "tenacity"),),
    only=(
        "The major before, 0.x, ended in 2023 and downloads a tokenizer when it is imported: "
        "it cannot be tried offline."
    ),
    door="llmobs.instrument",
    rows=(
        Row(
            "completion, acompletion, embedding: openai/…",
            Embedding,
            provider="openai",
            without=_RAW,
            untold=frozenset({"thinking"}),
            made_up=_OWN,
        ),
        Row(
            "completion, acompletion: anthropic/…",
            Anthropic,
            provider="anthropic",
            without=_RAW | _VECTORS,
            untold=frozenset({"attempt"}),
            made_up=_OWN,
            endings={"stop": "end_turn", "tools": "tool_use", "length": "max_tokens"},
        ),
        Row(
            "completion, acompletion: gemini/…",
            Gemini,
            provider="gcp.gemini",
            host="generativelanguage.googleapis.com",
            without=_RAW | _VECTORS,
            untold=frozenset({"attempt"}),
            made_up=_OWN,
            endings={"stop": "STOP", "tools": "STOP", "length": "MAX_TOKENS"},
        ),
        Row(
            "embedding, aembedding, rerank, arerank: jina_ai/…",
            Jina,
            provider="jina_ai",
            host="api.jina.ai",
            without={
                **dict.fromkeys(_NO_CHATS, "Jina has no chats"),
                **_RAW,
                "retry": "LiteLLM asks for vectors once",
            },
            made_up=r'"id":"[0-9a-f-]{36}",',
        ),
    ),
)
