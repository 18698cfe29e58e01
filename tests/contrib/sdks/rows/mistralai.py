"""The `mistralai` package: chats and what stands beside them, and conversations."""

from typing import Any

from tests.contrib.sdks.rows import shared
from tests.contrib.sdks.table import Row, Sdk

Q = shared.QUESTION
BATCH: Any = {"endpoint": "/v1/chat/completions", "model": "mistral-small-latest"}


class _Client(shared.AsyncScript):
    def __init__(self, url: str) -> None:
        self._client = shared.sdk("mistralai.client").Mistral(
            api_key="any", server_url=f"{url}/mistral"
        )

    def _patience(self) -> Any:
        utils = shared.sdk("mistralai.client.utils")
        return utils.RetryConfig("backoff", utils.BackoffStrategy(10, 20, 1.5, 2000), False)


class Chat(_Client):
    """``chat``, ``fim``, ``embeddings``, ``ocr``, ``classifiers``."""

    _model = "mistral-small-latest"

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.chat.complete(**self._asked(content, fault, **more))

    def _stream(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.chat.stream(**self._asked(content, fault, **more))

    async def _ask_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return await self._client.chat.complete_async(**self._asked(content, fault, **more))

    async def _stream_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return await self._client.chat.stream_async(**self._asked(content, fault, **more))

    def reasoning(self) -> Any:
        asked = {"model": "magistral-medium-latest", "messages": shared.says(Q)}
        return self._client.chat.complete(**asked)

    def reasoning_streamed(self) -> Any:
        asked = {"model": "magistral-medium-latest", "messages": shared.says(Q)}
        return self._client.chat.stream(**asked)

    def cached_tokens(self) -> Any:
        return self._ask(shared.LONG)

    def embeddings(self) -> Any:
        return self._client.embeddings.create(model="mistral-embed", inputs=["tea", "coffee"])

    def retry(self) -> Any:
        return self._ask(Q, "-fail-500-once", retries=self._patience())

    def agent(self) -> Any:
        return self._client.agents.complete(agent_id="ag-1", messages=shared.says(Q))

    def agent_streamed(self) -> Any:
        return self._client.agents.stream(agent_id="ag-1", messages=shared.says(Q))

    def fim(self) -> Any:
        return self._client.fim.complete(model="codestral-latest", prompt="def a():", suffix="end")

    def fim_streamed(self) -> Any:
        return self._client.fim.stream(model="codestral-latest", prompt="def a():", suffix="end")

    def ocr(self) -> Any:
        document = {"type": "document_url", "document_url": "https://example.com/a.pdf"}
        return self._client.ocr.process(model="mistral-ocr-latest", document=document)

    def moderation(self) -> Any:
        moderate = self._client.classifiers.moderate
        return moderate(model="mistral-moderation-latest", inputs=["Please refuse", "tea"])

    def structured_output(self) -> Any:
        schema = {"name": "a", "strict": True, "schema": shared.SCHEMA}
        return self._ask(Q, response_format={"type": "json_schema", "json_schema": schema})

    def picture(self) -> Any:
        picture = {"type": "image_url", "image_url": f"data:image/png;base64,{shared.PNG}"}
        content = [{"type": "text", "text": "What is it?"}, picture]
        return self._ask([{"role": "user", "content": content}])

    def cut_by_max_tokens(self) -> Any:
        return self._ask(Q, max_tokens=5)

    def batch(self) -> Any:
        """Its requests and its answers stand where it is made and looked at."""
        asked = shared.batch_of("inline", self._model)
        requests = [{name: each[name] for name in ("custom_id", "body")} for each in asked]
        made = self._client.batch.jobs.create(requests=requests, **BATCH)
        return [made, self._client.batch.jobs.get(job_id=made.id, inline=True)]

    async def batch_async(self) -> Any:
        """From a file, to files."""
        lines = shared.lines_of(shared.batch_of("file", self._model))
        file = {"file_name": "requests.jsonl", "content": lines}
        files = self._client.files
        found = await files.upload_async(file=file, purpose="batch")
        made = await self._client.batch.jobs.create_async(input_files=[found.id], **BATCH)
        done = await self._client.batch.jobs.get_async(job_id=made.id)
        return [
            done,
            *[
                (await (await files.download_async(file_id=name)).aread()).decode()
                for name in (done.output_file, done.error_file)
            ],
        ]


class Conversations(_Client):
    """``beta.conversations``."""

    def _asked(self, content: Any, fault: str = "", **more: Any) -> dict[str, Any]:
        return {"model": f"mistral-medium-latest{fault}", "inputs": content, **more}

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.beta.conversations.start(**self._asked(content, fault, **more))

    def _stream(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.beta.conversations.start_stream(**self._asked(content, fault, **more))

    async def _ask_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        ask = self._client.beta.conversations.start_async
        return await ask(**self._asked(content, fault, **more))

    async def _stream_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        ask = self._client.beta.conversations.start_stream_async
        return await ask(**self._asked(content, fault, **more))

    def plain(self) -> Any:
        return self._ask(Q, instructions="Be kind")

    def error_4xx(self) -> Any:
        return self._ask(Q, "-fail-422")

    def retry(self) -> Any:
        return self._ask(Q, "-fail-500-once", retries=self._patience())


_HOST = "api.mistral.ai"
SDK = Sdk(
    "mistralai",
    versions=(("mistralai==3.7.0",), ("mistralai==2.10.1",)),
    door="llmobs.instrument",
    rows=(
        Row(
            "Mistral: chat, fim, embeddings, OCR, moderation",
            Chat,
            provider="mistral_ai",
            host=_HOST,
            without={"raw_response": "the SDK has none"},
            untold=frozenset({"reasoning", "attempt"}),
            not_captured="Realtime transcription (a WebSocket), classifications.",
        ),
        Row(
            "Mistral: beta.conversations",
            Conversations,
            provider="mistral_ai",
            host=_HOST,
            without={
                "reasoning": "its thoughts are chunks of an answer, as in chats",
                "cached_tokens": "conversations tell none",
                "embeddings": "they are not of conversations",
                "raw_response": "the SDK has none",
            },
            untold=frozenset({"reasoning", "attempt"}),
        ),
    ),
)
