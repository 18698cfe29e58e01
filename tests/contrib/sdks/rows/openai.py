"""The `openai` package: chat completions, responses, and Azure's client."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from tests.contrib.sdks.rows import shared
from tests.contrib.sdks.table import Row, Sdk

Q = shared.QUESTION
TOOLS = {"tools": [{"type": "function", "name": "get_weather", "parameters": shared.CITY}]}
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{shared.PNG}"}}
BATCH: Any = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
SCHEMA = {"name": "a", "strict": True, "schema": shared.SCHEMA}


class Chat(shared.AsyncScript):
    """``OpenAI`` and ``AsyncOpenAI``, ``chat.completions`` and the smaller endpoints beside it."""

    _model = "gpt-4o"
    _streaming = {"stream": True, "stream_options": {"include_usage": True}}

    def __init__(self, url: str) -> None:
        openai = shared.sdk("openai")

        options: Any = {"base_url": f"{url}/v1", "api_key": "any", "max_retries": 0}
        self._client: Any = openai.OpenAI(**options)
        self._later: Any = openai.AsyncOpenAI(**options)

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.chat.completions.create(**self._asked(content, fault, **more))

    async def _ask_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return await self._later.chat.completions.create(**self._asked(content, fault, **more))

    def reasoning(self) -> Any:
        return self._ask(Q, model="o3-mini")

    def cached_tokens(self) -> Any:
        return self._ask(shared.LONG)

    def embeddings(self) -> Any:
        create = self._client.embeddings.create
        return create(model="text-embedding-3-small", input=["tea", "coffee"])

    def retry(self) -> Any:
        patient = self._client.with_options(max_retries=2)
        return patient.chat.completions.create(**self._asked(Q, "-fail-500-once"))

    def raw_response(self) -> Any:
        raw = self._client.chat.completions.with_raw_response
        found = raw.create(model="gpt-4o", messages=shared.says(Q))
        return [found.status_code, found.headers["x-request-id"], found.parse()]

    def helper(self) -> Any:
        """The SDK's own way to put a stream together."""
        with self._client.chat.completions.stream(
            model="gpt-4o", messages=shared.says(Q), stream_options={"include_usage": True}
        ) as stream:
            stream.until_done()
            return stream.get_final_completion()

    def streaming_response(self) -> Any:
        raw = self._client.chat.completions.with_streaming_response
        with raw.create(model="gpt-4o", messages=shared.says(Q)) as response:
            return b"".join(response.iter_bytes())

    def structured_output(self) -> Any:
        return self._ask(Q, response_format={"type": "json_schema", "json_schema": SCHEMA})

    def refusal(self) -> Any:
        return self._ask("Please refuse")

    def picture(self) -> Any:
        content = [{"type": "text", "text": "What is it?"}, PICTURE]
        return self._ask([{"role": "user", "content": content}])

    def several_choices(self) -> Any:
        return self._ask(Q, n=2)

    def cut_by_max_tokens(self) -> Any:
        return self._ask(Q, max_completion_tokens=5)

    def completions(self) -> Any:
        return self._client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hi")

    def uncounted_stream(self) -> Any:
        """One that did not ask for its tokens."""
        return self._ask(Q, stream=True)

    async def uncounted_stream_async(self) -> Any:
        return await self._ask_later(Q, stream=True)


class OpenAIChat(Chat):
    """`Chat`, and what OpenAI alone has."""

    def moderation(self) -> Any:
        given = ["Please refuse", "tea"]
        return self._client.moderations.create(model="omni-moderation-latest", input=given)

    def batch(self) -> Any:
        file = ("requests.jsonl", shared.lines_of(shared.batch_of("file", "gpt-4o")))
        found = self._client.files.create(file=file, purpose="batch")
        made = self._client.batches.create(input_file_id=found.id, **BATCH)
        done = self._client.batches.retrieve(made.id)
        names = (done.output_file_id, done.error_file_id)
        return [made, done, *(self._client.files.content(name).text for name in names)]

    async def batch_async(self) -> Any:
        file = ("requests.jsonl", shared.lines_of(shared.batch_of("later", "gpt-4o")))
        found = await self._later.files.create(file=file, purpose="batch")
        made = await self._later.batches.create(input_file_id=found.id, **BATCH)
        done = await self._later.batches.retrieve(made.id)
        names = (done.output_file_id, done.error_file_id)
        return [made, done, *[(await self._later.files.content(name)).text for name in names]]


