"""The `google-genai` package: the Gemini API, and Vertex."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tests.contrib.sdks.rows import shared
from tests.contrib.sdks.table import Row, Sdk

Q = shared.QUESTION
TOOL = {"name": "get_weather", "parameters_json_schema": shared.CITY}
TOOLS: Any = {
    "tools": [{"function_declarations": [TOOL]}],
    "automatic_function_calling": {"disable": True},
}
RETRIES = {"attempts": 2, "initial_delay": 0.01, "max_delay": 0.02}
LONG = [
    {"role": {"assistant": "model"}.get(each["role"], "user"), "parts": [{"text": each["content"]}]}
    for each in shared.LONG
]


class Models(shared.AsyncScript):
    """``Client.models`` and ``Client.aio.models``."""

    _embedding = "gemini-embedding-001"
    _tools = TOOLS

    def __init__(self, url: str) -> None:
        self._client: Any = self._new(url)
        self._patient: Any = self._new(url, retry_options=RETRIES)

    def _new(self, url: str, **options: Any) -> Any:
        return shared.sdk("google.genai").Client(
            api_key="any", http_options={"base_url": url, **options}
        )

    def _asked(self, content: Any, fault: str = "", **config: Any) -> dict[str, Any]:
        return {"model": f"gemini-2.5-flash{fault}", "contents": content, "config": config or None}

    def _ask(self, content: Any, fault: str = "", **config: Any) -> Any:
        return self._client.models.generate_content(**self._asked(content, fault, **config))

    def _stream(self, content: Any, fault: str = "", **config: Any) -> Any:
        return self._client.models.generate_content_stream(**self._asked(content, fault, **config))

    async def _ask_later(self, content: Any, fault: str = "", **config: Any) -> Any:
        ask = self._client.aio.models.generate_content
        return await ask(**self._asked(content, fault, **config))

    async def _stream_later(self, content: Any, fault: str = "", **config: Any) -> Any:
        ask = self._client.aio.models.generate_content_stream
        return await ask(**self._asked(content, fault, **config))

    def plain(self) -> Any:
        return self._ask(Q, system_instruction="Be kind")

    def reasoning(self) -> Any:
        return self._ask(Q, thinking_config={"include_thoughts": True})

    def reasoning_streamed(self) -> Any:
        return self._stream(Q, thinking_config={"include_thoughts": True})

    def cached_tokens(self) -> Any:
        return self._ask(LONG)

    def embeddings(self) -> Any:
        embed = self._client.models.embed_content
        return embed(model=self._embedding, contents=["tea", "coffee"])

    def retry(self) -> Any:
        return self._patient.models.generate_content(**self._asked(Q, "-fail-500-once"))

    def raw_response(self) -> Any:
        found = self._ask(Q, should_return_http_response=True)
        return [found.sdk_http_response.headers["content-type"], found.sdk_http_response.body]

    def chat(self) -> Any:
        """The SDK's own way to keep a conversation: two calls, the second with the first's answer."""
        chat = self._client.chats.create(model="gemini-2.5-flash")
        return [chat.send_message(Q), chat.send_message("More, please")]

    async def chat_streamed(self) -> AsyncIterator[Any]:
        chat = self._client.aio.chats.create(model="gemini-2.5-flash")
        return await chat.send_message_stream(Q)  # type: ignore[no-any-return]

    def count_tokens(self) -> Any:
        return self._client.models.count_tokens(model="gemini-2.5-flash", contents=Q)

    def blocked(self) -> Any:
        return self._ask("Please refuse")

    def structured_output(self) -> Any:
        schema = {"response_mime_type": "application/json", "response_json_schema": shared.SCHEMA}
        return self._ask(Q, **schema)

    def picture(self) -> Any:
        picture = {"inline_data": {"mime_type": "image/png", "data": shared.PNG}}
        return self._ask([{"role": "user", "parts": [picture, {"text": "What is it?"}]}])

    def several_candidates(self) -> Any:
        return self._ask(Q, candidate_count=2)

    def cut_by_max_tokens(self) -> Any:
        return self._ask(Q, max_output_tokens=5)


class OwnModels(Models):
    """`Models`, and what the Gemini API alone has."""

    def batch(self) -> Any:
        """Answers are in the order of the requests."""
        asked = [{"contents": _says(text)} for text in (Q, "Explain tea")]
        made = self._client.batches.create(model="gemini-2.5-flash", src=asked)
        return [made, self._client.batches.get(name=made.name)]

    async def batch_async(self) -> Any:
        batches = self._client.aio.batches
        made = await batches.create(model="gemini-2.5-flash", src=[{"contents": _says("Tea?")}])
        return [made, await batches.get(name=made.name)]


class Interactions(shared.AsyncScript):
    """``Client.interactions``."""

    _model = "gemini-2.5-flash"
    _tools = {"tools": [{"type": "function", "name": "get_weather", "parameters": shared.CITY}]}

    def __init__(self, url: str) -> None:
        self._client: Any = self._new(url, attempts=1)
        self._patient: Any = self._new(url, **RETRIES)

    def _new(self, url: str, **retries: Any) -> Any:
        return shared.sdk("google.genai").Client(
            api_key="any", http_options={"base_url": url, "retry_options": retries}
        )

    def _asked(self, content: Any, fault: str = "", **more: Any) -> dict[str, Any]:
        return {"model": f"{self._model}{fault}", "input": content, **more}

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.interactions.create(**self._asked(content, fault, **more))

    async def _ask_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        create = self._client.aio.interactions.create
        return await create(**self._asked(content, fault, **more))

    def plain(self) -> Any:
        return self._ask(Q, system_instruction="Be kind")

    def reasoning(self) -> Any:
        return self._ask(Q, generation_config={"thinking_summaries": "auto"})

    def reasoning_streamed(self) -> Any:
        return self._stream(Q, generation_config={"thinking_summaries": "auto"})

    def cached_tokens(self) -> Any:
        kinds = {"user": "user_input", "assistant": "model_output"}
        return self._ask(
            [
                {
                    "type": kinds[each["role"]],
                    "content": [{"type": "text", "text": each["content"]}],
                }
                for each in shared.LONG
            ]
        )

    def tool_results(self) -> Any:
        """The second request has what the first one asked for."""
        first = self._ask(shared.ONE_CITY, **self._tools)
        call = next(step for step in first.steps if step.type == "function_call")
        result = {"type": "function_result", "call_id": call.id, "name": call.name}
        told = {"type": "user_input", "content": [{"type": "text", "text": shared.ONE_CITY}]}
        return [first, self._ask([told, {**result, "result": "rain"}])]

    def retry(self) -> Any:
        return self._patient.interactions.create(**self._asked(Q, "-fail-500-once"))

    def cut_by_max_tokens(self) -> Any:
        return self._ask(Q, generation_config={"max_output_tokens": 5})


class Live:
    """``Client.aio.live``: a session for each scenario, all of its messages."""

    def __init__(self, url: str) -> None:
        genai = shared.sdk("google.genai")
        self._client: Any = genai.Client(api_key="any", http_options={"base_url": url})
        # With a key it speaks TLS alone, whatever the address says.
        inner = self._client._api_client
        inner._websocket_base_url = lambda *_: url.replace("http:", "ws:")
        inner._websocket_ssl_ctx = {}

    async def _events(
        self, *content: str, fault: str = "", results: Any = None, **config: Any
    ) -> AsyncIterator[Any]:
        asked = {"response_modalities": ["TEXT"], **config}
        model = f"gemini-live-2.5-flash{fault}"
        async with self._client.aio.live.connect(model=model, config=asked) as session:
            for text in content:
                await session.send_client_content(turns=_says(text)[0])
                async for message in session.receive():
                    yield message
                    if message.tool_call is None:
                        continue
                    if results is None:
                        return
                    told = [{"id": c.id, **results} for c in message.tool_call.function_calls]
                    await session.send_tool_response(function_responses=told)

    def plain(self) -> Any:
        return self._events(Q, system_instruction="Be kind")

    stream = plain

    def turns(self) -> Any:
        return self._events(Q, "More, please")

    def tools(self) -> Any:
        return self._events(shared.ONE_CITY, tools=TOOLS["tools"])

    def parallel_tools(self) -> Any:
        return self._events(shared.TWO_CITIES, tools=TOOLS["tools"])

    def tool_results(self) -> Any:
        given = {"name": "get_weather", "response": {"result": "rain"}}
        return self._events(shared.ONE_CITY, results=given, tools=TOOLS["tools"])

    def reasoning(self) -> Any:
        return self._events(Q, thinking_config={"include_thoughts": True})

    def error_in_stream(self) -> Any:
        """The connection breaks."""
        return self._events(Q, fault="-fail-cut")

    async def early_close(self) -> Any:
        events: Any = self._events(Q, fault="-fail-endless")
        first = await anext(events)
        await events.aclose()
        return first

    async def cancel(self) -> Any:
        return self._events(Q, fault="-fail-endless")

    async def gather(self, question: str) -> Any:
        return [each async for each in self._events(question)]

    def threads(self, question: str) -> Any:
        async def ask() -> Any:
            return [each async for each in self._events(question)]

        return asyncio.run(ask())


def _says(text: str) -> list[Any]:
    return [{"role": "user", "parts": [{"text": text}]}]


class Vertex(Models):
    """``Client(vertexai=True)``."""

    _embedding = "text-embedding-005"

    def _new(self, url: str, **options: Any) -> Any:
        credentials = shared.sdk("google.oauth2.credentials").Credentials(token="any")
        return shared.sdk("google.genai").Client(
            vertexai=True,
            project="p",
            location="europe-west4",
            credentials=credentials,
            http_options={"base_url": url, **options},
        )


ENDINGS = {"stop": "STOP", "tools": "STOP", "length": "MAX_TOKENS"}
_GAP = "Generated pictures and films."
SDK = Sdk(
    "google-genai",
    versions=(("google-genai==3.6.1", "aiohttp"), ("google-genai==2.34.0",)),
    door="llmobs.instrument",
    rows=(
        Row(
            "Client",
            OwnModels,
            provider="gcp.gemini",
            host="generativelanguage.googleapis.com",
            untold=frozenset({"attempt"}),
            endings=ENDINGS,
            not_captured=_GAP,
        ),
        Row(
            "Client.interactions",
            Interactions,
            provider="gcp.gemini",
            host="generativelanguage.googleapis.com",
            without={
                "embeddings": "they are not of interactions",
                "raw_response": "the SDK has none",
            },
            untold=frozenset({"attempt"}),
            endings={"stop": "completed", "tools": "requires_action", "length": "incomplete"},
            not_captured="Work in the background that another process fetches; interactions over WebSocket.",
        ),
        Row(
            "Client.aio.live",
            Live,
            provider="gcp.gemini",
            host="generativelanguage.googleapis.com",
            without={
                **dict.fromkeys(
                    ("error_4xx", "error_5xx"), "a session that is refused has no turns"
                ),
                "cached_tokens": "sessions tell none",
                "embeddings": "they are not of sessions",
                "retry": "nothing is sent again over a connection",
                "raw_response": "there is no HTTP response",
            },
            untold=frozenset({"http_status"}),
            endings={"stop": "STOP", "tools": "STOP"},
            not_captured="Sound, whose tokens are counted.",
        ),
        Row(
            "Client(vertexai=True)",
            Vertex,
            provider="gcp.vertex_ai",
            host="europe-west4-aiplatform.googleapis.com",
            untold=frozenset({"attempt"}),
            endings=ENDINGS,
            not_captured=f"{_GAP} Batches, which go to storage.",
        ),
    ),
)
