"""The `huggingface_hub` package: its inference client."""

from typing import Any

from tests.contrib.sdks.rows import shared
from tests.contrib.sdks.table import Row, Sdk

Q = shared.QUESTION
MODEL = "meta-llama/Llama-3.1-8B-Instruct"


class Chat(shared.AsyncScript):
    """``InferenceClient.chat_completion`` and its async twin, at an endpoint that speaks OpenAI's wire."""

    _model = MODEL
    _streaming = {"stream": True, "stream_options": {"include_usage": True}}

    def __init__(self, url: str) -> None:
        self._options: Any = {"base_url": f"{url}/v1", "token": "any"}
        self._hub = shared.sdk("huggingface_hub")
        self._client = self._hub.InferenceClient(**self._options)
        self._later = self._hub.AsyncInferenceClient(**self._options)

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.chat_completion(**self._asked(content, fault, **more))

    async def _ask_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return await self._later.chat_completion(**self._asked(content, fault, **more))

    def reasoning(self) -> Any:
        return self._ask(Q, extra_body={"reasoning_effort": "low"})

    def cached_tokens(self) -> Any:
        return self._ask(shared.LONG)

    def early_close(self) -> Any:
        with self._hub.InferenceClient(
            **self._options
        ) as client:  # which holds the connection, not the stream
            return next(iter(client.chat_completion(**self._asked(Q, **self._streaming))))

    def cut_by_max_tokens(self) -> Any:
        return self._ask(Q, max_tokens=5)


class Generation:
    """``InferenceClient.text_generation`` and ``feature_extraction``, as the router has them."""

    def __init__(self, url: str) -> None:
        hub = shared.sdk("huggingface_hub")
        self._at = f"{url}/hf-inference/models/{MODEL}"
        self._client = hub.InferenceClient(token="any")
        self._later = hub.AsyncInferenceClient(token="any")

    def _ask(self, text: str, fault: str = "", **more: Any) -> Any:
        return self._client.text_generation(text, model=self._at + fault, **more)

    def plain(self) -> Any:
        """The text alone: no tokens are told."""
        return self._ask(Q)

    def details(self) -> Any:
        return self._ask(Q, details=True, decoder_input_details=True)

    def stream(self) -> Any:
        return self._ask(Q, stream=True)

    async def stream_async(self) -> Any:
        return await self._later.text_generation(Q, model=self._at, stream=True, details=True)

    def embeddings(self) -> Any:
        at = f"{self._at}/pipeline/feature-extraction"
        return self._client.feature_extraction("tea", model=at).tolist()

    def error_4xx(self) -> Any:
        return self._ask(Q, "-fail-429")

    def error_5xx(self) -> Any:
        return self._ask(Q, "-fail-503")

    def error_in_stream(self) -> Any:
        return self._ask(Q, "-fail-stream-error", stream=True)

    async def cancel(self) -> Any:
        model = f"{self._at}-fail-endless"
        return await self._later.text_generation(Q, model=model, stream=True)

    async def gather(self, question: str) -> Any:
        return await self._later.text_generation(question, model=self._at)

    def threads(self, question: str) -> Any:
        return self._ask(question)

    def cut_by_max_tokens(self) -> Any:
        return self._ask(Q, max_new_tokens=5, details=True, decoder_input_details=True)


_HOST = "router.huggingface.co"
_SDK = {"retry": "the SDK never asks again", "raw_response": "the SDK has none"}
_CHATS = "it is of chats"
SDK = Sdk(
    "huggingface_hub",
    versions=(("huggingface_hub==2.4.0", "numpy"), ("huggingface_hub==1.33.0", "numpy")),
    door="llmobs.instrument",
    rows=(
        Row(
            "InferenceClient.chat_completion",
            Chat,
            provider="huggingface",
            host=_HOST,
            without={**_SDK, "embeddings": "they are not of chats"},
            untold=frozenset({"thinking"}),
        ),
        Row(
            "InferenceClient.text_generation, feature_extraction",
            Generation,
            provider="huggingface",
            host=_HOST,
            without={
                **_SDK,
                **dict.fromkeys(("tools", "parallel_tools", "reasoning", "cached_tokens"), _CHATS),
                "early_close": "as with chats",
            },
            endings={"length": "length"},
            not_captured="Tokens of an answer without `details`; endpoints whose address is a bare host; "
            "pictures, sounds and other tasks.",
        ),
    ),
)