class Azure(Chat):
    """``AzureOpenAI`` and its async twin: the same calls, by deployments."""

    def __init__(self, url: str) -> None:
        openai = shared.sdk("openai")

        options: Any = {"azure_endpoint": url, "api_key": "any", "max_retries": 0}
        self._client = openai.AzureOpenAI(api_version="2024-10-21", **options)
        self._later = openai.AsyncAzureOpenAI(api_version="2024-10-21", **options)


class Responses(shared.AsyncScript):
    """``responses``, whose streams tell their usage unasked."""

    _tools = TOOLS

    def __init__(self, url: str) -> None:
        openai = shared.sdk("openai")

        options: Any = {"base_url": f"{url}/v1", "api_key": "any", "max_retries": 0}
        self._client = openai.OpenAI(**options)
        self._later = openai.AsyncOpenAI(**options)

    def _asked(self, content: Any, fault: str = "", **more: Any) -> dict[str, Any]:
        return {"model": f"gpt-4o{fault}", "input": content, **more}

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.responses.create(**self._asked(content, fault, **more))

    async def _ask_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return await self._later.responses.create(**self._asked(content, fault, **more))

    def instructions(self) -> Any:
        return self._ask(shared.says(Q), instructions="Be kind")

    def reasoning(self) -> Any:
        return self._ask(Q, model="o3-mini", reasoning={"effort": "low", "summary": "auto"})

    def cached_tokens(self) -> Any:
        return self._ask(shared.LONG)

    def retry(self) -> Any:
        patient = self._client.with_options(max_retries=2)
        return patient.responses.create(**self._asked(Q, "-fail-500-once"))

    def raw_response(self) -> Any:
        found = self._client.responses.with_raw_response.create(model="gpt-4o", input=Q)
        return [found.status_code, found.headers["x-request-id"], found.parse()]

    def compacted(self) -> Any:
        """A conversation made short; what is kept is sealed."""
        return self._client.responses.compact(model="gpt-5", input=shared.LONG)

    def count_tokens(self) -> Any:
        return self._client.responses.input_tokens.count(model="gpt-5", input=Q)


class OverSocket(shared.AsyncScript):
    """What both kinds of connection share: each asks once, and gives the events of the answer."""

    _tools = TOOLS

    def __init__(self, url: str) -> None:
        import openai

        options: Any = {"base_url": f"{url}/v1", "api_key": "any", "max_retries": 0}
        self._client: Any = openai.OpenAI(**options)
        self._later: Any = openai.AsyncOpenAI(**options)

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return list(self._stream(content, fault, **more))

    def _events(self, content: Any, fault: str = "") -> AsyncIterator[Any]:
        raise NotImplementedError

    async def _ask_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return [event async for event in self._events(content, fault)]

    async def _stream_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._events(content, fault)

    def early_close(self) -> Any:
        return shared.first_of(self._stream(Q, "-fail-endless"))

    async def gather(self, question: str) -> Any:
        return (await self._ask_later(question))[-1].type

    def threads(self, question: str) -> Any:
        return self._ask(question)[-1].type


