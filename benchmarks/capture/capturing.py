"""Who captures: llmobs, and the instrumentations of others, each in an environment of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any, Final

import httpx2

from benchmarks import peers
from benchmarks.capture.answers import Answers
from benchmarks.capture.sdks import PACKAGES, SDKS
from benchmarks.capture.timing import Around, Work, nothing

__all__ = ["PINS", "Capture", "of_llmobs", "of_peer", "python"]

_OTEL: Final = "opentelemetry-sdk==1.45.2"
PINS: Final[dict[str, tuple[str, ...]]] = {
    "llmobs": ("--editable", "."),
    "opentelemetry": (
        _OTEL,
        "opentelemetry-instrumentation-genai-openai==1.3b0",
        "opentelemetry-instrumentation-genai-anthropic==1.3b0",
        "opentelemetry-instrumentation-google-genai==1.3b0",
        "google-genai==2.34.0",  # it refuses 3
    ),
    "openinference": (
        _OTEL,
        "openinference-instrumentation-openai==0.1.66",
        "openinference-instrumentation-anthropic==3.1.0",
        "openinference-instrumentation-google-genai==1.4.14",
    ),
    "openllmetry": (
        _OTEL,
        "opentelemetry-instrumentation-openai==0.62.4",
        "opentelemetry-instrumentation-anthropic==0.62.4",
        "opentelemetry-instrumentation-google-generativeai==0.62.4",
    ),
}
"""What to install for each, beside the SDKs."""

Capture = Callable[[str, bool], tuple[Work, Work, Around, Work]]
"""
For an SDK, streamed or not: a call that nobody captures, and one that is, inside what is entered; and what
throws away what was recorded.
"""


def python(name: str) -> str:
    """
    Return the interpreter of the environment of *name*, made now if need be.

    Raises:
        NotInstalledError: It could not be; the message says why.
    """
    pins = PINS[name]
    given = {pin.partition("==")[0] for pin in pins}
    wanted = (*pins, *(pin for pin in PACKAGES if pin.partition("==")[0] not in given))
    return str(peers.environment(f"capture-{name}", wanted, as_ours=False))


def _call(sdk: str, http: httpx2.Client, stream: bool) -> Work:
    call = SDKS[sdk](http)
    return lambda: call(stream)


def of_llmobs(client: Any, forget: Callable[[], object]) -> Capture:
    """
    Return what makes clients whose transport records.

    Args:
        client: Records; nothing is delivered.
        forget: Throws away what was recorded, and sees that there was something.
    """
    from llmobs.contrib import httpx as door

    @contextmanager
    def run() -> Iterator[None]:
        with client.run():
            yield
        forget()

    def capture(sdk: str, stream: bool) -> tuple[Work, Work, Around, Work]:
        plain, ours = (httpx2.Client(transport=Answers(sdk)) for _ in range(2))
        door.instrument(ours, llmobs_client=client)
        return _call(sdk, plain, stream), _call(sdk, ours, stream), run(), forget

    return capture


_NAMES: Final = {
    "openai": ("openai",),
    "anthropic": ("anthropic",),
    "gemini": ("google-genai", "google_genai", "google_generativeai"),
}


def of_peer() -> Capture:
    """
    Return what enters the instrumentations of this environment, found as OpenTelemetry's launcher does.

    Contents are captured, as llmobs does; spans go to a processor that counts and forgets them.
    """
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

    class Counting(SpanProcessor):
        spans = 0

        def on_end(self, span: ReadableSpan) -> None:
            self.spans += 1

    counting = Counting()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(counting)
    found = {each.name: each for each in entry_points(group="opentelemetry_instrumentor")}

    @contextmanager
    def instrumented(sdk: str) -> Iterator[None]:
        instrumentor = next(found[name] for name in _NAMES[sdk] if name in found).load()()
        instrumentor.instrument(tracer_provider=provider)
        before = counting.spans
        try:
            yield
        finally:
            instrumentor.uninstrument()
        assert counting.spans > before, f"{instrumentor} saw nothing"

    def capture(sdk: str, stream: bool) -> tuple[Work, Work, Around, Work]:
        call = _call(sdk, httpx2.Client(transport=Answers(sdk)), stream)
        return call, call, instrumented(sdk), nothing

    return capture
