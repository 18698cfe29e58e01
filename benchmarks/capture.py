"""What capture costs on the request path: per unstreamed call, and per chunk of a stream.

Over an in-process transport, so that nothing but work is measured. First at the transport, where
the cost arises; then through the whole `openai` package, beside the OpenTelemetry and OpenInference
instrumentations of it, if these are installed. Nobody exports: what is recorded is queued and thrown
away, and the peers get a span processor that does nothing.
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

from benchmarks.harness import Budget, Result, interleave
from llmobs import AsyncClient
from llmobs.contrib import httpx as door
from llmobs.contrib.httpx import RecordingTransport

TITLE = "Capture of an OpenAI call: added per call and per streamed chunk, µs"
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
    assert client._pipeline is not None
    client._pipeline.intake.reset()


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


def medians(variants: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Run the variants by turns; return the median of each."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for round_ in range(rounds + 1):
        for name, run in variants.items():
            figure = run()
            if round_:  # the first warms up
                found[name].append(figure)
    return {name: statistics.median(figures) for name, figures in found.items()}


def at_the_transport(rounds: int) -> dict[str, float]:
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

    whole = {"plain": run(plain, False, 1000), "llmobs": run(recording, False, 1000)}
    stream = {"plain": run(plain, True, 50), "llmobs": run(recording, True, 50)}
    figures = _added("transport", medians(whole, rounds), medians(stream, rounds))
    made.close()
    return figures


def _added(where: str, whole: dict[str, float], stream: dict[str, float]) -> dict[str, float]:
    """What each variant adds to the plain one; of the plain one, what it takes."""
    figures = {
        f"{where}/plain/call": whole["plain"],
        f"{where}/plain/chunk": stream["plain"] / len(STREAM),
    }
    for name in whole.keys() - {"plain"}:
        call = whole[name] - whole["plain"]
        figures[f"{where}/{name}/call"] = call
        figures[f"{where}/{name}/chunk"] = (stream[name] - stream["plain"] - call) / len(STREAM)
    return figures


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


def through_the_sdk(rounds: int) -> dict[str, float]:
    """The cost beside the peers'."""
    client = recorder()
    http = {"plain": httpx2.Client(transport=_Answers())}
    http["llmobs"] = door.instrument(httpx2.Client(transport=_Answers()), llmobs_client=client)
    peers: dict[str, Callable[[], AbstractContextManager[None]]] = {"llmobs": nullcontext}
    for name, instrumented in (("opentelemetry", opentelemetry), ("openinference", openinference)):
        try:
            with instrumented():
                peers[name] = instrumented
        except ImportError:
            pass  # left out

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
    whole = medians({name: run(name, False, 100) for name in names}, rounds)
    stream = medians({name: run(name, True, 4) for name in names}, rounds)
    return _added("sdk", whole, stream)


def sample(variant: str, quick: bool) -> dict[str, float]:
    """Both places, all variants in one process, interleaved; medians of the rounds."""
    logging.getLogger("llmobs").disabled = True  # that the client never runs is on purpose
    rounds = 5 if quick else 25
    return at_the_transport(rounds) | through_the_sdk(rounds)


PEERS = {
    "opentelemetry": "opentelemetry-instrumentation-openai-v2",
    "openinference": "openinference-instrumentation-openai",
}
ROWS = {
    "transport/plain": "transport alone: takes",
    "transport/llmobs": "llmobs, at the transport",
    "sdk/plain": "openai package alone: takes",
    "sdk/llmobs": "llmobs, through the package",
    **{f"sdk/{name}": f"{name}, through the package" for name in PEERS},
}


def run(quick: bool) -> Result:
    """CPU time of the calling thread."""
    found = interleave("capture", ["all"], rounds=1, quick=quick)
    rows = [
        (told, found.median("all", f"{where}/call"), found.median("all", f"{where}/chunk"))
        for where, told in ROWS.items()
        if f"{where}/call" in found.values["all"]
    ]
    call, chunk = (found.median("all", f"transport/llmobs/{m}") or 0 for m in ("call", "chunk"))
    versions = [f"openai {version('openai')}"]
    for name, package in PEERS.items():
        if f"sdk/{name}/call" in found.values["all"]:
            versions.append(f"{package} {version(package)}")
    return Result(
        TITLE,
        ("variant", "per unstreamed call", f"per chunk of {CHUNKS}"),
        rows,
        [
            Budget("at the transport, per call", call, 15, "µs"),
            Budget("at the transport, per chunk", chunk, 0.3, "µs"),
        ],
        "CPU time of the calling thread over an in-process transport; what is recorded is thrown "
        f"away, and peers get a span processor that does nothing. Versions: {', '.join(versions)}.",
    )
