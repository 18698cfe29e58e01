"""HTTP clients over a transport that answers from memory, in pieces, for httpx2 and httpx alike."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2

from llmobs import Client
from llmobs.contrib import httpx as door
from tests.contrib.corpus import js, sse
from tests.contrib.corpus.openai_chat import chunk, said

URL = "http://mock.test/v1/chat/completions"
ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi a@b.example"}]}
STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
WHOLE = said({"content": "Hello"}, usage={"prompt_tokens": 3, "completion_tokens": 1})
CHUNKS = [chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop")]
USAGE_CHUNK = chunk(usage={"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4})
EVENTS = [sse(each) for each in (*CHUNKS, "[DONE]")]


def stream_of(library: Any, pieces: list[bytes]) -> Any:
    class Body(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            yield from pieces

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

    return Body()


def answering(
    *pieces: bytes,
    headers: dict[str, str] | None = None,
    status: int = 200,
    library: Any = httpx2,
    seen: Callable[[Any], object] = lambda request: None,
) -> Any:
    """Return a transport that answers any request with these pieces."""

    def answer(request: Any) -> Any:
        seen(request)
        stream = stream_of(library, list(pieces))
        return library.Response(status, headers=headers or STREAM, stream=stream)

    return library.MockTransport(answer)


def client_over(
    transport: Any, llmobs_client: Client, library: Any = httpx2, **options: Any
) -> Any:
    """Return an instrumented HTTP client over *transport*."""
    client = library.Client(transport=transport)
    return door.instrument(client, llmobs_client=llmobs_client, **options)


def ask(http: Any, url: str = URL, headers: Any = None, **more: Any) -> bytes:
    """Ask, read the whole answer, and return it."""
    with http.stream("POST", url, content=js({**ASK, **more}), headers=headers) as response:
        return b"".join(response.iter_raw())
