"""
Every wire that the model server speaks, asked by hand: recorded is what it says that it answered.

With the SDKs of each, in environments of their own, `tests/contrib/sdks` does the same.
"""

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from llmobs import Client
from llmobs.contrib.httpx import instrument
from llmobs.testing import CapturedEvents
from tests.contrib.sdks.expected import compare
from tests.contrib.sdks.table import Row

Json = dict[str, Any]
Q, CITIES = "Explain queues", "What is the weather in Paris and Rome?"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "get_weather", "parameters": CITY}
TOOLS = [{"type": "function", "function": FUNCTION}]
BEDROCK = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": CITY}}}]}
VERTEX = "/v1/projects/p/locations/l/publishers/google/models/"
UNTOLD = frozenset({"reasoning"})


def row(provider: str, **more: Any) -> Row:
    """Return what the comparison has to know of a wire; how an answer ended is the corpus's."""
    return Row("", str, provider=provider, endings={}, untold=UNTOLD, **more)


def says(text: str, **more: Any) -> Json:
    return {"messages": [{"role": "user", "content": text}], **more}


def contents(text: str, **more: Any) -> Json:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def blocks(text: str, **more: Any) -> Json:
    return {"messages": [{"role": "user", "content": [{"text": text}]}], **more}


STREAMS: dict[str, tuple[str, str, Json]] = {
    "openai": (
        "openai",
        "/v1/chat/completions",
        says(Q, stream=True, stream_options={"include_usage": True}),
    ),
    "anthropic": ("anthropic", "/v1/messages", says(Q, stream=True, max_tokens=500)),
    "cohere": (
        "cohere",
        "/v2/chat",
        says(Q, stream=True, thinking={"type": "enabled"}, documents=["Wait."]),
    ),
    "cohere, tools": ("cohere", "/v2/chat", says(CITIES, stream=True, tools=TOOLS)),
    "gemini": ("gcp.gemini", "/v1beta/models/{model}:streamGenerateContent?alt=sse", contents(Q)),
    "gemini, an array": (
        "gcp.gemini",
        "/v1beta/models/{model}:streamGenerateContent",
        contents(Q, generationConfig={"thinkingConfig": {"includeThoughts": True}}),
    ),
    "vertex": (
        "gcp.gemini",  # by its host alone it is Vertex
        VERTEX + "{model}:streamGenerateContent",
        contents(CITIES, tools=[{"functionDeclarations": [FUNCTION]}]),
    ),
    "bedrock": ("aws.bedrock", "/model/{model}/converse-stream", blocks(Q)),
    "bedrock, tools": (
        "aws.bedrock",
        "/model/{model}/converse-stream",
        blocks(CITIES, toolConfig=BEDROCK),
    ),
    "bedrock, llama": ("aws.bedrock", "/model/{model}/invoke-with-response-stream", {"prompt": Q}),
    "ollama": ("ollama", "/api/chat", says(Q, think=True)),
    "ollama, tools": ("ollama", "/api/chat", says(CITIES, tools=TOOLS)),
    "ollama, generate": ("ollama", "/api/generate", {"prompt": Q, "system": "Be kind"}),
    "mistral": ("openai", "/mistral/v1/chat/completions", says(CITIES, stream=True, tools=TOOLS)),
    "mistral, thoughts": (
        "openai",
        "/mistral/v1/chat/completions",
        says(Q, stream=True, reasoning_effort="high"),
    ),
    "mistral, conversations": (
        "mistral_ai",
        "/mistral/v1/conversations",
        {"inputs": Q, "stream": True},
    ),
    "hugging face": ("huggingface", "/hf-inference/models/{model}", {"inputs": Q, "stream": True}),
}
WHOLE: dict[str, tuple[str, str, Json]] = {
    "cohere, embed": ("cohere", "/v2/embed", {"texts": ["tea", "coffee"]}),
    "gemini": ("gcp.gemini", "/v1beta/models/{model}:generateContent", contents(Q)),
    "gemini, refused": (
        "gcp.gemini",
        "/v1/models/{model}:generateContent",
        contents("Please refuse"),
    ),
    "vertex, embed": (
        "gcp.vertex_ai",
        VERTEX + "text-embedding-{model}:predict",
        {"instances": [{"content": "tea"}]},
    ),
    "bedrock": ("aws.bedrock", "/model/{model}/converse", blocks(Q)),
    "bedrock, claude": (
        "aws.bedrock",
        "/model/{model}/invoke",
        says(Q, anthropic_version="bedrock-2023-05-31", max_tokens=500),
    ),
    "bedrock, titan": ("aws.bedrock", "/model/{model}/invoke", {"inputText": "tea"}),
    "ollama": ("ollama", "/api/chat", says(Q, stream=False)),
    "ollama, embed": ("ollama", "/api/embed", {"input": ["tea", "coffee"]}),
    "mistral, ocr": (
        "mistral_ai",
        "/mistral/v1/ocr",
        {"document": {"type": "document_url", "document_url": "https://example.com/a.pdf"}},
    ),
    "moderations": ("openai", "/v1/moderations", {"input": ["Please refuse", "tea"]}),
    "voyage, embed": ("openai", "/voyage/v1/embeddings", {"input": ["tea"]}),
    "voyage, rerank": (
        "cohere",
        "/voyage/v1/rerank",
        {"query": "tea", "documents": ["tea", "milk"]},
    ),
}


@pytest.fixture(scope="module")
def http(llm_server: str, llmobs_client: Client) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=llm_server) as client:
        yield instrument(client, llmobs_client=llmobs_client)


Ask = Callable[..., list[Json]]


@pytest.fixture
def ask(http: httpx2.Client, llmobs_client: Client) -> Ask:
    """Read an answer, or so many pieces of it; return the server's account of it."""

    def asked(path: str, body: Json, model: str = "m", pieces: int | None = None) -> list[Json]:
        http.delete("/answered")
        with (
            llmobs_client.run(),
            http.stream("POST", path.format(model=model), json={"model": model, **body}) as answer,
        ):
            got = answer.iter_bytes()
            for _ in got if pieces is None else range(pieces):
                next(got, None)
        found: list[Json] = http.delete("/answered").json()
        return found

    return asked


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream(name: str, ask: Ask, events: CapturedEvents) -> None:
    provider, path, body = STREAMS[name]
    compare("stream", events, ask(path, body), row(provider))


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer(name: str, ask: Ask, events: CapturedEvents) -> None:
    provider, path, body = WHOLE[name]
    compare("plain", events, ask(path, body), row(provider))


SPOKEN = [name for name in STREAMS if STREAMS[name][2].keys().isdisjoint(("tools", "toolConfig"))]
WRONG = {
    "error_in_stream": "fail-stream-error",
    "early_close": "fail-endless",
    "error_4xx": "fail-429",
}


@pytest.mark.parametrize("name", SPOKEN)
@pytest.mark.parametrize("how", WRONG)
def test_a_stream_that_goes_wrong(name: str, how: str, ask: Ask, events: CapturedEvents) -> None:
    provider, path, body = STREAMS[name]
    told = ask(path, body, WRONG[how], 3 if how == "early_close" else None)
    compare(how, events, told, row(provider))
