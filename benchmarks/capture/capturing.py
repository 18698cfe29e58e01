"""Who captures: llmobs, and the instrumentations of others, each in an environment of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Final

import httpx2

from benchmarks import peers
from benchmarks.capture.answers import Answers
from benchmarks.capture.sdks import PACKAGES, SDKS
from benchmarks.capture.timing import Pair, Work

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

Capture = Callable[[str, bool], AbstractContextManager[Pair]]
"""For an SDK, streamed or not: a call, plain and captured."""


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
    def capture(sdk: str, stream: bool) -> Iterator[Pair]:
        http = httpx2.Client(transport=Answers(sdk))
        call = _call(sdk, http, stream)

        def switch(captures: bool) -> None:
            if captures:
                door.instrument(http, llmobs_client=client)
            else:
                door.uninstrument(http)

        with client.run():
            yield Pair(call, call, switch, forget)

    return capture


_NAMES: Final = {
    "openai": ("openai",),
    "anthropic": ("anthropic",),
    "gemini": ("google-genai", "google_genai", "google_generativeai"),
}
_MODULES: Final = {"openai": "openai", "anthropic": "anthropic", "gemini": "google.genai"}


def _switch(module: str) -> Callable[[bool], None]:
    """
    Return what takes out what is wrapped in *module* and its classes, and what is below it, or puts it back.

    In place of ``uninstrument``: not each of them takes out all that it put in.
    """
    import wrapt  # all of them wrap with it

    modules = [each for name, each in sys.modules.items() if f"{name}.".startswith(f"{module}.")]
    classes = {each for some in modules for each in vars(some).values() if isinstance(each, type)}
    wrapped = [
        (owner, name, value)
        for owner in (*modules, *classes)
        for name, value in vars(owner).items()
        if isinstance(value, wrapt.FunctionWrapper)
    ]

    def switch(captures: bool) -> None:
        for owner, name, value in wrapped:
            setattr(owner, name, value if captures else value.__wrapped__)

    return switch


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

    @cache
    def instrumented(sdk: str) -> Callable[[bool], None]:
        instrumentor = next(found[name] for name in _NAMES[sdk] if name in found).load()()
        instrumentor.instrument(tracer_provider=provider)
        return _switch(_MODULES[sdk])

    @contextmanager
    def capture(sdk: str, stream: bool) -> Iterator[Pair]:
        call = _call(sdk, httpx2.Client(transport=Answers(sdk)), stream)
        call()  # imports what it needs
        switch = instrumented(sdk)
        for captures in (True, False):
            switch(captures)
            before = counting.spans
            call()
            assert counting.spans - before == captures, f"{sdk}: what is captured is not switched"
        yield Pair(call, call, switch)

    return capture