class Realtime(OverSocket):
    """``realtime.connect()``."""

    def _stream(self, content: Any, fault: str = "", **more: Any) -> Iterator[Any]:
        with self._client.realtime.connect(model=f"gpt-realtime{fault}") as connection:
            connection.session.update(session=_session(more))
            for item in _items(content):
                connection.conversation.item.create(item=item)
            connection.response.create()
            for event in connection:
                if event.type.startswith(("response.", "error")):
                    yield event
                if event.type in ("response.done", "error"):
                    return

    async def _events(self, content: Any, fault: str = "") -> AsyncIterator[Any]:
        async with self._later.realtime.connect(model=f"gpt-realtime{fault}") as connection:
            await connection.session.update(session=_session({}))
            for item in _items(content):
                await connection.conversation.item.create(item=item)
            await connection.response.create()
            async for event in connection:
                if event.type.startswith(("response.", "error")):
                    yield event
                if event.type in ("response.done", "error"):
                    return

    def cached_tokens(self) -> Any:
        return self._ask(shared.LONG)

    def aloud(self) -> Any:
        return self._ask(Q, output_modalities=["audio"])


def _session(more: Any) -> Any:
    return {"type": "realtime", "output_modalities": ["text"], **more}


def _items(content: Any) -> list[Any]:
    messages = content if isinstance(content, list) else shared.says(content)
    kinds = {"user": "input_text", "assistant": "output_text"}
    return [
        {
            "type": "message",
            "role": each["role"],
            "content": [{"type": kinds[each["role"]], "text": each["content"]}],
        }
        for each in messages
    ]


class ResponsesOverSocket(OverSocket):
    """``responses.connect()``."""

    def _stream(self, content: Any, fault: str = "", model: str = "gpt-4o", **more: Any) -> Any:
        with self._client.responses.connect() as connection:
            connection.response.create(model=f"{model}{fault}", input=content, **more)
            for event in connection:
                yield event
                if event.type in ("response.completed", "error"):
                    return

    async def _events(self, content: Any, fault: str = "") -> AsyncIterator[Any]:
        async with self._later.responses.connect() as connection:
            await connection.response.create(model=f"gpt-4o{fault}", input=content)
            async for event in connection:
                yield event
                if event.type in ("response.completed", "error"):
                    return

    def reasoning(self) -> Any:
        return self._ask(Q, model="o3-mini", reasoning={"effort": "low", "summary": "auto"})

    def cached_tokens(self) -> Any:
        return self._ask(shared.LONG)


OVER_SOCKET = {
    "embeddings": "no connection is opened for them",
    "retry": "nothing is sent again over a connection",
    "raw_response": "there is no HTTP response",
}
SDK = Sdk(
    "openai",
    versions=(
        ("openai==3.57.0", "websockets==15.0.1"),
        ("openai==2.54.0", "websockets==15.0.1"),
    ),
    door="llmobs.instrument",
    rows=(
        Row(
            "OpenAI, chat completions, completions, embeddings, moderations",
            OpenAIChat,
            provider="openai",
            untold=frozenset({"thinking"}),
            not_captured="The tokens of streams that did not ask for them, unless `include_usage=True` does.",
        ),
        Row(
            "OpenAI, responses",
            Responses,
            provider="openai",
            without={"embeddings": "they are not of responses"},
            endings={"stop": "completed", "tools": "completed", "length": "max_output_tokens"},
        ),
        Row(
            "OpenAI, realtime",
            Realtime,
            provider="openai",
            without={**OVER_SOCKET, "reasoning": "the wire tells none"},
            untold=frozenset({"http_status"}),
            endings={"stop": "completed", "tools": "completed", "length": "max_output_tokens"},
            not_captured="Sound, which is counted; WebRTC and SIP, which do not pass the process.",
        ),
        Row(
            "OpenAI, responses over WebSocket",
            ResponsesOverSocket,
            provider="openai",
            without=OVER_SOCKET,
            untold=frozenset({"http_status"}),
            endings={"stop": "completed", "tools": "completed", "length": "max_output_tokens"},
        ),
        Row(
            "AzureOpenAI",
            Azure,
            provider="azure.ai.openai",
            untold=frozenset({"thinking"}),
        ),
    ),
)
