"""What capture costs on the request path: per unstreamed call, and per chunk of a stream.

    python benchmarks/capture.py

Over an in-process transport, so that nothing but work is measured. First at the transport, where
the cost arises; then through the whole `openai` package, beside the OpenTelemetry and OpenInference
instrumentations of it if these are installed (`opentelemetry-instrumentation-openai-v2`,
`openinference-instrumentation-openai`). Nobody exports: what is recorded is queued and thrown away, and
the peers get a span processor that does nothing. Rounds are interleaved, figures are medians of the
CPU time of the calling thread.
"""

from __future__ import annotations

import gc
import json
import logging
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from typing import Any

import httpx2
import openai

from llmobs import AsyncClient
from llmobs.contrib import httpx as door
from llmobs.contrib.httpx import RecordingTransport

ROUNDS = 25
CHUNKS = 500
PROMPT = "Explain queues to me, please. " * 70
ANSWER = "A queue keeps what cannot be done yet. " * 26
ASK: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": PROMPT}],
    "temperature": 0.2,
}
HEAD = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-2024-08-06"}
WHOLE = json.dumps(
    {
        **HEAD,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": ANSWER},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 400, "completion_tokens": 200, "total_tokens": 600},
    }
).encode()


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {**HEAD, "object": "chat.completion.chunk", "choices": choices}
    return f"data: {json.dumps(body)}\n\n".encode()


STREAM = [*[_chunk({"content": "word "})] * CHUNKS, _chunk({}, "stop"), b"data: [DONE]\n\n"]


class _Body(httpx2.SyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces


class _Answers(httpx2.BaseTransport):
    """Answers at once: a stream if the request asks for one."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if b'"stream":true' in request.content:
            headers = {"content-type": "text/event-stream"}
            return httpx2.Response(200, headers=headers, stream=_Body(STREAM))
        headers = {"content-type": "application/json", "x-request-id": "req_1"}
        return httpx2.Response(200, headers=headers, stream=_Body([WHOLE]))


def recorder() -> AsyncClient:
    """A client that queues and never delivers: what is measured is the caller's part alone."""
    return AsyncClient(sink="memory:", max_queue_bytes=2**33, max_queue_events=10**7)


def forget(client: AsyncClient) -> None:
    """Throw away what was queued."""
    for buffer in client._buffers:
        buffer.reset()


def timed(work: Callable[[], object], times: int) -> float:
    """Microseconds of one *work*, of *times* in a row, without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        start = time.thread_time()
        for _ in range(times):
            work()
        return (time.thread_time() - start) / times * 1e6
    finally:
        gc.enable()


def medians(variants: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Run the variants by turns; return the median of each."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for round_ in range(ROUNDS + 1):
        for name, run in variants.items():
            figure = run()
            if round_:  # the first warms up
                found[name].append(figure)
    return {name: statistics.median(figures) for name, figures in found.items()}


def at_the_transport() -> None:
    """The cost where it arises."""
    client = recorder()
    plain = _Answers()
    recording = RecordingTransport(plain, llmobs_client=client)
    made = httpx2.Client(headers={"user-agent": "OpenAI/Python", "x-stainless-lang": "python"})
    url = "https://api.openai.com/v1/chat/completions"

    def run(transport: Any, stream: bool, times: int) -> Callable[[], float]:
        body = json.dumps({**ASK, "stream": stream}, separators=(",", ":"))
        request = made.build_request("POST", url, content=body)

        def work() -> None:
            response = transport.handle_request(request)
            for _ in response.stream:
                pass
            response.stream.close()

        def once() -> float:
            with client.run():
                figure = timed(work, times)
            forget(client)
            return figure

        return once

    whole = medians({"plain": run(plain, False, 1000), "llmobs": run(recording, False, 1000)})
    stream = medians({"plain": run(plain, True, 50), "llmobs": run(recording, True, 50)})
    call = whole["llmobs"] - whole["plain"]
    chunk = (stream["llmobs"] - stream["plain"] - call) / len(STREAM)
    print("at the transport, added by llmobs")
    print(f"  per unstreamed call  {call:8.2f} µs   (budget 15)")
    print(f"  per chunk            {chunk:8.3f} µs   (budget 0.3)")
    made.close()


# Through the SDK.


@contextmanager
def opentelemetry() -> Iterator[None]:
    """OpenTelemetry's instrumentation, with content captured."""
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=_provider())
    try:
        yield
    finally:
        instrumentor.uninstrument()


@contextmanager
def openinference() -> Iterator[None]:
    """OpenInference's instrumentation."""
    from openinference.instrumentation.openai import OpenAIInstrumentor

    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=_provider())
    try:
        yield
    finally:
        instrumentor.uninstrument()


def _provider() -> Any:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanProcessor())
    return provider


def through_the_sdk() -> None:
    """The cost beside the peers'."""
    client = recorder()
    http = {"plain": httpx2.Client(transport=_Answers())}
    http["llmobs"] = door.instrument(httpx2.Client(transport=_Answers()), llmobs_client=client)
    peers: dict[str, Callable[[], AbstractContextManager[None]]] = {"llmobs": nullcontext}
    packages = {
        "opentelemetry": ("opentelemetry-instrumentation-openai-v2", opentelemetry),
        "openinference": ("openinference-instrumentation-openai", openinference),
    }
    for name, (package, instrumented) in packages.items():
        try:
            with instrumented():
                print(f"{package} {version(package)}")
        except ImportError:
            print(f"{package} is not installed")
        else:
            peers[name] = instrumented

    def run(name: str, stream: bool, times: int) -> Callable[[], float]:
        gpt = openai.OpenAI(api_key="k", http_client=http.get(name, http["plain"]))

        def work() -> None:
            answer: Any = gpt.chat.completions.create(**ASK, stream=stream)
            if stream:
                for _ in answer:
                    pass

        def once() -> float:
            with peers.get(name, nullcontext)(), client.run():
                figure = timed(work, times)
            forget(client)
            return figure

        return once

    names = ["plain", *peers]
    whole = medians({name: run(name, False, 100) for name in names})
    stream = medians({name: run(name, True, 4) for name in names})
    print(f"through openai {version('openai')}, added to a call and to a chunk")
    for name in peers:
        call = whole[name] - whole["plain"]
        chunk = (stream[name] - stream["plain"] - call) / len(STREAM)
        print(f"  {name:15} {call:9.1f} µs {chunk:9.2f} µs")
    print(
        f"  (plain: {whole['plain']:.0f} µs a call, {stream['plain'] / len(STREAM):.1f} µs a chunk)"
    )


if __name__ == "__main__":
    logging.getLogger("llmobs").disabled = True  # that the client never runs is on purpose
    at_the_transport()
    through_the_sdk()
