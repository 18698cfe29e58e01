"""What every SDK is asked, in questions that the model server answers in a known way; a row says how."""

import contextlib
import importlib
import json
from typing import Any

QUESTION = "Explain queues"
ONE_CITY = "What is the weather in Paris?"
TWO_CITIES = "What is the weather in Paris and Rome?"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
"""In OpenAI's words."""
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
LONG = [
    {"role": "user", "content": "Explain queues. " * 700},
    {"role": "assistant", "content": "They queue."},
    {"role": "user", "content": "More, please"},
]


def sdk(module: str) -> Any:
    """Return a module of the SDK, which is not there where the tests are read, and untyped for that."""
    return importlib.import_module(module)


def says(text: str) -> list[dict[str, str]]:
    """Return the one message of a user."""
    return [{"role": "user", "content": text}]


def first_of(stream: Any) -> Any:
    """Return the first piece of a stream, and leave."""
    with contextlib.closing(stream):
        return next(iter(stream))


def batch_of(name: str, model: str) -> list[dict[str, Any]]:
    """Return a batch's requests in OpenAI's words, the last of which fails; *name* tells it from others."""
    asked = ((f"{QUESTION} of {name}", ""), ("Explain tea", ""), (QUESTION, "-fail-500"))
    return [
        {
            "custom_id": f"{name}-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": f"{model}{fault}", "max_tokens": 99, "messages": says(text)},
        }
        for number, (text, fault) in enumerate(asked)
    ]


def lines_of(requests: list[dict[str, Any]]) -> bytes:
    """Return them as the file that is uploaded."""
    return "".join(json.dumps(each) + "\n" for each in requests).encode()


class Script:
    """The standard scenarios of an SDK, by its ways to ask."""

    _tools: Any = {"tools": [TOOL]}
    """How it is told of the one tool; OpenAI's way, which most have."""

    _streaming: Any = {"stream": True}
    """How it is asked for the answer's pieces, where it has no method of its own for that."""
    _model = ""

    def _asked(self, content: Any, fault: str = "", **more: Any) -> dict[str, Any]:
        """Return what is given to it to ask *content*, a text or messages, of a model that fails as *fault* says."""
        messages = content if isinstance(content, list) else says(content)
        return {"model": f"{self._model}{fault}", "messages": messages, **more}

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        raise NotImplementedError

    def _stream(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._ask(content, fault, **self._streaming, **more)

    def plain(self) -> Any:
        return self._ask(QUESTION)

    def stream(self) -> Any:
        return self._stream(QUESTION)

    def tools(self) -> Any:
        return self._ask(ONE_CITY, **self._tools)

    def parallel_tools(self) -> Any:
        return self._ask(TWO_CITIES, **self._tools)

    def parallel_tools_streamed(self) -> Any:
        return self._stream(TWO_CITIES, **self._tools)

    def error_4xx(self) -> Any:
        return self._ask(QUESTION, "-fail-429")

    def error_5xx(self) -> Any:
        return self._ask(QUESTION, "-fail-503")

    def error_in_stream(self) -> Any:
        return self._stream(QUESTION, "-fail-stream-error")

    def early_close(self) -> Any:
        return first_of(self._stream(QUESTION))

    def threads(self, question: str) -> Any:
        return self._ask(question)


class AsyncScript(Script):
    """Of one that knows asyncio, too."""

    async def _ask_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        raise NotImplementedError

    async def _stream_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return await self._ask_later(content, fault, **self._streaming, **more)

    async def plain_async(self) -> Any:
        return await self._ask_later(QUESTION)

    async def stream_async(self) -> Any:
        return await self._stream_later(QUESTION)

    async def cancel(self) -> Any:
        return await self._stream_later(QUESTION, "-fail-endless")

    async def gather(self, question: str) -> Any:
        return await self._ask_later(question)
