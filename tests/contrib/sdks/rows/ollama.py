"""The `ollama` package."""

from typing import Any

from tests.contrib.sdks.rows import shared
from tests.contrib.sdks.table import Row, Sdk

Q = shared.QUESTION


class Chat(shared.AsyncScript):
    """``Client`` and ``AsyncClient``."""

    _model = "llama3.2"

    def __init__(self, url: str) -> None:
        ollama = shared.sdk("ollama")

        self._client: Any = ollama.Client(host=url)
        self._later: Any = ollama.AsyncClient(host=url)

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.chat(**self._asked(content, fault, **more))

    async def _ask_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return await self._later.chat(**self._asked(content, fault, **more))

    def reasoning(self) -> Any:
        return self._ask(Q, think=True)

    def reasoning_streamed(self) -> Any:
        return self._ask(Q, think=True, stream=True)

    def embeddings(self) -> Any:
        return self._client.embed(model="nomic-embed-text", input=["tea", "coffee"])

    def error_4xx(self) -> Any:
        return self._ask(Q, "-fail-404")

    def generate(self) -> Any:
        return self._client.generate(model="llama3.2", prompt=Q, system="Be kind")

    def generate_streamed(self) -> Any:
        return self._client.generate(model="llama3.2", prompt=Q, think=True, stream=True)

    def structured_output(self) -> Any:
        return self._ask(Q, format=shared.SCHEMA)

    def picture(self) -> Any:
        message = {"role": "user", "content": "What is it?", "images": [shared.PNG]}
        return self._ask([message])

    def cut_by_max_tokens(self) -> Any:
        return self._ask(Q, options={"num_predict": 5})


SDK = Sdk(
    "ollama",
    versions=(("ollama==0.6.3",), ("ollama==0.5.4",)),
    door="llmobs.instrument",
    rows=(
        Row(
            "Client",
            Chat,
            provider="ollama",
            without={
                "cached_tokens": "Ollama tells none",
                "retry": "the SDK never asks again",
                "raw_response": "the SDK has none",
            },
            untold=frozenset({"reasoning"}),
            endings={"stop": "stop", "tools": "stop", "length": "length"},
        ),
    ),
)
